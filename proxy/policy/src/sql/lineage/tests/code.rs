//! Code of users that runs where the text does not call it: behind names of PostgreSQL's own, in triggers and expressions.

use super::*;
use crate::catalog::{Code, Events};

#[test]
fn an_array_that_a_namesake_makes_may_be_of_rows() {
    let catalog = schema().with_code(Code {
        functions: ["string_to_array".to_owned()].into(),
        ..Code::default()
    });
    let sql = "select (select u from unnest(string_to_array('a', 1)) u) from (select ssn as u from customers) q";
    let script = parse(sql).unwrap();
    let flow = lineage(&script.statements[0], &catalog, &path()).flow(0, 1);
    assert_eq!(show(&flow), "~s?");
}

#[test]
fn code_of_users_runs_behind_names_of_postgresqls_own() {
    let mut typed = table(60, "orders", &["id", "total"]);
    typed.columns[1].type_oid = 900;
    let mut policed = table(61, "rows", &["id"]);
    policed.guarded_by_code = true;
    let mut part = table(62, "measured_1", &["id"]);
    part.parents = vec![63];
    part.active = true;
    let written = view(64, "v_audited", &["id"], "SELECT id FROM public.audited;");
    let mut catalog = schema().with(vec![typed, policed, part, table(63, "measured", &["id"]), written]);
    let trace = |catalog: &Snapshot, sql: &str| {
        let script = parse(sql).unwrap();
        lineage(&script.statements[0], catalog, &path()).opaque
    };
    for (sql, opaque) in [
        ("select id from rows", "policies of public.rows"),
        ("insert into measured values (1)", "triggers of public.measured"),
        ("update v_audited set id = 1", "triggers of public.v_audited"),
    ] {
        assert_eq!(trace(&catalog, sql), [opaque], "{sql}");
    }
    let behind = [
        ("select reverse(name) from customers", "function reverse"),
        ("select c.reverse from customers c", "function reverse"),
        ("select * from reverse('a')", "function reverse"),
        ("select uuidv7()", "function uuidv7"),
        ("select pg_stat_get_all(id) from customers", "function pg_stat_get_all"),
        ("select pg_advisory_purge(1)", "function pg_advisory_purge"),
        ("select id + 1 from customers", "operator +"),
        ("select 1 from customers where id in (1)", "operator ="),
        ("select 1 from customers where id = any (select 1)", "operator ="),
        ("select 1 from customers join customers b using (id)", "operator ="),
        ("select case id when 1 then 2 end from customers", "operator ="),
        ("select 1 from customers where id between 1 and 2", "operator BETWEEN"),
        ("select 1::money2", "type money2"),
        ("select ('1').money2", "type money2"),
        (
            "with recursive w(x) as (select 1 union all select x from w) cycle x set c to money2 'a' default money2 'b' using p select c from w",
            "type money2",
        ),
        ("select (id).initcap from customers", "type initcap"),
        ("select initcap('a')", "type initcap"),
        ("select * from initcap('a')", "type initcap"),
        ("select * from json_to_record('{}') as t(x money2)", "type money2"),
        (
            "select * from xmltable('/a' passing xml '<a/>' columns x money2 path '.')",
            "type money2",
        ),
        ("prepare p (money2) as select $1", "type money2"),
        ("alter table notes alter note type money2", "type money2"),
        ("select pg_input_is_valid('a', 'money2')", "function pg_input_is_valid"),
        (
            "select count(*) over (order by name range between 'a' preceding and current row) from customers",
            "function in_range",
        ),
        ("vacuum", "types of public.orders"),
        ("cluster", "types of public.orders"),
        ("alter domain public.money2 validate constraint k", "type money2"),
        // What looks like a field is a call by one value.
        ("select (upper(name)).reverse from customers", "function reverse"),
        ("select ('select 1'::text).ts_stat", "function ts_stat"),
        ("select x.ts_stat from cast('select 1' as text) x", "function ts_stat"),
        ("select id from orders", "types of public.orders"),
        // What the grammar spells out is a call like any other to a server that is older.
        ("select json('1')", "function json"),
        ("select json_scalar(id) from customers", "function json_scalar"),
        ("select json_value(doc, '$') from customers", "function json_value"),
        ("select json_object('a', 'b')", "function json_object"),
        ("select json_arrayagg(name) from customers", "function json_arrayagg"),
        ("select * from json_array('a', 'b')", "function json_array"),
        ("select merge_action()", "function merge_action"),
    ];
    for (sql, _) in behind {
        assert!(
            trace(&schema(), sql)
                .iter()
                .all(|what| what == "function reverse" || what.starts_with("system function ")),
            "{sql}"
        );
    }
    catalog = catalog.with_code(Code {
        functions: [
            "in_range",
            "reverse",
            "uuidv7",
            "pg_stat_get_all",
            "pg_advisory_purge",
            "json",
            "json_scalar",
            "json_value",
            "json_object",
            "json_arrayagg",
            "json_array",
            "merge_action",
        ]
        .map(str::to_owned)
        .into(),
        fields: ["ts_stat".to_owned()].into(),
        operators: ["+".to_owned(), "=".to_owned()].into(),
        types: [(900, "money2".to_owned()), (901, "initcap".to_owned())].into(),
        ..Code::default()
    });
    for (sql, opaque) in behind {
        assert_eq!(trace(&catalog, sql), [opaque], "{sql}");
    }
    let named = "select pg_catalog.reverse(name), id operator(pg_catalog.+) 1, id - 1 from customers";
    assert!(trace(&catalog, named).is_empty());
    assert!(
        trace(&catalog, "select y from v_deep").is_empty(),
        "views name theirs with a schema"
    );
}

