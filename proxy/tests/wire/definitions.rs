//! Definitions that are known from before: every change of the names that they are told by is noticed.

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, value};

const REVERSED: &str = "9934-09-635";
const SCHEMA: &str = "
CREATE TABLE customers (id int, ssn text, other text);
INSERT INTO customers VALUES (1, '536-90-4399', 'nothing');
CREATE TABLE plain (id int, note text, other text);
CREATE SCHEMA app;
CREATE TABLE app.plain (id int, note text, other text);
CREATE SCHEMA more;
CREATE TABLE more.plain (id int, note text, other text);
CREATE SCHEMA limbo;";

/// What is protected is called as no rule calls it, and a view is made over it.
const RENAMED: &str = "begin; ALTER TABLE customers RENAME COLUMN ssn TO note; ALTER TABLE customers RENAME TO people;
CREATE VIEW seen AS SELECT note AS v FROM people; commit";

/// What comes before, and what whoever goes on by the text that was read then would follow to what is not protected.
const CHANGES: [(&str, &str); 5] = [
    (
        "",
        "ALTER TABLE people RENAME TO old; ALTER TABLE plain RENAME TO people; ALTER TABLE old RENAME TO plain",
    ),
    (
        "",
        "ALTER TABLE plain RENAME note TO old; ALTER TABLE plain RENAME other TO note; ALTER TABLE plain RENAME old TO other",
    ),
    (
        "",
        "ALTER TABLE plain SET SCHEMA limbo; ALTER TABLE app.plain SET SCHEMA public; ALTER TABLE limbo.plain SET SCHEMA app",
    ),
    (
        "",
        "ALTER SCHEMA app RENAME TO old; ALTER SCHEMA more RENAME TO app; ALTER SCHEMA old RENAME TO more",
    ),
    (
        "CREATE OR REPLACE VIEW seen AS SELECT note AS v FROM more.plain",
        "CREATE OR REPLACE VIEW seen AS SELECT other AS v FROM more.plain",
    ),
];

#[test]
fn a_definition_that_would_be_another_text_now_is_read_again() {
    let senders: [fn(&mut Client, &str) -> Vec<Message>; 2] = [Client::query, Client::pipeline];
    for send in senders {
        let columns = json!({"match": {"columns": ["public.customers.ssn"]}});
        let door = TestDoor::new(&Given::open().mask("columns", columns), SCHEMA);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let seen = |client: &mut Client, sql: &str| {
            let shown = value(&send(client, sql));
            assert!(!shown.contains(REVERSED), "{sql}: {shown}");
        };
        seen(&mut client, "select reverse(ssn) from customers");
        door.direct(RENAMED);
        for (number, (before, change)) in CHANGES.iter().enumerate() {
            door.direct(before);
            for round in 0..4 {
                door.direct(&format!("create table unrelated_{number}_{round} (id int)"));
                seen(&mut client, "select reverse(v) from seen");
            }
            door.direct(&format!("begin; {change}; commit"));
            seen(&mut client, "select reverse(v) from seen");
            assert_eq!(door.direct("select reverse(v) from seen"), REVERSED, "{change}");
        }
    }
}

#[test]
fn a_column_that_comes_or_goes_is_noticed_amid_what_is_known() {
    let columns = json!({"match": {"columns": ["public.customers.ssn"]}});
    let door = TestDoor::new(&Given::open().mask("columns", columns), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for round in 0..4 {
        door.direct(&format!("create table unrelated_{round} (id int)"));
        assert_eq!(value(&client.query("select reverse(other) from customers")), "gnihton");
    }
    door.direct(
        "begin; ALTER TABLE customers DROP COLUMN other;
         ALTER TABLE customers ADD COLUMN other text GENERATED ALWAYS AS (ssn || '') STORED; commit",
    );
    let shown = value(&client.query("select reverse(other) from customers"));
    assert!(!shown.contains(REVERSED), "{shown}");
}
