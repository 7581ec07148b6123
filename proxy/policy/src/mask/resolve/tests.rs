use super::*;
use crate::catalog::{RelationKind, Snapshot};

#[test]
fn globs() {
    for (pattern, text, want) in [
        ("ssn", "ssn", true),
        ("ssn", "ssn_num", false),
        ("ssn*", "ssn_num", true),
        ("*", "", true),
        ("*ssn", "my_ssn", true),
        ("*ssn", "ssns", false),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "aXcYb", false),
        ("a*a", "a", false),
        ("*a*", "bab", true),
    ] {
        assert_eq!(glob(pattern, text), want, "{pattern} {text}");
    }
}

#[test]
fn columns_have_three_parts() {
    assert_eq!(
        ColumnGlob::parse("public.customers.ssn").unwrap().to_string(),
        "public.customers.ssn"
    );
    for wrong in ["", "ssn", "customers.ssn", "a.b.c.d", "a..c", ".b.c"] {
        assert_eq!(ColumnGlob::parse(wrong), Err(GlobError), "{wrong}");
    }
}

#[test]
fn mentions_whole_names_only() {
    assert!(mentions("lower(ssn)", "ssn"));
    assert!(mentions("(\"my ssn\" || 'x')", "my ssn"));
    assert!(mentions("\"a\"\"b\"", "a\"b"));
    assert!(!mentions("lower(ssn_num)", "ssn"));
    assert!(!mentions("xssn", "ssn"));
}

fn relation(oid: u32, name: &str, columns: &[&str]) -> Relation {
    let columns = columns.iter().zip(1..).map(|(name, attnum)| Column {
        attnum,
        name: (*name).to_owned(),
        type_oid: 25,
        generated: None,
    });
    Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        columns: columns.collect(),
        ..Relation::default()
    }
}

fn rule(uid: &str, generation: i64, column: &str) -> Rule {
    Rule {
        columns: vec![ColumnGlob::parse(column).unwrap()],
        uid: uid.into(),
        generation,
        ..crate::mask::testing::rule(crate::mask::action::Action::Redact)
    }
}

fn id(relation: u32, column: i16) -> ColumnId {
    ColumnId { relation, column }
}

#[test]
fn protection_survives_a_rename_and_ends_with_the_generation() {
    let before = Snapshot::new(vec![relation(10, "customers", &["id", "ssn"])]);
    let after = Snapshot::new(vec![relation(10, "customers", &["id", "harmless"])]);
    let rules = [rule("u1", 3, "public.customers.ssn")];
    let first = ProtectedColumns::resolve(&rules, &before, None, &ByRule::new());
    assert!(first.contains(id(10, 2)) && !first.contains(id(10, 1)));

    let renamed = ProtectedColumns::resolve(&rules, &after, Some(&first), &ByRule::new());
    assert_eq!(renamed.rules_of(id(10, 2)), Some(&RuleSet::one(0)));

    // Another rule in front of it: the same protection under its new number.
    let moved = [rule("u0", 1, "public.other.x"), rule("u1", 3, "public.customers.ssn")];
    let moved = ProtectedColumns::resolve(&moved, &after, Some(&renamed), &ByRule::new());
    assert_eq!(moved.rules_of(id(10, 2)), Some(&RuleSet::one(1)));

    let edited = ProtectedColumns::resolve(
        &[rule("u1", 4, "public.customers.ssn")],
        &after,
        Some(&renamed),
        &ByRule::new(),
    );
    assert!(edited.is_empty());
}

