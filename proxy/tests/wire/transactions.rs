//! What the log says of how transactions ended, beside what PostgreSQL kept.

use std::collections::BTreeMap;

use sallyport_audit::record::{Event, TransactionFate};
use sallyport_proxy::door::Rules;
use sallyport_proxy::postgres::frame::put_cstr;
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::wire::{Client, tags, value};

/// Units, each a list of statements: one is a Query string, several are a pipeline.
type Units = &'static [&'static [&'static str]];

/// The events of a session that has ended, by its place.
fn session(door: &TestDoor, place: usize) -> Vec<Event> {
    eventually("the session's end on record", || {
        let events = door.events();
        let mut sessions = events.split_inclusive(|event| matches!(event, Event::SessionEnd(_)));
        let wanted = sessions.nth(place)?;
        matches!(wanted.last(), Some(Event::SessionEnd(_))).then(|| wanted.to_vec())
    })
}

/// What came of each command of a session by itself: its fate, the target's SQLSTATE, its rows.
pub fn came(door: &TestDoor, place: usize) -> String {
    let events = session(door, place);
    let outcomes = events.iter().filter_map(|event| match event {
        Event::Outcome(outcome) => {
            let code = outcome.sqlstate.as_deref().unwrap_or("-");
            Some(format!("{:?} {code} {}", outcome.fate, outcome.rows))
        }
        _ => None,
    });
    outcomes.collect::<Vec<_>>().join(", ")
}

/// What the log says of a session that has ended, by its place: each command's first word, and how the transaction ended
/// that its outcome names. What was refused has none.
pub fn told(door: &TestDoor, place: usize) -> String {
    let events = session(door, place);
    let mut transactions = BTreeMap::new();
    let mut fates = BTreeMap::new();
    for event in &events {
        match event {
            Event::Outcome(outcome) => {
                transactions.insert(outcome.command, outcome.transaction);
            }
            Event::TransactionEnd(end) => {
                fates.insert(end.transaction, end.fate);
            }
            _ => {}
        }
    }
    let said = events.iter().filter_map(|event| {
        let Event::Command(command) = event else { return None };
        let fate = match transactions.get(&command.command)?.map(|number| fates[&number]) {
            None => "-",
            Some(TransactionFate::Committed) => "committed",
            Some(TransactionFate::RolledBack) => "rolledBack",
            Some(TransactionFate::Unknown) => "unknown",
        };
        Some(format!("{} {fate}", command.text.split_whitespace().next().unwrap()))
    });
    said.collect::<Vec<_>>().join(", ")
}

fn run(client: &mut Client, unit: &[&str]) {
    if let [sql] = unit {
        client.query(sql);
        return;
    }
    for sql in unit {
        client.parse("", sql).bind("", "", &[], 0).execute("", 0);
    }
    client.sync().ready();
}

#[test]
fn what_ends_without_a_begin_is_told_as_it_ended() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    door.direct("create procedure p() language plpgsql as $$begin insert into u values (9); commit; end$$");
    // What is sent, what stays, and what the log says.
    let cases: [(Units, &str, &str); 17] = [
        (
            &[&["insert into u values (1); commit; select 1/0"]],
            "1",
            "insert committed, commit committed, select -",
        ),
        (
            &[&["insert into u values (1); rollback; select 1"]],
            "",
            "insert rolledBack, rollback rolledBack, select -",
        ),
        (
            &[&["insert into u values (1); commit; insert into u values (2); select 1/0"]],
            "1",
            "insert committed, commit committed, insert rolledBack, select -",
        ),
        (
            &[&["insert into u values (1); begin; select 1/0"], &["rollback"]],
            "",
            "insert rolledBack, begin rolledBack, select rolledBack, rollback rolledBack",
        ),
        (
            &[&["insert into u values (1); begin; insert into u values (2); commit; select 1/0"]],
            "1,2",
            "insert committed, begin committed, insert committed, commit committed, select -",
        ),
        (
            &[&["insert into u values (1); commit and chain; select 1"]],
            "",
            "insert rolledBack, commit -, select -",
        ),
        (
            &[&["insert into u values (1); prepare transaction 'told'; select 1"]],
            "",
            "insert unknown, prepare unknown, select -",
        ),
        (&[&["commit"], &["rollback"]], "", "commit -, rollback -"),
        (
            &[
                &["begin; insert into u values (1); commit and chain"],
                &["insert into u values (2); rollback"],
            ],
            "1",
            "begin committed, insert committed, commit committed, insert rolledBack, rollback rolledBack",
        ),
        (
            &[&["begin"], &["insert into u values (1)"], &["select 1/0"], &["commit"]],
            "",
            "begin rolledBack, insert rolledBack, select rolledBack, commit rolledBack",
        ),
        (
            &[&["begin"], &["select 1/0"], &["prepare transaction 'failed'"]],
            "",
            "begin rolledBack, select rolledBack, prepare rolledBack",
        ),
        (
            &[&["insert into u values (1)", "commit", "select 1/0"]],
            "1",
            "insert committed, commit committed, select -",
        ),
        (
            &[&["insert into u values (1)", "rollback", "select 1"]],
            "",
            "insert rolledBack, rollback rolledBack, select -",
        ),
        (
            &[&["insert into u values (1)", "begin", "select 1/0"], &["rollback"]],
            "",
            "insert rolledBack, begin rolledBack, select rolledBack, rollback rolledBack",
        ),
        // PostgreSQL 15 commits the first of them at PREPARE TRANSACTION, and says ROLLBACK.
        (
            &[&["select 1", "prepare transaction 'piped'", "select 1"]],
            "",
            "select unknown, prepare unknown, select -",
        ),
        (&[&["call p()", "select 1/0"]], "9", "call unknown, select -"),
        (
            &[&["call p()", "begin", "insert into u values (1)"], &["rollback"]],
            "9",
            "call unknown, begin rolledBack, insert rolledBack, rollback rolledBack",
        ),
    ];
    for (session, (units, stays, says)) in cases.into_iter().enumerate() {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        units.iter().for_each(|unit| run(&mut client, unit));
        drop(client);
        assert_eq!(told(&door, session), says, "{units:?}");
        let kept = door.direct("select string_agg(id::text, ',' order by id) from u");
        assert_eq!(kept, stays, "{units:?}");
        door.direct("delete from u");
    }
    door.direct("rollback prepared 'told'");
}

