//! The judge of statements, and the walker that follows values through them.

use sallyport_policy::catalog::{Column, Relation, RelationKind, SearchPath, Snapshot};
use sallyport_policy::mask::Keys;
use sallyport_policy::{Policy, Subject, sql};

use super::common::door::Given;
use super::{ROUNDS, corpus, fuzz};

/// Every attack that the leak cases try.
const CASES: [&str; 2] = [
    include_str!("../leaks/cases.jsonl"),
    include_str!("../leaks/variants.jsonl"),
];

/// What statements of the cases are about: a table, views of it and of each other, a partition, a table with rules.
pub fn catalog() -> Snapshot {
    let relation = |oid: u32, name: &str, columns: &[&str]| Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        columns: (1..)
            .zip(columns)
            .map(|(attnum, name)| Column {
                attnum,
                name: (*name).into(),
                type_oid: 25,
                generated: None,
            })
            .collect(),
        ..Relation::default()
    };
    let view = |oid: u32, name: &str, columns: &[&str], definition: &str| Relation {
        kind: RelationKind::View,
        definition: Some(definition.into()),
        ..relation(oid, name, columns)
    };
    let mut partition = relation(20_003, "events_1", &["id", "ssn"]);
    partition.parents = vec![20_002];
    let mut ruled = relation(20_004, "t9", &["id", "x"]);
    (ruled.active, ruled.ruled) = (true, true);
    Snapshot::new(vec![
        relation(
            20_000,
            "customers",
            &["id", "name", "ssn", "card", "ssn_num", "doc", "raw", "tags"],
        ),
        relation(20_001, "acct", &["id", "ssn"]),
        relation(20_002, "events", &["id", "ssn"]),
        partition,
        ruled,
        view(
            20_005,
            "v_cust",
            &["id", "tax_ref"],
            "SELECT id, ssn AS tax_ref FROM public.customers;",
        ),
        view(20_006, "v9", &["x"], "SELECT reverse(tax_ref) AS x FROM public.v_cust;"),
    ])
}

/// What the cases send.
fn sent_by_cases() -> impl Iterator<Item = Vec<u8>> {
    let lines = CASES.into_iter().flat_map(str::lines);
    lines.flat_map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let statements = case["sql"].as_array().cloned().unwrap_or_default();
        statements
            .into_iter()
            .filter_map(|sql| Some(sql.as_str()?.as_bytes().to_vec()))
    })
}

#[test]
fn statements() {
    let seeds: Vec<Vec<u8>> = sent_by_cases().chain(corpus::of("statements")).collect();
    assert!(seeds.len() > 500);
    let policy = Policy::with_keys(&Given::cases().carrier(1, 1), Keys::default()).unwrap();
    let (subject, catalog) = (Subject::default(), catalog());
    let path = SearchPath::from_setting("public", "app", None).unwrap();
    fuzz("statements", ROUNDS / 4, &seeds, |bytes, _| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(script) = sql::parse(&text) else { return };
        for statement in script.readings().flatten() {
            assert!(
                text.get(statement.range.clone()).is_some(),
                "a statement is a part of its text"
            );
            let _ = sql::lineage(statement, &catalog, &path);
        }
        let command = sallyport_policy::decide::Command {
            text: text.as_ref().into(),
            ..Default::default()
        };
        let _ = policy.decide(&subject, &command);
    });
}