#[test]
fn what_users_put_types_of_postgresqls_own_in_order_by_runs_wherever_rows_are_read() {
    let catalog = schema().with_code(Code {
        functions: ["default order".to_owned()].into(),
        ..Code::default()
    });
    for sql in [
        "select distinct name from customers",
        "table customers order by 1",
        "update customers set name = 'a' where array['1'::json] < array['2'::json]",
        "analyze customers",
        "create index i on customers (name)",
        "copy customers from stdin",
        "create table t partition of customers for values in (array['1'::json] < array['2'::json])",
        "cluster",
        "alter domain d add check (value < array['1'::json])",
    ] {
        let script = parse(sql).unwrap();
        let opaque = lineage(&script.statements[0], &catalog, &path()).opaque;
        assert_eq!(opaque, ["default order of a type"], "{sql}");
        assert!(trace(sql).opaque.is_empty(), "{sql}");
    }
}

#[test]
fn expressions_of_definitions_run_code_of_users() {
    let catalog = schema().with_code(Code {
        functions: ["reverse".to_owned(), "lg".to_owned()].into(),
        fields: ["lg".to_owned()].into(),
        operators: ["=".to_owned()].into(),
        types: [(900, "money2".to_owned())].into(),
        ..Code::default()
    });
    for (sql, opaque) in [
        ("create index on notes (reverse(note))", "function reverse"),
        ("create index on notes (((note).lg))", "function lg"),
        ("create index on notes (id) where (note).lg is null", "function lg"),
        ("alter table notes add check ((note).lg is null)", "function lg"),
        ("alter table notes add check (notes.lg is null)", "function lg"),
        ("alter table notes add x text default ('a').lg", "function lg"),
        ("alter table notes add check (note = 'a')", "operator ="),
        (
            "alter table notes add check (case note when 'a' then true end)",
            "operator =",
        ),
        ("create table t (a text check ((a).lg is null))", "function lg"),
        (
            "create table t (a text, b text generated always as (reverse(a)) stored)",
            "function reverse",
        ),
        ("create table t (a int check (a::money2 is null))", "type money2"),
        (
            "create table t partition of notes for values in (reverse('a'))",
            "function reverse",
        ),
        (
            "create schema s create table t (a text check ((a).lg is null))",
            "function lg",
        ),
        ("alter domain d add check ((value).lg is null)", "function lg"),
        (
            "create statistics st on (reverse(note)), id from notes",
            "function reverse",
        ),
    ] {
        let script = parse(sql).unwrap();
        let found = lineage(&script.statements[0], &catalog, &path()).opaque;
        assert_eq!(found, [opaque], "{sql}");
        assert!(trace(sql).opaque.is_empty(), "{sql}");
    }
    let found = trace("alter table notes add check ((note).pg_sleep is null)");
    assert!(found.fields.contains("pg_sleep"));
    let columns = "alter table notes add check (notes.note <> '' and notes.id > 0)";
    assert!(trace(columns).fields.is_empty());
}

