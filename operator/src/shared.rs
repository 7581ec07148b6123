//! What reconcilers of every kind share.

pub mod apply;
pub mod backoff;
pub mod conditions;
pub mod hindrance;
pub mod labels;
pub mod network;
pub mod owner;
pub mod pods;
pub mod status;