#[test]
fn a_portal_that_was_not_read_to_its_end_is_part_of_what_ended() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let insert = "insert into u values (1), (2) returning id";
    let cases: [(&[&str], &str, &str); 3] = [
        (&[], "rollback", "insert rolledBack, rollback rolledBack"),
        (&[], "select 1/0", "insert rolledBack, select -"),
        (
            &["begin"],
            "commit",
            "begin committed, insert committed, commit committed",
        ),
    ];
    for (session, (before, after, says)) in cases.into_iter().enumerate() {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        before.iter().for_each(|unit| run(&mut client, &[unit]));
        client.parse("", insert).bind("p", "", &[], 0).execute("p", 1);
        client.parse("", after).bind("", "", &[], 0).execute("", 0).sync();
        assert!(tags(&client.ready()).starts_with("12Ds1"), "{after}");
        drop(client);
        assert_eq!(told(&door, session), says);
    }
}

#[test]
fn a_change_whose_rows_are_left_unread_says_so() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    for (place, (reads, wanted)) in [(1, (1, true)), (0, (2, false))].into_iter().enumerate() {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.parse("", "insert into u values (1), (2) returning id");
        client.bind("p", "", &[], 0).execute("p", reads).sync();
        client.ready();
        drop(client);
        let events = session(&door, place);
        let outcome = events.iter().find_map(|event| match event {
            Event::Outcome(outcome) => Some((outcome.rows, outcome.unread)),
            _ => None,
        });
        assert_eq!(outcome, Some(wanted), "{reads}");
        door.direct("delete from u");
    }
}

#[test]
fn a_query_behind_an_execute_without_sync_ends_as_the_target_says() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client
        .parse("", "insert into u values (1)")
        .bind("", "", &[], 0)
        .execute("", 0);
    client.put(b'H', |_| {}).send();
    assert_eq!(tags(&client.some(3)), "12C");
    // PostgreSQL 18 leaves the transaction open, others may not.
    let open = client.query("create temporary table own (id int)").last().unwrap().body == b"T";
    // It takes no savepoint, and a question of the door's own would end it.
    assert_eq!(value(&client.query("select count(*) from u")), "1");
    client.query("rollback");
    drop(client);
    let (says, kept) = match open {
        true => (
            "insert rolledBack, create rolledBack, select rolledBack, rollback rolledBack",
            "",
        ),
        false => ("insert -, create -, select -, rollback -", "1"),
    };
    assert_eq!(told(&door, 0), says);
    assert_eq!(door.direct("select string_agg(id::text, ',') from u"), kept);
}

