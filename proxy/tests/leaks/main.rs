//! Values that must not get past the mask: each case is first seen to leak without the door, then tried through it.
//!
//! Two databases differ in the protected values and in nothing else. What a client gets from both is compared: if the two
//! answers differ, something of the values came through, in whatever disguise. No list of encodings is needed for that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

mod case;
#[path = "../common/mod.rs"]
mod common;
mod databases;
mod heard;
mod play;
mod verdict;

use case::Case;
use common::door::{Given, TestDoor};
use databases::{Databases, Secrets};
use play::{Stage, Through};
use verdict::{is_answered_as, seen_to_leak};

const CASES: &str = include_str!("cases.jsonl");
/// Variants of each kind: they take minutes.
const VARIANTS: &str = include_str!("variants.jsonl");

fn every_case(cases: &str, major: u8, profile: &str) {
    let server = common::postgres::server_of(major);
    let databases = Databases::new(&server, &format!("{major}_{}_{}", profile.to_lowercase(), cases.len()));
    let door = TestDoor::before(&Given::cases_under(profile), server.clone(), "postgres".to_owned());
    let only = std::env::var("LEAKS_ONLY").ok();
    let mut faults = Vec::new();
    let mut tried = 0;
    for case in Case::all(cases) {
        if only
            .as_ref()
            .is_some_and(|only| !only.split(',').any(|part| case.id.contains(part)))
            || !case.runs_on(major)
        {
            continue;
        }
        tried += 1;
        let play = |through: Through<'_>, secrets: Secrets| {
            let database = databases.open(&case, secrets);
            let stage = Stage {
                server: &server,
                database: &database.name,
                secrets,
                through,
            };
            stage.play(&case)
        };
        let direct = Secrets::BOTH.map(|secrets| play(Through::Nothing, secrets));
        let masked = Secrets::BOTH.map(|secrets| play(Through::Door(&door), secrets));
        let expected = if profile == "Strict" {
            &case.strict
        } else {
            &case.standard
        };
        if std::env::var("LEAKS_SHOW").is_ok() {
            eprintln!("== {}\n  direct {:?}\n  door   {:?}", case.id, direct[0], masked[0]);
        }
        if let Err(fault) =
            seen_to_leak(&case, &direct).and_then(|()| is_answered_as(expected, &case, &direct, &masked))
        {
            faults.push(format!("{} ({}): expected {expected}: {fault}", case.id, case.kind));
        }
    }
    assert!(tried > 0, "no case was tried");
    assert!(
        faults.is_empty(),
        "PostgreSQL {major}, {profile}: {} of {tried} cases:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn standard_on_15() {
    every_case(CASES, 15, "Standard");
}

#[test]
fn standard_on_18() {
    every_case(CASES, 18, "Standard");
}

#[test]
fn strict_on_15() {
    every_case(CASES, 15, "Strict");
}

#[test]
fn strict_on_18() {
    every_case(CASES, 18, "Strict");
}

#[test]
#[ignore = "takes minutes: cargo test -p sallyport-proxy --test leaks -- --ignored"]
fn variants_standard_on_15() {
    every_case(VARIANTS, 15, "Standard");
}

#[test]
#[ignore = "takes minutes: cargo test -p sallyport-proxy --test leaks -- --ignored"]
fn variants_standard_on_18() {
    every_case(VARIANTS, 18, "Standard");
}

#[test]
#[ignore = "takes minutes: cargo test -p sallyport-proxy --test leaks -- --ignored"]
fn variants_strict_on_15() {
    every_case(VARIANTS, 15, "Strict");
}

#[test]
#[ignore = "takes minutes: cargo test -p sallyport-proxy --test leaks -- --ignored"]
fn variants_strict_on_18() {
    every_case(VARIANTS, 18, "Strict");
}
