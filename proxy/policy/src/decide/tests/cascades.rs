//! What CASCADE takes along, as far as the catalog tells.

use super::*;
use crate::catalog::{Column, ColumnId, Hanging, Relation, RelationKind, SearchPath, Snapshot};
use crate::mask::{ProtectedColumns, RuleSet};
use crate::sql::lineage;

const T: u32 = 20_001;

/// What hangs on the tables `t`, `p`, `f` and `x` and what hangs on that. Schemas say what becomes of it: `b` falls, `c` only loses something.
fn catalog() -> Snapshot {
    let mut all = Vec::new();
    let mut add = |oid: u32, schema: &str, name: &str, kind: RelationKind, hanging: &[(u32, &str)]| {
        let column = |(attnum, name): (i16, &str)| Column {
            attnum,
            name: name.to_owned(),
            type_oid: 25,
            generated: (name == "made").then(|| "a, \"odd, one\"".to_owned()),
        };
        all.push(Relation {
            oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind,
            columns: (1..).zip(["id", "a", "made", "z"]).map(column).collect(),
            hanging: hanging.iter().map(|(on, how)| Hanging::of(*on, how).unwrap()).collect(),
            ..Relation::default()
        });
    };
    let (table, view) = (RelationKind::Table, RelationKind::View);
    let on_t = [
        (20_010, "w 2"),
        (20_012, "w 3"),
        (20_013, "wk 1"),
        (20_017, "pk 1"),
        (20_014, "k 1"),
        (20_015, "c2 0"),
        (20_017, "p 4"),
        (20_018, "w 1"),
    ];
    add(T, "public", "t", table, &on_t);
    add(20_002, "public", "p", RelationKind::PartitionedTable, &[]);
    add(20_003, "b", "p1", table, &[(20_020, "w 4"), (20_014, "k 1")]);
    add(
        20_004,
        "public",
        "f",
        table,
        &[(0, "x 2"), (0, "xk 2"), (20_010, "w 1")],
    );
    add(20_005, "public", "x", table, &[(20_099, "p 0")]);
    add(20_006, "public", "plain", table, &[]);
    add(20_007, "public", "key", table, &[(20_008, "c2 0")]);
    add(
        20_008,
        "public",
        "by_key",
        RelationKind::PartitionedTable,
        &[(20_021, "w 1")],
    );
    add(20_010, "b", "v", view, &[(20_011, "w 1")]);
    add(20_011, "b", "vv", view, &[]);
    add(20_012, "b", "of_made", view, &[]);
    add(20_013, "b", "grouped", view, &[]);
    add(
        20_014,
        "c",
        "keyed",
        table,
        &[(20_016, "k 1"), (20_019, "w 1"), (0, "x 1")],
    );
    add(20_015, "c", "rows", table, &[(20_019, "w 2"), (0, "x 1")]);
    add(20_016, "c", "further", table, &[]);
    add(20_017, "c", "other", table, &[(0, "x 0")]);
    add(20_018, "public", "t_id_seq", RelationKind::Sequence, &[(20_016, "p 0")]);
    add(20_019, "b", "of_rows", view, &[]);
    add(20_020, "b", "of_p1", view, &[]);
    add(20_021, "b", "of_by_key", view, &[]);
    all[2].parents = vec![20_002];
    // Its columns have other numbers there.
    all[2].columns.swap(1, 3);
    let (first, second) = (all[2].columns[1].attnum, all[2].columns[3].attnum);
    (all[2].columns[1].attnum, all[2].columns[3].attnum) = (second, first);
    Snapshot::new(all)
}

fn known(sql: &str) -> (Command, bool) {
    let (catalog, path) = (
        catalog(),
        SearchPath::effective(vec!["pg_catalog".to_owned(), "public".to_owned()], None),
    );
    let script = parse(sql).unwrap();
    let statement = &script.statements[0];
    let lineage = lineage(statement, &catalog, &path);
    let mut command = Command::of(statement, sql);
    let mut protected = ProtectedColumns::default();
    let id = ColumnId {
        relation: 20_015,
        column: 2,
    };
    protected.add(id, &RuleSet::one(0));
    command.resolve(statement, &lineage, &catalog, &path, &protected);
    assert!(
        command.beyond.is_some(),
        "{sql}: whether the catalog is whole only the caller knows"
    );
    command.trust_cascade(&lineage);
    let counted = [(T, 5), (20_014, 7), (20_016, 11)].into();
    command.expect(&lineage, &catalog, &counted);
    let told = command.beyond.is_none();
    (command, told)
}

#[test]
fn cascade_takes_along_what_hangs_on_what_falls() {
    let all = [
        "b.grouped",
        "b.of_made",
        "b.of_rows",
        "b.v",
        "b.vv",
        "c.further",
        "c.keyed",
        "c.other",
        "c.rows",
        "public.t",
        "public.t_id_seq",
    ];
    for (sql, written) in [
        ("drop table t cascade", &all[..]),
        ("drop table if exists gone, plain cascade", &["gone", "public.plain"]),
        ("drop table if exists gone cascade", &["gone"]),
        ("drop table plain cascade", &["public.plain"]),
        (
            "drop table key cascade",
            &["b.of_by_key", "public.by_key", "public.key"],
        ),
        ("drop view b.v cascade", &["b.v", "b.vv"]),
        ("drop sequence t_id_seq cascade", &["c.further", "public.t_id_seq"]),
        (
            "alter table t drop column a cascade",
            &["b.of_made", "b.v", "b.vv", "public.t"],
        ),
        ("alter table t drop column z cascade", &["c.other", "public.t"]),
        (
            "alter table t drop z cascade, drop made cascade, add n int",
            &["b.of_made", "c.other", "public.t"],
        ),
        ("alter table t drop column if exists gone cascade", &["public.t"]),
        (
            "alter table t drop constraint k cascade",
            &["b.grouped", "c.keyed", "c.other", "public.t"],
        ),
        ("drop table p cascade", &["b.of_p1", "b.p1", "c.keyed", "public.p"]),
        ("alter table p drop column a cascade", &["b.of_p1", "b.p1", "public.p"]),
        ("alter table p drop column z cascade", &["b.p1", "public.p"]),
        ("truncate t cascade", &["c.further", "c.keyed", "public.t"]),
        ("truncate p cascade", &["b.p1", "c.further", "c.keyed", "public.p"]),
        ("alter table f drop column id cascade", &["b.v", "b.vv", "public.f"]),
    ] {
        let (mut command, told) = known(sql);
        assert!(told, "{sql}: {command:?}");
        command.written.sort_unstable();
        assert_eq!(command.written, written, "{sql}");
        command.tables.sort_unstable();
        assert_eq!(command.tables, written, "{sql}");
    }
}

