//! A session that assumes its catalog to be fresh has the target check it, and runs nothing where it is not.

use std::time::{Duration, Instant};

use sallyport_audit::record::{Event, NotRun};
use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, tags, value};

const SSN: &str = "536-90-4399";
const SCHEMA: &str = "CREATE TABLE customers (id int, ssn text); INSERT INTO customers VALUES (1, '536-90-4399');
    CREATE VIEW seen AS SELECT id::text AS v FROM customers; CREATE TABLE log (v text);";
/// What the target's log shows of an assumption that was not so.
const FAILED: &str = "the catalog is read again by sallyport";
/// A disturbed database is left alone for a while, and tests beside this one disturb it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a client sends a statement, and the tags by which one row of it is answered.
type Sender = (fn(&mut Client, &str) -> Vec<Message>, &'static str);

const SENDERS: [Sender; 3] = [
    (Client::query, "TDCZ"),
    (by_queries, "TDCTDCZ"),
    (Client::pipeline, "12TDCZ"),
];

fn door() -> TestDoor {
    let given = Given::open().mask("columns", json!({"match": {"columns": ["public.customers.ssn"]}}));
    TestDoor::new(&given, SCHEMA)
}

fn by_queries(client: &mut Client, sql: &str) -> Vec<Message> {
    client.query(&format!("{sql}; select 1"))
}

fn define(door: &TestDoor, column: &str) {
    door.direct(&format!(
        "CREATE OR REPLACE VIEW seen AS SELECT {column}::text AS v FROM customers"
    ));
}

/// Reads until the session assumes something: then its backend has the statement that checks it.
fn until_assumed(client: &mut Client) {
    let until = Instant::now() + PATIENCE;
    let sql = "select count(*) from pg_prepared_statements where name ~ 'sallyport position'";
    while value(&client.pipeline(sql)) != "1" {
        assert!(Instant::now() < until, "nothing is ever assumed");
    }
}

#[test]
fn what_was_assumed_and_is_not_so_runs_once_and_as_it_is_now() {
    for (send, expected) in SENDERS {
        let door = door();
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let until = Instant::now() + PATIENCE;
        let mut rounds = 0;
        while !door.server().log_of(&door.database).contains(FAILED) {
            assert!(Instant::now() < until, "nothing is ever assumed");
            define(&door, "id");
            for _ in 0..4 {
                assert_eq!(value(&send(&mut client, "select v from seen")), "1");
            }
            define(&door, "ssn");
            let said = send(
                &mut client,
                "insert into log select v from seen returning (select v from seen)",
            );
            assert_eq!(tags(&said), expected, "{said:?}");
            assert_ne!(value(&said), SSN);
            rounds += 1;
            assert_eq!(
                door.direct("select count(*) from log"),
                rounds.to_string(),
                "once, and once only"
            );
        }
        door.recorded("a command that was judged again", |event| match event {
            Event::Outcome(outcome) => (outcome.why == Some(NotRun::JudgedAgain)).then_some(()),
            _ => None,
        });
    }
}

#[test]
fn nobody_puts_another_statement_in_the_place_of_the_check() {
    // One that nothing fails; the second by code that the door does not see into.
    let forgeries = [
        &[
            r#"deallocate U&"\0001sallyport position""#,
            r#"prepare U&"\0001sallyport position" (pg_lsn) as select where false"#,
        ][..],
        &[
            r"do $$ begin execute 'deallocate ' || U&'\0022\0001sallyport position\0022';
            execute 'prepare ' || U&'\0022\0001sallyport position\0022' || '(pg_lsn) as select where false'; end $$",
        ],
    ];
    for forgery in forgeries {
        let door = door();
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let until = Instant::now() + PATIENCE;
        while !door.server().log_of(&door.database).contains(FAILED) {
            assert!(Instant::now() < until, "nothing is ever assumed");
            define(&door, "id");
            until_assumed(&mut client);
            for sql in forgery {
                let said = client.query(sql);
                assert_eq!(tags(&said), "CZ", "{sql}: {said:?}");
            }
            assert_eq!(value(&client.pipeline("select v from seen")), "1");
            define(&door, "ssn");
            assert_ne!(value(&client.pipeline("select v from seen")), SSN, "{forgery:?}");
        }
    }
}

#[test]
fn a_session_that_forgets_its_statements_goes_on() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for forget in ["deallocate all", "discard all", "deallocate all; select 1"] {
        until_assumed(&mut client);
        client.query(forget);
        assert_eq!(value(&client.pipeline("select v from seen")), "1", "after {forget}");
    }
}

#[test]
fn what_stands_behind_a_check_is_committed_when_it_is_answered() {
    for (send, _) in SENDERS {
        let door = door();
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        until_assumed(&mut client);
        for written in 1..=8 {
            let said = send(&mut client, "insert into log values ('a')");
            assert_eq!(
                said.last().map(|ready| ready.body.as_slice()),
                Some(&b"I"[..]),
                "{said:?}"
            );
            assert_eq!(door.direct("select count(*) from log"), written.to_string());
            // What is written moves the log: the next one is assumed again after it was read.
            for _ in 0..2 {
                client.pipeline("select v from seen");
            }
        }
    }
}

#[test]
fn a_cast_of_users_that_takes_any_words_does_not_meet_the_check() {
    let door = door();
    door.direct("CREATE FUNCTION lax(text) RETURNS int4 LANGUAGE sql IMMUTABLE AS 'select 0'");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let until = Instant::now() + PATIENCE;
    while !door.server().log_of(&door.database).contains(FAILED) {
        assert!(Instant::now() < until, "nothing that was assumed ever fails");
        // Where it is known, whatever could be cast is code that nobody can see into, and nothing is assumed.
        door.direct("DROP CAST IF EXISTS (text AS int4)");
        define(&door, "id");
        until_assumed(&mut client);
        assert_eq!(value(&client.pipeline("select v from seen")), "1");
        door.direct("CREATE CAST (text AS int4) WITH FUNCTION lax(text)");
        define(&door, "ssn");
        assert_ne!(value(&client.pipeline("select v from seen")), SSN);
    }
}

#[test]
fn what_others_write_has_nothing_recorded_twice() {
    for (send, expected) in SENDERS {
        let door = door();
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let until = Instant::now() + PATIENCE;
        while !door.server().log_of(&door.database).contains(FAILED) {
            assert!(Instant::now() < until, "nothing is ever assumed");
            for _ in 0..4 {
                send(&mut client, "select v from seen");
            }
            door.direct("insert into log values ('theirs')");
            let said = send(&mut client, "insert into log values ('ours') returning v");
            assert_eq!(tags(&said), expected, "{said:?}");
        }
        // What comes last is on record last.
        client.query("select 'the last'");
        door.recorded("the last", |event| match event {
            Event::Command(command) => command.text.contains("the last").then_some(()),
            _ => None,
        });
        let again =
            |event: &&Event| matches!(event, Event::Outcome(outcome) if outcome.why == Some(NotRun::JudgedAgain));
        assert_eq!(door.events().iter().filter(again).count(), 0);
    }
}
