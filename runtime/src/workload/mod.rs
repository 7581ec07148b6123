//! A Pod's own certificate: asked of the operator against a Pod-bound token, renewed at two thirds of its life.
//!
//! The key never leaves the process; a new one is made for every certificate.

pub mod api;
mod credential;
mod enroll;

pub use credential::Credential;
pub use enroll::{EnrollError, Enrollment};

#[cfg(test)]
mod tests;
