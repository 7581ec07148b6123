//! What is on record of portals: what was never executed did not run, and what was read in pieces gave all of them.

use sallyport_audit::record::{Event, NotRun};
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};
use super::transactions::came;
use sallyport_proxy::postgres::frame::put_cstr;

/// What a client does, and what the log says came of each command, in the order in which it was known.
type Case = (&'static str, fn(&mut Client), &'static str);

/// Binds what has 20 rows.
fn binds(client: &mut Client, portal: &str) {
    client.parse("", "select id from t").bind(portal, "", &[], 0).sync();
    assert_eq!(tags(&client.ready()), "12Z");
}

fn executes(client: &mut Client, portal: &str, rows: i32) {
    client.execute(portal, rows).sync();
    let got = tags(&client.ready());
    assert!(got.starts_with('D'), "{got}");
}

fn closes(client: &mut Client, portal: &str) {
    client.put(b'C', |out| {
        out.push(b'P');
        put_cstr(out, portal);
    });
    client.sync();
    assert_eq!(tags(&client.ready()), "3Z");
}

fn all_as_told(cases: &[Case]) {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    door.direct("create function unseen() returns int language plpgsql as $$begin return 1; end$$");
    for (place, (what, does, says)) in cases.iter().enumerate() {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        does(&mut client);
        drop(client);
        assert_eq!(came(&door, place), *says, "{what}");
    }
}

#[test]
fn what_was_bound_and_never_executed_is_on_record_as_not_run() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.parse("", "delete from t").bind("", "", &[], 0).sync();
    assert_eq!(tags(&client.ready()), "12Z");
    let why = door.recorded("why", |event| match event {
        Event::Outcome(outcome) => Some(outcome.why),
        _ => None,
    });
    assert_eq!(why, Some(NotRun::NeverExecuted));
    assert_eq!(door.direct("select count(*) from t"), "20");

    all_as_told(&[
        ("its unit is over", |client| binds(client, "p"), "NotRun - 0"),
        (
            "its transaction is over",
            |client| {
                client.query("begin");
                binds(client, "p");
                client.query("commit");
            },
            "Executed - 0, Executed - 0, NotRun - 0",
        ),
        (
            "closed",
            |client| {
                client.query("begin");
                binds(client, "p");
                closes(client, "p");
                client.query("rollback");
            },
            "Executed - 0, NotRun - 0, Executed - 0",
        ),
        (
            "closed by SQL",
            |client| {
                client.query("begin");
                binds(client, "p");
                client.query("close p");
                client.query("rollback");
            },
            "Executed - 0, NotRun - 0, Executed - 0, Executed - 0",
        ),
        (
            "another took its name",
            |client| {
                client.query("begin");
                binds(client, "");
                binds(client, "");
                executes(client, "", 0);
                client.query("rollback");
            },
            "Executed - 0, NotRun - 0, Executed - 20, Executed - 0",
        ),
        (
            "a Query string took it away",
            |client| {
                client.query("begin");
                binds(client, "");
                client.query("select 1");
                client.query("rollback");
            },
            "Executed - 0, Executed - 1, NotRun - 0, Executed - 0",
        ),
        (
            "another failed",
            |client| {
                client.parse("", "select id from t").bind("p", "", &[], 0);
                client.parse("", "select 1 / 0").bind("", "", &[], 0).execute("", 0);
                client.sync().ready();
            },
            "Failed 22012 0, NotRun - 0",
        ),
        (
            "the client left",
            |client| {
                client.query("begin");
                binds(client, "p");
            },
            "Executed - 0, NotRun - 0",
        ),
    ]);
}

#[test]
fn what_was_executed_later_or_in_pieces_is_on_record_with_all_its_rows() {
    all_as_told(&[
        (
            "later",
            |client| {
                client.query("begin");
                binds(client, "p");
                client.query("select 1");
                executes(client, "p", 0);
                client.query("commit");
            },
            "Executed - 0, Executed - 1, Executed - 20, Executed - 0",
        ),
        (
            "in pieces",
            |client| {
                client.query("begin");
                binds(client, "p");
                executes(client, "p", 15);
                executes(client, "p", 0);
                client.query("commit");
            },
            "Executed - 0, Executed - 20, Executed - 0",
        ),
        (
            "in pieces of what writes",
            |client| {
                client.query("begin");
                client
                    .parse("", "update t set name = 'x' returning id")
                    .bind("p", "", &[], 0)
                    .sync();
                client.ready();
                executes(client, "p", 15);
                executes(client, "p", 0);
                client.query("rollback");
            },
            "Executed - 0, Executed - 20, Executed - 0",
        ),
        (
            "in pieces, and closed",
            |client| {
                client.query("begin");
                binds(client, "p");
                executes(client, "p", 5);
                executes(client, "p", 5);
                closes(client, "p");
                client.query("rollback");
            },
            "Executed - 0, Executed - 10, Executed - 0",
        ),
        (
            "in a piece, and a Query string took it away",
            |client| {
                client.query("begin");
                binds(client, "");
                executes(client, "", 5);
                client.query("select 1");
                client.query("rollback");
            },
            "Executed - 0, Executed - 1, Executed - 5, Executed - 0",
        ),
        (
            "in a piece, and the client left",
            |client| {
                client.query("begin");
                binds(client, "p");
                executes(client, "p", 5);
            },
            "Executed - 0, Executed - 5",
        ),
        (
            "up to an error",
            |client| {
                client.query("select 1 / (10 - id) from t");
            },
            "Failed 22012 9",
        ),
    ]);
}

#[test]
fn what_others_may_have_run_is_not_on_record_as_not_run() {
    all_as_told(&[
        (
            "fetched by SQL",
            |client| {
                client.query("begin");
                binds(client, "p");
                binds(client, "q");
                assert_eq!(tags(&client.query("fetch 3 from p")), "TDDDCZ");
                closes(client, "q");
                client.query("rollback");
            },
            "Executed - 0, Executed - 3, NotRun - 0, Executed - 0, Executed - 0",
        ),
        (
            "beside code that nobody sees into",
            |client| {
                client.query("begin");
                binds(client, "p");
                client.query("select unseen()");
                client.query("rollback");
            },
            "Executed - 0, Executed - 1, Executed - 0, Executed - 0",
        ),
    ]);
}

#[test]
fn a_text_without_a_statement_is_no_command() {
    let reads = json!([{"name": "reads", "match": {"cel": "'select' in command.verbs"}, "action": "Allow"}]);
    let door = TestDoor::new(&Given::open().policy(reads), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    // Nothing runs, so that no rule has to allow it, and health checks of pools pass.
    for sql in ["", "-- nothing", " ; /* nothing */ ;"] {
        assert_eq!(tags(&client.query(sql)), "IZ", "{sql}");
        client.parse("", sql).bind("", "", &[], 0).execute("", 0).sync();
        assert_eq!(tags(&client.ready()), "12IZ", "{sql}");
    }
    assert_eq!(tags(&client.query("select 1 -- something")), "TDCZ");
    drop(client);
    assert_eq!(came(&door, 0), "Executed - 1");
    let events = door.events();
    let commands = events.iter().filter(|event| matches!(event, Event::Command(_)));
    assert_eq!(commands.count(), 1, "{events:?}");
}
