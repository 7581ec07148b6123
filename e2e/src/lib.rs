//! End-to-end: real clients against a real cluster. This crate sees binaries, not code.
//!
//! The story of `make demo` is the same code as the end-to-end test: each step does what a person would do, shows what
//! a person would see, and checks it.

pub mod bench;
pub mod client;
pub mod demo;
pub mod narrator;
pub mod run;
pub mod story;
pub mod trial;
