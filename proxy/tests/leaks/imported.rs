//! Leaks through a snapshot that another session exported: rows are read as they were, names mean what they mean now.

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, value};

const SCHEMA: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text); \
     INSERT INTO customers VALUES (1, 'Ada', '536-90-4399'); \
     CREATE TABLE acct (id int, ssn text); CREATE SCHEMA evil; \
     CREATE VIEW v AS SELECT id, name AS x FROM customers";
/// The protected value as no detector knows it.
const DISGUISED: &str = "9934-09-635";
/// What is nobody's secret, turned in the same way.
const NAME: (&str, &str) = ("select reverse(name) from public.customers", "adA");

fn door() -> TestDoor {
    let given = Given::open().mask("columns", json!({"match": {"columns": ["public.customers.ssn*"]}}));
    TestDoor::new(&given, SCHEMA)
}

/// Whatever was said, as text; without an error.
fn said(messages: &[Message]) -> String {
    let failed = messages.iter().find(|message| message.tag == 'E');
    assert!(failed.is_none(), "{:?}", failed.map(Message::text));
    messages.iter().map(Message::text).collect()
}

/// Somebody whose transaction others can see by, for as long as it is open.
fn exported(door: &TestDoor) -> (Client, String) {
    let mut client = Client::login(door, "bob", &[]).unwrap();
    said(&client.query("begin isolation level repeatable read"));
    let answer = client.query("select pg_export_snapshot()");
    said(&answer);
    let snapshot = value(&answer);
    (client, snapshot)
}

fn imports(client: &mut Client, snapshot: &str) {
    said(&client.query("begin"));
    said(&client.query("set transaction isolation level repeatable read"));
    said(&client.query(&format!("set transaction snapshot '{snapshot}'")));
}

#[test]
fn what_was_renamed_added_and_replaced_since_the_snapshot_is_masked() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    said(&client.query("set search_path = evil, public"));
    assert!(said(&client.query("select reverse(x) from v")).contains(NAME.1));
    let (_open, snapshot) = exported(&door);
    for changed in [
        "ALTER TABLE customers RENAME COLUMN ssn TO harmless",
        "ALTER TABLE customers ADD COLUMN ssn2 text DEFAULT '536-90-4399'",
        "CREATE OR REPLACE VIEW v AS SELECT id, harmless AS x FROM customers",
        "CREATE VIEW evil.acct AS SELECT id, harmless AS ssn FROM customers",
    ] {
        door.direct(changed);
    }
    let ways = [
        "select reverse(harmless) from customers",
        "select reverse(ssn2) from customers",
        "copy (select reverse(ssn2) from customers) to stdout",
        "select reverse(x) from v",
        "select reverse(ssn) from acct",
    ];
    let mut direct = Client::direct(door.server(), &door.database, &[]).unwrap();
    said(&direct.query("set search_path = evil, public"));
    imports(&mut direct, &snapshot);
    for sql in ways {
        assert!(
            said(&direct.query(sql)).contains(DISGUISED),
            "or this tests nothing: {sql}"
        );
    }

    imports(&mut client, &snapshot);
    for sql in ways {
        let answer = said(&client.query(sql));
        assert!(!answer.contains(DISGUISED), "{sql}: {answer}");
    }
    assert!(said(&client.query(NAME.0)).contains(NAME.1));
    // What it defines itself is seen by the target at once, and by the session's catalog beside what was so then.
    said(&client.query("create table t (a int)"));
    for sql in ways {
        let answer = said(&client.query(sql));
        assert!(!answer.contains(DISGUISED), "own definitions: {sql}: {answer}");
    }
    said(&client.query("rollback"));
    assert!(said(&client.query(NAME.0)).contains(NAME.1));
}

#[test]
fn a_table_of_the_sessions_own_that_is_younger_than_the_snapshot_is_masked() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let (_open, snapshot) = exported(&door);
    let read = "select reverse(ssn) from acct";
    // Rows of a temporary table are frozen whoever else has a snapshot, and frozen ones are in every snapshot. The table's
    // own row in the catalog is not.
    let ahead = [
        "create temporary table acct as select id, ssn from customers",
        "vacuum (freeze) acct",
    ];
    let again = "set local search_path = public";
    let mut direct = Client::direct(door.server(), &door.database, &[]).unwrap();
    for sql in ahead {
        said(&direct.query(sql));
    }
    imports(&mut direct, &snapshot);
    said(&direct.query(again));
    assert!(said(&direct.query(read)).contains(DISGUISED), "or this tests nothing");

    for sql in ahead {
        said(&client.query(sql));
    }
    imports(&mut client, &snapshot);
    for (step, sql) in [("as it was", "show search_path"), ("the path looked up again", again)] {
        said(&client.query(sql));
        for sql in [read, "select reverse(ssn) from pg_temp.acct"] {
            let answer = said(&client.query(sql));
            assert!(!answer.contains(DISGUISED), "{step}: {sql}: {answer}");
        }
    }
    said(&client.query("commit"));
    let answer = said(&client.query(read));
    assert!(!answer.contains(DISGUISED), "afterwards: {answer}");
    assert!(said(&client.query(NAME.0)).contains(NAME.1));
}
