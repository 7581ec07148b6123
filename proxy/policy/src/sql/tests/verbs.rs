//! Verbs.

use super::*;

fn verbs(statement: &Statement) -> String {
    statement.verbs.iter().map(Verb::name).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_kind_of_statement_has_its_verbs() {
    table(
        &[
            ("select 1", "select"),
            ("values (1)", "select"),
            ("table t", "select"),
            ("select 1 into t", "select create"),
            ("create table t as select 1", "select create"),
            ("create materialized view m as select 1", "select create"),
            ("insert into t values (1)", "select insert"),
            ("insert into t default values", "insert"),
            ("insert into t values (1) on conflict do nothing", "select insert"),
            (
                "insert into t values (1) on conflict (a) do update set a = 2",
                "select insert update",
            ),
            ("update t set a = 1", "update"),
            ("delete from t", "delete"),
            (
                "merge into t using s on t.a = s.a when matched then delete",
                "delete merge",
            ),
            (
                "merge into t using s on true when matched then update set a = 1 when not matched then insert values (1)",
                "insert update merge",
            ),
            ("merge into t using s on true when matched then do nothing", "merge"),
            ("truncate t, u", "truncate"),
            ("create table t (a int)", "create"),
            ("create view v as select 1", "select create"),
            ("create index on t (a)", "create"),
            ("create function f() returns int language sql as 'select 1'", "create"),
            (
                "create function f() returns int begin atomic delete from t; select 1; end",
                "select delete create",
            ),
            ("create rule r as on insert to t do also delete from u", "delete create"),
            ("create trigger g after insert on t execute function f()", "create"),
            ("create schema s create table t (a int)", "create"),
            ("create extension hstore", "create"),
            ("create type t as enum ('a')", "create"),
            ("create sequence s", "create"),
            ("create database d", "create"),
            ("create policy p on t using (true)", "create"),
            ("alter table t add column b int", "alter"),
            ("alter table t rename to u", "alter"),
            ("alter table t owner to bob", "alter"),
            ("alter type t add value 'b'", "alter"),
            ("alter default privileges grant select on tables to bob", "alter grant"),
            ("alter database d set work_mem = '1MB'", "alter set"),
            ("drop table t", "drop"),
            ("drop owned by bob", "drop"),
            ("drop database d", "drop"),
            ("drop function f", "drop"),
            ("grant select on t to bob", "grant"),
            ("revoke select on t from bob", "revoke"),
            ("grant admins to bob", "grant"),
            ("copy t from stdin", "copy_from"),
            ("copy t to stdout", "copy_to"),
            ("copy (delete from t returning *) to stdout", "delete copy_to"),
            ("call p()", "call"),
            ("do 'begin end'", "do"),
            ("execute p", "execute"),
            ("prepare p as delete from t", "delete prepare"),
            ("deallocate p", "deallocate"),
            ("declare c cursor for select 1", "select declare"),
            ("fetch c", "fetch"),
            ("move c", "fetch"),
            ("close c", "close"),
            ("set a.b = 1", "set"),
            ("set local work_mem = '1MB'", "set"),
            ("set transaction read only", "set"),
            ("reset work_mem", "reset"),
            ("reset all", "reset"),
            ("show work_mem", "show"),
            ("select set_config('a.b', 'c', false)", "select set"),
            ("begin", "begin"),
            ("start transaction", "begin"),
            ("commit", "commit"),
            ("end", "commit"),
            ("rollback", "rollback"),
            ("abort", "rollback"),
            ("rollback to s", "rollback"),
            ("savepoint s", "savepoint"),
            ("release s", "savepoint"),
            ("prepare transaction 'x'", "prepare_transaction"),
            ("commit prepared 'x'", "commit"),
            ("rollback prepared 'x'", "rollback"),
            ("lock table t", "lock"),
            ("select pg_advisory_lock(1)", "select lock"),
            ("listen c", "listen"),
            ("notify c", "notify"),
            ("select pg_notify('c', 'x')", "select notify"),
            ("unlisten *", "unlisten"),
            ("vacuum t", "vacuum"),
            ("analyze t", "analyze"),
            ("explain delete from t", "delete explain"),
            ("explain analyze delete from t", "delete explain"),
            ("refresh materialized view m", "refresh"),
            ("comment on table t is 'x'", "comment"),
            ("security label on table t is 'x'", "security_label"),
            ("reindex table t", "reindex"),
            ("cluster t", "cluster"),
            ("discard all", "discard"),
            ("import foreign schema s from server v into t", "create import"),
            ("reassign owned by a to b", "reassign"),
            ("load 'x'", "load"),
            ("alter system set a = 1", "set alter_system"),
            ("checkpoint", "checkpoint"),
            ("set constraints all deferred", "constraints"),
            ("select nextval('s')", "select update"),
        ],
        verbs,
    );
}

#[test]
fn the_own_verb_is_that_of_the_statement() {
    table(
        &[
            ("with d as (delete from t returning *) select * from d", "select"),
            ("copy (select 1) to stdout", "copy_to"),
            ("explain delete from t", "explain"),
            ("prepare p as delete from t", "prepare"),
            ("select 1 into t", "create"),
            ("grant a to b", "grant"),
            ("set a.b = 1", "set"),
            ("reset all", "reset"),
            ("rollback to s", "rollback"),
            ("vacuum", "vacuum"),
        ],
        |statement| statement.verb.name().to_owned(),
    );
}

#[test]
fn reads_are_told_from_what_may_write() {
    table(
        &[
            ("select count(*), max(a), lower(b) from t", "true"),
            ("copy (select 1) to stdout", "true"),
            ("explain select 1", "true"),
            ("declare c cursor for select 1", "true"),
            ("show all", "true"),
            ("select 1 for update", "false"),
            ("select 1 from t for share", "false"),
            ("lock table t in access share mode", "true"),
            ("lock table t in row share mode", "false"),
            ("lock t", "false"),
            ("select f()", "false"),
            ("select pg_catalog.lower('A')", "true"),
            ("select public.lower('A')", "false"),
            ("select nextval('s')", "false"),
            ("select set_config('a.b', 'c', false)", "false"),
            ("select 1 into t", "false"),
            ("with d as (delete from t) select 1", "false"),
            ("select a operator(public.=) b from t", "false"),
            ("select a === b from t", "false"),
            ("select a from t order by a using ===", "false"),
            ("select 1 from t tablesample mine (1)", "false"),
            ("call p()", "false"),
            ("do 'x'", "false"),
            ("set a.b = 1", "false"),
            ("select current_query(), pg_stat_get_numscans(1)", "true"),
            ("select lo_get(1)", "false"),
            ("select ts_rewrite('a'::tsquery, 'select 1')", "false"),
            ("select query_to_xml('select 1', true, true, '')", "false"),
        ],
        |statement| statement.is_read().to_string(),
    );
}

#[test]
fn names_that_mean_others_are_told() {
    let cases: [(&str, &[&str]); 9] = [
        ("alter table s.a rename to b", &["a", "b"]),
        ("alter view if exists a rename to b", &["a", "b"]),
        ("alter table a set schema s", &["a"]),
        ("alter table a rename column x to y", &[]),
        ("alter table a rename constraint x to y", &[]),
        ("alter trigger x on a rename to y", &[]),
        ("alter function a() rename to b", &[]),
        ("alter table a add x int", &[]),
        ("create table a (x int)", &[]),
    ];
    for (sql, names) in cases {
        assert_eq!(parse(sql).unwrap().statements[0].renames(), names, "{sql}");
    }
}

#[test]
fn what_makes_code_is_known_by_its_kind() {
    for (sql, makes) in [
        ("create function f() returns int language sql as 'select 1'", true),
        (
            "create operator === (leftarg = int, rightarg = int, function = f)",
            true,
        ),
        ("create aggregate a (int) (sfunc = f, stype = int)", true),
        ("create trigger t before insert on notes execute function f()", true),
        ("alter function s.f() set schema public", true),
        ("alter function g() rename to f", true),
        ("alter schema s rename to public", true),
        ("alter table notes rename to others", false),
        ("alter table notes set schema s", false),
        ("create schema s", false),
        ("create table t (a int)", false),
        ("select f()", false),
    ] {
        assert_eq!(parse(sql).unwrap().statements[0].makes_code(), makes, "{sql}");
    }
}

#[test]
fn what_only_gives_another_name_is_told_from_what_does_more() {
    for (sql, renames) in [
        ("alter table notes rename to others", true),
        ("alter table notes rename note to other", true),
        ("alter view v set schema s", true),
        ("alter table notes add a text", false),
        ("alter table notes alter id type text", false),
        ("alter schema s rename to t", false),
        ("alter function f() rename to g", false),
        ("create table t (a int)", false),
    ] {
        assert_eq!(parse(sql).unwrap().statements[0].only_renames(), renames, "{sql}");
    }
}
