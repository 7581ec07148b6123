//! What is refused whatever the rules say.

use super::*;

fn denied(statement: &Statement) -> String {
    statement
        .denied
        .iter()
        .map(|denied| format!("{:?}", denied.class))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn always_denied() {
    table(
        &[
            ("create role r", "Roles"),
            ("create user u password 'x'", "Roles"),
            ("alter role r superuser", "Roles"),
            ("alter user current_user password 'x'", "Roles"),
            ("alter role all set work_mem = '1MB'", "Roles"),
            ("alter role r rename to s", "Roles"),
            ("alter group g add user u", "Roles"),
            ("drop role r", "Roles"),
            ("grant r to s", "Roles"),
            ("revoke r from s", "Roles"),
            ("set session authorization bob", "SessionAuthorization"),
            ("set session authorization default", ""),
            ("reset session authorization", ""),
            ("set role bob", "SessionAuthorization"),
            ("set local role bob", "SessionAuthorization"),
            ("set role to bob", "SessionAuthorization"),
            ("set role none", ""),
            ("set role 'none'", ""),
            ("set role \"NONE\"", "SessionAuthorization"),
            ("reset role", ""),
            ("do $$ begin set role \"NONE\"; end $$", "SessionAuthorization"),
            ("do $$ begin set local role \"default\"; end $$", "SessionAuthorization"),
            ("do $$ begin set role to \"None\"; end $$", "SessionAuthorization"),
            (
                "do $$ begin set role \"none\"; set role NONE; set role default; end $$",
                "",
            ),
            ("select set_config('role', 'bob', false)", "SessionAuthorization"),
            ("select set_config('ROLE', 'bob', false)", "SessionAuthorization"),
            (
                "select pg_catalog.set_config('session_authorization', 'bob', false)",
                "SessionAuthorization",
            ),
            ("select set_config('ro'||'le', 'bob', false)", "SessionAuthorization"),
            (
                "select set_config(name, setting, false) from pg_settings",
                "SessionAuthorization",
            ),
            (
                "select set_config(new_value => 'bob', setting_name => 'role', is_local => false)",
                "SessionAuthorization",
            ),
            ("select set_config('work_mem', '1MB', false)", ""),
            // pg_dump's own way.
            (
                "select set_config(name, 'view, foreign-table', false) from pg_settings where name = 'restrict_nonsystem_relation_kind'",
                "",
            ),
            (
                "select set_config(name, 'bob', false) from pg_settings where name = 'role'",
                "SessionAuthorization",
            ),
            (
                "select set_config(name, 'bob', false) from pg_settings where name = 'work_mem' or name = 'role'",
                "SessionAuthorization",
            ),
            (
                "select set_config(name, 'bob', false) from pg_settings, t where name = 'work_mem'",
                "SessionAuthorization",
            ),
            (
                "select set_config(name || '', 'bob', false) from pg_settings where name = 'work_mem'",
                "SessionAuthorization",
            ),
            (
                "select (select set_config(name, 'bob', false) from u) from pg_settings where name = 'work_mem'",
                "SessionAuthorization",
            ),
            (
                "select set_config(name, 'bob', false) from s.pg_settings where name = 'work_mem'",
                "SessionAuthorization",
            ),
            (
                "select set_config(name, 'bob', false) from pg_settings where name <> 'work_mem'",
                "SessionAuthorization",
            ),
            (
                "create function f() returns int language sql set role = 'x' as 'select 1'",
                "SessionAuthorization",
            ),
            ("alter system set a = 1", "AlterSystem"),
            ("alter system reset all", "AlterSystem"),
            ("load 'x'", "Load"),
            ("alter database d set session_preload_libraries = 'x'", "Roles Load"),
            ("alter database d set \"Local_Preload_Libraries\" to x", "Roles Load"),
            ("alter database d reset session_preload_libraries", "Roles"),
            ("alter database d set work_mem = '1MB'", "Roles"),
            ("alter database d set search_path = evil, public", "Roles"),
            ("alter database d reset all", "Roles"),
            ("alter role r in database d reset work_mem", "Roles"),
            ("alter database d with connection limit 7", ""),
            ("alter database d owner to r", ""),
            ("copy t from '/etc/passwd'", "ServerFiles"),
            ("copy t to '/tmp/x'", "ServerFiles"),
            ("copy t from program 'id'", "ServerFiles"),
            ("copy (select 1) to program 'id'", "ServerFiles"),
            ("copy t to stdout", ""),
            ("create tablespace s location '/tmp/x'", "ServerFiles"),
            ("create tablespace s owner r location ''", "ServerFiles"),
            ("alter tablespace s set (seq_page_cost = 7)", "ServerFiles"),
            ("alter tablespace s reset (seq_page_cost)", "ServerFiles"),
            ("alter tablespace s owner to r", "ServerFiles"),
            ("alter tablespace s rename to u", "ServerFiles"),
            ("drop tablespace s", ""),
            ("create table t (a int) tablespace s", ""),
            ("alter table t set tablespace s", ""),
            ("create server s foreign data wrapper file_fdw", "ServerFiles"),
            ("create server s foreign data wrapper postgres_fdw", ""),
            ("select pg_read_file('x')", "ServerFileFunctions"),
            ("select pg_catalog.pg_read_binary_file('x')", "ServerFileFunctions"),
            ("select * from pg_ls_dir('/')", "ServerFileFunctions"),
            ("select pg_ls_waldir()", "ServerFileFunctions"),
            // Dumps in several sessions see by it.
            ("select pg_catalog.pg_export_snapshot()", ""),
            ("set transaction snapshot '00000003-0000001B-1'", ""),
            ("select pg_stat_file('x')", "ServerFileFunctions"),
            ("select * from pg_hba_file_rules", "ServerFileFunctions"),
            (
                "copy (table pg_catalog.pg_file_settings) to stdout",
                "ServerFileFunctions",
            ),
            ("select * from app.pg_ident_file_mappings", ""),
            (
                "do $$ begin perform count(*) from pg_hba_file_rules; end $$",
                "ServerFileFunctions",
            ),
            (
                "do $$ declare n int; begin select count(*) into n from \"pg_catalog\".\"pg_file_settings\"; end $$",
                "ServerFileFunctions",
            ),
            (
                "create function f() returns bigint language sql as 'select count(*) from pg_ident_file_mappings'",
                "ServerFileFunctions",
            ),
            ("do $$ begin perform count(*) from pg_settings; end $$", ""),
            ("select lo_import('/etc/passwd')", "ServerFileFunctions"),
            ("select lo_get(1)", "ServerFileFunctions"),
            ("select loread(1, 2)", "ServerFileFunctions"),
            ("select 1 where pg_read_file('x') is null", "ServerFileFunctions"),
            // What looks like a field is a call by one value.
            ("select ('x'::text).pg_read_file", "ServerFileFunctions"),
            ("select (t.x).pg_ls_dir from t", "ServerFileFunctions"),
            (
                "select x.pg_read_binary_file from cast('x' as text) x",
                "ServerFileFunctions",
            ),
            ("select (1::oid).lo_get", "ServerFileFunctions"),
            ("select (1).pg_terminate_backend", "SignalBackends"),
            (
                "select l.lo_orderkey, (l.x).lo_custkey, pg_read_file from lineorder l",
                "",
            ),
            ("values (pg_read_file('x'))", "ServerFileFunctions"),
            ("select pg_terminate_backend(1)", "SignalBackends"),
            ("select pg_cancel_backend(pid) from pg_stat_activity", "SignalBackends"),
            ("select pg_reload_conf()", "SignalBackends"),
            ("drop database d", ""),
            ("drop database d with (force)", "SignalBackends"),
            (
                "select data from pg_logical_slot_get_changes('s1',null,null)",
                "Replication",
            ),
            ("select pg_create_logical_replication_slot('a', 'b')", "Replication"),
            ("select pg_replication_origin_create('x')", "Replication"),
            ("create subscription s connection 'x' publication p", "Replication"),
            ("alter subscription s disable", "Replication"),
            ("create publication p for all tables", "Replication"),
            (
                "create function f() returns int language c as 'a', 'b'",
                "UntrustedFunctions",
            ),
            ("create function f() returns int as 'a', 'b'", "UntrustedFunctions"),
            (
                "create function f() returns int language internal as 'x'",
                "UntrustedFunctions",
            ),
            (
                "create function f() returns int language plpython3u as 'x'",
                "UntrustedFunctions",
            ),
            (
                "create function f() returns int language 'PLPERLU' as 'x'",
                "UntrustedFunctions",
            ),
            ("create procedure f() language plperlu as 'x'", "UntrustedFunctions"),
            ("create function f() returns int language plpgsql as 'x'", ""),
            ("create function f() returns int return 1", ""),
            ("do language plpython3u 'x'", "UntrustedFunctions"),
            ("do 'x'", ""),
            ("create language plx handler h", "UntrustedFunctions"),
            ("create trusted language plv8 handler h", "UntrustedFunctions"),
            ("alter language plpython3u rename to sql", "UntrustedFunctions"),
            (
                "create function f() returns int language plperl as 'x'",
                "UntrustedFunctions",
            ),
            ("create extension if not exists pgcrypto", ""),
            ("create extension plpython3u", "UntrustedFunctions"),
            ("alter extension pgcrypto add function f()", "UntrustedFunctions"),
            ("create language plpython3u", "UntrustedFunctions"),
            (
                "create foreign data wrapper w handler file_fdw_handler",
                "UntrustedFunctions",
            ),
            (
                "create foreign table t (a text) server s options (filename '/etc/passwd')",
                "ServerFiles",
            ),
            ("alter foreign table t options (set program 'id')", "ServerFiles"),
            ("create foreign table t (a text) server s options (table_name 'x')", ""),
            (
                "create operator @@@ (rightarg = int4, function = pg_cancel_backend)",
                "SignalBackends",
            ),
            (
                "create cast (int4 as text) with function pg_catalog.pg_read_file(int4)",
                "ServerFileFunctions",
            ),
            (
                "create aggregate a(int4) (sfunc = pg_terminate_backend, stype = bool)",
                "SignalBackends",
            ),
            (
                "create event trigger e on ddl_command_end execute function pg_rotate_logfile()",
                "SignalBackends",
            ),
            (
                "create trigger e after insert on t execute function pg_reload_conf()",
                "SignalBackends",
            ),
            (
                "select query_to_xml('select pg_read_file(''x'')', true, false, '')",
                "ServerFileFunctions",
            ),
            (
                "select query_to_xml(query => 'select set_config(''role'', ''x'', false)', nulls => true, tableforest => false, targetns => '')",
                "SessionAuthorization",
            ),
            (
                "select * from ts_stat($$select to_tsvector(pg_read_file('x'))$$)",
                "ServerFileFunctions",
            ),
            ("select dblink_exec('host=x', 'alter role bob superuser')", "Roles"),
            (
                "do $$ begin perform query_to_xml('select pg_read_file(''x'')', true, false, ''); end $$",
                "ServerFileFunctions",
            ),
            ("select query_to_xml('select 1', true, false, '')", ""),
            ("select log_message('alter role bob superuser')", ""),
            ("explain analyze select pg_read_file('x')", "ServerFileFunctions"),
            ("prepare p as select pg_read_file('x')", "ServerFileFunctions"),
            (
                "with a as (select lo_import('x')) select * from a",
                "ServerFileFunctions",
            ),
            (
                "create table t (a text default pg_read_file('x'))",
                "ServerFileFunctions",
            ),
            ("call pg_terminate_backend(1)", "SignalBackends"),
            ("select a from t order by pg_reload_conf()", "SignalBackends"),
            ("grant select on t to bob", ""),
            ("notify x", ""),
        ],
        denied,
    );
}

#[test]
fn reasons_name_what_it_is() {
    let statement = one("select pg_read_file('x')");
    assert!(
        statement.denied[0]
            .reason()
            .starts_with("function pg_read_file is always refused here: ")
    );
}

#[test]
fn the_role_of_a_set_role_is_told_where_it_stands_in_so_many_words() {
    for (sql, role) in [
        ("set role Bob", Some("bob")),
        ("set role 'Bob'", Some("Bob")),
        ("set local role to bob", Some("bob")),
        ("set session authorization bob", None),
        ("select set_config('role', 'bob', false)", None),
        ("do $$ begin set role bob; end $$", None),
    ] {
        let statement = one(sql);
        let roles: Vec<_> = statement.denied.iter().map(|denied| denied.role.as_deref()).collect();
        assert_eq!(roles, [role], "{sql}");
    }
}

#[test]
fn bodies_are_looked_into() {
    let fn_of = |language: &str, body: &str| {
        let statement = one(&format!(
            "create function f() returns int language {language} as $f$ {body} $f$"
        ));
        denied(&statement)
    };
    for (body, expected) in [
        ("select pg_read_file('/etc/passwd')", "ServerFileFunctions"),
        ("select 1; alter role app password 'x'", "Roles"),
        (
            "create function g() returns int language sql as 'select pg_reload_conf()'",
            "SignalBackends",
        ),
        ("select count(*) from customers where note = 'alter role app'", ""),
        ("update staff set role = 'clerk'", ""),
        ("update pg_class set relfilenode = 1", "AlterSystem"),
        ("insert into pg_temp.t select oid from pg_class", ""),
        ("this is no SQL", ""),
        // A table alias to PostgreSQL 15, and no SQL to a later one.
        ("select 1 from t system_user; alter role app superuser", "Roles"),
        ("select pg_read_file('x') from t system_user", "ServerFileFunctions"),
        ("select 1 from t system_user where note = 'alter role app'", ""),
    ] {
        assert_eq!(fn_of("sql", body), expected, "{body}");
    }
    for (body, expected) in [
        (
            "begin perform pg_terminate_backend(pid) from pg_stat_activity; end",
            "SignalBackends",
        ),
        (
            "begin perform pg_catalog . pg_cancel_backend (1); end",
            "SignalBackends",
        ),
        (r#"begin perform "pg_cancel_backend"(1); end"#, "SignalBackends"),
        ("begin perform ('x'::text).pg_read_file; end", "ServerFileFunctions"),
        (
            r#"begin perform U&"pg_cancel!005fbackend" uescape '!' (1); end"#,
            "UntrustedFunctions",
        ),
        ("begin alter /* a */ role app password 'x'; end", "Roles"),
        ("begin alter database d set search_path = evil; end", "Roles"),
        ("begin alter database d reset all; end", "Roles"),
        ("begin alter database d owner to r; end", ""),
        ("begin create tablespace s location '/tmp/x'; end", "ServerFiles"),
        // A comment ends there, and no literal of escapes begins there.
        ("begin -- a\r alter role app superuser; end", "Roles"),
        (
            r"begin x := a$e '\'; y := f$e'\'; alter role app superuser; z := 'x'; end",
            "Roles",
        ),
        ("<<l>> alter user app password 'x';", "Roles"),
        ("begin if true then set role admin; end if; end", "SessionAuthorization"),
        ("begin set local role to 'admin'; end", "SessionAuthorization"),
        ("begin set session authorization app; end", "SessionAuthorization"),
        (
            "begin set session session_authorization = app; end",
            "SessionAuthorization",
        ),
        (r#"begin set "ROLE" = app; end"#, "SessionAuthorization"),
        (
            "begin reset role; set role none; set session authorization default; end",
            "",
        ),
        (
            "begin perform set_config('role', 'admin', false); end",
            "SessionAuthorization",
        ),
        (
            "begin perform set_config('ro' || 'le', 'admin', false); end",
            "SessionAuthorization",
        ),
        ("begin perform set_config('work_mem', '1MB', false); end", ""),
        (
            "begin execute 'alter role app password ' || quote_literal(x); end",
            "Roles",
        ),
        (r"begin execute e'alter\x20role app'; end", "Roles"),
        (r"begin execute u&'\0061lter role app'; end", "Roles"),
        (
            "begin execute u&'!0061lter role app' uescape '!'; end",
            "UntrustedFunctions",
        ),
        ("begin execute format('grant %I to bob', r); end", "Roles"),
        ("begin q := 'copy t to program ''id'''; execute q; end", "ServerFiles"),
        ("begin execute $$select pg_read_file('x')$$; end", "ServerFileFunctions"),
        (
            "begin execute 'do ''begin alter system set a = 1; end'''; end",
            "AlterSystem",
        ),
        ("begin create extension file_fdw; end", "UntrustedFunctions"),
        ("alter extension x add type t", "UntrustedFunctions"),
        ("begin insert into pg_catalog.pg_authid select 1; end", "AlterSystem"),
        ("delete from only (pg_authid)", "AlterSystem"),
        ("update bank . pg_catalog.pg_authid set a = 1", "AlterSystem"),
        ("begin update pgbench set a = 1; delete from pg_temp.t; end", ""),
        ("update only (app.pg_log) set a = 1; insert into bank.app.pg_log", ""),
        (
            "begin create function g() returns int language c as 'a', 'b'; end",
            "UntrustedFunctions",
        ),
        (
            "begin create function g() returns int language sql as 'select lo_get(1)'; end",
            "ServerFileFunctions",
        ),
        (
            "begin create operator @@ (rightarg = int4, function = pg_catalog.pg_cancel_backend); end",
            "SignalBackends",
        ),
        ("begin alter function g() set role = 'x'; end", "SessionAuthorization"),
        (
            "begin create user mapping for bob server s; grant select on t to bob; revoke all on t from bob; end",
            "",
        ),
        (
            "begin update staff set role = 'clerk'; alter table staff drop role; end",
            "",
        ),
        (
            "declare role text; begin raise notice 'alter role % to nobody', role; load := 1; end",
            "",
        ),
        ("begin select copy, grant_to into a, b from load; end", ""),
    ] {
        assert_eq!(fn_of("plpgsql", body), expected, "{body}");
        assert_eq!(denied(&one(&format!("do $f$ {body} $f$"))), expected, "{body}");
    }
}

#[test]
fn a_body_reads_the_worse_way_where_a_backslash_may_escape() {
    // With standard_conforming_strings off the first literal ends before the second semicolon, and what follows is code.
    let body = r"begin x := '\' || '; alter role app password null; --'; end";
    assert_eq!(denied(&one(&format!("do $f$ {body} $f$"))), "Roles");
}

#[test]
fn bodies_within_too_many_bodies_are_refused() {
    let mut body = "begin perform 1; end".to_owned();
    for level in 0..12 {
        body = format!("begin execute $t{level}$ do $u{level}$ {body} $u{level}$ $t{level}$; end");
    }
    assert!(denied(&one(&format!("do $f$ {body} $f$"))).contains("UntrustedFunctions"));
}