#[test]
fn what_is_carried_is_of_the_relations_that_are_meant_and_of_the_generation() {
    let named = |first: &str, second: &str| {
        Snapshot::new(vec![
            relation(10, "own", &["id", first]),
            relation(11, "shared", &["id", second]),
        ])
    };
    let rules = [rule("u1", 3, "public.*.ssn")];
    let before = ProtectedColumns::resolve(&rules, &named("ssn", "ssn"), None, &ByRule::new());
    let after = named("harmless", "harmless");
    for (generation, wanted) in [(3, vec![id(10, 2)]), (4, vec![])] {
        let rules = [rule("u0", 1, "public.other.x"), rule("u1", generation, "public.*.ssn")];
        let mut found = ProtectedColumns::resolve(&rules, &after, None, &ByRule::new());
        found.carry(&before, &rules, &after, |one| one.name == "own");
        let columns: Vec<ColumnId> = found.iter().map(|(column, _)| column).collect();
        assert_eq!(columns, wanted);
    }
}

#[test]
fn children_and_generated_columns_inherit() {
    let mut parent = relation(10, "customers", &["id", "ssn", "last4", "twice"]);
    parent.columns[2].generated = Some("\"right\"(ssn, 4)".into());
    parent.columns[3].generated = Some("(id * 2)".into());
    let mut child = relation(11, "customers_2026", &["ssn", "id"]);
    child.parents = vec![10];
    let mut grandchild = relation(12, "customers_2026_01", &["id", "x", "ssn"]);
    grandchild.parents = vec![11];
    let catalog = Snapshot::new(vec![parent, child, grandchild]);
    let found = ProtectedColumns::resolve(&[rule("u", 1, "public.customers.ssn")], &catalog, None, &ByRule::new());
    let mut columns: Vec<ColumnId> = found.iter().map(|(column, _)| column).collect();
    columns.sort();
    assert_eq!(columns, [id(10, 2), id(10, 3), id(11, 1), id(12, 3)]);
}

#[test]
fn columns_that_foreign_keys_write_to_inherit() {
    let mut keys = relation(10, "keys", &["id", "ssn"]);
    keys.carried = vec![(2, id(11, 1)), (1, id(13, 1))];
    let mut visits = relation(11, "visits", &["patient", "day"]);
    visits.carried = vec![(1, id(12, 2))];
    let bills = relation(12, "bills", &["id", "patient"]);
    let catalog = Snapshot::new(vec![keys, visits, bills, relation(13, "notes", &["key"])]);
    let found = ProtectedColumns::resolve(&[rule("u", 1, "public.keys.ssn")], &catalog, None, &ByRule::new());
    let mut columns: Vec<ColumnId> = found.iter().map(|(column, _)| column).collect();
    columns.sort();
    assert_eq!(columns, [id(10, 2), id(11, 1), id(12, 2)]);
}

#[test]
fn what_is_kept_counts_for_its_rule_and_generation_whatever_it_is_called() {
    let mut columns = crate::columns::Columns {
        generation: 3,
        ..Default::default()
    };
    columns.note_matched(id(10, 2));
    columns.note_copied(id(11, 1));
    let kept = ByRule::from([("u1".to_owned(), columns)]);
    let mut part = relation(12, "part", &["harmless"]);
    part.parents = vec![10];
    // Another process saw `ssn` before it was renamed.
    let renamed = Snapshot::new(vec![relation(10, "customers", &["id", "harmless"]), part]);
    let rules = [rule("u0", 3, "public.other.x"), rule("u1", 3, "public.customers.ssn")];
    let found = ProtectedColumns::resolve(&rules, &renamed, None, &kept);
    assert_eq!(found.rules_of(id(10, 2)), Some(&RuleSet::one(1)));
    assert_eq!(found.rules_of(id(11, 1)), Some(&RuleSet::one(1)));
    assert!(found.contains(id(12, 1)), "it goes on to partitions");

    let edited = [rule("u1", 4, "public.customers.ssn")];
    let edited = ProtectedColumns::resolve(&edited, &renamed, None, &kept);
    assert!(!edited.contains(id(10, 2)), "a match ends with the generation");
    assert!(edited.contains(id(11, 1)), "a copy does not");

    let again = [rule("u2", 3, "public.customers.ssn")];
    assert!(ProtectedColumns::resolve(&again, &renamed, None, &kept).is_empty());
}
