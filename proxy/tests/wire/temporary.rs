//! Temporary tables: nobody else's catalog is read again for them, and their own session knows all of them.

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, value};

/// What must not be shown, as it stands and reversed.
const SECRETS: [&str; 2] = ["536-90-4399", "9934-09-635"];
const SCHEMA: &str = "
CREATE TABLE customers (id int, ssn text);
INSERT INTO customers VALUES (1, '536-90-4399');
CREATE TABLE plain (id int, note text);
INSERT INTO plain VALUES (1, 'nothing');
CREATE TABLE parent (note text);";

/// What applications do with temporary tables, statement by statement.
const WORK: [&str; 8] = [
    "create temp table made as select id, note from plain",
    "create temp table more (id serial primary key, note text default 'x' check (note <> ''), twice int generated always as (2) stored)",
    "create index on made (lower(note))",
    "insert into more (note) select note from made",
    "select note from more",
    "alter table made add column another text[]",
    "begin; create temp table short (id int) on commit drop; insert into short values (1); commit",
    "drop table made, more",
];

/// What is made of protected values, and how it is read.
const COPIES: [(&[&str], &str); 6] = [
    (
        &["create temp table a1 as select reverse(ssn) as v from customers"],
        "select v from a1",
    ),
    (
        &[
            "create temp table a2 (v text)",
            "insert into a2 select reverse(ssn) from customers",
            "create temp view w2 as select v as z from a2",
        ],
        "select z from w2",
    ),
    (
        &[
            "create temp table a3 () inherits (parent)",
            "insert into a3 select reverse(ssn) from customers",
        ],
        "select note from parent",
    ),
    (
        &[
            "create domain pg_temp.d5 as pg_catalog.text",
            "create temp table a5 (v pg_temp.d5)",
            "insert into a5 select reverse(ssn) from customers",
        ],
        "select v from a5",
    ),
    (
        &[
            "create temp table a6 as select ssn as v from customers",
            "alter table a6 rename v to harmless",
            "alter table a6 rename to plain",
        ],
        "select reverse(harmless) from plain",
    ),
    (
        &[
            "create temp table named (ssn text)",
            "insert into named values ('9934-09-635')",
            "select ssn from named",
            "alter table named rename ssn to harmless",
        ],
        "select harmless from named",
    ),
];

fn door() -> TestDoor {
    let columns = json!({"columns": ["public.customers.ssn", "pg_temp*.named.ssn"]});
    TestDoor::new(&Given::open().mask("columns", json!({"match": columns})), SCHEMA)
}

/// How often the whole catalog was read.
fn readings(door: &TestDoor) -> usize {
    let log = door.server().log_of(&door.database);
    log.matches("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").count()
}

fn leaks(said: &[Message]) -> bool {
    let shown = |message: &Message| SECRETS.iter().any(|secret| message.text().contains(secret));
    said.iter().any(shown)
}

#[test]
fn temporary_tables_have_nobodys_catalog_read_again() {
    let door = door();
    door.direct(&format!("alter database {} set log_statement = 'all'", door.database));
    let mut owner = Client::login(&door, "alice", &[]).unwrap();
    let mut other = Client::login(&door, "alice", &[]).unwrap();
    let mut read = |when: &str| assert_eq!(value(&other.query("select note from plain")), "nothing", "{when}");
    read("before");
    let before = readings(&door);
    assert!(before > 0, "the log does not tell");
    for sql in WORK {
        let said = owner.query(sql);
        assert!(said.iter().all(|message| message.tag != 'E'), "{sql}: {said:?}");
        read(sql);
    }
    assert_eq!(readings(&door), before);
    door.direct("create table others_see (id int)");
    // What a COPY hangs on is not looked at by itself.
    other.query("copy plain to stdout");
    assert!(readings(&door) > before, "what others see is read");
}

#[test]
fn what_temporary_objects_hold_is_hidden_from_whoever_made_them() {
    let door = door();
    let senders: [fn(&mut Client, &str) -> Vec<Message>; 2] = [Client::query, Client::pipeline];
    for send in senders {
        for (made, read) in COPIES {
            let mut direct = Client::direct(door.server(), &door.database, &[]).unwrap();
            made.iter().for_each(|sql| drop(send(&mut direct, sql)));
            assert!(
                leaks(&send(&mut direct, read)),
                "{read}: nothing leaks without the door"
            );
            drop(direct);
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            for sql in made {
                let said = send(&mut client, sql);
                assert!(said.iter().all(|message| message.tag != 'E'), "{sql}: {said:?}");
                assert!(!leaks(&said), "{sql}: {said:?}");
            }
            // The second time, whatever the first one taught is known.
            for _ in 0..2 {
                let said = send(&mut client, read);
                assert!(said.iter().any(|message| message.tag == 'D'), "{read}: {said:?}");
                assert!(!leaks(&said), "{read}: {said:?}");
            }
        }
    }
}
