//! Every name of every question says its schema: a temporary table called pg_class comes before the catalog, whatever the path is.

use std::collections::BTreeSet;

use sallyport_policy::sql;

use super::*;
use crate::postgres::{role, timeouts};

/// All questions, but for those that EXECUTE what is prepared here.
fn questions() -> Vec<(&'static str, String)> {
    vec![
        ("built in", built_in()),
        ("snapshot", snapshot()),
        ("prepared", rest_prepared()),
        ("names", own(Depth::Names)),
        ("temporary", own(Depth::Temporary)),
        ("relations", own(Depth::Relations)),
        ("all", own(Depth::All)),
        ("circumstances", circumstances(&BTreeSet::from(["app.user".to_owned()]))),
        ("digest", digest()),
        ("footprint", footprint_prepared()),
        ("position", format!("SELECT {POSITION}")),
        ("ended", format!("SELECT {ENDED}")),
        ("statistics", STATISTICS.to_owned()),
        ("role", role::QUESTION.to_owned()),
        ("timeouts", timeouts::QUESTION.to_owned()),
    ]
}

/// Signs that operators are made of; `*` and `-` are more than that.
const SIGNS: &[char] = &[
    '=', '<', '>', '~', '!', '|', '&', '#', '@', '%', '^', '+', '/', '`', '?',
];

/// What compares by an operator that it does not name.
const WORDS: [&str; 7] = [
    " IN (",
    " LIKE ",
    " DISTINCT FROM ",
    " BETWEEN ",
    " USING ",
    " NATURAL ",
    "NULLIF(",
];

/// A question without its literals and the operators that say their schema.
fn bare(text: &str) -> String {
    let text = text.replace(QUALIFIED, "");
    let pieces: Vec<&str> = text.split('\'').step_by(2).collect();
    let text = pieces.join("''");
    let mut rest = text.as_str();
    let mut bare = String::new();
    while let Some((before, behind)) = rest.split_once("OPERATOR(pg_catalog.") {
        bare.push_str(before);
        rest = behind.split_once(')').unwrap().1;
    }
    bare + rest
}

#[test]
fn every_relation_and_function_says_its_schema() {
    for (what, text) in questions() {
        let script = sql::parse(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(!script.statements.is_empty(), "{what}");
        for statement in &script.statements {
            let relations = statement.relations.iter().map(|one| (&one.schema, &one.name));
            let functions = statement.functions.iter().map(|one| (&one.schema, &one.name));
            for (schema, name) in relations.chain(functions) {
                assert_eq!(schema.as_deref(), Some("pg_catalog"), "{what}: {name}");
            }
        }
    }
}

#[test]
fn every_operator_and_type_says_its_schema() {
    for (what, text) in questions() {
        let bare = bare(&text);
        let sign = bare
            .find(SIGNS)
            .map(|at| bare.split_at(at).1.chars().take(60).collect::<String>());
        assert_eq!(sign, None, "{what}");
        for word in WORDS {
            assert!(!bare.contains(word), "{what}:{word}");
        }
        assert!(
            bare.split("CASE ").skip(1).all(|rest| rest.starts_with("WHEN ")),
            "{what}"
        );
        for cast in bare.split("::").skip(1) {
            let to: String = cast.chars().take(60).collect();
            assert!(to.starts_with("pg_catalog."), "{what}: {to}");
        }
    }
}
