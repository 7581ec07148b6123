//! A database that is written to all the time: a check looks at what a statement hangs on, and misses no change of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::postgres::server_alone;
use super::common::wire::{Client, Message, value};

const SSN: &str = "536-90-4399";
const SCHEMA: &str = "
CREATE TABLE log (v text);
CREATE TABLE customers (id int, ssn text);
INSERT INTO customers VALUES (1, '536-90-4399');
CREATE TABLE plain (id int, note text);
INSERT INTO plain VALUES (1, 'nothing');
CREATE TABLE parent (note text);
CREATE TABLE child (note text);
INSERT INTO child VALUES ('536-90-4399');
CREATE VIEW seen AS SELECT id::text AS v FROM customers;
CREATE SCHEMA app;
CREATE TABLE app.later (id int, note text);
INSERT INTO app.later VALUES (1, '536-90-4399');
CREATE TABLE mixed (id int, ssn text, note text);
INSERT INTO mixed VALUES (1, '536-90-4399', 'nothing');
INSERT INTO parent VALUES ('nothing');";

/// What is read, what changes, and how that is undone.
const CHANGES: [(&str, &str, &str); 5] = [
    (
        "select v from seen",
        "CREATE OR REPLACE VIEW seen AS SELECT ssn AS v FROM customers",
        "CREATE OR REPLACE VIEW seen AS SELECT id::text AS v FROM customers",
    ),
    (
        "select note from plain",
        "ALTER TABLE plain RENAME TO harmless; ALTER TABLE customers RENAME COLUMN ssn TO note; ALTER TABLE customers RENAME TO plain",
        "ALTER TABLE plain RENAME TO customers; ALTER TABLE customers RENAME COLUMN note TO ssn; ALTER TABLE harmless RENAME TO plain",
    ),
    (
        "select max(note) from parent",
        "ALTER TABLE child INHERIT parent; DELETE FROM ONLY parent",
        "ALTER TABLE child NO INHERIT parent; INSERT INTO parent VALUES ('nothing')",
    ),
    (
        "select note from plain where id = 1",
        "ALTER TABLE plain SET SCHEMA app; ALTER TABLE app.later RENAME TO plainer; ALTER TABLE app.plainer SET SCHEMA public;
         ALTER TABLE plainer RENAME TO plain",
        "ALTER TABLE plain RENAME TO later; ALTER TABLE later SET SCHEMA app; ALTER TABLE app.plain SET SCHEMA public",
    ),
    (
        "select coalesce(note, id::text) from mixed",
        "ALTER TABLE mixed RENAME COLUMN note TO before; ALTER TABLE mixed RENAME COLUMN ssn TO note",
        "ALTER TABLE mixed RENAME COLUMN note TO ssn; ALTER TABLE mixed RENAME COLUMN before TO note",
    ),
];

/// Somebody who writes until it is dropped.
struct Writer(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Writer {
    fn start(door: &TestDoor) -> Self {
        let mut client = Client::direct(door.server(), &door.database, &[]).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ends);
        let writing = std::thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                client.query("insert into log values ('x')");
            }
        });
        Self(ends, Some(writing))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        // It fails where its server does, and then the test has failed before.
        let _ = self.1.take().map(JoinHandle::join);
    }
}

fn door() -> TestDoor {
    let columns = [
        "public.customers.ssn",
        "public.child.note",
        "public.mixed.ssn",
        "app.later.note",
    ];
    let columns = json!({"columns": columns});
    // Of its own: tests beside this one wait for a server at rest.
    let server = server_alone();
    let database = server.database(SCHEMA);
    TestDoor::before(
        &Given::open().mask("columns", json!({"match": columns})),
        server,
        database,
    )
}

/// Whether a check looked at a footprint a moment ago.
fn is_looked_at(door: &TestDoor) -> bool {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() \
         and application_name = 'sallyport catalog' and query ~ 'sallyport_position; EXECUTE sallyport_footprint'";
    door.direct(sql) != "0"
}

#[test]
fn no_change_of_what_a_statement_hangs_on_is_missed() {
    let senders: [fn(&mut Client, &str) -> Vec<Message>; 2] = [Client::query, Client::pipeline];
    for send in senders {
        let door = door();
        let writer = Writer::start(&door);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        for (sql, change, back) in CHANGES {
            for _ in 0..2 {
                eventually("a footprint to be looked at", || {
                    (0..16).for_each(|_| assert!(!value(&send(&mut client, sql)).contains(SSN), "{sql}"));
                    is_looked_at(&door).then_some(())
                });
                door.direct(&format!("begin; {change}; commit"));
                let shown = value(&send(&mut client, sql));
                assert!(!shown.contains(SSN), "{sql}: {shown}");
                assert_eq!(door.direct(sql), SSN, "or this tests nothing: {change}");
                door.direct(&format!("begin; {back}; commit"));
            }
        }
        drop(writer);
    }
}