#[test]
fn code_that_ends_a_transaction_unseen_makes_no_fate_up() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    door.direct(
        "create function hidden() returns int language plpgsql as $$begin execute 'execute c'; return 1; end$$",
    );
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.parse("c", "commit").sync().ready();
    client.query("begin; insert into u values (1)");
    let refused = client.query("execute c");
    assert_eq!(refused[0].field('C').as_deref(), Some("42501"));
    assert!(refused[0].field('M').unwrap().contains("not by EXECUTE"));
    client.query("rollback");
    client.query("begin; insert into u values (2)");
    let ended = client.query("select hidden()");
    assert_eq!(
        ended.last().unwrap().body,
        b"I",
        "PostgreSQL does what the door refuses"
    );
    drop(client);
    assert_eq!(
        told(&door, 0),
        "begin rolledBack, insert rolledBack, rollback rolledBack, begin unknown, insert unknown, select unknown"
    );
    assert_eq!(door.direct("select string_agg(id::text, ',') from u"), "2");
}

#[test]
fn a_session_that_is_ended_makes_no_fate_up() {
    // Committing takes its time.
    let slow = "create function slow() returns trigger language plpgsql as $$begin perform pg_sleep(60); return null; end$$;
        create constraint trigger slow after insert on u deferrable initially deferred for each row execute function slow()";
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
    let insert = "insert into u values (1)";
    let in_words = |client: &mut Client, last: &str| {
        client.query("begin");
        client.query(insert);
        client.put(b'Q', |out| put_cstr(out, last)).send();
    };
    let flushed = |client: &mut Client| {
        client.parse("", insert).bind("", "", &[], 0).execute("", 0);
        client.put(b'H', |_| {}).send();
        assert_eq!(tags(&client.some(3)), "12C");
    };
    type Does<'a> = &'a dyn Fn(&mut Client);
    let cases: [(&str, Does<'_>, &str); 4] = [
        (
            "1",
            &|client| in_words(client, "commit"),
            "begin unknown, insert unknown, commit -",
        ),
        (
            "1",
            &|client| {
                flushed(client);
                client.sync();
            },
            "insert unknown",
        ),
        (
            "1",
            &|client| in_words(client, "select pg_sleep(60)"),
            "begin rolledBack, insert rolledBack, select -",
        ),
        ("0", &flushed, "insert rolledBack"),
    ];
    for (sleeping, does, says) in cases {
        let door = TestDoor::new(&Given::open(), SCHEMA);
        door.direct(slow);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        does(&mut client);
        eventually("the target to be that far", || {
            (door.direct(asleep) == sleeping).then_some(())
        });
        door.rules.send_replace(Rules::Shut("enough".to_owned()));
        client.end();
        assert_eq!(told(&door, 0), says);
    }
}

#[test]
fn a_constraint_that_is_checked_at_the_end_fails_what_was_executed() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    door.direct("create table d (id int primary key deferrable initially deferred)");
    let twice = "insert into d values (1), (1)";
    let pipeline: &[&str] = &[twice, "select 1"];
    let cases: [(&[&[&str]], &str, &str); 4] = [
        (
            &[&["begin"], &[twice], &["commit"]],
            "Executed - 0, Executed - 2, Failed 23505 0",
            "begin rolledBack, insert rolledBack, commit rolledBack",
        ),
        (
            &[&["begin; insert into d values (1), (1); commit"]],
            "Executed - 0, Executed - 2, Failed 23505 0",
            "begin rolledBack, insert rolledBack, commit rolledBack",
        ),
        // The constraint fails at Sync, when both have been answered.
        (
            &[pipeline],
            "Executed - 2, Executed - 1",
            "insert rolledBack, select rolledBack",
        ),
        // PostgreSQL commits before it answers the last statement of a string.
        (&[&[twice]], "Failed 23505 0", "insert -"),
    ];
    for (place, (units, ended, says)) in cases.into_iter().enumerate() {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        units.iter().for_each(|unit| run(&mut client, unit));
        drop(client);
        assert_eq!(
            (came(&door, place).as_str(), told(&door, place).as_str()),
            (ended, says),
            "{units:?}"
        );
        assert_eq!(door.direct("select count(*) from d"), "0", "{units:?}");
    }
}

#[test]
fn a_refusal_in_a_failed_transaction_says_how_to_leave_it() {
    let hidden = json!({"match": {"columns": ["public.secrets.ssn"]}});
    let door = TestDoor::new(&Given::open().mask("columns", hidden), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut told = |unit: &[&str]| {
        for sql in unit {
            client.query(sql);
        }
        let got = client.query("update secrets set ssn = 'x'");
        let refused = got.iter().find(|message| message.tag == 'E').expect("a refusal");
        assert_eq!(refused.field('C').as_deref(), Some("42501"), "{got:?}");
        refused.field('H').is_some_and(|hint| hint.contains("ROLLBACK"))
    };
    assert!(!told(&[]));
    assert!(told(&["begin", "select 1 / 0"]));
    assert!(!told(&["rollback"]));
}
