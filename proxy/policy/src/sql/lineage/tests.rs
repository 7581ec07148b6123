//! What flows into each output, on a schema like the one that the leak cases attack.
//!
//! Protected are `customers.ssn` (s) and `customers.ssn_num` (n). An output is written `=s` (bare), `~s` (in an expression),
//! `-` (clean), with `?` behind if something unknown flows in and `!` if anything may; `*` is a result of unknown width,
//! followed by what each of its columns may hold.

use crate::catalog::{Code, Column as Stored, Relation, RelationKind, Snapshot};
use crate::sql::{lineage, parse};

use super::*;

const TEXT: Oid = 25;

pub(in crate::sql) fn table(oid: Oid, name: &str, columns: &[&str]) -> Relation {
    let columns = columns.iter().zip(1..).map(|(name, attnum)| Stored {
        attnum,
        name: (*name).to_owned(),
        type_oid: TEXT,
        generated: None,
    });
    Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        columns: columns.collect(),
        ..Relation::default()
    }
}

fn view(oid: Oid, name: &str, columns: &[&str], definition: &str) -> Relation {
    Relation {
        kind: RelationKind::View,
        definition: Some(definition.into()),
        ..table(oid, name, columns)
    }
}

pub(in crate::sql) fn schema() -> Snapshot {
    let mut partition = table(31, "events_2025", &["id", "payload"]);
    partition.parents = vec![30];
    let mut materialized = view(
        24,
        "m_cust",
        &["id", "tax"],
        "SELECT id, ssn AS tax FROM public.customers;",
    );
    materialized.kind = RelationKind::MaterializedView;
    let mut triggered = table(40, "audited", &["id", "note"]);
    triggered.active = true;
    let mut stats = table(
        50,
        "pg_stats",
        &["tablename", "attname", "null_frac", "most_common_vals"],
    );
    stats.schema = "pg_catalog".into();
    let mut hidden = view(26, "v_hidden", &["a"], "");
    hidden.definition = None;
    Snapshot::new(vec![
        table(
            10,
            "customers",
            &["id", "name", "ssn", "card", "ssn_num", "doc", "raw", "tags", "dob"],
        ),
        table(11, "acct", &["id", "ssn"]),
        table(12, "orders", &["oid", "id", "total"]),
        table(13, "notes", &["id", "note"]),
        view(
            20,
            "v_cust",
            &["id", "tax_ref"],
            "SELECT id, ssn AS tax_ref FROM public.customers;",
        ),
        view(
            21,
            "v_deep",
            &["x", "y"],
            "SELECT v.tax_ref AS x, upper(v.tax_ref) AS y FROM public.v_cust v;",
        ),
        view(
            22,
            "v_both",
            &["a"],
            "SELECT name AS a FROM public.customers UNION ALL SELECT ssn FROM public.customers;",
        ),
        view(23, "v_leak", &["a", "b"], "SELECT public.leak() AS a, 1 AS b;"),
        view(25, "v_loop", &["a"], "SELECT a FROM public.v_loop;"),
        materialized,
        hidden,
        table(30, "events", &["id", "payload"]),
        partition,
        triggered,
        stats,
    ])
}

fn path() -> SearchPath {
    SearchPath::from_setting("public", "app", None).unwrap()
}

fn trace(sql: &str) -> Lineage {
    let script = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    lineage(&script.statements[0], &schema(), &path())
}

const PROTECTED: [(ColumnId, char); 2] = [
    (
        ColumnId {
            relation: 10,
            column: 3,
        },
        's',
    ),
    (
        ColumnId {
            relation: 10,
            column: 5,
        },
        'n',
    ),
];

fn letters<'a>(columns: impl IntoIterator<Item = &'a ColumnId>) -> String {
    let columns: Vec<_> = columns.into_iter().collect();
    PROTECTED
        .iter()
        .filter(|(id, _)| columns.contains(&id))
        .map(|(_, letter)| *letter)
        .collect()
}

