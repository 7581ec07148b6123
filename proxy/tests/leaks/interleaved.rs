//! What two sessions do in turn under rules of its own; what leaks under the rules of all cases stands in `interleaved.jsonl`.

use sallyport_proxy::postgres::frame::put_cstr;
use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::wire::{Client, Message};

fn beside(door: &TestDoor, sql: &[&str]) -> Client {
    let mut client = Client::direct(door.server(), &door.database, &[]).unwrap();
    for sql in sql {
        said(&client.query(sql));
    }
    client
}

/// Whatever was said, as text; without an error.
fn said(messages: &[Message]) -> String {
    let failed = messages.iter().find(|message| message.tag == 'E');
    assert!(failed.is_none(), "{:?}", failed.map(Message::text));
    messages.iter().map(Message::text).collect()
}

/// Until a session of the door's database waits for a lock.
fn somebody_waits(door: &TestDoor) {
    eventually("a wait for a lock", || {
        (door.server().waiting(&door.database) > 0).then_some(())
    });
}

fn send(client: &mut Client, sql: &str) {
    client.put(b'Q', |out| put_cstr(out, sql)).send();
}

/// By the extended protocol, in a unit of its own that `end` closes.
fn send_bound(client: &mut Client, sql: &str, end: u8) {
    client
        .parse("", sql)
        .bind("", "", &[], 0)
        .execute("", 0)
        .put(end, |_| {});
    if end != b'S' {
        client.put(b'S', |_| {});
    }
    client.send();
}

#[test]
fn what_writes_is_judged_by_what_it_waited_for() {
    let keep = json!([
        {"name": "keep", "match": {"cel": "'public.accounts' in command.written"}, "action": "Deny"},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]);
    let schema = "CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE accounts (id int); INSERT INTO plain VALUES (1); \
        INSERT INTO accounts VALUES (1); CREATE VIEW v AS SELECT id FROM plain";
    let view = "create or replace view v as select id from accounts";
    let key = "alter table accounts add foreign key (id) references plain on delete cascade";
    for (swap, opened, sql, end) in [
        (view, false, "delete from v", b'Q'),
        (view, true, "delete from v", b'Q'),
        (view, false, "select 1; delete from v", b'Q'),
        (
            view,
            false,
            "begin; set local statement_timeout = 0; delete from v; commit",
            b'Q',
        ),
        (
            view,
            false,
            "with d as (delete from v returning id) select count(*) from d",
            b'Q',
        ),
        (view, false, "delete from v", b'S'),
        (view, true, "delete from v", b'S'),
        (view, false, "delete from v", b'H'),
        (key, false, "delete from plain", b'Q'),
        (key, true, "delete from plain", b'S'),
    ] {
        let door = TestDoor::new(&Given::open().policy(keep.clone()), schema);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        said(&client.query("select count(*) from v"));
        if opened {
            said(&client.query("begin"));
        }
        let mut other = beside(&door, &["begin", swap]);
        match end {
            b'Q' => send(&mut client, sql),
            end => send_bound(&mut client, sql, end),
        }
        somebody_waits(&door);
        said(&other.query("commit"));
        let answer = client.ready();
        let code = answer
            .iter()
            .find_map(|message| message.field('C').filter(|_| message.tag == 'E'));
        assert_eq!(code.as_deref(), Some("42501"), "{opened} {sql}: {answer:?}");
        client.query("commit");
        assert_eq!(
            door.direct("select count(*) from accounts").trim(),
            "1",
            "{opened} {sql}"
        );
    }
}

/// What is refused by rules that allow it is no mend: what waited for a lock and means the same runs.
#[test]
fn what_writes_and_means_the_same_runs_after_its_wait() {
    let schema = "CREATE TABLE plain (id int); INSERT INTO plain VALUES (1); CREATE VIEW v AS SELECT id FROM plain";
    for opened in [false, true] {
        let door = TestDoor::new(&Given::open(), schema);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        said(&client.query("select count(*) from v"));
        if opened {
            said(&client.query("begin"));
        }
        let mut other = beside(
            &door,
            &["begin", "alter table plain add note text", "create table more (id int)"],
        );
        send(&mut client, "delete from v");
        somebody_waits(&door);
        said(&other.query("commit"));
        assert!(said(&client.ready()).contains("DELETE 1"), "{opened}");
        client.query("commit");
        assert_eq!(door.direct("select count(*) from plain").trim(), "0", "{opened}");
    }
}

/// Protection that goes on to where a statement copies is no news to that statement, however long it takes.
#[test]
fn a_copy_that_takes_long_hides_no_more_than_what_it_copies() {
    let schema = "create table customers (id int primary key, name text, ssn text, ssn_num bigint); \
        insert into customers values (1, 'Ada', '536-90-4399', 536904399); \
        create table report (id int, name text, x text)";
    let door = TestDoor::new(&Given::cases(), schema);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let copy = "insert into report select c.id, c.name, c.ssn from customers c, pg_sleep(0.1) where c.id = 1 returning id, name";
    let answer = said(&client.query(copy));
    assert!(answer.contains("Ada"), "{answer}");
    client.parse("", copy).bind("", "", &[], 0).execute("", 0).sync();
    let answer = said(&client.ready());
    assert!(answer.contains("Ada"), "{answer}");
    let answer = said(&client.query("select name, reverse(x) from report"));
    assert!(answer.contains("Ada") && answer.contains("[REDACTED]"), "{answer}");
}

/// What one unit turned out to copy otherwise than it was known to is nothing to what is made in the next.
#[test]
fn what_is_made_behind_a_copy_that_waited_is_shown() {
    let schema = "create table customers (id int primary key, name text, ssn text, ssn_num bigint); \
        create table plain (id int, note text); insert into plain values (1, 'Ada'); \
        create table report (id int, note text); create view v as select id, note from plain";
    let door = TestDoor::new(&Given::cases(), schema);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    said(&client.query("select count(*) from v"));
    let replaced = "create or replace view v as select id, note, 7 as more from plain";
    let mut other = beside(&door, &["begin", replaced]);
    send(&mut client, "insert into report select id, note from v");
    somebody_waits(&door);
    said(&other.query("commit"));
    assert!(said(&client.ready()).contains("INSERT 0 1"));
    let makes = "create table made (note text); insert into made values ('Ada'); select note from made";
    for _ in 0..2 {
        let answer = said(&client.query(makes));
        assert!(answer.contains("Ada"), "{answer}");
        said(&client.query("drop table made"));
    }
}
