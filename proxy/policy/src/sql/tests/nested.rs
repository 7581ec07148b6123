//! Every place in which a statement, a function or a relation can hide is visited.

use super::*;

/// Places that take an expression.
const EXPRESSIONS: [&str; 62] = [
    "select @",
    "select (@)",
    "select @ from t",
    "select 1 from t where @ is null",
    "select 1 from t group by @",
    "select 1 from t group by rollup (@, 1)",
    "select 1 from t having @ is null",
    "select 1 from t order by @",
    "select 1 from t limit @",
    "select 1 from t offset @",
    "select distinct on (@) 1 from t",
    "select 1 from t window w as (partition by @)",
    "select 1 from t window w as (order by @)",
    "select sum(1) over (rows @ preceding) from t",
    "select sum(1) filter (where @ is null) from t",
    "select string_agg('a', 'b' order by @) from t",
    "select percentile_cont(0.5) within group (order by @) from t",
    "select lower(variadic @)",
    "select upper(a => @)",
    "select case when @ is null then 1 end",
    "select case @ when 1 then 1 end",
    "select case when true then @ else 1 end",
    "select case when true then 1 else @ end",
    "select coalesce(1, @), nullif(1, 1), greatest(1, 2)",
    "select nullif(@, 1)",
    "select greatest(1, @)",
    "select array[@]",
    "select array[[1], [@]]",
    "select row(@)",
    "select (a)[@] from t",
    "select (a)[1:@] from t",
    "select @::text",
    "select @ collate \"C\"",
    "select @ at time zone 'utc'",
    "select 1 in (1, @)",
    "select @ between 1 and 2",
    "select 1 = any (@)",
    "select 1 = all (select @)",
    "select exists (select @)",
    "select array(select @)",
    "select (select @)",
    "select * from (select @) t",
    "select * from t, lateral (select @) u",
    "select * from lower(@)",
    "select * from rows from (lower('a'), lower(@)) r",
    "select * from t tablesample system (@)",
    "select * from t join u on @ is null",
    "select * from xmltable('/r' passing @ columns a text path '.') x",
    "select * from json_table(@, '$' columns (a text path '$')) j",
    "select json_object('a': @)",
    "select json_arrayagg(@)",
    "select xmlelement(name a, @)",
    "select xmlforest(@ as a)",
    "with a as (select @) select 1",
    "with recursive a as (select 1 union all select @ from a) select 1",
    "select 1 union select @",
    "values (1, @)",
    "insert into t values (@)",
    "insert into t values (1) on conflict (a) do update set a = @",
    "update t set a = @",
    "delete from t where @ is null returning 1",
    "delete from t returning @",
];

/// Places of utilities that take an expression or a query.
const UTILITIES: [&str; 31] = [
    "explain select @",
    "explain analyze select @",
    "prepare p as select @",
    "declare c cursor for select @",
    "copy (select @) to stdout",
    "copy t from stdin where @ is null",
    "create table t as select @",
    "create materialized view v as select @",
    "create view v as select @",
    "select @ into t",
    "create table t (a int default @)",
    "create table t (a int check (@ is null))",
    "create table t (a int, constraint c check (@ is null))",
    "create table t (a int generated always as (@) stored)",
    "create table t (a int) partition by range (lower(@))",
    "create index on t (lower(@))",
    "create index on t (a) where @ is null",
    "alter table t alter a set default @",
    "alter table t alter a type text using @",
    "alter table t add constraint c check (@ is null)",
    "alter domain d set default @",
    "create domain d as text check (@ is null)",
    "create policy p on t using (@ is null)",
    "create policy p on t with check (@ is null)",
    "create trigger g before insert on t for each row when (@ is null) execute function h()",
    "create rule r as on insert to t where @ is null do nothing",
    "create rule r as on insert to t do also select @",
    "create function g(a int default @) returns int language sql as 'select 1'",
    "create function g() returns int return @",
    "create function g() returns int begin atomic select @; end",
    "execute p(@)",
];