#[test]
fn what_an_index_or_partitions_are_put_in_order_by_is_code_where_users_have_such_a_class() {
    let catalog = schema().with_code(Code {
        functions: ["operator class".to_owned()].into(),
        ..Code::default()
    });
    for (sql, opaque) in [
        ("create index on notes (note s.c9)", &["operator class s.c9"][..]),
        ("create index on notes (note)", &[]),
        (
            "create table t (x int) partition by range (x c9)",
            &["operator class c9"],
        ),
        (
            "create table t (x int, exclude using btree (x c9 with =))",
            &["operator class c9"],
        ),
        (
            "alter table notes add exclude using btree (id c9 with =)",
            &["operator class c9"],
        ),
    ] {
        let script = parse(sql).unwrap();
        let found = lineage(&script.statements[0], &catalog, &path()).opaque;
        assert_eq!(found, opaque, "{sql}");
        assert!(trace(sql).opaque.is_empty(), "{sql}");
    }
}

#[test]
fn what_somebody_made_in_pg_catalog_is_not_postgresqls_own() {
    let others = view(60, "v_upper", &["a"], "SELECT upper(name) AS a FROM public.customers;");
    let asks = view(61, "v_more", &["a"], "SELECT (id > 1) AS a FROM public.customers;");
    let plain = schema().with(vec![others, asks]);
    let catalog = plain.clone().with_code(Code {
        functions: ["upper".to_owned(), "lower".to_owned()].into(),
        operators: [">".to_owned(), "<".to_owned()].into(),
        system_functions: ["upper".to_owned()].into(),
        system_operators: [">".to_owned()].into(),
        ..Code::default()
    });
    let of = |catalog: &Snapshot, sql: &str| lineage(&parse(sql).unwrap().statements[0], catalog, &path()).opaque;
    for (sql, hidden) in [
        ("select pg_catalog.upper(name) from customers", true),
        ("select upper(name) from customers", true),
        ("select a from v_upper", true),
        ("select pg_catalog.lower(name) from customers", false),
        ("select id operator(pg_catalog.>) 1 from customers", true),
        ("select a from v_more", true),
        ("select id operator(pg_catalog.<) 1 from customers", false),
    ] {
        assert_eq!(!of(&catalog, sql).is_empty(), hidden, "{sql}");
        assert!(of(&plain, sql).is_empty(), "{sql}");
    }
}

#[test]
fn what_a_table_holds_of_types_with_code_is_not_known() {
    let catalog = schema().with_code(Code {
        types: [(900, "money2".to_owned())].into(),
        ..Code::default()
    });
    for (sql, known) in [
        ("create table made (id int, x text)", true),
        ("create table made (id int, x money2)", false),
        ("create table made (id int, x public.money2[])", false),
    ] {
        let made = lineage(&parse(sql).unwrap().statements[0], &catalog, &path())
            .created
            .unwrap();
        assert_eq!(made.columns.is_some(), known, "{sql}");
    }
}

#[test]
fn event_triggers_run_where_anything_is_defined() {
    let catalog = schema().with_code(Code {
        event_triggers: ["watch".to_owned()].into(),
        ..Code::default()
    });
    for (sql, fires) in [
        ("create table t (id int)", true),
        ("create temp table t (id int)", true),
        ("create schema s", true),
        ("select id into t from notes", true),
        ("create table t as select id from notes", true),
        ("alter table notes add a int", true),
        ("drop table notes", true),
        ("grant select on notes to a", true),
        ("revoke select on notes from a", true),
        ("comment on table notes is 'a'", true),
        ("refresh materialized view m_cust", true),
        ("select id from notes", false),
        ("insert into notes values (1)", false),
        ("truncate notes", false),
        ("set work_mem = '1MB'", false),
    ] {
        let found = lineage(&parse(sql).unwrap().statements[0], &catalog, &path());
        let told = found.opaque.contains(&"event trigger watch".to_owned());
        assert_eq!(told, fires, "{sql}");
    }
}

