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
            ("reset role", ""),
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
            ("copy t from '/etc/passwd'", "ServerFiles"),
            ("copy t to '/tmp/x'", "ServerFiles"),
            ("copy t from program 'id'", "ServerFiles"),
            ("copy (select 1) to program 'id'", "ServerFiles"),
            ("copy t to stdout", ""),
            ("create server s foreign data wrapper file_fdw", "ServerFiles"),
            ("create server s foreign data wrapper postgres_fdw", ""),
            ("select pg_read_file('x')", "ServerFileFunctions"),
            ("select pg_catalog.pg_read_binary_file('x')", "ServerFileFunctions"),
            ("select * from pg_ls_dir('/')", "ServerFileFunctions"),
            ("select pg_ls_waldir()", "ServerFileFunctions"),
            ("select pg_stat_file('x')", "ServerFileFunctions"),
            ("select lo_import('/etc/passwd')", "ServerFileFunctions"),
            ("select lo_get(1)", "ServerFileFunctions"),
            ("select loread(1, 2)", "ServerFileFunctions"),
            ("select 1 where pg_read_file('x') is null", "ServerFileFunctions"),
            ("values (pg_read_file('x'))", "ServerFileFunctions"),
            ("select pg_terminate_backend(1)", "SignalBackends"),
            ("select pg_cancel_backend(pid) from pg_stat_activity", "SignalBackends"),
            ("select pg_reload_conf()", "SignalBackends"),
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
            ("create trusted language plx handler h", ""),
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