#[test]
fn functions_are_found_everywhere() {
    for place in EXPRESSIONS.iter().chain(&UTILITIES) {
        let sql = place.replace('@', "nasty(1)");
        let found = one(&sql);
        assert!(
            found.functions.iter().any(|function| function.name == "nasty"),
            "{sql}: {:?}",
            found.functions
        );
        assert!(found.opaque.iter().any(|what| what == "function nasty"), "{sql}");
        assert!(!found.is_read(), "{sql}");
    }
}

#[test]
fn relations_are_found_everywhere() {
    for place in EXPRESSIONS.iter().chain(&UTILITIES) {
        let sql = place.replace('@', "(select max(x) from hidden)");
        let found = one(&sql);
        assert!(
            found.relations.iter().any(|relation| relation.name == "hidden"),
            "{sql}: {:?}",
            found.relations
        );
        assert!(found.verbs.contains(Verb::Select), "{sql}");
    }
}

#[test]
fn operators_and_parameters_are_found_everywhere() {
    for place in EXPRESSIONS.iter().chain(&UTILITIES) {
        let sql = place.replace('@', "(1 operator(evil.+) $7)");
        let found = one(&sql);
        assert!(found.opaque.iter().any(|what| what == "operator evil.+"), "{sql}");
        assert_eq!(found.highest_param, 7, "{sql}");
    }
}

#[test]
fn statements_are_found_in_statements() {
    let places = [
        "with d as (delete from hidden) select 1",
        "with d as (delete from hidden) insert into t select 1",
        "with d as (delete from hidden) update t set a = 1",
        "with d as (delete from hidden) delete from t",
        "with d as (delete from hidden) merge into t using u on true when matched then delete",
        "with a as (with d as (delete from hidden) select 1) select 1",
        "explain delete from hidden",
        "explain analyze delete from hidden",
        "explain (analyze) with d as (delete from hidden) select 1",
        "prepare p as delete from hidden",
        "copy (delete from hidden returning 1) to stdout",
        "copy (with d as (delete from hidden) select 1) to stdout",
        "create rule r as on insert to t do instead delete from hidden",
        "create rule r as on insert to t do also (select 1; delete from hidden)",
        "create function f() returns int begin atomic delete from hidden; select 1; end",
        "create table x as with d as (delete from hidden returning 1) select 1",
        "declare c cursor for with d as (delete from hidden) select 1",
    ];
    for sql in places {
        let found = one(sql);
        assert!(found.verbs.contains(Verb::Delete), "{sql}: {:?}", found.verbs);
        let hidden = found.relations.iter().find(|relation| relation.name == "hidden");
        assert_eq!(hidden.map(|relation| relation.access), Some(Access::Write), "{sql}");
    }
    assert_eq!(one("create table t as execute p(1)").executes, ["p"]);
    assert_eq!(one("explain analyze execute p").executes, ["p"]);
    assert_eq!(one("update t set a = 1 where current of c").cursors, ["c"]);
    assert!(one("explain (analyze false) select 1").verbs.contains(Verb::Explain));
    for (sql, runs) in [
        ("explain select 1", false),
        ("explain analyze select 1", true),
        ("explain (analyze) select 1", true),
        ("explain (analyze on, costs off) select 1", true),
        ("explain (analyze 1) select 1", true),
        ("explain (analyze off) select 1", false),
        ("explain (analyze 'false') select 1", false),
        ("explain (analyze 0) select 1", false),
    ] {
        assert_eq!(one(sql).explain_analyze, runs, "{sql}");
    }
}

#[test]
fn of_a_text_that_prepares_the_statement_of_a_name_is_found_where_it_is_the_only_one() {
    for (sql, found) in [
        ("prepare p as select 1", Some(0)),
        ("select 1; prepare q as select 2; prepare p as select 3", Some(2)),
        ("prepare p as select 1; deallocate p; prepare p as select 2", None),
        ("prepare \"P\" as select 1", None),
        ("select 'prepare p as select 1'", None),
    ] {
        assert_eq!(parse(sql).unwrap().preparing("p"), found, "{sql}");
    }
}
