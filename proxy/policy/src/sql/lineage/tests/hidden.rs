//! What outputs do not show: conditions, and what names hide.

use super::*;

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
        ("select distinct on (ssn) name from customers", 0, "s"),
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
    assert!(letters(&trace("alter schema public rename to private").touched).contains('s'));
    assert_eq!(letters(&trace("alter schema private rename to public").touched), "");
    for sql in [
        "create policy p on acct using (exists (select from v_cust where tax_ref like '5%'))",
        "create rule r as on insert to notes do also select 1 from v_cust where tax_ref like '5%'",
    ] {
        assert_eq!(letters(&trace(sql).asked), "s", "{sql}");
    }
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
fn what_postgresql_tells_is_the_same_in_a_view_as_in_the_text() {
    let telling = view(27, "v_wal", &["l"], "SELECT pg_current_wal_lsn() AS l;");
    let catalog = schema().with(vec![telling]);
    for sql in ["select l from v_wal", "select pg_current_wal_lsn()"] {
        let script = parse(sql).unwrap();
        let found = lineage(&script.statements[0], &catalog, &path());
        assert_eq!(found.opaque, ["system function pg_current_wal_lsn"], "{sql}");
    }
}

#[test]
fn what_a_part_asks_the_whole_asks() {
    let mut whole = trace("create table t as execute p");
    whole.absorb(trace(
        "select most_common_vals from pg_stats, customers where ssn like '5%' and ssn_num + 1 > 0",
    ));
    assert_eq!(letters(&whole.asked), "sn");
    assert!(whole.everything().any, "values of any column came along");
    let mut whole = trace("explain analyze execute p");
    whole.absorb(trace("insert into notes (note) select ssn from customers"));
    let copied = whole.assigned.values().flat_map(|flow| flow.columns());
    assert_eq!(letters(copied), "s");
}

#[test]
fn rows_of_a_materialised_view_are_followed_through_its_definition() {
    let catalog = schema();
    let found = of_relation(catalog.relation(24).unwrap(), &catalog);
    let outputs = found.outputs.unwrap();
    let held: Vec<_> = outputs.iter().map(|output| letters(output.flow.columns())).collect();
    assert_eq!(held, ["", "s"]);
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
        // A table is meant by its name where the column that may be called so, here or outside, is not there.
        (
            "select (select c::text from customers c limit 1) from pg_get_keywords()",
            "~sn",
        ),
        (
            "select (select c::text from pg_get_keywords() limit 1) from customers c",
            "~sn",
        ),
        (
            "select (select (c).ssn from customers c limit 1) from jsonb_populate_record(null::acct, '{}') p",
            "~sn?",
        ),
        // And the column, where it is there, whatever table has its name.
        (
            "select id from jsonb_populate_record(null::pair, (select to_jsonb(c) from customers c)) p, acct as a where a is null",
            "-",
        ),
        (
            "select a::text from jsonb_populate_record(null::pair, (select jsonb_build_object('a', ssn) from customers)) p, orders as a",
            "~s",
        ),
        // An array's alias is the name of its elements only where these are no rows.
        (
            "select (select unnest from unnest((select array_agg(a) from acct a)) z) from customers unnest",
            "~sn",
        ),
        (
            "select (select u from unnest((select array_agg(a) from acct a)) u) from (select ssn as u from customers) q",
            "~s",
        ),
        (
            "select (select u from cast(null as acct) u) from (select ssn as u from customers) q",
            "~s",
        ),
        (
            "select (select a from unnest((select array_agg(row(1, ssn)::pair) from customers)) id join orders using (id)) from (select 1 as a) q",
            "~s",
        ),
        (
            "select (select ssn from unnest((select array_agg(a) from acct a)) u(k) natural full join unnest((select array_agg(c) from customers c)) w(k)) from acct",
            "~sn",
        ),
        ("select (select t from unnest(array[1]) u(t)) from customers t", "-"),
        // What NATURAL shares with columns that are not known is one with them, and comes first.
        (
            "select id from orders natural full join jsonb_populate_record(null::pair, (select jsonb_build_object('id', ssn) from customers)) p",
            "~s",
        ),
        (
            "select o.id from orders o natural full join jsonb_populate_record(null::pair, (select jsonb_build_object('id', ssn) from customers)) p",
            "-",
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
        (
            "with \"system_user\" as (select ssn as x from customers) select reverse(x) from system_user",
            "~s",
        ),
        (
            "with \"system_user\" as (select ssn from customers) select u.b from system_user as u(b), orders",
            "~s",
        ),
        (
            "select (with \"system_user\" as (select ssn from customers) select u::text from system_user u limit 1)",
            "~s",
        ),
        ("select (select ssn from system_user limit 1) from customers", "~sn?!"),
    ]);
    let found = trace("select 1 from system_user");
    assert_eq!(found.unresolved, ["system_user"]);
    let found = trace("select 1 from customers where exists (select from pg_get_keywords() where ssn like '5%')");
    assert_eq!(letters(&found.elsewhere), "s");
    // Which column has a number cannot be told where others stand before it.
    for sql in [
        "select id from (select u.*, c.ssn, c.id from unnest(array[1], array[2]) u, customers c order by 3) s",
        "select id from (select distinct on (3) u.*, c.ssn, c.id from unnest(array[1], array[2]) u, customers c) s",
        "select n from (select u.*, c.ssn, count(*) n from unnest(array[1], array[2]) u, customers c group by rollup (1, 2, 3)) s",
        "select id from (select u.*, c.id, c.ssn from unnest(array[row(1, 2)]::pair[]) u, customers c order by 4) s",
    ] {
        assert!(letters(&trace(sql).elsewhere).contains('s'), "{sql}");
    }
    let found =
        trace("select * from customers natural join unnest((select array_agg(row(ssn, 1)::pair) from customers)) u");
    assert_eq!(found.outputs, None);
    let found = trace("select id from customers natural join jsonb_populate_recordset(null::acct, '[]') p");
    assert_eq!(letters(&found.elsewhere), "sn");
    assert_eq!(trace("select nosuch from customers").lost, ["nosuch"]);
    assert!(trace("select word from pg_get_keywords()").lost.is_empty());
}
