//! Ordinary work beside protected columns: it is answered as PostgreSQL answers it.

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, value};

const SCHEMA: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name varchar(20), ssn text);
INSERT INTO customers VALUES (1, 'Ada', '536-90-4399');
CREATE TABLE notes (id int, note text);
INSERT INTO notes VALUES (1, 'plain');
CREATE MATERIALIZED VIEW names AS SELECT id, ssn FROM customers;";

fn door(profile: &str) -> TestDoor {
    let columns = json!({"match": {"columns": ["public.customers.ssn"]}, "profile": profile});
    TestDoor::new(&Given::open().mask("columns", columns), SCHEMA)
}

/// All values of all rows, and of a COPY its lines.
fn shown(said: &[Message]) -> String {
    let refused = said.iter().find(|message| message.tag == 'E');
    assert!(refused.is_none(), "{:?}", refused.map(Message::text));
    let rows = said.iter().filter(|message| message.tag == 'D');
    let values = rows.flat_map(Message::values).flatten();
    let lines = said.iter().filter(|message| message.tag == 'd');
    let each = values.chain(lines.map(|message| message.body.clone()));
    let texts: Vec<String> = each
        .map(|value| String::from_utf8_lossy(&value).trim().to_owned())
        .collect();
    texts.join(" ")
}

#[test]
fn what_a_string_makes_is_shown_by_its_own_statements() {
    for profile in ["Standard", "Strict"] {
        let door = door(profile);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        for (sql, values) in [
            (
                "create table one (id int, note text); insert into one values (1, 'b'); select id, note from one",
                "1 b",
            ),
            (
                "create view shown as select id, note from notes; select * from shown",
                "1 plain",
            ),
            (
                "create table two as select 1 as id, 'b' as note; select * from two",
                "1 b",
            ),
            (
                "create table three (id serial primary key, note text unique); insert into three (note) values ('b') returning id; select note from three",
                "1 b",
            ),
            (
                "begin; create table four (id int); insert into four values (4); select * from four; commit",
                "4",
            ),
            (
                "create table six (id int, twice int generated always as (id * 2) stored); insert into six values (6); select * from six",
                "6 12",
            ),
            (
                "create table if not exists seven (id int, note text); insert into seven values (7, 'b'); select * from seven",
                "7 b",
            ),
            ("alter table notes add column kind text; select * from notes", "1 plain"),
            (
                "alter table notes add column level int default 3; select note, level from notes",
                "plain 3",
            ),
            (
                "alter table notes add column if not exists level int; select level from notes",
                "3",
            ),
        ] {
            assert_eq!(shown(&client.query(sql)), values, "{profile}: {sql}");
        }
        // What is copied there is not.
        let sql = "create table five as select 1 as id, ssn from customers; select * from five";
        let said = client.query(sql);
        assert!(
            said.iter().all(|message| !message.text().contains("536")),
            "{profile}: {said:?}"
        );
    }
}

#[test]
fn what_hides_nothing_may_change_while_rows_are_awaited() {
    // By then the catalog counts as old, and is read again.
    let awaited = "select 'awaited' from pg_sleep(0.02)";
    let beside = [
        ("create unique index on notes (id)", "select note from notes", "plain"),
        (
            "create unique index on customers (id)",
            "select name from customers",
            "Ada",
        ),
    ];
    let own = [
        (
            "alter table notes rename note to words",
            "select words from notes",
            "plain",
        ),
        ("alter table notes add check (id > 0)", "select * from notes", "1 plain"),
        ("alter table notes alter id type bigint", "select id from notes", "1"),
        ("alter table notes drop words", "select * from notes", "1"),
    ];
    // Strict reads nothing behind an ALTER that does more than add.
    for (profile, count) in [("Standard", own.len()), ("Strict", 0)] {
        let door = door(profile);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        for (change, sql, values) in beside.iter().chain(own.iter().take(count)) {
            let said = client.query(&format!("{change}; {awaited}; {sql}"));
            assert_eq!(shown(&said), format!("awaited {values}"), "{profile}: {change}");
        }
        // A name that means a protected column by now.
        shown(&client.query("alter table notes add ssn text"));
        let sql = "select reverse(ssn) from notes, customers";
        let said = client.query(&format!("alter table notes rename ssn to other; {awaited}; {sql}"));
        let shows = said.iter().any(|message| message.text().contains("9934-09-635"));
        assert!(!shows, "{profile}: {said:?}");
    }
}

