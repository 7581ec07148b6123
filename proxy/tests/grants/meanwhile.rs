//! What changes while a command waits.

use std::sync::{Arc, OnceLock};

use sallyport_audit::record::{Event, Fate};
use sallyport_proxy::door::Rules;
use serde_json::json;
use tokio::sync::watch;

use super::common;
use super::common::approvals::Meanwhile;
use super::common::door::{Given, TestDoor};
use super::common::psql::finish;
use super::common::wire::{Client, tags, value};
use super::{SCHEMA, asks_bob};

#[test]
fn what_changes_while_a_command_waits_is_not_what_was_approved() {
    for (sql, meanwhile) in [
        (
            "select pay(1)",
            "CREATE OR REPLACE FUNCTION pay(i int) RETURNS int LANGUAGE sql AS 'select 1000'",
        ),
        (
            "select pay(1)",
            "CREATE OR REPLACE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS 'select 1000'",
        ),
        ("select pay(1)", "ALTER FUNCTION pay(int) SECURITY DEFINER"),
        (
            "select id as pay from payable",
            "CREATE OR REPLACE VIEW payable AS SELECT id FROM acct",
        ),
        (
            "delete from acct where id = 1",
            "ALTER TABLE acct RENAME TO old; CREATE TABLE acct AS TABLE old",
        ),
        (
            "delete from acct where id = 1",
            "CREATE TRIGGER t BEFORE DELETE ON acct FOR EACH ROW EXECUTE FUNCTION steal()",
        ),
        (
            "delete from acct where id = 1",
            "CREATE RULE r AS ON DELETE TO acct DO ALSO INSERT INTO log VALUES (2)",
        ),
        (
            "insert into acct (id) values (9)",
            "ALTER TABLE acct ALTER n SET DEFAULT 1000",
        ),
        (
            "insert into acct values (9, 1)",
            "ALTER TABLE acct ADD CONSTRAINT c CHECK (inner_step(n) >= 0)",
        ),
        (
            "delete from acct where id = 1",
            "ALTER TABLE acct ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON acct USING (pay(id) > 0)",
        ),
        (
            "delete from acct where id = 1",
            "ALTER TABLE acct ENABLE ROW LEVEL SECURITY",
        ),
        (
            "delete from acct where id = 1",
            "ALTER TABLE acct RENAME id TO x; ALTER TABLE acct RENAME n TO id; ALTER TABLE acct RENAME x TO n",
        ),
        ("delete from acct where n = 0", "ALTER TABLE other.acct INHERIT acct"),
        (
            "delete from acct where 'a' = any (enum_range(null::mood)::text[])",
            "ALTER TYPE mood RENAME VALUE 'b' TO 'a'",
        ),
        (
            "delete from acct where id OPERATOR(public.===) 1",
            "CREATE OR REPLACE FUNCTION same(int, int) RETURNS bool LANGUAGE sql AS 'select true'",
        ),
    ] {
        let schema = format!(
            "{SCHEMA} CREATE TYPE mood AS ENUM ('b'); CREATE FUNCTION same(int, int) RETURNS bool LANGUAGE sql AS 'select $1 = $2';
             CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same);"
        );
        let door = TestDoor::new(&asks_bob(json!({})), &schema);
        let held = door.psql_start("alice", &[sql]);
        let (name, _) = door.people.asked(1);
        door.direct(meanwhile);
        door.people.approve(&name);
        let printed = finish(held);
        assert!(
            printed
                .err
                .contains("what the command means has changed while it waited"),
            "{sql} / {meanwhile}: {printed:?}"
        );
        assert_eq!(door.direct("select count(*) from log"), "0", "{meanwhile}");
    }
}

/// What is sent so that a statement comes when its transaction has its snapshot.
fn behind(begin: &[&'static str], sql: &'static str) -> Vec<&'static str> {
    let mut sent = begin.to_vec();
    sent.extend(["select n from acct", sql]);
    sent
}

