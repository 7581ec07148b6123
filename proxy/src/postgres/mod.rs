//! The door for PostgreSQL.
//!
//! Reading order: [`startup`] and [`auth`] (who is it), [`dial`] (the target), then the rooms of a running session.

pub mod auth;
pub mod dial;
pub mod errors;
pub mod frame;
pub mod message;
pub mod pump;
pub mod settings;
pub mod startup;
pub mod stream;
pub mod wire;
