//! The straight road: somebody comes in, is judged, sees masked values, and everything is on record.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

mod common;

use common::door::{Given, TestDoor};
use common::psql::{finish, interrupt, told};
use common::wire::Client;
use sallyport_audit::record::{Action, EndCause, Event, Fate, Refusal, TransactionFate};
use serde_json::json;

const SCHEMA: &str = include_str!("leaks/schema.sql");

fn no_drops() -> serde_json::Value {
    json!([
        {"name": "never-drop", "match": {"cel": "'drop' in command.verbs"}, "action": "Deny", "message": "drops are for migrations"},
        {"name": "credits", "match": {"cel": "command.text.contains('credit')"}, "action": "Deny", "message": "no credit"},
        {"name": "deletes", "match": {"cel": "'delete' in command.verbs"}, "action": "RequireApproval",
         "message": "deletes need a second person", "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}]}},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ])
}

#[test]
fn values_are_masked_wherever_they_come_out() {
    let door = TestDoor::new(&Given::cases(), SCHEMA);
    let canary = ["536-90-4399", "536904399", "4111 1111"];
    for (sql, shown) in [
        ("select ssn from customers where id=1", "[REDACTED]"),
        ("select ssn as x, name from customers where id=1", "[REDACTED]|Ada"),
        ("select ssn_num from customers where id=1", ""),
        (
            "select md5(ssn), upper(name) from customers where id=1",
            "[REDACTED]|ADA",
        ),
        ("select count(*) from customers", "200"),
        ("select tax_ref from v_cust where id=1", "[REDACTED]"),
        (
            "copy (select ssn, name from customers where id=1) to stdout",
            "[REDACTED]\tAda",
        ),
        ("select card from customers where id=1", "[REDACTED]"),
        ("select ssn::int from customers where id=1", ""),
        ("select doc from customers where id=1", "{\"ssn\": \"[REDACTED]\"}"),
        (
            "do $$begin raise notice '%',(select name||ssn from customers where id=1); end$$",
            "",
        ),
    ] {
        let direct = door.direct_lossy(sql);
        let printed = door.psql("alice", &[sql]);
        assert_eq!(printed.out, shown, "{sql}: {printed:?}");
        for value in canary {
            assert!(
                !printed.out.contains(value) && !printed.err.contains(value),
                "{sql}: {printed:?}"
            );
        }
        assert!(!printed.err.contains("Ada"), "{sql}: {printed:?}");
        assert_eq!(
            printed.err.contains("1 of 2 columns of this COPY are masked for you"),
            sql.starts_with("copy"),
            "{sql}: {printed:?}"
        );
        let protects = !matches!(sql, "select count(*) from customers") && !direct.is_empty();
        if protects && !sql.contains("md5") {
            assert!(
                canary.iter().any(|value| direct.contains(value)),
                "{sql} leaks nothing without the door: {direct}"
            );
        }
    }
    let outcome = door.recorded("masked fields", |event| match event {
        Event::Outcome(outcome) if !outcome.masked.is_empty() => Some(outcome.clone()),
        _ => None,
    });
    assert_eq!(
        (outcome.fate, outcome.rows, outcome.masked.get("columns/column")),
        (Fate::Executed, 1, Some(&1))
    );
}

#[test]
fn a_denial_is_an_error_of_the_session_and_aborts_its_transaction() {
    let door = TestDoor::new(&Given::open().policy(no_drops()), SCHEMA);
    let printed = door.psql("alice", &["drop table acct", "select 7"]);
    assert!(printed.err.contains("42501: drops are for migrations"), "{printed:?}");
    assert!(printed.err.contains("rule changes/never-drop"), "{printed:?}");
    assert_eq!(printed.out, "7");

    let printed = door.psql(
        "alice",
        &[
            "begin",
            "update acct set ssn='debit' where id=77",
            "update acct set ssn='credit' where id=77",
            "commit",
        ],
    );
    assert!(printed.err.contains("42501: no credit"), "{printed:?}");
    assert_eq!(
        door.direct("select ssn from acct"),
        "400-00-0000",
        "nothing of the transaction stays"
    );
    let end = door.recorded("the transaction's end", |event| match event {
        Event::TransactionEnd(end) => Some(end.clone()),
        _ => None,
    });
    assert_eq!(end.fate, TransactionFate::RolledBack);

    let printed = door.psql("alice", &["select 1; drop table acct; select 2"]);
    assert_eq!(printed.out, "", "a Query string is refused whole");
    // The log is read as published, which lags by a checkpoint.
    door.recorded_times(
        "three denials",
        3,
        |event| matches!(event, Event::Command(command) if command.verdict.action == Action::Deny),
    );
}

#[test]
fn what_does_not_parse_is_postgresqls_own_error() {
    let door = TestDoor::new(&Given::open().policy(no_drops()), SCHEMA);
    let printed = door.psql("alice", &["selec 1", "select * from nosuch", "select 3"]);
    assert!(
        printed
            .err
            .contains("42601: syntax error at or near \"selec\"\nLINE 1: selec 1"),
        "{printed:?}"
    );
    assert!(
        printed.err.contains("42P01: relation \"nosuch\" does not exist"),
        "{printed:?}"
    );
    assert_eq!(printed.out, "3");
}

#[test]
fn who_is_not_entitled_gets_no_further_than_the_door() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    for (user, reason, words) in [
        ("mallory", Refusal::NotAdmitted, "you are not admitted"),
        ("nobody", Refusal::BadToken, "the token was refused"),
    ] {
        let printed = door.psql(user, &["select 1"]);
        assert_eq!((printed.code, printed.out.as_str()), (2, ""), "{printed:?}");
        assert!(printed.err.contains(words), "{printed:?}");
        door.recorded("the refusal", |event| match event {
            Event::LoginRefused(refused) if refused.reason == reason => Some(()),
            _ => None,
        });
    }
    let plain = door.conninfo("alice").replace("verify-full", "disable");
    assert!(
        door.psql_with(&plain, &["select 1"])
            .err
            .contains("this door speaks TLS only")
    );
    let elsewhere = door.conninfo("alice").replace(&door.database, "nosuch");
    assert!(door.psql_with(&elsewhere, &["select 1"]).err.contains("does not exist"));
}

#[test]
fn a_held_command_waits_in_place_and_runs_when_approved() {
    let door = TestDoor::new(&Given::open().policy(no_drops()), SCHEMA);
    let mut held = door.psql_start(
        "alice",
        &[
            "begin",
            "delete from acct where id = 77",
            "commit",
            "select count(*) from acct",
        ],
    );
    let (name, request) = door.people.asked(1);
    assert_eq!(request.ask.command.text, "delete from acct where id = 77");
    assert_eq!(request.ask.command.tables, ["public.acct"]);
    assert_eq!(door.direct("select count(*) from acct"), "1", "it has not run yet");
    told(&mut held, &[&format!("kubectl sallyport approve {name} -n doors")]);
    door.people.approve(&name);
    let printed = finish(held);
    assert_eq!(printed.out, "0", "{printed:?}");
    door.recorded("the transaction's end", |event| {
        matches!(event, Event::TransactionEnd(_)).then_some(())
    });
    let events = door.events();
    let place = |pick: &dyn Fn(&Event) -> bool| events.iter().position(pick).unwrap();
    let steps = [
        place(&|event| matches!(event, Event::Command(command) if command.verdict.action == Action::Hold)),
        place(&|event| matches!(event, Event::Hold(hold) if hold.waits && hold.expires == Some(request.ask.expires))),
        place(&|event| matches!(event, Event::Approved(approved) if approved.approvers[0].username == "oidc:bob")),
        place(&|event| matches!(event, Event::Claimed(_))),
        place(&|event| matches!(event, Event::TransactionEnd(end) if end.fate == TransactionFate::Committed)),
    ];
    assert!(steps.is_sorted(), "{steps:?}");
}

#[test]
fn a_denied_or_cancelled_hold_runs_nothing() {
    let door = TestDoor::new(&Given::open().policy(no_drops()), SCHEMA);
    let held = door.psql_start("alice", &["delete from acct", "select 5"]);
    let (name, _) = door.people.asked(1);
    door.people.deny(&name, "not on a\u{1b}[2J Friday");
    let printed = finish(held);
    assert!(
        printed
            .err
            .contains("42501: oidc:bob denied it: not on a\\u{1b}[2J Friday"),
        "{printed:?}"
    );
    assert_eq!(printed.out, "5", "the session lives on");

    let held = door.psql_start("alice", &["delete from acct", "select 6"]);
    let (name, _) = door.people.asked(2);
    interrupt(&held);
    let printed = finish(held);
    assert!(printed.err.contains("57014"), "{printed:?}");
    let reason = common::eventually("the withdrawal", || door.people.request(&name).withdrawn);
    assert!(reason.contains("cancelled"), "{reason}");

    let mut held = door.psql_start("alice", &["delete from acct"]);
    let (name, _) = door.people.asked(3);
    held.kill().unwrap();
    held.wait().unwrap();
    let reason = common::eventually("the withdrawal", || door.people.request(&name).withdrawn);
    assert!(reason.contains("left"), "{reason}");
    assert_eq!(door.direct("select count(*) from acct"), "1");
}

#[test]
fn a_program_is_refused_with_the_requests_name_and_passes_later() {
    let door = TestDoor::new(&Given::open().policy(no_drops()), SCHEMA);
    let program = format!("{} options='-c sallyport.on_hold=refuse'", door.conninfo("alice"));
    let printed = door.psql_with(&program, &["delete from acct"]);
    assert!(
        printed.err.contains("42501: deletes need a second person"),
        "{printed:?}"
    );
    assert!(printed.err.contains("request-1"), "{printed:?}");
    let again = door.psql_with(&program, &["delete from acct"]);
    assert!(
        again.err.contains("request-1") && door.people.count() == 1,
        "one question is asked once: {again:?}"
    );
    door.people.approve("request-1");
    let other = door.psql_with(&program, &["delete from acct where true"]);
    assert!(
        other.err.contains("request-2"),
        "the approval fits one command: {other:?}"
    );
    let printed = door.psql_with(&program, &["delete from acct", "select count(*) from acct"]);
    assert_eq!((printed.out.as_str(), printed.err.as_str()), ("0", ""));
    let printed = door.psql_with(&program, &["delete from acct"]);
    assert!(printed.err.contains("request-3"), "and once: {printed:?}");
}

/// `customers.name` is protected, and deletes need a second person.
fn names() -> Given {
    Given::open()
        .mask("names", json!({"match": {"columns": ["public.customers.name"]}}))
        .policy(no_drops())
}

#[test]
fn what_stands_against_a_protected_column_is_shown_to_no_approver() {
    let door = TestDoor::new(&names(), SCHEMA);
    let program = format!("{} options='-c sallyport.on_hold=refuse'", door.conninfo("alice"));
    let sql = |name: &str| format!("delete from customers where id = 7 and name = '{name}'");
    let refused = door.psql_with(&program, &[&sql("Grace Hopper")]);
    assert!(refused.err.contains("request-1"), "{refused:?}");
    let shown = door.people.request("request-1").ask.command;
    assert_eq!(shown.text, sql("[REDACTED]"));
    assert!(!shown.summary.contains("Grace"), "{}", shown.summary);
    // What is granted is the exact bytes all the same.
    door.people.approve("request-1");
    let other = door.psql_with(&program, &[&sql("Ada")]);
    assert!(other.err.contains("request-2"), "{other:?}");
    assert_eq!(door.psql_with(&program, &[&sql("Grace Hopper")]).err, "");

    let mut client = Client::login(&door, "alice", &[("options", "-c sallyport.on_hold=refuse")]).unwrap();
    let sql = "delete from customers where id = $1::int and name = $2";
    client.parse("", sql).bind("", "", &["7", "Grace Hopper"], 0);
    client.execute("", 0).sync();
    client.ready();
    let shown = door.people.request("request-3").ask.command;
    assert_eq!(shown.parameters, ["$1 = 7", "$2 = [REDACTED]"]);
}

#[test]
fn records_that_are_to_be_masked_hold_no_hit_and_nothing_protected() {
    let mut given = names();
    given.masked_records = true;
    let door = TestDoor::new(&given, SCHEMA);
    // No rule names a detector: then all of them look.
    door.psql("alice", &["select '4111 1111 1111 1111', 'a@bank.example', 5"]);
    door.psql("alice", &["select id from customers where name = 'Grace Hopper'"]);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let sql = "select $1::text, id from customers where name = $2";
    client.parse("", sql).bind("", "", &["536-90-4399", "Grace Hopper"], 0);
    client.execute("", 0).sync();
    client.ready();
    door.recorded("all of it", |event| match event {
        Event::Command(command) if command.params.len() == 2 => Some(()),
        _ => None,
    });
    let said: Vec<String> = door
        .events()
        .iter()
        .filter(|event| matches!(event, Event::Command(_)))
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    for value in ["4111", "a@bank", "Grace", "536-90"] {
        assert!(said.iter().all(|record| !record.contains(value)), "{value}: {said:?}");
    }
    assert!(said[0].contains("select '[REDACTED]', '[REDACTED]', 5"), "{said:?}");
}

#[test]
fn rules_know_how_many_rows_the_statistics_count() {
    let schema = format!(
        "{SCHEMA} CREATE TABLE parts (n int) PARTITION BY RANGE (n);
         CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100);
         CREATE TABLE high PARTITION OF parts FOR VALUES FROM (100) TO (1000);
         INSERT INTO parts SELECT generate_series(0, 299); ANALYZE;
         CREATE TABLE fresh (n int);"
    );
    let rule = |rows: i64| json!({"name": format!("rows{}", rows + 1), "match": {"cel": format!("command.rows == {rows}")}, "action": "Deny", "message": format!("{rows} rows")});
    let rules =
        json!([rule(200), rule(1), rule(300), rule(-1), {"name": "rest", "match": {"any": true}, "action": "Allow"}]);
    let door = TestDoor::new(&Given::open().policy(rules), &schema);
    for (sql, rows) in [
        ("select count(*) from customers", "200 rows"),
        ("update customers set name = 'x' where id = 7", "200 rows"),
        ("delete from acct using customers where false", "1 rows"),
        ("select count(*) from parts", "300 rows"),
        ("delete from parts where n = 1", "300 rows"),
        ("select count(*) from fresh", "-1 rows"),
        ("select 1", "-1 rows"),
    ] {
        let printed = door.psql("alice", &[sql]);
        assert!(printed.err.contains(&format!("42501: {rows}")), "{sql}: {printed:?}");
    }
}

#[test]
fn what_only_observes_changes_nothing_and_says_on_record_what_it_would_do() {
    let watched = json!({"mode": "Observe", "match": {"columns": ["public.customers.name"]}});
    let mut given = Given::cases().mask("watched", watched);
    let never = json!([{"name": "never", "match": {"any": true}, "action": "Deny", "message": "no"}]);
    given
        .policies
        .push(("watching", json!({"mode": "Observe", "rules": never})));
    let door = TestDoor::new(&given, SCHEMA);
    let printed = door.psql("alice", &["select ssn, name from customers where id=1"]);
    assert_eq!(printed.out, "[REDACTED]|Ada", "{printed:?}");
    let would = door.recorded("what it would decide", |event| match event {
        Event::Command(command) => command.verdict.observed.first().cloned(),
        _ => None,
    });
    assert_eq!((would.action, would.rule.rule.as_str()), (Action::Deny, "never"));
    let masked = door.recorded("what it would mask", |event| match event {
        Event::Outcome(outcome) => (!outcome.masked.is_empty()).then(|| outcome.masked.clone()),
        _ => None,
    });
    let observed = |(rule, _): &(&String, &u64)| rule.starts_with("observed/watched/");
    assert_eq!(masked.iter().filter(observed).count(), 1, "{masked:?}");
}

#[test]
fn a_token_that_two_addresses_use_at_once_is_flagged() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let first = Client::login(&door, "alice", &[]).unwrap();
    let second = Client::login_from(&door, "alice", "127.0.0.2").unwrap();
    let bob = Client::login_from(&door, "bob", "127.0.0.2").unwrap();
    let starts = || {
        let starts = door.events().into_iter().filter_map(|event| match event {
            Event::SessionStart(start) => Some(start.token_elsewhere),
            _ => None,
        });
        starts.collect::<Vec<_>>()
    };
    let starts = common::eventually("three sessions", || Some(starts()).filter(|starts| starts.len() >= 3));
    // Of two sessions by one token the second tells of the first; another token is another person's.
    assert_eq!(starts, [None, Some("127.0.0.1".to_owned()), None]);
    drop((first, second, bob));
}

