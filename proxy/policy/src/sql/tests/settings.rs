//! Settings whose names do not stand in the text as they are.

use super::*;

#[test]
fn a_setting_that_may_be_the_role_is_denied() {
    table(
        &[
            ("select set_config('work_mem'::text, '1MB', false)", ""),
            ("select set_config('work_mem'::varchar, '1MB', false)", ""),
            // Cut to the name of another.
            (
                "select set_config('role_x'::varchar(4), 'bob', false)",
                "SessionAuthorization",
            ),
            (
                "select set_config('role_x'::char(4), 'bob', false)",
                "SessionAuthorization",
            ),
            ("select set_config('role_x'::t4, 'bob', false)", "SessionAuthorization"),
            (
                "select set_config(name, 'bob', false) from pg_settings where name = 'role_x'::varchar(4)",
                "SessionAuthorization",
            ),
            // Not PostgreSQL's own view, or not its column.
            (
                "with pg_settings as (select current_setting('app.x') as name) select set_config(name, 'bob', false) from pg_settings where name = 'app.x'",
                "SessionAuthorization",
            ),
            (
                "with a as (update t set x = set_config(name, 'bob', false) returning 1) select 1 from pg_settings where name = 'work_mem'",
                "SessionAuthorization",
            ),
        ],
        |statement| {
            let classes = statement.denied.iter().map(|denied| format!("{:?}", denied.class));
            classes.collect::<Vec<_>>().join(" ")
        },
    );
}

#[test]
fn what_a_transaction_is_begun_as_is_a_setting() {
    table(
        &[
            ("begin", ""),
            ("begin read write", "transaction_read_only"),
            (
                "start transaction isolation level serializable, not deferrable",
                "transaction_isolation transaction_deferrable",
            ),
            ("set transaction read write", "transaction transaction_read_only"),
            (
                "set session characteristics as transaction read write",
                "session characteristics default_transaction_read_only",
            ),
            ("set transaction_read_only = off", "transaction_read_only"),
            ("set search_path = a, b", "search_path"),
            ("set transaction snapshot 'x'", "transaction snapshot"),
            ("commit and chain", ""),
        ],
        |statement| {
            let names = statement.settings.iter().filter_map(|setting| setting.name.as_deref());
            names.collect::<Vec<_>>().join(" ")
        },
    );
}
