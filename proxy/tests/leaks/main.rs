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
mod equality;
mod heard;
mod interleaved;
mod play;
mod verdict;

use case::Case;
use common::door::{Given, TestDoor};
use databases::{Databases, Secrets};
use play::{Stage, Through};
use verdict::{is_answered_as, seen_to_leak};

const CASES: &str = include_str!("cases.jsonl");
/// Variants of each kind. Those that change the database need a fresh one for each try, and take minutes.
const VARIANTS: &str = include_str!("variants.jsonl");

/// Comparisons of columns that a rule lets be compared, and of what it does not.
const EQUALITY: &str = include_str!("equality.jsonl");

/// Which of the cases are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    /// Those that leave the database as it is.
    Quiet,
    /// Those that change it.
    Changing,
}

impl Which {
    fn takes(self, case: &Case) -> bool {
        match self {
            Self::All => true,
            Self::Quiet => !case.fresh,
            Self::Changing => case.fresh,
        }
    }
}

fn every_case(cases: &str, which: Which, major: u8, profile: &str) {
    every_case_under(&Given::cases_under(profile), cases, which, major, profile);
}

fn every_case_under(given: &Given, cases: &str, which: Which, major: u8, profile: &str) {
    let server = common::postgres::server_of(major);
    let name = format!("{major}_{profile}_{which:?}_{}", cases.len());
    let databases = Databases::new(&server, &name.to_lowercase());
    let door = TestDoor::before(given, server.clone(), "postgres".to_owned());
    let only = std::env::var("LEAKS_ONLY").ok();
    let mut faults = Vec::new();
    let mut tried = 0;
    for case in Case::all(cases) {
        if only
            .as_ref()
            .is_some_and(|only| !only.split(',').any(|part| case.id.contains(part)))
            || !case.runs_on(major)
            || !which.takes(&case)
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
    every_case(CASES, Which::All, 15, "Standard");
}

#[test]
fn standard_on_18() {
    every_case(CASES, Which::All, 18, "Standard");
}

#[test]
fn strict_on_15() {
    every_case(CASES, Which::All, 15, "Strict");
}

#[test]
fn strict_on_18() {
    every_case(CASES, Which::All, 18, "Strict");
}

#[test]
fn variants_standard_on_15() {
    every_case(VARIANTS, Which::Quiet, 15, "Standard");
}

#[test]
fn variants_standard_on_18() {
    every_case(VARIANTS, Which::Quiet, 18, "Standard");
}

#[test]
fn variants_strict_on_15() {
    every_case(VARIANTS, Which::Quiet, 15, "Strict");
}

#[test]
fn variants_strict_on_18() {
    every_case(VARIANTS, Which::Quiet, 18, "Strict");
}

#[test]
fn equality_on_15() {
    every_case_under(&Given::cases_of_equality(), EQUALITY, Which::All, 15, "Strict");
}

#[test]
fn equality_on_18() {
    every_case_under(&Given::cases_of_equality(), EQUALITY, Which::All, 18, "Strict");
}

#[test]
#[ignore = "takes minutes: SALLYPORT_NIGHTLY=1 make test"]
fn changing_variants_standard_on_15() {
    every_case(VARIANTS, Which::Changing, 15, "Standard");
}

#[test]
#[ignore = "takes minutes: SALLYPORT_NIGHTLY=1 make test"]
fn changing_variants_standard_on_18() {
    every_case(VARIANTS, Which::Changing, 18, "Standard");
}

#[test]
#[ignore = "takes minutes: SALLYPORT_NIGHTLY=1 make test"]
fn changing_variants_strict_on_15() {
    every_case(VARIANTS, Which::Changing, 15, "Strict");
}

#[test]
#[ignore = "takes minutes: SALLYPORT_NIGHTLY=1 make test"]
fn changing_variants_strict_on_18() {
    every_case(VARIANTS, Which::Changing, 18, "Strict");
}
