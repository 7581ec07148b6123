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
mod cast;
#[path = "../common/mod.rs"]
mod common;
mod databases;
mod equality;
mod faults;
mod heard;
mod imported;
mod interleaved;
mod play;
mod verdict;

use std::collections::BTreeSet;

use case::{Case, Expected};
use common::door::{Given, TestDoor};
use databases::{Databases, Secrets};
use faults::Faults;
use heard::Heard;
use play::{Stage, Through};
use verdict::{is_answered_as, seen_to_leak};

const CASES: &str = include_str!("cases.jsonl");
/// Variants of each kind. Those that change the database need a fresh one for each try, and take minutes.
const VARIANTS: &str = include_str!("variants.jsonl");

/// What takes two sessions or more, whose statements have to come in a certain order.
const INTERLEAVED: &str = include_str!("interleaved.jsonl");

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
    /// The first of each kind of those.
    OneOfEachKind,
}

impl Which {
    fn takes(self, case: &Case) -> bool {
        match self {
            Self::All => true,
            Self::Quiet => !case.fresh,
            Self::Changing | Self::OneOfEachKind => case.fresh,
        }
    }
}

/// A door, and by which of a case's ends it is judged.
struct Judged {
    profile: &'static str,
    door: TestDoor,
}

impl Judged {
    fn expected<'a>(&self, case: &'a Case) -> &'a Expected {
        if self.profile == "Strict" {
            &case.strict
        } else {
            &case.standard
        }
    }
}

/// Whether `LEAKS_ONLY` leaves a case in: parts of names, by commas.
fn is_wanted(case: &Case) -> bool {
    let only = std::env::var("LEAKS_ONLY").ok();
    only.is_none_or(|only| only.split(',').any(|part| case.id.contains(part)))
}

fn every_case(cases: &str, which: Which, major: u8) {
    let given = ["Standard", "Strict"].map(|profile| (profile, Given::cases_under(profile)));
    every_case_under(&given, cases, which, major);
}

/// Each case is seen to leak once, and tried through a door of each profile after that.
fn every_case_under(given: &[(&'static str, Given)], cases: &str, which: Which, major: u8) {
    let server = common::postgres::server_of(major);
    let name = format!("{major}_{which:?}_{}", cases.len()).to_lowercase();
    let databases = Databases::new(&server, &name);
    every_case_in(&databases, given, cases, which, major);
}

/// The same by the owner of everything, who is no superuser. What only a superuser can do is seen to leak by none, and passed over.
fn every_case_by_the_owner(cases: &str, major: u8) {
    let server = common::postgres::server_of(major);
    let databases = Databases::owned(&server, &format!("{major}_{}", cases.len()));
    let given = ["Standard", "Strict"].map(|profile| {
        let mut given = Given::cases_under(profile);
        given.role = databases.role().unwrap().to_owned();
        (profile, given)
    });
    every_case_in(&databases, &given, cases, Which::Quiet, major);
}

fn every_case_in(databases: &Databases, given: &[(&'static str, Given)], cases: &str, which: Which, major: u8) {
    let server = databases.server();
    let doors = given.iter().map(|(profile, given)| Judged {
        profile,
        door: TestDoor::before(given, server.clone(), "postgres".to_owned()),
    });
    let doors: Vec<Judged> = doors.collect();
    let mut faults = Faults::new(match databases.role() {
        Some(_) => format!("PostgreSQL {major}, by the owner"),
        None => format!("PostgreSQL {major}"),
    });
    let cases = Case::all(cases).into_iter();
    let mut kinds = BTreeSet::new();
    let mut is_taken = |case: &Case| which != Which::OneOfEachKind || kinds.insert(case.kind.clone());
    for case in cases.filter(|case| is_wanted(case) && case.runs_on(major) && which.takes(case) && is_taken(case)) {
        let play = |through: Through<'_>, secrets: Secrets| {
            let database = databases.open(&case, secrets);
            let stage = Stage {
                server,
                database: &database.name,
                role: databases.role().unwrap_or("postgres"),
                secrets,
                through,
            };
            stage.play(&case)
        };
        let direct = Secrets::BOTH.map(|secrets| play(Through::Nothing, secrets));
        let seen = seen_to_leak(&case, &direct);
        if databases.role().is_some() && (seen.is_err() || direct.iter().any(Heard::is_forbidden)) {
            continue;
        }
        faults.tried += 1;
        if let Err(fault) = seen {
            faults.tell(format!("{} ({}): {fault}", case.id, case.kind));
            continue;
        }
        for judged in &doors {
            let (profile, expected) = (judged.profile, judged.expected(&case));
            let masked = Secrets::BOTH.map(|secrets| play(Through::Door(&judged.door), secrets));
            if std::env::var("LEAKS_SHOW").is_ok() {
                eprintln!("== {}\n  direct {:?}\n  {profile} {:?}", case.id, direct[0], masked[0]);
            }
            if let Err(fault) = is_answered_as(expected, &case, &direct, &masked) {
                faults.tell(format!(
                    "{} ({}) under {profile}: expected {expected}: {fault}",
                    case.id, case.kind
                ));
            }
        }
    }
    faults.end();
}

#[test]
fn cases_on_15() {
    every_case(CASES, Which::All, 15);
}

#[test]
fn cases_on_18() {
    every_case(CASES, Which::All, 18);
}

#[test]
fn variants_on_15() {
    every_case(VARIANTS, Which::Quiet, 15);
}

#[test]
fn variants_on_18() {
    every_case(VARIANTS, Which::Quiet, 18);
}

#[test]
fn one_of_each_kind_that_changes_the_database_on_15() {
    every_case(VARIANTS, Which::OneOfEachKind, 15);
}

#[test]
fn one_of_each_kind_that_changes_the_database_on_18() {
    every_case(VARIANTS, Which::OneOfEachKind, 18);
}

#[test]
fn interleaved_on_15() {
    every_case(INTERLEAVED, Which::All, 15);
}

#[test]
fn interleaved_on_18() {
    every_case(INTERLEAVED, Which::All, 18);
}

#[test]
fn equality_on_15() {
    every_case_under(&[("Strict", Given::cases_of_equality())], EQUALITY, Which::All, 15);
}

#[test]
fn equality_on_18() {
    every_case_under(&[("Strict", Given::cases_of_equality())], EQUALITY, Which::All, 18);
}

#[test]
fn variants_by_the_owner_on_15() {
    every_case_by_the_owner(VARIANTS, 15);
}

#[test]
fn variants_by_the_owner_on_18() {
    every_case_by_the_owner(VARIANTS, 18);
}

#[test]
#[ignore = "takes minutes: SALLYPORT_NIGHTLY=1 make test"]
fn changing_variants_on_15() {
    every_case(VARIANTS, Which::Changing, 15);
}

#[test]
#[ignore = "takes minutes: SALLYPORT_NIGHTLY=1 make test"]
fn changing_variants_on_18() {
    every_case(VARIANTS, Which::Changing, 18);
}
