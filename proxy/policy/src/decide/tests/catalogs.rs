//! Rows of PostgreSQL's own catalogs, from which it knows everything else.

use super::*;
use crate::catalog::{Relation, RelationKind, SearchPath, Snapshot};
use crate::mask::ProtectedColumns;
use crate::sql::lineage;

/// Why a statement is always refused, if it is, where there is a view of a catalog and a table by the name of one.
fn refused(sql: &str) -> Option<AlwaysDenied> {
    let relation = |oid, schema: &str, name: &str| Relation {
        oid,
        schema: schema.into(),
        name: name.into(),
        ..Relation::default()
    };
    let view = Relation {
        kind: RelationKind::View,
        definition: Some("SELECT pg_description.description FROM pg_description;".into()),
        ..relation(20_000, "public", "notes")
    };
    let catalog = Snapshot::new(vec![
        relation(1_259, "pg_catalog", "pg_class"),
        relation(2_609, "pg_catalog", "pg_description"),
        relation(20_001, "public", "pg_class"),
        relation(20_002, "public", "accounts"),
        view,
    ]);
    let path = SearchPath::effective(vec!["public".to_owned(), "pg_catalog".to_owned()], None);
    let script = parse(sql).unwrap();
    let statement = &script.statements[0];
    let traced = lineage(statement, &catalog, &path);
    let mut command = Command::of(statement, sql);
    command.resolve(statement, &traced, &catalog, &path, &ProtectedColumns::default());
    command.denied.first().map(|denied| denied.class)
}

#[test]
fn rows_of_catalogs_are_changed_by_definitions_alone() {
    for sql in [
        "update pg_catalog.pg_class set relname = 'x'",
        // What stands before it may be gone by then.
        "update pg_class set relname = 'x'",
        "insert into pg_description values ('x')",
        "delete from pg_description",
        "merge into pg_description using accounts on true when matched then delete",
        "copy pg_description from stdin",
        "update notes set description = 'x'",
        "with gone as (delete from notes) select 1",
        "prepare p as insert into notes values ('x')",
        "create rule r as on insert to accounts do also delete from pg_description",
    ] {
        assert_eq!(refused(sql), Some(AlwaysDenied::AlterSystem), "{sql}");
    }
}

#[test]
fn rows_of_catalogs_are_read_and_definitions_name_them() {
    for sql in [
        "select description from pg_description",
        "insert into accounts select description from pg_description",
        "update accounts set a = description from notes",
        "insert into public.pg_class values ('x')",
        "analyze pg_description",
        "create rule r as on insert to accounts do also delete from accounts where a in (select description from notes)",
        "grant select on pg_description to app",
    ] {
        assert_eq!(refused(sql), None, "{sql}");
    }
}