#[test]
fn code_that_is_replaced_behind_the_snapshot_of_a_transaction_that_waits_is_not_what_was_approved() {
    let replaced = "CREATE OR REPLACE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS 'select 1000'";
    let begins: [&[&str]; 3] = [
        &["begin isolation level repeatable read"],
        &["begin", "set transaction isolation level serializable"],
        &["set default_transaction_isolation = 'repeatable read'", "begin"],
    ];
    for begin in begins {
        let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
        let mut direct = Client::direct(door.server(), &door.database, &[]).unwrap();
        for sql in behind(begin, "select 1") {
            direct.query(sql);
        }
        let unchanged = door.psql_start("alice", &behind(begin, "select pay(1)"));
        let (name, _) = door.people.asked(1);
        door.people.approve(&name);
        let printed = finish(unchanged);
        assert_eq!(
            (printed.out.lines().last(), printed.err.contains("42501")),
            (Some("1"), false),
            "{begin:?}: {printed:?}"
        );

        let held = door.psql_start("alice", &behind(begin, "select pay(1)"));
        let (name, _) = door.people.asked(2);
        door.direct(replaced);
        door.people.approve(&name);
        let printed = finish(held);
        assert!(
            printed
                .err
                .contains("what the command means has changed while it waited"),
            "{begin:?}: {printed:?}"
        );
        assert_eq!(value(&direct.query("select pay(1)")), "1000", "or this tests nothing");
    }
}

#[test]
fn code_that_is_replaced_behind_an_imported_snapshot_is_not_what_was_approved() {
    let replaced = "CREATE OR REPLACE FUNCTION pay(i int) RETURNS int LANGUAGE sql AS 'select 1000'";
    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    let mut exporter = Client::direct(door.server(), &door.database, &[]).unwrap();
    exporter.query("begin isolation level repeatable read");
    let snapshot = value(&exporter.query("select pg_export_snapshot()"));
    // It is older than what everybody sees by now.
    door.direct("CREATE FUNCTION later() RETURNS int LANGUAGE sql AS 'select 1'");
    let imports = format!("set transaction snapshot '{snapshot}'");
    let sent = [
        "begin isolation level repeatable read",
        imports.as_str(),
        "select pay(1)",
    ];
    for (asked, meanwhile, passes) in [(1, "select 1", true), (2, replaced, false)] {
        let held = door.psql_start("alice", &sent);
        let (name, _) = door.people.asked(asked);
        door.direct(meanwhile);
        door.people.approve(&name);
        let printed = finish(held);
        let refused = printed
            .err
            .contains("what the command means has changed while it waited");
        assert_eq!(
            (printed.out.lines().last() == Some("1"), refused),
            (passes, !passes),
            "{printed:?}"
        );
    }
}

#[test]
fn what_changes_while_other_replicas_are_told_of_a_copy_is_not_what_was_approved() {
    let given = asks_bob(json!({})).mask("numbers", json!({"match": {"columns": ["public.acct.n"]}}));
    let door = TestDoor::new(&given, &format!("{SCHEMA} CREATE TABLE copied (n int);"));
    let (server, database) = (door.shared_server(), door.database.clone());
    door.replicas.meanwhile(move || {
        let replaced = "CREATE OR REPLACE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS 'select 1'";
        server.sql(&database, replaced);
    });
    let held = door.psql_start("alice", &["insert into copied select n from acct where pay(id) = 1"]);
    let (name, _) = door.people.asked(1);
    door.people.approve(&name);
    let printed = finish(held);
    assert!(
        printed.err.contains("what the command means has changed"),
        "{printed:?}"
    );
    assert!(!door.replicas.kept().is_empty(), "they were told");
    assert_eq!(door.direct("select count(*) from copied"), "0");
}

/// Deleting needs somebody of the seniors, too.
fn asks_seniors(mut given: Given) -> Given {
    given.policies.push((
        "seniors",
        json!({"rules": [
            {"name": "deletes", "match": {"cel": "'delete' in command.verbs"}, "action": "RequireApproval",
             "approval": {"approvers": [{"kind": "Group", "name": "oidc:seniors"}]}},
            {"name": "rest", "match": {"any": true}, "action": "Allow"},
        ]}),
    ));
    given
}

#[test]
fn a_policy_that_comes_while_a_command_waits_is_asked_as_well() {
    let given = asks_bob(json!({}));
    let door = TestDoor::new(&given, SCHEMA);
    let held = door.psql_start("alice", &["delete from acct where id = 1"]);
    let (name, _) = door.people.asked(1);
    door.enforce(&asks_seniors(given), 2);
    door.people.approve(&name);
    let printed = finish(held);
    assert!(printed.err.contains("another rule asks for an approval"), "{printed:?}");
    assert_eq!(door.direct("select count(*) from acct"), "2");
}

