//! Names are found as PostgreSQL finds them.

use super::*;

fn relation(oid: Oid, schema: &str, name: &str) -> Relation {
    Relation {
        oid,
        schema: schema.into(),
        name: name.into(),
        ..Relation::default()
    }
}

fn snapshot() -> Snapshot {
    let mut partition = relation(14, "public", "orders_2025");
    partition.parents = vec![13];
    Snapshot::new(vec![
        relation(10, "public", "t"),
        relation(11, "pg_catalog", "pg_class"),
        relation(12, "pg_temp_3", "t"),
        relation(13, "public", "orders"),
        partition,
        relation(15, "Alice", "t"),
    ])
}

#[test]
fn names_resolve_along_the_path() {
    let catalog = snapshot();
    let cases: [(&str, &str, Option<&str>, Option<&str>, &str, Option<Oid>); 12] = [
        ("\"$user\", public", "app", None, None, "t", Some(10)),
        ("\"$user\", public", "Alice", None, None, "t", Some(15)),
        ("\"$user\", public", "app", Some("pg_temp_3"), None, "t", Some(12)),
        ("public, pg_temp", "app", Some("pg_temp_3"), None, "t", Some(10)),
        ("public", "app", Some("pg_temp_3"), Some("pg_temp"), "t", Some(12)),
        ("public", "app", None, Some("pg_temp"), "t", None),
        ("", "app", None, None, "t", None),
        ("", "app", None, None, "pg_class", Some(11)),
        ("ALICE", "app", None, None, "t", None),
        ("\"Alice\"", "app", None, None, "t", Some(15)),
        ("public", "app", None, Some("public"), "orders", Some(13)),
        ("public", "app", None, Some("other"), "orders", None),
    ];
    for (setting, role, temp, schema, name, expected) in cases {
        let path = SearchPath::from_setting(setting, role, temp).unwrap();
        let found = catalog.resolve(&path, schema, name).map(|relation| relation.oid);
        assert_eq!(found, expected, "{setting} {schema:?} {name}");
    }
}

#[test]
fn a_path_that_is_no_list_of_names_is_refused() {
    for bad in ["a,,b", "\"a", "a b", "a,", ",a"] {
        assert_eq!(SearchPath::from_setting(bad, "app", None), None, "{bad}");
    }
    let path = SearchPath::from_setting(" \"a\"\"b\" , C", "app", None).unwrap();
    assert_eq!(path.schemas(), ["pg_catalog", "a\"b", "c"]);
}

#[test]
fn children_and_serde_round_trip() {
    let catalog = snapshot();
    assert_eq!(catalog.children(13), [14]);
    assert!(catalog.children(14).is_empty());
    let again: Snapshot = serde_json::from_str(&serde_json::to_string(&catalog).unwrap()).unwrap();
    assert_eq!(
        again.relations().collect::<Vec<_>>(),
        catalog.relations().collect::<Vec<_>>()
    );
    let own = catalog.with(vec![relation(10, "public", "renamed")]);
    assert_eq!(own.len(), catalog.len());
    assert_eq!(own.relation(10).map(|r| r.name.as_str()), Some("renamed"));
}

#[test]
fn what_is_made_hides_what_was_called_so_and_leaves_others_as_they_were() {
    let before = snapshot();
    let make = |catalog: &Snapshot, name: &str| catalog.making(relation(0, "public", name)).unwrap();
    let (first, once) = make(&before, "t");
    let (last, twice) = make(&make(&once, "more").1, "t");
    let path = SearchPath::from_setting("public", "app", None).unwrap();
    let meant = |catalog: &Snapshot| catalog.resolve(&path, None, "t").unwrap().oid;
    assert_eq!(meant(&before), 10);
    assert_eq!((meant(&once), meant(&twice)), (first, last));
    assert_eq!((before.len(), once.len(), twice.len()), (6, 7, 9));
    for catalog in [&once, &twice] {
        let oids: Vec<Oid> = catalog.relations().map(|relation| relation.oid).collect();
        assert!(oids.is_sorted());
        assert!(
            oids.iter()
                .all(|oid| catalog.relation(*oid).is_some_and(|one| one.oid == *oid))
        );
    }
    let mut namesakes: Vec<Oid> = twice.named_anywhere("t").map(|relation| relation.oid).collect();
    namesakes.sort_unstable();
    assert_eq!(namesakes, [10, 12, 15, last, first], "hidden ones may be seen again");
    assert_eq!(twice.children(13), [14]);
    assert_eq!(twice.with(vec![relation(10, "public", "u")]).len(), 9);
    let mut grown = relation(last, "public", "t");
    grown.key = vec![1];
    let grown = twice.with(vec![grown]);
    assert_eq!((meant(&grown), grown.len()), (last, 9), "the last that was made");
    assert_eq!(grown.relation(last).unwrap().key, [1]);
}
