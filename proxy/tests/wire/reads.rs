//! What of a catalog is read again, and that nothing that was left out is missed.

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};

const SCHEMA: &str = "
CREATE TABLE customers (id int, ssn text);
CREATE TABLE plain (id int, note text, other text);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM plain;
CREATE DOMAIN label AS text;";

/// The beginning of a question for the whole catalog, or for what of it is not known.
const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// What the questions for code under names of PostgreSQL's own have in them.
const CODE: &str = "WITH known(oid, name, named)";
/// The end of the question for all relations, to a session's own backend.
const OWN: &str = "ROLLBACK TO SAVEPOINT sallyport_catalog";

/// What a COPY hangs on is not looked at by itself: it has the whole catalog made sure of.
const WHOLE: &str = "copy plain to stdout";

/// What changes rows of pg_class and nothing that is known of them.
const NOTHING_NEW: [&str; 4] = [
    "truncate plain",
    "refresh materialized view counted",
    "grant select on plain to public",
    "alter table plain set (fillfactor = 50)",
];

fn door() -> TestDoor {
    let columns = json!({"match": {"columns": ["public.customers.ssn"]}, "profile": "Strict"});
    let door = TestDoor::new(&Given::open().mask("columns", columns), SCHEMA);
    door.direct(&format!("alter database {} set log_statement = 'all'", door.database));
    door
}

/// How often this is in what the target was asked.
fn asked(door: &TestDoor, what: &str) -> usize {
    door.server().log_of(&door.database).matches(what).count()
}

/// Whether a statement was answered, and not refused.
fn runs(client: &mut Client, sql: &str) -> bool {
    let said = tags(&client.query(sql));
    assert!(!said.is_empty());
    !said.contains('E')
}

/// Definitions after which only what changes is read.
fn warmed(door: &TestDoor, client: &mut Client) {
    for round in 0..4 {
        door.direct(&format!("create table unrelated_{round} (id int default {round})"));
        assert!(runs(client, WHOLE));
    }
}

#[test]
fn what_changes_nothing_that_is_known_has_nothing_read_again() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    warmed(&door, &mut client);
    let before = asked(&door, READING);
    assert!(before > 0, "the log does not tell");
    for sql in NOTHING_NEW {
        door.direct(sql);
        assert!(runs(&mut client, WHOLE), "{sql}");
        assert_eq!(asked(&door, READING), before, "{sql}");
    }
    for sql in [
        "alter table plain rename to other",
        "alter table other rename to plain",
        "alter table plain enable row level security",
        "create index on plain (note)",
    ] {
        let before = asked(&door, READING);
        door.direct(sql);
        runs(&mut client, WHOLE);
        assert!(asked(&door, READING) > before, "{sql}");
    }
}

#[test]
fn code_is_read_where_it_changed_and_nothing_of_it_is_missed() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    warmed(&door, &mut client);
    let (read, written) = ("select lower(note) from plain", "insert into plain (note) values ('x')");
    for (sql, reads, writes) in [
        (
            "create function lower(int) returns text language sql as 'select 1::text'",
            false,
            true,
        ),
        ("create table unrelated_4 (id int)", false, true),
        ("drop function lower(int)", true, true),
        (
            "create function f() returns text language sql as 'select 1::text'",
            true,
            true,
        ),
        ("alter table plain alter other set default f()", true, false),
        ("create table unrelated_5 (id int)", true, false),
        ("alter table plain alter other set default 'a'::label", true, true),
        ("create table unrelated_6 (id int)", true, true),
        ("create table unrelated_7 (id int)", true, true),
        ("create table unrelated_8 (id int)", true, true),
        (
            "alter domain label add constraint checked check (f() is not null)",
            true,
            false,
        ),
        ("create table unrelated_9 (id int)", true, false),
        ("alter domain label drop constraint checked", true, true),
    ] {
        let before = asked(&door, "EXECUTE sallyport_namesakes");
        door.direct(sql);
        assert!(runs(&mut client, WHOLE), "{sql}");
        assert_eq!(runs(&mut client, read), reads, "{sql}");
        assert_eq!(runs(&mut client, written), writes, "{sql}");
        let named = asked(&door, "EXECUTE sallyport_namesakes") - before;
        assert_eq!(named > 0, sql.contains("function"), "{sql}");
    }
}

#[test]
fn a_transaction_that_defines_is_asked_for_code_where_it_wrote_some() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    warmed(&door, &mut client);
    client.query("begin");
    let before = (asked(&door, CODE), asked(&door, OWN));
    for sql in [
        "create table made (id serial, note text check (note > ''))",
        "insert into made (note) values ('x')",
        "select lower(note) from made",
        "select lower(note) from plain",
    ] {
        assert!(runs(&mut client, sql), "{sql}");
    }
    let after = (asked(&door, CODE), asked(&door, OWN));
    assert_eq!(after, (before.0, before.1 + 1), "asked once, and for no code");

    // What others define is seen all the same.
    door.direct("create function lower(int) returns text language sql as 'select 1::text'");
    client.query("savepoint here");
    assert!(!runs(&mut client, "select lower(note) from made"));
    client.query("rollback to here");
    door.direct("drop function lower(int)");
    assert!(runs(&mut client, "select lower(note) from made"));

    let before = asked(&door, CODE);
    assert!(runs(
        &mut client,
        "create function upper(int) returns text language sql as 'select 1::text'"
    ));
    client.query("savepoint here");
    assert!(!runs(&mut client, "select upper(note) from made"));
    assert!(asked(&door, CODE) > before);
    client.query("rollback");
}
