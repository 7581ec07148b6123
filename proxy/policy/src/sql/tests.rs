//! What a tree tells, as tables.

mod choice;
mod denied;
mod fingerprints;
mod names;
mod nested;
mod settings;
mod text;
mod verbs;

use super::*;

/// The first statement of a text.
fn one(sql: &str) -> Statement {
    let script = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    script
        .statements
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("{sql}: no statement"))
}

/// Compares what `show` makes of each statement with what the table says, and reports all differences at once.
fn table(cases: &[(&str, &str)], show: impl Fn(&Statement) -> String) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(sql, expected)| {
            let got = show(&one(sql));
            (got != *expected).then(|| format!("{sql}\n  expected {expected}\n  got      {got}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
