//! What is opaque by its name is judged as what it is, where the catalog knows the extension that it came with.

use super::*;
use crate::catalog::{Code, Column, Relation, RelationKind, SearchPath, Snapshot};
use crate::mask::ProtectedColumns;
use crate::sql::lineage;

/// A command on a database with pg_trgm.
fn resolved(sql: &str) -> Command {
    let catalog = Snapshot::default().with_code(Code {
        known_functions: ["similarity".to_owned()].into(),
        known_operators: ["%>".to_owned()].into(),
        ..Code::default()
    });
    let script = parse(sql).unwrap();
    let (statement, path) = (&script.statements[0], SearchPath::system());
    let mut command = Command::of(statement, sql);
    assert!(!command.opaque.is_empty() && !command.read_only, "{sql}");
    let lineage = lineage(statement, &catalog, &path);
    command.resolve(statement, &lineage, &catalog, &path, &ProtectedColumns::default());
    command
}

#[test]
fn functions_and_operators_of_known_extensions_hide_nothing() {
    for sql in [
        "select similarity('a', 'b')",
        "select public.similarity('a', 'b') > 0.5",
        "select 'a' %> 'b'",
        "select 'a' operator(public.%>) 'b' from similarity('a', 'b')",
    ] {
        let command = resolved(sql);
        assert_eq!((command.hidden(), command.read_only), (vec![], true), "{sql}");
    }
    let locks = resolved("select similarity('a', 'b') for update");
    assert_eq!((locks.hidden(), locks.read_only), (vec![], false));
}

#[test]
fn what_else_is_called_hides_as_before() {
    for (sql, hidden) in [
        ("select similarity('a', set_limit('1'))", "function set_limit"),
        ("select pg_temp.similarity('a', 'b')", "function pg_temp.similarity"),
        ("select pg_temp_3.similarity('a', 'b')", "function pg_temp_3.similarity"),
        ("select similarity('a', 'b'), \"%>\"('a')", "function %>"),
        ("select 'a' <% similarity('a', 'b')", "operator <%"),
        // Written alike, one of them has a dot in its name.
        (
            "select public.similarity('a', 'b'), \"public.similarity\"('a')",
            "function public.similarity",
        ),
        (
            "create trigger t before insert on u for each row execute function similarity()",
            "function similarity",
        ),
    ] {
        let command = resolved(sql);
        let found = command.hidden();
        assert!(found.contains(&hidden) && !command.read_only, "{sql}: {found:?}");
    }
}

#[test]
fn who_makes_columns_of_a_type_with_code_is_asked_about_it() {
    let catalog = Snapshot::default().with_code(Code {
        types: [(900, "money2".to_owned())].into(),
        ..Code::default()
    });
    let path = SearchPath::system();
    for (sql, hides) in [
        ("create table t (a int, d money2 default 'x')", true),
        ("create temp table t (d public.money2[])", true),
        ("create table t of money2", true),
        ("create type t as (d money2)", true),
        ("create schema s create table t (d money2)", true),
        ("create table money2 (a int)", false),
        ("create table t (money2 int)", false),
        ("create table t (like u)", false),
    ] {
        let script = parse(sql).unwrap();
        let statement = &script.statements[0];
        let mut command = Command::of(statement, sql);
        let lineage = lineage(statement, &catalog, &path);
        command.resolve(statement, &lineage, &catalog, &path, &ProtectedColumns::default());
        assert_eq!(command.hidden().contains(&"type money2"), hides, "{sql}");
    }
}

#[test]
fn who_reads_samples_of_tables_may_read_any_of_them() {
    let column = |(name, attnum): (&&str, i16)| Column {
        attnum,
        name: (*name).to_owned(),
        type_oid: 25,
        generated: None,
    };
    let catalog = Snapshot::new(vec![Relation {
        oid: 12_002,
        schema: "pg_catalog".into(),
        name: "pg_stats".into(),
        kind: RelationKind::View,
        columns: ["tablename", "null_frac", "most_common_vals"]
            .iter()
            .zip(1..)
            .map(column)
            .collect(),
        ..Relation::default()
    }]);
    let path = SearchPath::system();
    let rules = |cel: &str| {
        policy(
            "p",
            json!({ "rules": [
                { "name": "kept", "match": { "cel": cel }, "action": "Deny" },
                { "name": "rest", "match": { "any": true }, "action": "Allow" },
            ] }),
        )
    };
    let (read, written) = (
        rules("'public.t' in command.tables"),
        rules("'public.t' in command.written"),
    );
    for (sql, tells) in [
        ("select most_common_vals from pg_stats where tablename = 't'", true),
        ("select * from pg_catalog.pg_stats", true),
        ("select null_frac from pg_stats", false),
    ] {
        let script = parse(sql).unwrap();
        let statement = &script.statements[0];
        let mut command = Command::of(statement, sql);
        let lineage = lineage(statement, &catalog, &path);
        command.resolve(statement, &lineage, &catalog, &path, &ProtectedColumns::default());
        let verdict = |policy: &ApprovalPolicy| {
            let decision = judge(std::slice::from_ref(policy), &alice(), &command);
            decision.verdict.name()
        };
        assert_eq!(verdict(&read), if tells { "deny" } else { "allow" }, "{sql}");
        assert_eq!(verdict(&written), "allow", "{sql}");
    }
}

