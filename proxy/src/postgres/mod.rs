//! The door for PostgreSQL.
//!
//! Reading order: [`startup`] and [`auth`] (who is it), [`dial`] (the target); then a running session: [`unit`]-wise
//! judging, [`relay`] of what comes back, [`catalog`] for what names mean.

pub mod after;
pub mod ask;
pub mod auth;
pub mod catalog;
pub mod copy;
pub mod dial;
pub mod errors;
pub mod expect;
pub mod frame;
pub mod message;
pub mod names;
pub mod pump;
pub mod refuse;
pub mod relay;
pub mod rows;
pub mod settings;
pub mod startup;
pub mod stream;
pub mod wire;