#[test]
fn enumerations_and_generated_columns_may_come_while_rows_are_awaited() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    shown(&client.query("create type moods as enum ('calm')"));
    let awaited = "select 'awaited' from pg_sleep(0.02)";
    for (sql, values) in [
        (
            "create table made (id int, mood moods, twice int generated always as (id * 2) stored); insert into made values (1, 'calm'); select * from made",
            "1 calm 2",
        ),
        ("select note from notes; alter table notes add mood moods", "plain"),
        ("select note, mood from notes", "plain"),
    ] {
        assert_eq!(
            shown(&client.query(&format!("{sql}; {awaited}"))),
            format!("{values} awaited"),
            "{sql}"
        );
    }
}

#[test]
fn what_a_unit_hands_protection_on_to_does_not_refuse_itself() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for round in 0..4 {
        client.query(&format!("create table copies_{round} (id int, note text)"));
        client.query(&format!("insert into copies_{round} values (1, 'a')"));
        let sql = format!("update copies_{round} c set note = reverse(ssn) from customers where customers.id = c.id");
        shown(&client.query(&sql));
        let note = value(&client.query(&format!("select note from copies_{round}")));
        assert_eq!(note, "[REDACTED]", "{round}");
    }
}

#[test]
fn what_the_system_tells_is_copied_and_does_not_silence_who_reads_it() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for sql in [
        "copy (select name from pg_settings where name = 'work_mem') to stdout",
        "copy (select 'work_mem' from pg_locks limit 1) to stdout",
        "copy (select 'work_mem' from information_schema.columns limit 1) to stdout",
    ] {
        assert_eq!(shown(&client.query(sql)), "work_mem", "{sql}");
    }
    let said = client.query("listen x; notify x, 'hello'");
    let told = said
        .iter()
        .any(|message| message.tag == 'A' && message.text().contains("hello"));
    assert!(told, "{said:?}");
}

#[test]
fn errors_tell_what_the_text_names() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for (sql, words) in [
        (
            "alter table customers add name text",
            "column \"name\" of relation \"customers\" already exists",
        ),
        (
            "alter table customers drop nosuch",
            "column \"nosuch\" of relation \"customers\" does not exist",
        ),
        (
            "create index customers_pkey on customers (id)",
            "relation \"customers_pkey\" already exists",
        ),
        (
            "drop table customers",
            "cannot drop table customers because other objects depend on it",
        ),
        (
            "refresh materialized view concurrently names",
            "cannot refresh materialized view \"public.names\" concurrently",
        ),
        (
            "insert into customers (id) values ('abc')",
            "invalid input syntax for type integer: \"abc\"",
        ),
        (
            "insert into customers (id, name) values (2, repeat('x', 30))",
            "value too long for type character varying(20)",
        ),
        (
            "select nofunc(ssn) from customers",
            "function nofunc(text) does not exist",
        ),
        (
            "select ssn from customers union select id from customers",
            "UNION types text and integer cannot be matched",
        ),
        (
            "select (select ssn, id from customers)",
            "subquery must return only one column",
        ),
        (
            "select id from customers where ssn = 1",
            "operator does not exist: text = integer",
        ),
        (
            "begin; vacuum customers",
            "VACUUM cannot run inside a transaction block",
        ),
        // What is stored is not among it.
        (
            "rollback; select ssn::int from customers",
            "invalid text representation (the target's words are withheld: they may hold a protected value)",
        ),
        (
            "select ssn::regclass from customers",
            "undefined table (the target's words are withheld: they may hold a protected value)",
        ),
    ] {
        let said = client.query(sql);
        let error = said.iter().find(|message| message.tag == 'E').unwrap();
        assert_eq!(error.field('M').unwrap(), words, "{sql}");
        assert!(!error.text().contains("536"), "{sql}");
    }
    let said = client.query("drop table customers");
    let hint = said.iter().find_map(|message| message.field('H'));
    assert_eq!(
        hint.as_deref(),
        Some("Use DROP ... CASCADE to drop the dependent objects too.")
    );
    let said = client.query("select nme, ssn from customers");
    let hint = said.iter().find_map(|message| message.field('H'));
    assert_eq!(
        hint.as_deref(),
        Some("Perhaps you meant to reference the column \"customers.name\".")
    );
}

#[test]
fn a_session_may_begin_with_a_transaction_that_is_flushed() {
    for profile in ["Standard", "Strict"] {
        let door = door(profile);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.parse("", "begin").bind("", "", &[], 0).execute("", 0);
        client.put(b'H', |_| {}).send();
        assert_eq!(client.some(3).last().map(|message| message.tag), Some('C'));
        let sql = "insert into notes values (2, 'second') returning note";
        assert_eq!(shown(&client.pipeline(sql)), "second", "{profile}");
    }
}