#[test]
fn who_enables_a_trigger_is_asked_as_who_makes_one() {
    let (table, event) = ("a trigger that is enabled", "an event trigger that is enabled");
    for (sql, hidden) in [
        ("alter table t enable trigger g", vec![table]),
        ("alter table t enable always trigger g", vec![table]),
        ("alter table t enable replica trigger g", vec![table]),
        ("alter table t enable trigger all", vec![table]),
        ("alter table t enable trigger user", vec![table]),
        ("alter table t disable trigger g", vec![]),
        ("alter table t disable trigger all", vec![]),
        ("alter table t disable trigger user", vec![]),
        ("alter table t enable rule r", vec![]),
        ("alter table t enable row level security", vec![]),
        ("alter event trigger e enable", vec![event]),
        ("alter event trigger e enable replica", vec![event]),
        ("alter event trigger e disable", vec![]),
    ] {
        assert_eq!(command(sql).hidden(), hidden, "{sql}");
    }
}

#[test]
fn a_view_of_all_rows_chooses_none_of_them() {
    let columns = |names: &[&str]| {
        let column = |(name, attnum): (&&str, i16)| Column {
            attnum,
            name: (*name).to_owned(),
            type_oid: 25,
            generated: None,
        };
        names.iter().zip(1..).map(column).collect::<Vec<_>>()
    };
    let table = |oid, name: &str| Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        columns: columns(&["id", "n"]),
        ..Relation::default()
    };
    let view = |oid, name: &str, names: &[&str], definition: &str| Relation {
        kind: RelationKind::View,
        definition: Some(definition.to_owned()),
        columns: columns(names),
        ..table(oid, name)
    };
    let catalog = Snapshot::new(vec![
        table(20_001, "t"),
        table(20_002, "u"),
        view(20_003, "all_t", &["id", "n"], "SELECT t.id, t.n FROM public.t;"),
        view(20_004, "named", &["k"], "SELECT all_t.id AS k FROM public.all_t;"),
        view(20_005, "few", &["id"], "SELECT t.id FROM public.t WHERE t.n IS NULL;"),
        view(20_006, "all_u", &["id"], "SELECT u.id FROM public.u;"),
    ]);
    let path = SearchPath::effective(vec!["pg_catalog".to_owned(), "public".to_owned()], None);
    for (sql, chooses) in [
        ("update t set n = 'x' from all_t v where v.id = t.id", false),
        ("update t set n = 'x' from named v where v.k = t.id", false),
        ("update t set n = 'x' where id in (select id from all_t)", false),
        ("update t set n = 'x' where id in (select k from named)", false),
        (
            "update t set n = 'x' where exists (select 1 from all_t v where v.id = t.id)",
            false,
        ),
        (
            "merge into t using all_t v on v.id = t.id when matched then update set n = 'x'",
            false,
        ),
        ("update t set n = 'x' from few v where v.id = t.id", true),
        ("update t set n = 'x' from all_u v where v.id = t.id", true),
        (
            "update t set n = 'x' from all_t v where v.id = t.id and t.n = 'y'",
            true,
        ),
        ("update all_t set n = 'x' where id = 1", true),
    ] {
        let script = parse(sql).unwrap();
        let statement = &script.statements[0];
        let mut command = Command::of(statement, sql);
        let lineage = lineage(statement, &catalog, &path);
        command.resolve(statement, &lineage, &catalog, &path, &ProtectedColumns::default());
        assert_eq!(command.has_where, chooses, "{sql}");
    }
}

#[test]
fn views_over_views_are_looked_into_for_so_long_and_no_longer() {
    let relation = |oid, name: &str, definition: Option<String>| Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        kind: definition.as_ref().map_or(RelationKind::Table, |_| RelationKind::View),
        definition,
        columns: vec![Column {
            attnum: 1,
            name: "id".to_owned(),
            type_oid: 23,
            generated: None,
        }],
        ..Relation::default()
    };
    // Each reads the one below it so many times.
    let over = |below: &str, times: usize| {
        let items: Vec<String> = (0..times).map(|n| format!("public.{below} a{n}")).collect();
        Some(format!("SELECT a0.id FROM {};", items.join(", ")))
    };
    let mut relations = vec![relation(20_001, "t", None), relation(20_002, "u", None)];
    let (mut wide, mut deep) = ("u".to_owned(), "t".to_owned());
    for n in 1..10 {
        let (wider, deeper) = (format!("wide{n}"), format!("deep{n}"));
        relations.push(relation(20_010 + n, &wider, over(&wide, 32)));
        relations.push(relation(20_020 + n, &deeper, over(&deep, 1)));
        (wide, deep) = (wider, deeper);
    }
    let catalog = Snapshot::new(relations);
    let path = SearchPath::effective(vec!["pg_catalog".to_owned(), "public".to_owned()], None);
    for (from, chooses) in [
        ("wide1", true),
        ("wide2", true),
        ("wide9", false),
        ("deep1", false),
        ("deep9", false),
    ] {
        let sql = format!("update t set id = 7 from {from} v where v.id = t.id");
        let script = parse(&sql).unwrap();
        let statement = &script.statements[0];
        let mut command = Command::of(statement, &sql);
        let lineage = lineage(statement, &catalog, &path);
        command.resolve(statement, &lineage, &catalog, &path, &ProtectedColumns::default());
        assert_eq!(command.has_where, chooses, "{sql}");
    }
}