#[test]
fn expressions_are_computed_where_relations_are_looked_after() {
    let mut indexed = table(75, "indexed_1", &["id"]);
    (indexed.parents, indexed.computes) = (vec![74], true);
    let catalog = schema().with(vec![table(74, "indexed", &["id"]), indexed]);
    for (sql, computes) in [
        ("analyze indexed", true),
        ("vacuum full indexed_1", true),
        ("vacuum", true),
        ("reindex table indexed", true),
        ("reindex index indexed_id", true),
        ("alter table indexed alter id type text", true),
        ("create table indexed_2 partition of indexed default", true),
        ("create table indexed_2 () inherits (indexed)", false),
        ("analyze notes", false),
        ("lock table indexed", false),
        ("drop table indexed", false),
    ] {
        let found = lineage(&parse(sql).unwrap().statements[0], &catalog, &path());
        let behind: &[&str] = if computes {
            &["expressions of public.indexed_1"]
        } else {
            &[]
        };
        assert_eq!(found.opaque, behind, "{sql}");
    }
}

#[test]
fn values_flow_through_what_came_with_known_extensions_as_through_postgresqls_own() {
    let uses = view(
        60,
        "v_alike",
        &["a", "b"],
        "SELECT ext.similarity(ssn, 'a') AS a, (name OPERATOR(ext.%>) 'a') AS b FROM public.customers;",
    );
    let known = Code {
        known_functions: ["similarity".to_owned(), "skeys".to_owned()].into(),
        known_operators: ["%>".to_owned()].into(),
        ..Code::default()
    };
    let plain = schema().with(vec![uses]);
    let catalog = plain.clone().with_code(known);
    let of = |catalog: &Snapshot, sql: &str| lineage(&parse(sql).unwrap().statements[0], catalog, &path());
    for (sql, flow) in [
        ("select similarity(ssn, 'a') from customers", "~s"),
        ("select similarity(name, 'a') from customers", "-"),
        ("select ext.similarity(name, 'a') from customers", "-"),
        ("select c.skeys from customers c", "~sn"),
        ("select ssn %> 'a' from customers", "~s"),
        ("select name operator(ext.%>) ssn from customers", "~s"),
        ("select k from customers c, skeys(c) k", "~sn"),
        ("select a from v_alike", "~s"),
        ("select b from v_alike", "-"),
    ] {
        let found = of(&catalog, sql);
        assert_eq!(
            (show(&found.flow(0, 1)), found.opaque),
            (flow.to_owned(), vec![]),
            "{sql}"
        );
        assert!(!of(&plain, sql).opaque.is_empty(), "{sql}");
    }
    let asked = of(&catalog, "select 1 from customers where similarity(ssn, 'a') > 0.5");
    assert_eq!(letters(&asked.asked), "s");
    assert!(!of(&catalog, "select pg_temp.similarity('a', 'b')").opaque.is_empty());
}

#[test]
fn what_a_table_is_made_of_may_bring_code() {
    let mut checked = table(80, "checked", &["id"]);
    (checked.active, checked.computes) = (true, true);
    let mut fires = table(81, "firing", &["id"]);
    fires.fires = Events::INSERT;
    let catalog = schema().with(vec![checked, fires]);
    for (sql, brings) in [
        ("create table t (like checked including all)", true),
        ("create table t () inherits (checked)", true),
        ("create table t partition of audited default", true),
        ("create table t partition of firing default", true),
        ("create table t (like unknown)", true),
        // Triggers and rules stay where they are.
        ("create table t (like audited including all)", false),
        ("create table t (like firing including all)", false),
        ("create table t () inherits (firing)", false),
        ("create table t (like notes including all)", false),
        ("create table t (a text)", false),
    ] {
        let script = parse(sql).unwrap();
        let made = lineage(&script.statements[0], &catalog, &path()).created;
        assert_eq!(made.unwrap().brings_code, brings, "{sql}");
    }
}
