//! Whatever parses bytes, given bytes that nobody meant: no panic, no endless loop, the same for every chunking.
//!
//! Each target has inputs of its own in `corpus`, and mutations of them are drawn from a seed, so that every run is the same;
//! `SALLYPORT_FUZZ_SECONDS=600 cargo test --test fuzz` goes on for as long with others, and names the seed of what it finds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod dice;
mod messages;
mod statements;
mod tokens;
mod values;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use dice::{Dice, mutated};

/// Rounds of most targets where no time is given.
const ROUNDS: u64 = 20_000;

/// Runs a target on its inputs, and then on mutations of them.
fn fuzz(target: &str, rounds: u64, seeds: &[Vec<u8>], run: impl Fn(&[u8], &mut Dice)) {
    let seconds = std::env::var("SALLYPORT_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let rounds = rounds.max(u64::try_from(seeds.len()).unwrap());
    let mut seed = 0;
    while until.map_or(seed < rounds, |until| Instant::now() < until) {
        seed += 1;
        let mut dice = Dice::new(seed);
        // The seeds themselves first.
        let bytes = match seeds.get(usize::try_from(seed).unwrap() - 1) {
            Some(whole) => whole.clone(),
            None => mutated(&mut dice, seeds),
        };
        let ran = catch_unwind(AssertUnwindSafe(|| run(&bytes, &mut dice)));
        assert!(ran.is_ok(), "{target}, seed {seed}: {}", bytes.escape_ascii());
    }
    // Past the harness, which keeps to itself what a test that passes prints.
    let _ = writeln!(std::io::stdout(), "fuzz {target}: {seed} inputs");
}
