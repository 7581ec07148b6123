//! Where outputs come from.

use super::*;

#[test]
fn columns_keep_their_origin() {
    check(&[
        ("select ssn from customers", "=s"),
        ("select ssn as x from customers", "=s"),
        ("select c.ssn from customers c", "=s"),
        ("select customers.ssn from customers", "=s"),
        ("select public.customers.ssn from public.customers", "=s"),
        ("select bank.public.customers.ssn from public.customers", "=s"),
        (
            "delete from public.customers where public.customers.id = 1 returning public.customers.ssn",
            "=s",
        ),
        // A name with a schema is no alias, however near one is.
        (
            "select (select public.customers.ssn from acct as customers limit 1) from public.customers",
            "~s",
        ),
        (
            "with customers as (select 'a' as ssn) select (select public.customers.ssn from customers) from public.customers",
            "~s",
        ),
        (
            "select (select public.acct.ssn from customers as acct limit 1) from public.acct",
            "-",
        ),
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
        // As JDBC asks for primary keys.
        (
            "select information_schema._pg_expandarray(array[ssn]), information_schema._pg_expandarray(array[id]) from customers",
            "~s -",
        ),
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
        // What begins as nothing is known of is read to its end, too.
        (
            "with recursive r as (select u.* from unnest(array['a'], array['b']) u union all select ssn, name from customers) select t.a from r as t(a, b)",
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
fn a_result_of_another_width_may_hold_everything() {
    let found = trace("select name from customers where ssn = '1'");
    assert_eq!(show(&found.flow(0, 1)), "-");
    assert_eq!(show(&found.flow(0, 2)), "~s?");
    assert_eq!(show(&found.flow(7, 1)), "~s?");
}
