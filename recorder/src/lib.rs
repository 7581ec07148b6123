//! The recorder: one log, one writer, one key.
//!
//! Reading order: [`log`] (the log on disk), [`server`] (the port that doors stream to), [`attest`]
//! (whose tokens they show), [`read`] (the port that auditors and
//! the operator read from), [`client`] (what a door holds to make its records durable), [`run`] (the program).

pub mod args;
pub mod attest;
pub mod client;
mod frames;
pub mod log;
pub mod metrics;
pub mod program;
pub mod read;
pub mod run;
pub mod server;
#[cfg(test)]
mod testing;
