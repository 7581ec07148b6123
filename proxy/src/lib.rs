//! The door: who are you, may this be done, what passes is recorded and masked.
//!
//! Reading order: [`session`] is one session's life in six calls, [`command`] the sequence that every command goes
//! through, [`door`] what both need to know about the Connection that this process serves. [`postgres`] is the first
//! protocol; the next ones repeat its file names.

pub mod approval;
pub mod args;
pub mod command;
pub mod control;
pub mod door;
pub mod drain;
pub mod listener;
pub mod manifests;
pub mod metrics;
pub mod peers;
pub mod postgres;
pub mod program;
pub mod run;
pub mod session;
pub mod standing;

pub use sallyport_identity as identity;
