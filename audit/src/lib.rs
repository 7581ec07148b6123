//! The evidence log: what a record says, and how anybody can prove that no record was added, changed, moved or removed.
//!
//! This crate is pure: no network, no async runtime, and files only through [`store::Store`]. The recorder writes with it,
//! the command-line tool proves with it, and both therefore agree by construction.
//!
//! Reading order: [`record`] (what is written), [`canonical`] (the one spelling of a record), [`merkle`] and [`tiles`]
//! (RFC 6962 and C2SP tlog-tiles), [`note`] and [`checkpoint`] (C2SP signed notes), [`permit`] (who may write), [`verify`] (proof or refutation),
//! [`wire`] (how a door hands records to a recorder).

pub mod canonical;
pub mod checkpoint;
pub mod digest;
pub mod merkle;
pub mod note;
pub mod permit;
pub mod record;
pub mod store;
pub mod tiles;
pub mod time;
pub mod verify;
pub mod wire;

pub use digest::Digest;
pub use record::{Batch, Event, Record};
pub use time::Time;
