//! What only the catalog tells of a command: whose column a name is, by which a change chooses its rows, and whose rows it touches.

use super::*;
use crate::catalog::{Column, Relation, RelationKind, SearchPath, Snapshot};
use crate::mask::ProtectedColumns;
use crate::sql::lineage;

fn table(oid: u32, name: &str, columns: &[&str]) -> Relation {
    let columns = (1_i16..).zip(columns).map(|(attnum, name)| Column {
        attnum,
        name: (*name).to_owned(),
        type_oid: 25,
        generated: None,
    });
    Relation {
        oid,
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: columns.collect(),
        key: vec![1],
        ..Relation::default()
    }
}

/// A command on two tables, and on one with a partition.
fn resolved(sql: &str) -> Command {
    let mut catalog = vec![
        table(20_001, "t", &["id", "a", "tid"]),
        table(20_002, "u", &["id", "v"]),
        table(20_003, "whole", &["id", "secret"]),
        table(20_004, "part", &["id", "secret", "own"]),
        table(20_005, "subpart", &["id", "secret"]),
    ];
    catalog.push(Relation {
        kind: RelationKind::View,
        definition: Some("SELECT id FROM public.u FOR UPDATE;".to_owned()),
        ..table(20_007, "locking", &["id"])
    });
    for (oid, name, definition) in [
        (20_009, "passing", "SELECT id FROM public.u;"),
        (20_010, "further", "SELECT passing.id FROM passing;"),
    ] {
        catalog.push(Relation {
            schema: "pg_temp_3".to_owned(),
            kind: RelationKind::View,
            definition: Some(definition.to_owned()),
            ..table(oid, name, &["id"])
        });
    }
    for (oid, schema) in [(1_260, "pg_catalog"), (20_011, "pg_temp_3")] {
        catalog.push(Relation {
            schema: schema.to_owned(),
            ..table(oid, "pg_authid", &["id"])
        });
    }
    for (oid, name, from) in [
        (20_012, "systems", "pg_authid"),
        (20_013, "namesakes", "pg_temp.pg_authid"),
    ] {
        catalog.push(Relation {
            schema: "pg_temp_3".to_owned(),
            kind: RelationKind::View,
            definition: Some(format!("SELECT pg_authid.id FROM {from};")),
            ..table(oid, name, &["id"])
        });
    }
    catalog.push(Relation {
        schema: "pg_catalog".to_owned(),
        kind: RelationKind::View,
        ..table(12_001, "pg_roles", &["rolname"])
    });
    catalog.push(Relation {
        schema: "staging".to_owned(),
        ..table(20_008, "t", &["id", "a", "tid"])
    });
    catalog[3].parents = vec![20_003];
    catalog[4].parents = vec![20_004];
    let catalog = Snapshot::new(catalog);
    let script = parse(sql).unwrap();
    let statement = &script.statements[0];
    let schemas = ["pg_temp_3", "pg_catalog", "public"].map(str::to_owned).to_vec();
    let path = SearchPath::effective(schemas, Some("pg_temp_3".to_owned()));
    let mut command = Command::of(statement, sql);
    let lineage = lineage(statement, &catalog, &path);
    command.resolve(statement, &lineage, &catalog, &path, &ProtectedColumns::default());
    command
}

