//! What flows into each output, on a schema like the one that the leak cases attack.
//!
//! Protected are `customers.ssn` (s) and `customers.ssn_num` (n). An output is written `=s` (bare), `~s` (in an expression),
//! `-` (clean), with `?` behind if something unknown flows in and `!` if anything may; `*` is a result of unknown width,
//! followed by what each of its columns may hold.

mod called;
mod code;
mod guards;
mod hidden;
mod left;
mod origins;
mod triggers;
mod writes;

use crate::catalog::{Column as Stored, Relation, RelationKind, Snapshot};
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
    let mut composite = table(14, "pair", &["a", "b"]);
    composite.kind = RelationKind::CompositeType;
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
        composite,
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
    assert!(found.any && found.unfinished);
    assert!(found.opaque.contains(&"a query too large to follow".to_owned()));
    assert!(
        found
            .outputs
            .is_none_or(|outputs| outputs.iter().all(|output| output.flow.unknown))
    );
}

/// What flows into each of `count` columns.
fn flows(sql: &str, count: usize) -> String {
    let found = trace(sql);
    let each = (0..count).map(|index| show(&found.flow(index, count)));
    each.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_fields_of_a_row_leave_the_columns_beside_them_what_they_are() {
    let fields = "select id, (p.both).*, ssn, name from customers, pairs p";
    let cases = [
        ("select id, (tags).*, ssn, name from customers", 5, "- -? -? =s -"),
        ("select id, (tags).*, ssn, name from customers", 4, "- -? =s -"),
        ("select id, (tags).*, ssn, name from customers", 3, "- =s -"),
        // Fewer than the text gives a place cannot be.
        ("select id, (tags).*, ssn, name from customers", 2, "~s? ~s?"),
        ("select (tags).*, upper(ssn) from customers order by 2", 3, "-? -? ~s"),
        ("select id, (leak()).*, ssn from customers", 4, "- -? -? =s"),
        ("select id, f.*, ssn from customers, leak() f", 4, "- -? -? =s"),
        (
            "select id, (coalesce(tags, ssn)).*, name from customers",
            4,
            "- ~s? ~s? -",
        ),
        (
            "insert into notes values (1) returning id, (note).*, note",
            4,
            "- -? -? -",
        ),
        ("copy (select id, (tags).* from customers) to stdout", 2, "- -?"),
        // Of two, each may have any number; and the catalog may not know what `*` of a table stands for by now.
        ("select id, (tags).*, (doc).*, ssn from customers", 4, "~s? ~s? ~s? ~s?"),
        ("select i.*, (i.tags).* from customers i", 3, "~sn? ~sn? ~sn?"),
        (
            "select * from (select id, (tags).*, ssn from customers) x",
            3,
            "~s? ~s? ~s?",
        ),
        (
            "select id, (tags).*, ssn from customers union all select 1, 2, 3",
            3,
            "~s? ~s? ~s?",
        ),
        (
            "with x as (select id, (tags).*, ssn from customers) table x",
            3,
            "~s? ~s? ~s?",
        ),
    ];
    for (sql, count, expected) in cases {
        assert_eq!(flows(sql, count), expected, "{sql}");
    }
    // A relation that nobody knows may be a view of any other.
    assert!(trace(fields).flow(1, 4).any);
    assert_eq!(
        trace("create table t as select id, (tags).* from customers").spread,
        None
    );
    // What stands in front of them is ordered by as itself, what stands behind them is anything.
    assert_eq!(
        letters(&trace("select id, (tags).*, ssn from customers order by 1").elsewhere),
        ""
    );
    assert_eq!(
        letters(&trace("select id, (tags).*, ssn from customers order by 3").elsewhere),
        "s"
    );
}

#[test]
fn stars_in_a_list_of_values_leave_no_value_its_place() {
    let (none, two) = ("(row()::pair).*", "(row(1, 2)::pair).*");
    for (sql, count, expected) in [
        (
            format!("values ({none}, (select upper(ssn) from customers), {two})"),
            3,
            "~s? ~s? ~s?",
        ),
        (
            format!("select column1 from customers c, lateral (values ({none}, upper(c.ssn), {two})) v"),
            1,
            "~s?",
        ),
        (
            format!("with v(a, b) as (values ({none}, (select ssn from customers), 1)) select a from v"),
            1,
            "~s?",
        ),
        (
            "select v.a from customers c, lateral (values (c.*)) v(a, b)".to_owned(),
            1,
            "~sn",
        ),
        ("values (1, (select ssn from customers))".to_owned(), 2, "- ~s"),
    ] {
        assert_eq!(flows(&sql, count), expected, "{sql}");
    }
    for sql in [
        format!("insert into notes values ({none}, (select ssn from customers), 1)"),
        format!("insert into notes (id, note) values ({none}, (select ssn from customers), 1)"),
        format!("merge into notes using customers c on false when not matched then insert values ({none}, c.ssn, 1)"),
    ] {
        let found = trace(&sql);
        let written: Vec<String> = found.assigned.values().map(show).collect();
        assert_eq!(written, ["~s?", "~s?"], "{sql}");
    }
}

#[test]
fn columns_that_double_again_and_again_are_not_followed() {
    let doubling = |levels: usize| {
        let ctes: Vec<String> = (1..levels)
            .map(|n| format!("c{n} as (select * from c{} a, c{} b)", n - 1, n - 1))
            .collect();
        trace(&format!(
            "with c0 as (select * from customers), {} select * from c{}",
            ctes.join(", "),
            levels - 1
        ))
    };
    // As wide as PostgreSQL's results may be.
    let (followed, lost) = (doubling(8), doubling(60));
    assert_eq!(followed.outputs.map(|outputs| outputs.len()), Some(9 << 7));
    assert!(!followed.unfinished && lost.unfinished && lost.any);
    let wide = "to_jsonb(c) || ".repeat(20);
    let chain: Vec<String> = (1..2_000)
        .map(|n| format!("c{n} as (select * from c{})", n - 1))
        .collect();
    let found = trace(&format!(
        "with c0 as (select {} from customers c), {} select * from c1999",
        vec![format!("{wide} null"); 100].join(","),
        chain.join(", ")
    ));
    assert!(found.unfinished && found.any);
}

#[test]
fn names_that_nobody_knows_are_paid_for() {
    let calls = |count: usize| {
        let calls: Vec<String> = (0..count).map(|n| format!("f{n}(1)")).collect();
        trace(&format!("select {}", calls.join(",")))
    };
    assert!(!calls(2_000).unfinished && calls(30_000).unfinished);
    let joined = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
        trace(&format!(
            "select 1 from customers join notes using ({})",
            names.join(",")
        ))
    };
    let (few, many) = (joined(2_000), joined(30_000));
    assert!(!few.unfinished && few.lost.len() == 2_000);
    // Once it is given up, no more of them are kept.
    assert!(many.unfinished && many.any && many.lost.len() < 20_000);
    let names: Vec<String> = (0..1_000).map(|n| format!("c{n}")).collect();
    let given = trace(&format!(
        "insert into nowhere ({}) select (upper(ssn)::pair).* from customers",
        names.join(",")
    ));
    assert_eq!(given.spilled.len(), 1);
}

#[test]
fn a_long_list_is_followed_to_its_end() {
    let list = vec!["1"; 100_000].join(",");
    let found = trace(&format!("select 1 in ({list}), reverse(ssn), name from customers"));
    let flows: Vec<String> = found.outputs.unwrap().iter().map(|output| show(&output.flow)).collect();
    assert_eq!(flows, ["-", "~s", "-"]);
    assert!(found.opaque.is_empty() && !found.unfinished);
}
