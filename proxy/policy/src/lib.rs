//! Verdicts and masks: the code that says what a person may do and what they may see.
//!
//! Pure by construction: no IO, no clock, no async runtime, no Kubernetes client. The same input gives the same verdict,
//! so the operator accepts a rule with the very code that the door runs it with.

pub mod assemble;
pub mod carrier;
pub mod catalog;
pub mod columns;
pub mod decide;
pub mod guard;
pub mod issuer;
pub mod mask;
pub mod policy;
pub mod problem;
pub mod seal;
pub mod selector;
pub mod sql;
pub mod subject;
pub mod tally;

pub use policy::Policy;
pub use subject::Subject;

/// Lower-case hexadecimal digits of some bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
