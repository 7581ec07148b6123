//! The recorder: one log, one writer, one key.
//!
//! [`client`] is what a door holds to make its records durable; [`log`] is the log on disk.

pub mod client;
