//! What functions leave where no mask follows.

use super::*;

#[test]
fn what_is_left_in_settings_sequences_and_locks_is_known_as_far_as_names_are() {
    for (sql, columns, any) in [
        ("select set_config('a.b', ssn, false) from customers", "s", false),
        ("select x from customers, pg_advisory_lock(ssn_num) x", "n", false),
        ("select nextval('q'), setval('q', 7), pg_advisory_lock(1)", "", false),
        // What extensions keep for the session.
        ("select set_limit((ssn_num / 1e9)::real) from customers", "n", false),
        (
            "select x.isn_weak from (select ssn = 'a' from customers) x (isn_weak)",
            "",
            false,
        ),
        ("select isn_weak(ssn = 'a') from customers", "s", false),
        ("select set_limit(0.3), isn_weak(true), isn_weak()", "", false),
        // What is run with a value in it may leave it.
        (
            "select query_to_xml('select f(' || ssn || ')', true, true, '') from customers",
            "s",
            false,
        ),
        (
            "select t.word from customers, ts_stat('select f(' || ssn || ')') t",
            "s",
            false,
        ),
        (
            "select dblink_exec('x', 'insert into t values (' || ssn_num || ')') from customers",
            "n",
            false,
        ),
        ("select ('select f(' || ssn || ')').ts_stat from customers", "s", false),
        (
            "select query_to_xml('select ssn from customers', true, true, '')",
            "",
            false,
        ),
        // Statistics of the planner, and a view that cannot be read.
        (
            "select set_config('a.b', most_common_vals, false) from pg_stats",
            "",
            true,
        ),
        ("select setval('q', max(a)) from v_hidden", "", true),
        // A name that is lost may be any column there is.
        ("select setval('q', nosuch) from customers", "sn", false),
        // What nobody knows is what the same unit made.
        ("select setval('q', max(x)) from nosuch", "", false),
    ] {
        let found = trace(sql);
        assert_eq!(
            (letters(found.sunk.columns()).as_str(), found.sunk.any),
            (columns, any),
            "{sql}"
        );
    }
    assert!(trace("select setval('q', 7)").sunk.is_clean());
    assert!(!trace("select setval('q', max(x)) from nosuch").sunk.is_clean());
}

#[test]
fn what_a_part_leaves_the_whole_leaves() {
    let mut whole = trace("explain analyze execute p");
    whole.absorb(trace("select set_config('a.b', ssn, false) from customers, pg_stats"));
    whole.absorb(trace("select set_config('a.b', most_common_vals, false) from pg_stats"));
    assert_eq!(letters(whole.sunk.columns()), "s");
    assert!(whole.sunk.any);
}

#[test]
fn a_definition_may_hand_on_what_comes_later() {
    for (sql, any) in [
        (
            "create table t (x text check (set_config('a.b', x, false) is not null))",
            true,
        ),
        (
            "alter table notes add check (set_config('a.b', note, false) is not null)",
            true,
        ),
        (
            "alter table notes add x text check (pg_try_advisory_lock(id::int))",
            true,
        ),
        (
            "create domain d as text check (set_config('a.b', value, false) is not null)",
            true,
        ),
        (
            "alter domain d add check (set_config('a.b', value, false) is not null)",
            true,
        ),
        (
            "create trigger g before update on notes for each row when (set_config('a.b', old.note, false) is null) \
             execute function suppress_redundant_updates_trigger()",
            true,
        ),
        (
            "create rule r as on insert to notes do also select pg_notify('c', new.note)",
            true,
        ),
        (
            "create policy p on notes using (set_config('a.b', note, true) is not null)",
            true,
        ),
        (
            "create schema s create table t (x text check (set_config('a.b', x, false) is not null))",
            true,
        ),
        (
            "create statistics s on (pg_try_advisory_lock(id::int)), note from notes",
            true,
        ),
        (
            "create operator @@@@ (rightarg = bigint, function = pg_try_advisory_lock)",
            true,
        ),
        (
            "create operator @@@@ (rightarg = bigint, function = pg_catalog.pg_try_advisory_lock)",
            true,
        ),
        (
            "create operator @@@@ (leftarg = text, rightarg = text, procedure = 'pg_notify')",
            true,
        ),
        (
            "create aggregate g(bigint) (sfunc = int8pl, stype = bigint, finalfunc = pg_try_advisory_lock)",
            true,
        ),
        (
            "create cast (bigint as boolean) with function pg_try_advisory_lock(bigint)",
            true,
        ),
        (
            "create aggregate g(bigint) (sfunc = int8pl, stype = bigint, initcond = '0')",
            false,
        ),
        ("create statistics s on id, (upper(note)) from notes", false),
        (
            "create table t (id int default nextval('q'), x text check (length(x) > 1))",
            false,
        ),
        ("create policy p on notes using (note = current_setting('a.b'))", false),
        (
            "create rule r as on insert to notes do also insert into acct values (nextval('q'), new.note)",
            false,
        ),
    ] {
        assert_eq!(trace(sql).sunk.any, any, "{sql}");
    }
}
