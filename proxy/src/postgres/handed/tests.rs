use sallyport_policy::mask::{Keys, MaskSet, RuleSet};
use sallyport_policy::sql::{lineage, parse};

use super::*;

#[test]
fn what_is_made_takes_the_place_of_what_was_called_so() {
    let path = SearchPath::effective(vec!["public".to_owned()], None);
    let notes = Relation {
        oid: 20_000,
        schema: "public".to_owned(),
        name: "notes".to_owned(),
        columns: vec![Column {
            attnum: 1,
            name: "old".to_owned(),
            type_oid: 25,
            generated: None,
        }],
        ..Relation::default()
    };
    let known = Arc::new(Known {
        snapshot: Arc::new(Snapshot::new(vec![notes])),
        ..Known::default()
    });
    for (sql, column) in [
        ("create table notes as select 'a' as fresh", "fresh"),
        ("create table notes (fresh text)", "fresh"),
        ("create table if not exists notes as select 'a' as fresh", "old"),
        ("create table if not exists notes (fresh text)", "old"),
    ] {
        let script = parse(sql).unwrap();
        let lineages = vec![lineage(&script.statements[0], &*known.snapshot, &path)];
        let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
        let view = View::of(masker, Arc::clone(&known), lineages);
        let (now, _) = after(&view, Some(&path)).unwrap();
        let found = now.snapshot.resolve(&path, None, "notes").unwrap();
        assert_eq!(found.columns[0].name, column, "{sql}");
    }
}

#[test]
fn a_partition_that_is_detached_stays_protected_and_an_update_notes_nothing_of_it() {
    let path = SearchPath::effective(vec!["public".to_owned()], None);
    let relation = |oid, name: &str, kind, parents: &[Oid]| Relation {
        oid,
        schema: "public".to_owned(),
        name: name.to_owned(),
        kind,
        columns: vec![Column {
            attnum: 1,
            name: "ssn".to_owned(),
            type_oid: 25,
            generated: None,
        }],
        parents: parents.to_vec(),
        ..Relation::default()
    };
    let snapshot = Snapshot::new(vec![
        relation(20_000, "customers", RelationKind::PartitionedTable, &[]),
        relation(20_001, "part", RelationKind::Table, &[20_000]),
    ]);
    let of = |relation| ColumnId { relation, column: 1 };
    let mut protected = ProtectedColumns::default();
    protected.add(of(20_000), &RuleSet::one(0));
    protected.spread(&snapshot);
    let known = Arc::new(Known {
        snapshot: Arc::new(snapshot),
        protected: Arc::new(protected),
        ..Known::default()
    });
    for (sql, places) in [
        (
            "alter table customers detach partition part",
            vec![Place::Column(of(20_001))],
        ),
        ("alter table part no inherit customers", vec![Place::Column(of(20_001))]),
        ("update customers set ssn = 'x'", Vec::new()),
    ] {
        let script = parse(sql).unwrap();
        let lineages = vec![lineage(&script.statements[0], &*known.snapshot, &path)];
        let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
        let view = View::of(masker, Arc::clone(&known), lineages);
        let found = entries(&view, Some(&path)).into_iter();
        assert_eq!(found.map(|entry| entry.place).collect::<Vec<_>>(), places, "{sql}");
    }
}

#[test]
fn what_is_read_through_a_view_that_nobody_knows_is_left_for_later() {
    let relation = |oid, name: &str, kind, definition: Option<&str>| Relation {
        oid,
        schema: "public".to_owned(),
        name: name.to_owned(),
        kind,
        columns: vec![Column {
            attnum: 1,
            name: "ssn".to_owned(),
            type_oid: 25,
            generated: None,
        }],
        definition: definition.map(str::to_owned),
        ..Relation::default()
    };
    let snapshot = Snapshot::new(vec![
        relation(20_000, "customers", RelationKind::Table, None),
        relation(20_001, "locked", RelationKind::View, None),
        relation(
            20_002,
            "through",
            RelationKind::MaterializedView,
            Some(" SELECT locked.ssn FROM public.locked;"),
        ),
        relation(
            20_003,
            "known",
            RelationKind::MaterializedView,
            Some(" SELECT customers.ssn FROM public.customers;"),
        ),
    ]);
    let of = |relation| ColumnId { relation, column: 1 };
    let mut protected = ProtectedColumns::default();
    protected.add(of(20_000), &RuleSet::one(0));
    materialised(&mut protected, &snapshot);
    assert!(protected.contains(of(20_003)));
    assert!(!protected.contains(of(20_002)), "it would be protected for good");
}

#[test]
fn a_key_is_written_with_all_that_refer_to_it() {
    let id = |relation, column| ColumnId { relation, column };
    let relation = |oid, carried: &[(i16, ColumnId)]| Relation {
        oid,
        carried: carried.to_vec(),
        ..Relation::default()
    };
    let snapshot = Snapshot::new(vec![
        relation(10, &[(1, id(11, 2)), (2, id(12, 1))]),
        relation(11, &[(2, id(12, 3)), (2, id(10, 1))]),
    ]);
    assert_eq!(written_with(id(10, 1), &snapshot), [id(10, 1), id(11, 2), id(12, 3)]);
    assert_eq!(written_with(id(10, 3), &snapshot), [id(10, 3)]);
}

#[test]
fn a_key_that_is_generated_is_written_with_what_it_is_generated_from() {
    let id = |relation, column| ColumnId { relation, column };
    let column = |attnum, name: &str, generated: Option<&str>| Column {
        attnum,
        name: name.to_owned(),
        type_oid: 25,
        generated: generated.map(str::to_owned),
    };
    let relation = |oid, columns, carried: &[(i16, ColumnId)]| Relation {
        oid,
        columns,
        carried: carried.to_vec(),
        ..Relation::default()
    };
    let made = || {
        vec![
            column(1, "a", None),
            column(2, "g", Some("a")),
            column(3, "other", Some("ab")),
        ]
    };
    let snapshot = Snapshot::new(vec![
        relation(10, made(), &[(2, id(11, 1))]),
        relation(11, made(), &[(2, id(12, 1))]),
        relation(12, vec![column(1, "q", None)], &[]),
    ]);
    let written = [id(10, 1), id(10, 2), id(11, 1), id(11, 2), id(12, 1)];
    assert_eq!(written_with(id(10, 1), &snapshot), written);
    assert_eq!(written_with(id(11, 2), &snapshot), [id(11, 2), id(12, 1)]);
    assert_eq!(written_with(id(10, 3), &snapshot), [id(10, 3)]);
}
