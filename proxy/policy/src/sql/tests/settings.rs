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
