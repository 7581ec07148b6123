//! Verdicts and masks: the code that says what a person may do and what they may see.
//!
//! Pure by construction: no IO, no clock, no async runtime, no Kubernetes client. The same input gives the same verdict,
//! so the operator accepts a rule with the very code that the door runs it with.

pub mod catalog;