#[test]
fn a_name_alone_counts_as_a_column_of_the_relation_that_has_it() {
    for (sql, expected) in [
        ("delete from t using (select 1 k) s where k = 1", false),
        ("with s as (select 1 k) delete from t using s where k = 1", false),
        (
            "with u as (select 1 tid) delete from t where exists (select 1 from u where tid = 1)",
            false,
        ),
        ("delete from t using generate_series(1, 1) k where k = 1", false),
        ("delete from t using u where v = 'x'", false),
        ("delete from t using u where v = 'x' and a = 'y'", true),
        ("delete from t using u where v = tid", true),
        ("delete from t where exists (select 1 from u where v = 'x')", false),
        ("delete from t where exists (select 1 from u where v = tid)", true),
        ("delete from t where exists (select 1 from u where id = 'x')", false),
        ("delete from t where (select true from u where v = 'x')", false),
        ("update t set a = 'x' from (values (1)) s (k) where k = 1", false),
        (
            "merge into t using (select 1 k) s on k = 1 when matched then delete",
            false,
        ),
        (
            "merge into t using (select 1 k) s on k = a when matched then delete",
            true,
        ),
        (
            "with s as (select id from t) delete from t using s where s.id = t.id",
            false,
        ),
        (
            "with s as (select id from t where a = 'x') delete from t using s where s.id = t.id",
            true,
        ),
        ("delete from t where a > (select max(a) from t)", true),
        ("delete from t where (select count(*) from u where v = tid) = 0", true),
        ("delete from t where (select count(*) from u where v = id) = 0", false),
        ("delete from t where id in (select id)", false),
        ("explain analyze delete from t using u where v = 'x'", false),
        ("delete from t where t is not null", false),
        ("delete from t where id is not null", false),
        ("delete from t where a is not null", true),
        ("delete from t where id is null", false),
        ("delete from t where id || a is null", true),
        ("delete from t where id::text is not null", false),
        ("delete from t where id in ('x', 'y')", true),
        ("delete from t where (id, a) in (('x', 'y'))", true),
        ("delete from t where id = any($1)", true),
        (
            "delete from t where ctid = any(array(select ctid from t where a = 'x' limit 9))",
            true,
        ),
        (
            "delete from t where id = (select id from t where a = 'x' for update skip locked limit 1)",
            true,
        ),
        (
            "with d as (delete from u where v = 'x' returning id) delete from t using d where t.tid = d.id",
            true,
        ),
        (
            "with recursive d as (select id from t where id = 'x' union all select t.id from t join d on t.tid = d.id) \
             delete from t using d where t.id = d.id",
            true,
        ),
        // A namesake in another schema has other rows, and says nothing of these.
        ("delete from public.t using staging.t where staging.t.id = 'x'", false),
        (
            "update public.t set a = 'x' from staging.t where staging.t.a = 'x'",
            false,
        ),
        ("delete from public.t using staging.t where public.t.id = 'x'", true),
        ("delete from t using staging.t s where t.id = s.id", true),
        (
            "delete from public.t using staging.t where public.t.id = staging.t.id",
            true,
        ),
        ("delete from staging.t using t s where staging.t.id = s.id", true),
        ("delete from t using public.t s where t.id = s.id", false),
        ("delete from t where id in (select id from staging.t)", true),
        ("delete from t where id in (select id from public.t)", false),
        (
            "delete from public.t where not exists (select 1 from staging.t where staging.t.id = public.t.id)",
            true,
        ),
        (
            "delete from public.t where exists (select 1 from staging.t where staging.t.id = 'x')",
            false,
        ),
        ("delete from t o using u t where t.id = 'x'", false),
        (
            "merge into t using staging.t s on s.id = t.id when matched then delete",
            true,
        ),
        // What a row refers to is none of its own columns.
        ("delete from t where tid not in (select id from t)", true),
        ("delete from t where tid in (select o.id from t o)", true),
        ("delete from t where id not in (select tid from t)", true),
        ("delete from t where id in (select t.id from t)", false),
        ("delete from t where id in (select id from t limit all)", false),
        ("delete from t where id in (select id from t limit 100)", true),
        (
            "with w as (select id from t) delete from t where id in (select id from w)",
            false,
        ),
        (
            "with w(x) as (select id from t) delete from t where id in (select x from w)",
            false,
        ),
        (
            "delete from t where id in (with w as (table t) select id from w)",
            false,
        ),
        (
            "with w as (select id from t where a = 'x') delete from t where id in (select id from w)",
            true,
        ),
        // Which of several of one name is meant, or whether the relation is, hangs on where it stands.
        (
            "delete from t where id in (select id from t) and exists (with t as (select 1) select 1 from t)",
            false,
        ),
        (
            "delete from t where id in (with w as (table t) select id from w) and exists (with w as (select 1) select 1 from w)",
            false,
        ),
        (
            "delete from t where tid in (select id from (select tid as id from t) s)",
            false,
        ),
        ("delete from t where ctid = any(array(select ctid from t))", false),
        ("delete from t where id = any(array(select id from staging.t))", true),
        ("delete from t where id = 'x'", true),
        ("delete from strange where id = 'x'", true),
        ("delete from strange using u where id = 'x'", false),
        ("delete from strange using u where strange.id = 'x'", true),
    ] {
        assert_eq!(resolved(sql).has_where, expected, "{sql}");
    }
}