#[test]
fn what_hangs_by_ways_that_are_not_followed_is_not_told() {
    for sql in [
        "drop table f cascade",
        "alter table f drop column a cascade",
        "alter table f drop constraint k cascade",
        "drop table x cascade",
        "drop table plain, f cascade",
        "drop schema public cascade",
        "drop type e cascade",
        "drop function f cascade",
        "drop extension e cascade",
        "drop domain d cascade",
        "drop index i cascade",
        "drop owned by app cascade",
        "alter type t drop attribute a cascade",
        "alter type t rename attribute a to b cascade",
    ] {
        let (command, told) = known(sql);
        assert!(!told, "{sql}: {command:?}");
    }
    let (command, _) = known("drop table f cascade");
    assert!(command.beyond.unwrap().contains("by functions, types"), "{command:?}");
}

#[test]
fn a_column_of_what_stays_falls_with_a_row_that_it_is_of() {
    let (catalog, path) = (catalog(), SearchPath::effective(vec!["public".to_owned()], None));
    for (sql, torn) in [
        ("drop table t cascade", true),
        ("drop table key cascade", true),
        ("drop table plain cascade", false),
        ("drop table p cascade", false),
        ("drop view b.v cascade", false),
        ("truncate t cascade", false),
        ("alter table t drop column a cascade", false),
    ] {
        let script = parse(sql).unwrap();
        let taken = lineage(&script.statements[0], &catalog, &path).taken.unwrap();
        assert_eq!(taken.torn, torn, "{sql}");
    }
}

#[test]
fn values_that_fall_are_told_by_their_columns() {
    for (sql, columns, protected) in [
        ("drop table t cascade", &["c.rows.a", "b.v.id"][..], true),
        ("truncate t cascade", &["c.keyed.id", "c.further.z"], false),
        ("alter table t drop column z cascade", &[], false),
    ] {
        let (command, _) = known(sql);
        for column in columns {
            assert!(
                command.columns.iter().any(|one| one == column),
                "{sql}: {:?}",
                command.columns
            );
        }
        assert!(
            !command
                .columns
                .iter()
                .any(|one| one == "c.rows.id" || one == "c.other.id"),
            "{sql}"
        );
        assert_eq!(command.protected, protected, "{sql}");
    }
    assert_eq!(known("truncate t cascade").0.rows, Some(23), "rows that follow count");
}

#[test]
fn rules_about_other_schemas_speak_of_what_cascade_reaches_there() {
    let changed = "command.written.exists(t, t.startsWith('b.') || t.startsWith('c.'))";
    let policies = [policy(
        "p",
        json!({ "rules": [
            { "name": "kept", "match": { "cel": changed }, "action": "Deny" },
            { "name": "rest", "match": { "any": true }, "action": "Allow" },
        ] }),
    )];
    for (sql, said) in [
        ("drop table plain cascade", "allow p/rest"),
        ("drop table if exists gone cascade", "allow p/rest"),
        ("alter table t drop column gone cascade", "allow p/rest"),
        ("drop table t cascade", "deny by rule p/kept"),
        ("alter table t drop column a cascade", "deny by rule p/kept"),
        ("alter table t drop column z cascade", "deny by rule p/kept"),
        ("truncate plain cascade", "allow p/rest"),
        ("truncate t cascade", "deny by rule p/kept"),
        ("drop type e cascade", "deny by rule p/kept"),
        ("drop table f cascade", "deny by rule p/kept"),
    ] {
        assert_eq!(say(&judge(&policies, &alice(), &known(sql).0)), said, "{sql}");
    }
}

#[test]
fn of_two_readings_both_have_to_be_told() {
    let (catalog, path) = (catalog(), SearchPath::effective(vec!["public".to_owned()], None));
    for (one, other, told) in [
        ("drop table plain cascade", "drop table t cascade", true),
        ("drop table plain cascade", "drop table f cascade", false),
        ("drop table f cascade", "drop table plain cascade", false),
        ("drop table plain cascade", "drop extension e", false),
        ("drop extension e", "drop table plain cascade", false),
    ] {
        let scripts = [one, other].map(|sql| parse(sql).unwrap());
        let mut command = Command::of(&scripts[0].statements[0], one);
        command.absorb(&scripts[1].statements[0]);
        for script in &scripts {
            let statement = &script.statements[0];
            let lineage = lineage(statement, &catalog, &path);
            command.resolve(statement, &lineage, &catalog, &path, &ProtectedColumns::default());
            command.trust_cascade(&lineage);
        }
        assert_eq!(command.beyond.is_none(), told, "{one}; {other}: {:?}", command.beyond);
    }
}
