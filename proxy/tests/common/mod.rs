//! A real PostgreSQL behind a real door, within one process of tests: server, recorder and door are the product's own; who
//! somebody is and who approves are said by the test.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod approvals;
pub mod asking;
pub mod cluster;
pub mod columns;
pub mod dice;
pub mod door;
pub mod given;
pub mod postgres;
pub mod psql;
pub mod recorder;
pub mod replicas;
pub mod wire;

use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use self::cluster::PATIENCE;

/// Files in memory, on Linux.
const MEMORY: &str = "/dev/shm";
/// Whether there is plenty of it; a container may have next to none. In MiB.
static IS_ROOMY: LazyLock<bool> = LazyLock::new(|| {
    let free = Command::new("df")
        .args(["--output=avail", "--block-size=1M", MEMORY])
        .output();
    let free = free.ok().and_then(|said| String::from_utf8(said.stdout).ok());
    let free = free.and_then(|said| said.lines().nth(1)?.trim().parse().ok());
    free.is_some_and(|free: u64| free >= 1024)
});

/// One thread beside the test's own, on which doors, recorders and others run.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A directory for the log of a door in this process. Every session waits for it several times, and whether a disk holds what it was
/// given is for the tests of evidence, which have volumes.
pub fn scratch() -> TempDir {
    let directory = if *IS_ROOMY {
        tempfile::tempdir_in(MEMORY)
    } else {
        tempfile::tempdir()
    };
    directory.unwrap()
}

/// Waits for a condition.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}