#[test]
fn what_a_view_locks_is_locked() {
    for (sql, reads) in [
        ("select * from locking", false),
        ("explain select * from locking", false),
        ("copy (select 1 from locking) to stdout", false),
        ("select * from u", true),
        ("lock u in access share mode", true),
        ("lock u in share mode", false),
        ("lock locking in access share mode", false),
        // What PostgreSQL has to tell of itself changes nothing.
        ("select rolname from pg_roles", true),
        ("select current_query(), pg_stat_get_numscans(1) from pg_roles", true),
        ("select rolname from pg_roles for update", false),
        ("select f() from pg_roles", false),
        ("select rolname from pg_roles where nextval('s') > 1", false),
        ("select * from nowhere", false),
    ] {
        assert_eq!(resolved(sql).read_only, reads, "{sql}");
    }
    let command = resolved("lock locking");
    assert!(
        command.written.iter().any(|name| name == "public.u"),
        "{:?}",
        command.written
    );
}

#[test]
fn what_is_written_through_temporary_views_is_written() {
    for sql in [
        "update further set id = 'x'",
        "delete from pg_temp.further",
        "insert into passing values ('x')",
    ] {
        let command = resolved(sql);
        for list in [&command.tables, &command.written] {
            assert!(list.iter().any(|name| name == "public.u"), "{sql}: {list:?}");
        }
    }
}

#[test]
fn a_temporary_table_does_not_hide_what_a_temporary_view_reads_of_the_systems_own() {
    for (view, read, other) in [
        ("systems", "pg_catalog.pg_authid", "pg_temp_3.pg_authid"),
        ("namesakes", "pg_temp_3.pg_authid", "pg_catalog.pg_authid"),
    ] {
        for sql in [format!("select id from {view}"), format!("delete from {view}")] {
            let tables = resolved(&sql).tables;
            assert!(tables.iter().any(|name| name == read), "{sql}: {tables:?}");
            assert!(!tables.iter().any(|name| name == other), "{sql}: {tables:?}");
        }
    }
}

#[test]
fn a_function_that_is_called_as_a_field_is_called() {
    for (sql, expected) in [
        ("select (0.0::float8).pg_sleep", &["pg_sleep"][..]),
        ("select ($1::text).ts_stat", &["ts_stat"]),
        ("select t.row_to_json from t", &["row_to_json"]),
        ("select t.a, (t).id, u.v from t, u", &[]),
        ("select (t.a).city from t", &[]),
    ] {
        assert_eq!(resolved(sql).functions, expected, "{sql}");
    }
}

#[test]
fn what_a_partition_holds_is_its_parents() {
    fn holds(list: &[String], name: &str) -> bool {
        list.iter().any(|one| one == name)
    }
    for (sql, written) in [
        ("select id from part", false),
        ("select id from subpart", false),
        ("lock table part", true),
        ("copy subpart to stdout", false),
        ("insert into part values (1)", true),
        ("copy subpart from stdin", true),
        ("update subpart set id = 1", true),
        ("delete from part", true),
        ("truncate part", true),
        ("drop table subpart", true),
        ("alter table part add check (id > 0)", true),
    ] {
        let command = resolved(sql);
        assert!(holds(&command.tables, "public.whole"), "{sql}");
        assert_eq!(holds(&command.written, "public.whole"), written, "{sql}");
    }
    let command = resolved("select subpart.secret, part.own from subpart, part");
    assert!(holds(&command.columns, "public.whole.secret") && !holds(&command.columns, "public.whole.own"));
    assert!(!holds(&resolved("insert into u values (1)").tables, "public.whole"));
}

#[test]
fn queries_that_are_named_again_and_again_are_not_looked_into_for_ever() {
    for (times, expected) in [(3, true), (300, false)] {
        let beside: Vec<String> = (0..times).map(|number| format!("c a{number}")).collect();
        let sql = format!(
            "with c as (select id from t where id = 1) delete from t using {} where t.id = a0.id",
            beside.join(", ")
        );
        assert_eq!(resolved(&sql).has_where, expected, "{times}");
    }
}
