//! The page by which people write policies says what holds here.

use super::super::check::FUNCTIONS;
use super::super::values::{COMMAND, CONNECTION, IDENTITY, SESSION};
use super::*;

const PAGE: &str = include_str!("../../../../../../docs/policies.md");

#[test]
fn every_row_stands_on_the_page_as_it_stands_in_the_source() {
    let sources = [include_str!("../values.rs"), include_str!("../../risk.rs")];
    let rows: Vec<&str> = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("//! "))
        .filter(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() > 40, "{rows:?}");
    for row in rows {
        assert!(PAGE.lines().any(|line| line == row), "{row}");
    }
}

#[test]
fn everything_that_an_expression_may_name_stands_on_the_page() {
    let fields: [(&str, &[&str]); 4] = [
        ("command", &COMMAND),
        ("identity", &IDENTITY),
        ("connection", &CONNECTION),
        ("session", &SESSION),
    ];
    for (variable, fields) in fields {
        for field in fields {
            let (alone, in_a_zone) = (format!("`{variable}.{field}`"), format!("`{variable}.{field}['ZONE']`"));
            assert!(PAGE.contains(&alone) || PAGE.contains(&in_a_zone), "{alone}");
        }
    }
    for function in FUNCTIONS {
        assert!(PAGE.contains(&format!("`{function}`")), "{function}");
    }
}

#[test]
fn every_verb_has_the_score_of_its_row() {
    let row_of = |score: u8| {
        PAGE.lines()
            .find_map(|line| line.strip_prefix(&format!("| {score} | ")))
    };
    for &verb in Verb::ALL {
        let command = Command {
            verbs: [verb].into_iter().collect(),
            has_where: true,
            ..Command::default()
        };
        let score = crate::decide::risk(&command);
        let row = row_of(score).unwrap_or_else(|| panic!("no row of {score}"));
        let mut words = row.trim_end_matches(" |").split(", ");
        assert!(words.any(|word| word == verb.to_string()), "{verb}: {row}");
    }
}

#[test]
fn every_example_is_an_expression() {
    let blocks = PAGE
        .split("```cel\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let examples: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(examples.len() > 10, "{examples:?}");
    for example in examples {
        if let Err(error) = Expression::compile(example) {
            panic!("{example}: {error}");
        }
    }
}
