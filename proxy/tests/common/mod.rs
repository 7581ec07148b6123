//! A real PostgreSQL behind a real door, within one process of tests: server, recorder and door are the product's own; who
//! somebody is and who approves are said by the test.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod approvals;
pub mod asking;
pub mod cluster;
pub mod columns;
pub mod door;
pub mod given;
pub mod postgres;
pub mod psql;
pub mod recorder;
pub mod replicas;
pub mod wire;

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

/// One thread beside the test's own, on which doors, recorders and others run.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// Waits for a condition.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}
