//! The door for PostgreSQL.
//!
//! Reading order: [`startup`] and [`auth`] (who is it), [`dial`] (the target); then a running session: [`unit`]-wise
//! judging, [`relay`] of what comes back, [`catalog`] for what names mean.

pub mod after;
pub mod ask;
pub mod auth;
pub mod call;
pub mod cancel;
pub mod catalog;
pub mod conversation;
pub mod copy;
pub mod dial;
pub mod errors;
pub mod expect;
pub mod forward;
pub mod frame;
pub mod handed;
pub mod held;
pub mod hold;
pub mod judge;
pub mod lookout;
pub mod meant;
pub mod message;
pub mod names;
pub mod oauthbearer;
pub mod precondition;
pub mod protocol;
pub mod pump;
pub mod readonly;
pub mod refuse;
mod refused;
pub mod relay;
pub mod role;
pub mod room;
pub mod rows;
pub mod scram;
pub mod script;
pub mod senders;
pub mod settings;
pub mod showing;
pub mod startup;
pub mod stream;
pub mod timeouts;
mod turned;
pub mod unit;
pub mod wire;

pub use protocol::{Postgres, Shared};
