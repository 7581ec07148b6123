//! The clerk: watches the kinds, owns the workloads, writes status. Carries no traffic.
//!
//! Reading order: [`run`] wires everything; [`world`] sees; [`connection`], [`rule`] (with [`masking_rule`] and
//! [`approval_policy`]), [`audit_sink`] and [`access_request`] decide, each in the same steps; [`enforce`] knows what
//! processes really run; [`api`] is where they ask and tell; [`notify`] tells people; [`keys`] and
//! [`issuers`] are what the operator holds for all.

pub mod access_request;
pub mod api;
pub mod approval_policy;
pub mod args;
pub mod audiences;
pub mod audit_sink;
pub mod census;
pub mod columns;
pub mod connection;
pub mod context;
pub mod controller;
pub mod endpoint;
pub mod enforce;
pub mod guards;
pub mod issuers;
pub mod keys;
pub mod leader;
pub mod masking_rule;
pub mod metrics;
pub mod notify;
pub mod program;
pub mod rights;
pub mod rule;
pub mod run;
pub mod schema;
pub mod settings;
pub mod shared;
#[cfg(test)]
pub mod testing;
pub mod world;
