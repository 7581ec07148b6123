//! The operator's own API on port 8443: certificates for Pods, reports of proxies, columns that stay
//! protected. Only the leader answers.

pub mod certificates;
pub mod columns;
pub mod report;
pub mod server;
