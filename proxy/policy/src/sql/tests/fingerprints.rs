//! What one fingerprint covers, and what it never does.

use super::*;

fn fingerprint(sql: &str) -> Digest {
    one(sql)
        .fingerprint()
        .unwrap_or_else(|| panic!("{sql}: no fingerprint"))
}

#[test]
fn spelling_does_not_matter() {
    let cases = [
        (
            "select a from t where id = $1",
            "SELECT  a\nFROM t -- why\nWHERE /* x */ id=$1;",
        ),
        ("select A from T", "select a from t"),
        ("select 'x'", "select $$x$$"),
        ("select E'a\\tb'", "select 'a\tb'"),
        ("delete from t where id in ($1, $2)", "delete from t where id in($1,$2)"),
        ("insert into t values ($1)", "INSERT INTO t\n\nVALUES($1)"),
        ("select cast(a as int)", "select a::int"),
        ("select 1", "   select 1   "),
    ];
    for (a, b) in cases {
        assert_eq!(fingerprint(a), fingerprint(b), "{a} | {b}");
    }
}

#[test]
fn everything_but_bound_values_does() {
    let cases = [
        ("select * from t where id > 0", "select * from t where id > 999999"),
        (
            "delete from t where id = $1 or false",
            "delete from t where id = $1 or true",
        ),
        ("delete from prod.x", "delete from x"),
        ("select * from ledger_2024", "select * from ledger_2025"),
        ("select * from t limit 1", "select * from t limit 1000000"),
        ("select * from t limit 1", "select * from t offset 1"),
        (
            "select * from t order by a limit 1",
            "select * from t order by a fetch first 1 rows with ties",
        ),
        ("delete from t where id = $1", "delete from t where id = $2"),
        ("delete from t where id = $1", "delete from t where id = 1"),
        ("delete from t where id = $1", "delete from t where id <> $1"),
        (
            "delete from t where id = $1",
            "delete from t where id operator(public.=) $1",
        ),
        ("delete from t where id = $1", "delete from t"),
        ("delete from t where id in ($1)", "delete from t where id in ($1, $2)"),
        ("delete from t where id in (1)", "delete from t where id not in (1)"),
        ("select '1'", "select 1"),
        ("select 1", "select 1.0"),
        ("select null", "select ''"),
        ("select 0", "select false"),
        ("select b'1'", "select '1'"),
        ("select a", "select \"A\""),
        ("select a as b from t", "select a as c from t"),
        ("select f(a)", "select g(a)"),
        ("select f(a)", "select s.f(a)"),
        ("select count(a) from t", "select count(distinct a) from t"),
        ("select count(*) from t", "select count(1) from t"),
        ("select * from t", "select distinct * from t"),
        ("select * from t", "select * from only t"),
        ("select * from t order by a", "select * from t order by a desc"),
        ("select * from t order by a", "select * from t order by a nulls first"),
        ("select * from t for update", "select * from t for share"),
        ("select * from t for update", "select * from t for update nowait"),
        (
            "select a from t union select a from u",
            "select a from t union all select a from u",
        ),
        (
            "select a from t union select a from u",
            "select a from t except select a from u",
        ),
        ("select * from a join b on true", "select * from a left join b on true"),
        ("select * from a join b using (x)", "select * from a natural join b"),
        ("select a::int", "select a::bigint"),
        ("select a::varchar(1)", "select a::varchar(2)"),
        ("insert into t values (1)", "insert into t values (1), (1)"),
        (
            "insert into t (a, b) values (1, 2)",
            "insert into t (b, a) values (1, 2)",
        ),
        (
            "insert into t values (1) on conflict do nothing",
            "insert into t values (1)",
        ),
        (
            "insert into t overriding system value values (1)",
            "insert into t values (1)",
        ),
        ("update t set a = 1", "update t set a = 2"),
        ("update t set a = 1", "update t set b = 1"),
        ("delete from t returning a", "delete from t returning b"),
        (
            "with x as materialized (select 1) select * from x",
            "with x as (select 1) select * from x",
        ),
        (
            "with x as (select 1) select * from x",
            "with recursive x as (select 1) select * from x",
        ),
        ("select case when a then 1 end", "select case when a then 1 else 2 end"),
        ("select a between 1 and 2", "select a not between 1 and 2"),
        ("select a like 'x'", "select a ilike 'x'"),
        ("select a is null", "select a is not null"),
        (
            "select sum(a) over (order by b)",
            "select sum(a) over (order by b rows unbounded preceding)",
        ),
    ];
    for (a, b) in cases {
        assert_ne!(fingerprint(a), fingerprint(b), "{a} | {b}");
    }
}

#[test]
fn utilities_are_granted_verbatim_only() {
    let verbatim = [
        "do 'x'",
        "call p(1)",
        "execute p(1)",
        "set role a",
        "grant select on t to bob",
        "create table t (a int)",
        "create table t as select 1",
        "select 1 into t",
        "drop table t",
        "truncate t",
        "copy t to stdout",
        "explain analyze delete from t",
        "prepare p as delete from t",
        "declare c cursor for select 1",
        "create function f() returns int language sql as 'select 1'",
        "begin",
        "vacuum",
        "refresh materialized view m",
    ];
    for sql in verbatim {
        assert_eq!(one(sql).fingerprint(), None, "{sql}");
    }
}

#[test]
fn two_readings_are_kept_where_a_backslash_changes_the_tree() {
    let cases = [
        ("select 'a'", 1),
        ("select E'a\\n'", 1),
        ("select $$a\\$$", 1),
        ("select \"a\\b\"", 1),
        ("select 1 -- a\\", 1),
        ("select 'a\\n'", 2),
        ("select 'a\\\\'", 2),
        // One reading is no SQL: the server would refuse it.
        ("select 'a\\' or 1", 1),
        ("select 'a\\', ' union select ssn from customers --'", 2),
        ("select 'a\\'' union select ssn from customers --'", 2),
    ];
    for (sql, readings) in cases {
        assert_eq!(parse(sql).unwrap().readings().count(), readings, "{sql}");
    }
    let script = parse("select 'a\\', ' union select ssn from customers --'").unwrap();
    let smuggled = script
        .readings()
        .any(|reading| reading[0].relations.iter().any(|one| one.name == "customers"));
    assert!(smuggled && script.is_ambiguous());
    // Also where the readings have different numbers of statements.
    let script = parse("select '\\'', 1; drop table t; --'").unwrap();
    let counts: Vec<usize> = script.readings().map(<[Statement]>::len).collect();
    assert_eq!(counts, [1, 2]);
}