fn show(flow: &Flow) -> String {
    let found = letters(flow.columns());
    let kind = match (found.is_empty(), flow.bare) {
        (true, _) => "-",
        (false, true) => "=",
        (false, false) => "~",
    };
    let mut text = format!("{kind}{found}");
    if flow.unknown {
        text.push('?');
    }
    if flow.any {
        text.push('!');
    }
    text
}

fn outputs(sql: &str) -> String {
    let found = trace(sql);
    match &found.outputs {
        Some(outputs) => outputs
            .iter()
            .map(|output| show(&output.flow))
            .collect::<Vec<_>>()
            .join(" "),
        None => format!("*{}", show(&found.everything())),
    }
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(sql, expected)| {
            let got = outputs(sql);
            (got != *expected).then(|| format!("{sql}\n  expected {expected}\n  got      {got}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn columns_keep_their_origin() {
    check(&[
        ("select ssn from customers", "=s"),
        ("select ssn as x from customers", "=s"),
        ("select c.ssn from customers c", "=s"),
        ("select customers.ssn from customers", "=s"),
        ("select public.customers.ssn from public.customers", "=s"),
        ("select bank.public.customers.ssn from public.customers", "=s"),
        ("select name, ssn, id from customers", "- =s -"),
        ("select * from customers", "- - =s - =n - - - -"),
        ("select c.* from customers c", "- - =s - =n - - - -"),
        ("select *, 1 from customers", "- - =s - =n - - - - -"),
        ("select o.*, c.ssn from orders o, customers c", "- - - =s"),
        ("table customers", "- - =s - =n - - - -"),
        ("select x from (select ssn as x from customers) t", "=s"),
        ("select t.y from (select ssn, name from customers) t(y, z)", "=s"),
        ("select z from (select ssn, name from customers) t(y, z)", "-"),
        ("select * from (select ssn from customers) t", "=s"),
        (
            "with t as materialized (select ssn x from customers where id=1) select x from t",
            "=s",
        ),
        (
            "with t(a, b) as (select name, ssn from customers) select b, a from t",
            "=s -",
        ),
        (
            "with a as (select ssn from customers), b as (select * from a) select * from b",
            "=s",
        ),
        (
            "select c.ssn as z from customers c join v_cust v using(id) where id=1",
            "=s",
        ),
        (
            "select l.ssn from orders o, lateral (select ssn from customers c where c.id = o.id) l",
            "=s",
        ),
        (
            "select q.ssn from orders o left join lateral (select ssn from customers) q on true",
            "=s",
        ),
        ("select ctid, tableoid from customers", "- -"),
        ("select ssn from only customers", "=s"),
        ("select ssn from customers tablesample system (10)", "=s"),
        ("select ssn from customers order by 1 limit 5 for update", "=s"),
        ("select distinct ssn from customers", "=s"),
        ("copy customers to stdout", "- - =s - =n - - - -"),
        ("copy customers (ssn, id) to stdout", "=s -"),
        ("copy (select ssn from customers) to stdout", "=s"),
        ("declare c cursor for select ssn as x from customers", "=s"),
        ("prepare p as select ssn as x from customers", "=s"),
    ]);
}

#[test]
fn expressions_are_tainted_by_whatever_stands_in_them() {
    check(&[
        ("select ssn::text from customers", "~s"),
        ("select ssn||'' from customers", "~s"),
        ("select ssn_num+0 from customers", "~n"),
        ("select md5(ssn), left(ssn, 5), ssn::int from customers", "~s ~s ~s"),
        ("select count(*) from customers", "-"),
        ("select count(ssn), max(ssn), min(ssn) from customers", "~s ~s ~s"),
        ("select count(*) filter (where ssn like '5%') from customers", "~s"),
        ("select array_agg(name order by ssn) from customers", "~s"),
        ("select row_number() over (order by ssn) from customers", "~s"),
        (
            "select sum(id) over w from customers window w as (partition by ssn)",
            "~s",
        ),
        (
            "select lag(name) over (w order by id) from customers window w as (partition by ssn)",
            "~s",
        ),
        ("select case when ssn like '5%' then 1 else 2 end from customers", "~s"),
        (
            "select coalesce(name, ssn), nullif(ssn, ''), greatest(ssn, name) from customers",
            "~s ~s ~s",
        ),
        (
            "select array[ssn, name], row(ssn), (ssn, id) from customers",
            "~s ~s ~s",
        ),
        (
            "select ssn is null, ssn = '1', ssn in ('1'), ssn between '1' and '2' from customers",
            "~s ~s ~s ~s",
        ),
        ("select customers from customers", "~sn"),
        ("select c from customers c", "~sn"),
        ("select c::text from customers c", "~sn"),
        (
            "select row(c.*), to_jsonb(c), row_to_json(c) from customers c",
            "~sn ~sn ~sn",
        ),
        ("select (c).ssn, (c).name from customers c", "~s -"),
        ("select (c).* from customers c", "- - =s - =n - - - -"),
        ("select (array[ssn])[1] from customers", "~s"),
        (
            "select json_build_object('a', ssn), json_object('b': ssn) from customers",
            "~s ~s",
        ),
        (
            "select xmlelement(name x, ssn), xmlparse(document ssn) from customers",
            "~s ~s",
        ),
        (
            "select overlay(ssn placing E'\\u200b' from 2 for 0), substring(ssn from 1 for 3) from customers",
            "~s ~s",
        ),
        (
            "select extract(year from dob), trim(both from ssn) from customers",
            "- ~s",
        ),
        ("select ssn collate \"C\" from customers", "~s"),
        ("select ssn at time zone 'utc' from customers", "~s"),
        (
            "select string_agg(ascii(substr(ssn,i,1))::text,',') from customers, generate_series(1,11) i",
            "~s",
        ),
        ("select (select ssn from customers limit 1)", "~s"),
        ("select array(select ssn from customers)", "~s"),
        ("select exists (select 1 from customers where ssn like '5%')", "-"),
        ("select id in (select ssn_num from customers) from orders", "~n"),
        (
            "select (select max(o.total) from orders o where o.id = c.id) from customers c",
            "-",
        ),
        ("select (select c.ssn) from customers c", "~s"),
        ("select (select (select c.ssn)) from customers c", "~s"),
        ("values ((select ssn from customers limit 1), 1), (null, 2)", "~s -"),
        (
            "select v.column2 from (values (1, (select ssn from customers limit 1))) v",
            "~s",
        ),
        ("select v.b from (values (1, 'x')) v(a, b)", "-"),
        ("select 1, 'x', null, current_user, now(), $1::text", "- - - - - -"),
        ("select name || id::text, upper(name) from customers", "- -"),
    ]);
}

#[test]
fn sets_joins_and_recursion() {
    check(&[
        ("select name from customers union select ssn from customers", "~s"),
        ("select ssn from customers intersect select name from customers", "~s"),
        ("select name from customers except select ssn from customers", "~s"),
        (
            "(select name, ssn from customers) union all (select ssn, name from customers)",
            "~s ~s",
        ),
        (
            "select * from customers c join acct a on a.ssn = c.ssn",
            "- - =s - =n - - - - - -",
        ),
        ("select ssn from customers join acct using (ssn)", "~s"),
        ("select * from acct join customers using (ssn)", "~s - - - - =n - - - -"),
        (
            "select u.ssn, c.name from acct join customers c using (ssn) as u",
            "~s -",
        ),
        ("select * from acct natural join customers", "- ~s - - =n - - - -"),
        ("select j.ssn from (customers c cross join orders o) as j", "=s"),
        ("select j.b from (customers cross join orders) as j(a, b, c)", "-"),
        (
            "select g.v from generate_series(1,9) g(v) join customers on ssn_num=g.v",
            "-",
        ),
        ("select * from generate_series(1,9) with ordinality", "- -"),
        ("select u from customers, unnest(string_to_array(ssn, '-')) u", "~s"),
        (
            "select t.u, t.n from customers, unnest(string_to_array(ssn, '-')) with ordinality t(u, n)",
            "~s -",
        ),
        (
            "select e.key, e.value from customers c, jsonb_each(to_jsonb(c)) e",
            "~sn ~sn",
        ),
        (
            "select * from customers c, json_to_record(row_to_json(c)) as x(a text, b text)",
            "- - =s - =n - - - - ~sn ~sn",
        ),
        (
            "select x.a from customers, xmltable('/r' passing xmlelement(name r, ssn) columns a text path '.') x",
            "~s",
        ),
        (
            "select j.a from customers c, json_table(to_jsonb(c), '$' columns (a text path '$.ssn', nested path '$' columns (b int))) j",
            "~sn",
        ),
        (
            "with recursive t(n, v) as (select 1, ssn from customers union all select n+1, v from t where n<3) select v, n from t",
            "~s -",
        ),
        (
            "with recursive t(a, b, c) as (select name, name, ssn from customers union all select b, c, c from t) select a from t",
            "~s",
        ),
        (
            "with recursive a as (select * from b), b as (select ssn from customers) select * from a",
            "=s",
        ),
        (
            "with recursive t(id, p) as (select id, name from customers union all select t.id, t.p from t) cycle id set c using q select q, c from t",
            "- -",
        ),
        (
            "with recursive t(id, p) as (select id, ssn from customers union all select t.id, t.p from t) search depth first by p set o select o from t",
            "~s",
        ),
        (
            "with d as (delete from customers returning ssn, name) select * from d",
            "=s -",
        ),
        ("with customers as (select 1 as ssn) select ssn from customers", "-"),
        (
            "with customers as (select 1 as ssn) select ssn from public.customers",
            "=s",
        ),
        (
            "with a as (with b as (select ssn from customers) select * from b) select * from a",
            "=s",
        ),
    ]);
}

#[test]
fn views_are_read_through() {
    check(&[
        ("select tax_ref from v_cust", "=s"),
        ("select * from v_cust", "- =s"),
        ("select id from v_cust", "-"),
        ("select x, y from v_deep", "=s ~s"),
        ("select a from v_both", "~s"),
        ("select a, b from v_leak", "-? -"),
        ("select a from v_hidden", "-?!"),
        ("select a from v_loop", "-?!"),
        ("select tax from m_cust", "=s"),
        (
            "select lower(v.tax_ref) from v_cust v join customers c on c.id = v.id",
            "~s",
        ),
        ("copy v_cust to stdout", "- =s"),
    ]);
}

#[test]
fn what_cannot_be_known_is_never_clean() {
    check(&[
        ("select leak() as x", "-?"),
        ("select leak(ssn) from customers", "~s?"),
        ("select c.leak from customers c", "~sn?"),
        ("select leak(c) from customers c", "~sn?"),
        ("select leak from customers", "~sn?"),
        ("select nosuch from customers", "~sn?"),
        ("select x from nosuch", "-?!"),
        ("select nosuch.x, customers.ssn from nosuch, customers", "~sn?! =s"),
        ("select * from nosuch", "*-?!"),
        ("select * from nosuch, customers", "*~sn?!"),
        (
            "select x from dblink('dbname=x','select ssn from customers') t(x text)",
            "-?",
        ),
        ("select * from dblink('dbname=x','select 1') t(x text, y int)", "-? -?"),
        ("select t.* from secrets() t", "*-?"),
        ("select (f(1)).*", "*-?"),
        ("select (doc).x from customers", "-?"),
        ("select name operator(public.+) id, name === id from customers", "-? -?"),
        ("select query_to_xml('select ssn from customers', true, true, '')", "-?"),
        ("select most_common_vals, null_frac from pg_stats", "-! -"),
        ("select * from pg_catalog.pg_statistic", "*-?!"),
        ("execute p", "*-?"),
        ("fetch all from c", "*-?"),
        ("call p()", "*-?"),
        ("explain select ssn from customers", "-?"),
    ]);
}

#[test]
fn returning_gives_back_the_table_and_what_was_written() {
    check(&[
        ("update customers set name=name where id=1 returning ssn as x", "=s"),
        ("delete from customers returning *", "- - =s - =n - - - -"),
        (
            "delete from orders using customers c where c.id = orders.id returning c.ssn, total",
            "=s -",
        ),
        (
            "insert into notes select id, ssn from customers returning note, id",
            "~s -",
        ),
        ("insert into notes (note) values ('x') returning note", "-"),
        (
            "insert into notes (note) values ((select ssn from customers limit 1)) returning *",
            "- ~s",
        ),
        (
            "update notes set note = c.ssn from customers c returning notes.note, c.name",
            "~s -",
        ),
        (
            "update notes set (id, note) = (select id, ssn from customers limit 1) returning note",
            "~s",
        ),
        (
            "insert into customers (id) values (1) on conflict (id) do update set name = excluded.ssn returning name",
            "~s",
        ),
        ("insert into audited (id) values (1) returning note", "-?"),
        (
            "merge into notes n using customers c on c.id = n.id when matched then update set note = c.ssn returning n.note, c.ssn",
            "~s =s",
        ),
        (
            "merge into notes n using customers c on c.id = n.id when not matched then insert (id, note) values (c.id, c.ssn) returning *",
            "- - =s - =n - - - - - ~s",
        ),
        ("update customers set name = 'x' returning old.ssn, new.name", "=s -"),
        ("update customers set name = 'x' returning with (old as o) o.ssn", "=s"),
        ("insert into notes values (1, 'x')", ""),
        ("create table t as select ssn from customers", ""),
        ("select ssn into t from customers", ""),
    ]);
}

#[test]
fn assignments_and_copies_are_followed() {
    let assigned = |sql: &str| {
        let found = trace(sql);
        let each = found
            .assigned
            .iter()
            .map(|(id, flow)| format!("{}.{}{}", id.relation, id.column, show(flow)));
        each.collect::<Vec<_>>().join(" ")
    };
    let cases = [
        ("update customers set ssn = '1', name = 'x'", "10.2- 10.3-"),
        ("update notes set note = (select ssn from customers limit 1)", "13.2~s"),
        ("insert into notes select id, ssn from customers", "13.1- 13.2~s"),
        (
            "insert into customers (id) values (1) on conflict (id) do update set ssn = excluded.name",
            "10.1- 10.3-",
        ),
        (
            "merge into notes n using customers c on true when matched then update set note = c.ssn when not matched then insert values (1, c.name)",
            "13.1- 13.2~s",
        ),
        ("copy notes (note) from stdin", "13.2-"),
        (
            "with w as (update notes set note = c.ssn from customers c returning 1) select 1",
            "13.2~s",
        ),
        ("select 1", ""),
    ];
    for (sql, expected) in cases {
        assert_eq!(assigned(sql), expected, "{sql}");
    }
    let spilled = |sql: &str| {
        let found = trace(sql);
        let each = found
            .spilled
            .iter()
            .map(|one| format!("{}{}", one.name, show(&one.flow)));
        each.collect::<Vec<_>>().join(" ")
    };
    for (sql, expected) in [
        ("insert into nosuch select ssn from customers", "nosuch~s"),
        (
            "insert into s9.nosuch (a, b) select id, md5(ssn) from customers",
            "nosuch- nosuch~s",
        ),
        ("update nosuch set a = c.ssn from customers c", "nosuch~s"),
        ("insert into nosuch values (1, 'x')", ""),
    ] {
        assert_eq!(spilled(sql), expected, "{sql}");
    }
    let empty = |sql: &str| {
        let created = trace(sql).created?;
        assert!(!created.filled, "{sql}");
        Some(
            created
                .columns?
                .iter()
                .map(|column| column.name.clone())
                .collect::<Vec<_>>()
                .join(" "),
        )
    };
    for (sql, expected) in [
        (
            "create table t (a text, b int generated always as identity, primary key (b))",
            Some("a b"),
        ),
        ("create temp table t (c int references customers)", Some("c")),
        ("create table t (like customers)", None),
        (
            "create table t (a text, b text generated always as (md5(a)) stored)",
            None,
        ),
        ("create table t () inherits (customers)", None),
        ("create table if not exists t (a text)", None),
    ] {
        assert_eq!(empty(sql).as_deref(), expected, "{sql}");
    }
    for sql in [
        "create table t (a) as select ssn from customers",
        "select ssn as a into t from customers",
    ] {
        let created = trace(sql).created.unwrap();
        let columns = created.columns.unwrap();
        assert_eq!(
            (
                created.name.as_str(),
                columns[0].name.as_str(),
                show(&columns[0].flow).as_str()
            ),
            ("t", "a", "=s")
        );
    }
    assert_eq!(
        show(
            &trace("create view v as select upper(ssn) from customers")
                .created
                .unwrap()
                .columns
                .unwrap()[0]
                .flow
        ),
        "~s"
    );
}

#[test]
fn oracles_are_seen_apart_from_outputs() {
    let cases = [
        (
            "select count(*) from customers where ssn like '536-90-4%' and id=1",
            "s",
        ),
        (
            "select g.v from generate_series(1,9) g(v) join customers on ssn_num=g.v",
            "n",
        ),
        ("select name from customers order by ssn", "s"),
        ("select ssn from customers order by 1", "s"),
        ("select ssn as x from customers order by x", "s"),
        (
            "select count(*) from customers group by ssn having max(ssn_num) > 1",
            "sn",
        ),
        (
            "select id from customers limit (select count(*) from customers where ssn = '1')",
            "s",
        ),
        ("delete from notes using customers c where c.ssn = note", "s"),
        ("select 1 from acct join customers using (ssn)", "s"),
        ("select exists (select from customers where ssn = '1')", "s"),
        ("select ssn from customers", ""),
        ("select upper(ssn) from customers", ""),
        ("select id from v_cust where tax_ref = '1'", "s"),
        ("select distinct on (ssn) name from customers", "s"),
    ];
    for (sql, expected) in cases {
        assert_eq!(letters(&trace(sql).elsewhere), expected, "{sql}");
    }
}

#[test]
fn comparisons_of_columns_are_told_from_other_questions() {
    for (sql, compared, asked) in [
        (
            "select 1 from acct a join customers c on a.ssn = c.ssn and a.id = 1",
            1,
            "",
        ),
        ("select 1 from acct join customers using (ssn)", 1, ""),
        ("select count(*) from customers group by ssn", 1, ""),
        ("select distinct ssn from customers", 1, ""),
        ("select distinct on (ssn) name from customers", 1, ""),
        (
            "select count(*) from v_cust v join customers c on v.tax_ref = c.ssn",
            1,
            "",
        ),
        ("select 1 from customers where ssn = '536-90-4399'", 0, "s"),
        ("select 1 from customers where ssn = $1", 0, "s"),
        (
            "select 1 from customers c, (values ('536-90-4399')) v(x) where c.ssn = v.x",
            0,
            "s",
        ),
        ("select 1 from acct a join customers c on a.ssn < c.ssn", 0, "s"),
        ("select 1 from acct a join customers c on a.ssn = c.ssn or true", 0, "s"),
        ("select 1 from acct a join customers c on a.ssn = lower(c.ssn)", 0, "s"),
        (
            "select 1 from customers c join customers d on c.ssn = d.ssn order by c.ssn",
            1,
            "s",
        ),
    ] {
        let found = trace(sql);
        assert_eq!(
            (found.compared.len(), letters(&found.asked).as_str()),
            (compared, asked),
            "{sql}"
        );
        assert_eq!(letters(&found.elsewhere), "s", "{sql}");
    }
}

#[test]
fn touched_columns_and_relations_are_closed_over_views() {
    let found = trace("select 1 from v_deep where y is null");
    assert_eq!(letters(&found.touched), "s");
    assert!(
        [10, 20, 21].iter().all(|oid| found.relations.contains(oid)),
        "{:?}",
        found.relations
    );
    let found = trace("alter table customers add check (ssn <> '')");
    assert_eq!(letters(&found.touched), "sn");
    assert!(found.written.contains(&10));
    let found = trace("select payload from events");
    assert!(found.relations.contains(&31));
    assert!(found.outputs.unwrap()[0].flow.columns().contains(&ColumnId {
        relation: 31,
        column: 2
    }));
    let found = trace("select payload from only events");
    assert!(!found.relations.contains(&31));
    assert_eq!(trace("select leak() from nosuch").opaque, ["function leak"]);
    assert_eq!(trace("select leak() from nosuch").unresolved, ["nosuch"]);
    assert_eq!(
        trace("select a from v_leak").opaque,
        ["code of view public.v_leak: function public.leak"]
    );
    assert_eq!(
        trace("select a, leak() from v_leak").opaque,
        ["code of view public.v_leak: function public.leak", "function leak"]
    );
    assert_eq!(
        trace("insert into audited values (1)").opaque,
        ["triggers of public.audited"]
    );
}

#[test]
fn a_result_of_another_width_may_hold_everything() {
    let found = trace("select name from customers where ssn = '1'");
    assert_eq!(show(&found.flow(0, 1)), "-");
    assert_eq!(show(&found.flow(0, 2)), "~s?");
    assert_eq!(show(&found.flow(7, 1)), "~s?");
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
        operators: ["+".to_owned(), "=".to_owned()].into(),
        types: [(900, "money2".to_owned())].into(),
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
fn rules_toast_and_clusters_may_tell_of_anything() {
    let mut ruled = table(65, "ruled", &["id"]);
    (ruled.active, ruled.ruled) = (true, true);
    let mut expressions = table(66, "pg_statistic_ext_data", &["stxoid", "stxdexpr"]);
    expressions.schema = "pg_catalog".into();
    let catalog = schema().with(vec![ruled, expressions]);
    let of = |sql: &str| {
        let script = parse(sql).unwrap();
        lineage(&script.statements[0], &catalog, &path())
    };
    let found = of("insert into ruled values (1)");
    assert_eq!(found.opaque, ["rules of public.ruled"]);
    assert!(found.flow(0, 1).any, "rows that nobody asked for are those of a rule");
    assert!(of("delete from ruled returning id").flow(0, 1).any);
    assert!(!of("insert into audited values (1)").flow(0, 1).any);
    assert!(of("select stxdexpr from pg_catalog.pg_statistic_ext_data").any);
    assert!(!of("select stxoid from pg_catalog.pg_statistic_ext_data").any);
    let toast = trace("select chunk_seq from pg_toast.pg_toast_16384 where chunk_data is not null");
    assert!(
        toast.any && toast.opaque == ["TOAST relation pg_toast_16384"],
        "{toast:?}"
    );
    assert!(trace("cluster").any);
    assert!(!trace("cluster customers using customers_pkey").any);
}

#[test]
fn temporary_tables_shadow_others() {
    let mut own = table(99, "customers", &["id", "ssn"]);
    own.schema = "pg_temp_3".into();
    let catalog = schema().with(vec![own]);
    let path = SearchPath::from_setting("public", "app", Some("pg_temp_3")).unwrap();
    let script = parse("select ssn from customers; select ssn from public.customers").unwrap();
    let flows: Vec<String> = script
        .statements
        .iter()
        .map(|one| show(&lineage(one, &catalog, &path).flow(0, 1)))
        .collect();
    assert_eq!(flows, ["-", "=s"]);
}

#[test]
fn a_query_too_large_to_follow_is_unknown() {
    let ctes: Vec<String> = (1..25)
        .map(|n| format!("c{n} as (select a.ssn from c{} a, c{} b)", n - 1, n - 1))
        .collect();
    assert_eq!(
        outputs(&format!(
            "with c0 as (select ssn from customers), {} select ssn from c24",
            ctes.join(", ")
        )),
        "=s"
    );
    // Each level of recursion is read several times in each round of the level around it.
    let recursive = (0..7).fold("select ssn as a from customers".to_owned(), |inner, n| {
        format!("with recursive r{n}(a) as (select x.* from ({inner}) x, ({inner}) z union all select r{n}.a from r{n}, ({inner}) y) select a from r{n}")
    });
    let found = trace(&recursive);
    assert!(found.any);
    assert!(found.opaque.contains(&"a query too large to follow".to_owned()));
    assert!(
        found
            .outputs
            .is_none_or(|outputs| outputs.iter().all(|output| output.flow.unknown))
    );
}

#[test]
fn a_long_list_is_followed_to_its_end() {
    let list = vec!["1"; 100_000].join(",");
    let found = trace(&format!("select 1 in ({list}), reverse(ssn), name from customers"));
    let flows: Vec<String> = found.outputs.unwrap().iter().map(|output| show(&output.flow)).collect();
    assert_eq!(flows, ["-", "~s", "-"]);
    assert!(found.opaque.is_empty());
}

#[test]
fn what_hides_a_name_does_not_hide_what_it_means() {
    check(&[
        // Columns of a function that are not known do not stand for those outside.
        (
            "select (select reverse(ssn) from pg_get_keywords() limit 1) from customers",
            "~s",
        ),
        // A view has no system columns.
        (
            "select (select reverse(xmin) from v_cust limit 1) from (select ssn as xmin from customers) q",
            "~s",
        ),
        // Names that are not known for certain may be the one, or one outside.
        (
            "select (select reverse(xmlforest::text) from (select xmlforest(ssn) from customers) q limit 1) from (select 1 as xmlforest) z",
            "~s",
        ),
        (
            "select reverse(text) from (select (case when true then ssn end)::text from customers) q",
            "~s",
        ),
        (
            "select reverse(value) from jsonb_array_elements_text((select jsonb_agg(ssn) from customers))",
            "~s",
        ),
        (
            "select reverse(value) from jsonb_array_elements_text((select jsonb_agg(ssn) from customers)) e",
            "~s",
        ),
        (
            "select reverse(ssn) from unnest((select array_agg(c) from customers c)) u",
            "~sn",
        ),
        (
            "select reverse(ssn) from cast((select c from customers c limit 1) as customers) u",
            "~sn",
        ),
        // An alias list counts from the first column of the function.
        (
            "select reverse(h) from (pg_get_keywords() k cross join customers) as j(a, b, c, d, e, f, g, h)",
            "~sn",
        ),
        (
            "select b from rows from (unnest((select array_agg(c) from customers c)), generate_series(1, 2)) as t(a, b)",
            "~sn",
        ),
        (
            "select current_date, x from (select current_date as x, ssn from customers) q",
            "- -",
        ),
        ("select \"?column?\" from (select ssn || 'a' from customers) q", "~s"),
        // Before PostgreSQL 16 a name like any other.
        (
            "select reverse(system_user) from (select ssn as \"system_user\" from customers) q",
            "~s",
        ),
        (
            "select reverse(system_user::text) from customers \"system_user\"",
            "~sn",
        ),
        ("select system_user from customers", "-"),
    ]);
    let found = trace("select 1 from customers where exists (select from pg_get_keywords() where ssn like '5%')");
    assert_eq!(letters(&found.elsewhere), "s");
    let found = trace("select id from customers natural join jsonb_populate_recordset(null::acct, '[]') p");
    assert_eq!(letters(&found.elsewhere), "sn");
    assert_eq!(trace("select nosuch from customers").lost, ["nosuch"]);
    assert!(trace("select word from pg_get_keywords()").lost.is_empty());
}