#[test]
fn sessions_end_with_one_record_and_a_reason() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    assert_eq!(door.psql("alice", &["select 1"]).out, "1");
    let ends = || {
        let events = door.events();
        let starts = events
            .iter()
            .filter(|event| matches!(event, Event::SessionStart(_)))
            .count();
        let causes = events.iter().filter_map(|event| match event {
            Event::SessionEnd(end) => Some(end.cause),
            _ => None,
        });
        (starts, causes.collect::<Vec<_>>())
    };
    common::eventually("the first end", || {
        (ends() == (1, vec![EndCause::ClientClosed])).then_some(())
    });
    let sleeping = door.psql_start("alice", &["select pg_sleep(60)", "select 1"]);
    door.recorded("the second start", |event| {
        matches!(event, Event::Command(command) if command.text.contains("sleep")).then_some(())
    });
    door.enforce(
        &Given::open().connection(json!({"subjects": [{"kind": "Group", "name": "oidc:dba"}]})),
        2,
    );
    let printed = finish(sleeping);
    assert!(printed.err.contains("57P01") && printed.out.is_empty(), "{printed:?}");
    common::eventually("the second end", || {
        (ends() == (2, vec![EndCause::ClientClosed, EndCause::Revoked])).then_some(())
    });
    assert!(door.psql("alice", &["select 1"]).err.contains("not admitted"));
}