#[test]
fn a_policy_that_comes_while_a_grant_is_claimed_is_asked_as_well() {
    let sql = "delete from acct where id = 1";
    let server = common::postgres::server();
    for on_hold in ["Wait", "Refuse"] {
        let given = asks_bob(json!({"onHold": on_hold}));
        let stricter = asks_seniors(given.clone()).rules(2, &server);
        let comes = Arc::new(OnceLock::<watch::Sender<Rules>>::new());
        let rules = Arc::clone(&comes);
        let happens = Box::new(move || {
            rules.get().unwrap().send_replace(stricter.clone());
        });
        let database = server.database(SCHEMA);
        let door = TestDoor::asking(&given, Arc::clone(&server), database, |people| {
            let people = people.clone();
            Arc::new(Meanwhile { people, happens })
        });
        assert!(comes.set(door.rules.clone()).is_ok());
        let asked = door.psql_start("alice", &[sql]);
        let (name, _) = door.people.asked(1);
        let printed = if on_hold == "Wait" {
            door.people.approve(&name);
            finish(asked)
        } else {
            finish(asked);
            door.people.approve(&name);
            door.psql("alice", &[sql])
        };
        assert!(
            printed.err.contains("another rule asks for an approval"),
            "{on_hold}: {printed:?}"
        );
        assert_eq!(door.direct("select count(*) from acct"), "2", "{on_hold}");
    }
}

#[test]
fn what_is_forbidden_while_it_waits_has_its_outcome_on_record() {
    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    let held = door.psql_start("alice", &["delete from acct where id = 1"]);
    let (name, _) = door.people.asked(1);
    door.enforce(
        &Given::open().policy(json!([{"name": "no", "match": {"any": true}, "action": "Deny"}])),
        2,
    );
    door.people.approve(&name);
    let printed = finish(held);
    assert!(
        printed.err.contains("what the command means has changed"),
        "{printed:?}"
    );
    door.recorded_times(
        "one outcome",
        1,
        |event| matches!(event, Event::Outcome(outcome) if outcome.fate == Fate::NotRun),
    );
    assert_eq!(door.direct("select count(*) from acct"), "2");
}

#[test]
fn what_was_approved_runs_at_once_or_not_at_all() {
    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    client.parse("", "select pay(1)").bind("p", "", &[], 0).sync();
    let (name, _) = door.people.asked(1);
    door.people.approve(&name);
    assert!(tags(&client.ready()).ends_with("12Z"));
    // Nothing was executed yet, and it is looked at no more: its code could be replaced at leisure.
    door.direct("CREATE OR REPLACE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS 'select 1000'");
    client.execute("p", 0).sync();
    let got = client.ready();
    assert_eq!(tags(&got), "EZ", "{got:?}");
    let words = got[0].field('M').unwrap();
    assert!(words.contains("runs at once or not at all"), "{words}");
    client.query("rollback");

    // In one unit it runs, and is read to its end in others.
    client.query("begin");
    client.parse("", "select id, 'pay' from acct");
    client.bind("p", "", &[], 0).execute("p", 1).sync();
    let (name, _) = door.people.asked(2);
    door.people.approve(&name);
    assert!(tags(&client.ready()).ends_with("12DsZ"));
    client.execute("p", 0).sync();
    assert_eq!(tags(&client.ready()), "DCZ");
}

#[test]
fn nothing_of_a_pipeline_runs_by_a_verdict_from_before_the_wait() {
    let given = asks_bob(json!({}));
    let door = TestDoor::new(&given, SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for sql in ["select n from acct", "delete from acct where id = 1"] {
        client.parse("", sql).bind("", "", &[], 0).execute("", 0);
    }
    client.sync();
    let (name, _) = door.people.asked(1);
    // What was let through as it came is forbidden by now.
    door.enforce(
        &Given::open().policy(json!([{"name": "no", "match": {"any": true}, "action": "Deny"}])),
        2,
    );
    door.people.deny(&name, "not today");
    let got = client.ready();
    assert!(!tags(&got).contains('D'), "no row: {got:?}");
    let refused = got.iter().find(|message| message.tag == 'E').unwrap();
    assert!(refused.field('M').unwrap().contains("not today"), "{refused:?}");
    door.recorded_times(
        "neither ran",
        2,
        |event| matches!(event, Event::Outcome(outcome) if outcome.fate == Fate::NotRun),
    );
}

#[test]
fn a_mask_that_comes_while_a_command_waits_holds_for_its_answer_and_those_after() {
    let given = asks_bob(json!({}));
    let door = TestDoor::new(&given, &format!("{SCHEMA} UPDATE acct SET n = 4711;"));
    let held = door.psql_start(
        "alice",
        &[
            "select n as pay from acct where id = 1",
            "select n from acct where id = 2",
        ],
    );
    let (name, _) = door.people.asked(1);
    door.enforce(
        &given.mask("numbers", json!({"match": {"columns": ["public.acct.n"]}})),
        2,
    );
    door.people.approve(&name);
    let printed = finish(held);
    assert!(!printed.out.contains("4711"), "{printed:?}");
    assert_eq!(door.direct("select n from acct where id = 1"), "4711");
}
