//! Tables that somebody else has locked: reading how they compute would wait, and nobody else does.

use sallyport_proxy::postgres::frame::put_cstr;
use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::wire::{Client, Message, tags};

const SSN: &str = "536-90-4399";
const SCHEMA: &str = "
CREATE TABLE one (id int DEFAULT length('ab'), name text DEFAULT lower('NEW') CHECK (length(name) < 12),
  twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE other (LIKE one INCLUDING ALL);
CREATE TABLE third (LIKE one INCLUDING ALL);
CREATE TABLE customers (id int, ssn text, copied text GENERATED ALWAYS AS (id::text || ssn) STORED);
INSERT INTO customers VALUES (1, '536-90-4399');
CREATE VIEW seen AS SELECT reverse(ssn) AS v FROM customers;
CREATE VIEW names AS SELECT name AS v FROM one;
CREATE FUNCTION listed() RETURNS SETOF one LANGUAGE sql AS 'SELECT * FROM one';
CREATE VIEW counted AS SELECT count(*) AS n FROM listed();
CREATE VIEW made AS SELECT ROW(1, 'a', 2)::one AS v, ARRAY[ROW(1, 'a', 2)]::one[] AS more;
INSERT INTO one VALUES (1, 'Somebody');";

fn door() -> TestDoor {
    let columns = json!({"columns": ["public.customers.ssn", "public.one.name"]});
    TestDoor::new(&Given::open().mask("columns", json!({"match": columns})), SCHEMA)
}

fn values(said: &[Message]) -> Vec<String> {
    let rows = said.iter().filter(|message| message.tag == 'D');
    let values = rows.flat_map(Message::values).flatten();
    values
        .map(|value| String::from_utf8_lossy(&value).into_owned())
        .collect()
}

/// A session of somebody else that has locked a table.
fn locking(door: &TestDoor, table: &str) -> Client {
    let mut other = Client::direct(door.server(), &door.database, &[]).unwrap();
    other.query("begin");
    let locked = other.query(&format!("lock table {table} in access exclusive mode"));
    assert_eq!(tags(&locked), "CZ");
    other
}

#[test]
fn who_needs_no_locked_table_waits_for_nobody_and_sees_no_less_masked() {
    let door = door();
    let mut other = locking(&door, "one");
    // The first look at this catalog.
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for sql in [
        "select ssn from customers",
        "select v from seen",
        "select copied from customers",
    ] {
        let said = client.query(sql);
        let values = values(&said);
        assert_eq!((tags(&said).as_str(), values.len()), ("TDCZ", 1), "{sql}: {said:?}");
        let reversed: String = SSN.chars().rev().collect();
        assert!(
            !values[0].contains(SSN) && !values[0].contains(&reversed),
            "{sql}: {values:?}"
        );
    }
    assert_eq!(tags(&client.query("insert into other values (default, default)")), "CZ");
    // What is over the locked table could not be read, and is masked nevertheless once the lock is gone.
    client.put(b'Q', |out| put_cstr(out, "select v from names")).send();
    other.query("commit");
    let said = client.ready();
    assert_eq!(values(&said).len(), 1, "{said:?}");
    assert_ne!(values(&said), ["Somebody"]);
}

#[test]
fn a_transaction_that_is_prepared_and_left_holds_up_nobody() {
    let door = door();
    let mut other = locking(&door, "one");
    assert_eq!(tags(&other.query("prepare transaction 'left'")), "CZ");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let said = client.query("select copied from customers");
    assert_eq!(tags(&other.query("rollback prepared 'left'")), "CZ");
    assert_eq!((tags(&said).as_str(), values(&said).len()), ("TDCZ", 1), "{said:?}");
}

#[test]
fn sessions_that_each_lock_a_table_do_not_wait_for_each_other() {
    let door = door();
    let mut sessions = [
        (Client::login(&door, "alice", &[]).unwrap(), "other"),
        (Client::login(&door, "alice", &[]).unwrap(), "third"),
    ];
    for (client, table) in &mut sessions {
        assert_eq!(tags(&client.query("begin")), "CZ");
        assert_eq!(tags(&client.query(&format!("truncate {table}"))), "CZ");
    }
    for (client, table) in &mut sessions {
        let copy = format!("copy {table} (id, name) from stdin");
        client.put(b'Q', |out| put_cstr(out, &copy)).send();
        assert_eq!(client.read().tag, 'G', "{table}");
        client
            .put(b'd', |out| out.extend(b"1\tNobody\n"))
            .put(b'c', |_| {})
            .send();
        assert_eq!(tags(&client.ready()), "CZ", "{table}");
        assert_eq!(tags(&client.query("commit")), "CZ", "{table}");
    }
    for table in ["other", "third"] {
        assert_eq!(door.direct(&format!("select name from {table}")), "Nobody");
    }
}

#[test]
fn what_was_read_before_a_lock_is_known_while_it_lasts() {
    let door = door();
    door.direct("create materialized view held as select 'plain' || id as v from one");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let shown = |client: &mut Client| values(&client.query("select v from held"));
    for number in 0..4 {
        door.direct(&format!("create table unrelated_{number} (id int)"));
        assert_eq!(shown(&mut client), ["plain1"]);
    }
    let mut other = locking(&door, "one");
    door.direct("create table unrelated (id int)");
    assert_eq!(shown(&mut client), ["plain1"], "its definition is what it was");
    other.query("alter table one rename column id to number");
    door.direct("create table more (id int)");
    assert_eq!(shown(&mut client), ["plain1"], "nothing of that is committed");
    other.query("commit");
    assert_eq!(shown(&mut client), ["plain1"]);
}

#[test]
fn what_the_target_does_not_take_before_it_runs_is_its_own_error() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let failed = |said: &[Message], code: &str, position: &str| {
        let error = said.iter().find(|message| message.tag == 'E').unwrap();
        let fields = ['C', 'P'].map(|field| error.field(field).unwrap_or_default());
        assert_eq!(fields, [code, position], "{said:?}");
    };
    let ready = |said: &[Message]| said.last().map(Message::text).unwrap();
    let said = client.query("insert into nosuch values (1)");
    assert_eq!((tags(&said).as_str(), ready(&said).as_str()), ("EZ", "I"));
    failed(&said, "42P01", "13");
    let said = client.query("select 1; update other set nosuch = 1");
    failed(&said, "42703", "28");
    assert_eq!(tags(&client.query("begin")), "CZ");
    let said = client.query("delete from nosuch");
    assert_eq!((tags(&said).as_str(), ready(&said).as_str()), ("EZ", "E"));
    failed(&said, "42P01", "13");
    assert_eq!(tags(&client.query("rollback")), "CZ");
    assert_eq!(tags(&client.query("insert into other values (default, default)")), "CZ");
}

/// What a string waits at comes before what stands behind it: who holds the one may wait for the other.
#[test]
fn nothing_is_locked_before_what_a_string_locks_first() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    assert_eq!(tags(&client.query("delete from third")), "CZ");
    let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database \
         where not l.granted and d.datname = current_database()";
    for first in ["lock table other in exclusive mode", "truncate other"] {
        let mut other = locking(&door, "other");
        let sql = format!("begin; {first}; delete from third; commit");
        client.put(b'Q', |out| put_cstr(out, &sql)).send();
        eventually("a wait for a lock", || {
            (door.direct(waiting).trim() == "1").then_some(())
        });
        let locked = other.query("lock table third in access exclusive mode");
        assert_eq!(tags(&locked), "CZ", "{first}: {locked:?}");
        assert_eq!(tags(&other.query("commit")), "CZ");
        assert_eq!(tags(&client.ready()), "CCCCZ", "{first}");
    }
}

#[test]
fn what_a_type_runs_as_it_is_parsed_runs_once() {
    let door = door();
    door.direct(
        "create table told (x text); create function tell(v text) returns bool language plpgsql security definer \
         as $$begin insert into public.told values (v); return true; end$$; \
         create domain telling as text check (public.tell(value)); \
         create table typed (a telling[]); grant all on typed to public",
    );
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for (told, sql) in [
        ("1", "delete from other where '{a}'::telling[] is null"),
        ("2", "insert into typed values ('{a}')"),
        ("3", "update typed set a = '{b}'"),
    ] {
        let said = client.query(sql);
        assert_eq!(tags(&said), "CZ", "{sql}: {said:?}");
        assert_eq!(door.direct("select count(*) from told").trim(), told, "{sql}");
    }
}

/// What the client sends next would run by itself else, or be undone with more than it knows of.
#[test]
fn what_is_begun_before_what_cannot_be_parsed_is_begun() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let string = |client: &mut Client| client.query("begin; delete from nosuch");
    let pipeline = |client: &mut Client| {
        client.parse("", "begin").bind("", "", &[], 0).execute("", 0);
        client.parse("", "delete from nosuch").bind("", "", &[], 0);
        client.execute("", 0).sync().ready()
    };
    for fails in [string as fn(&mut Client) -> Vec<Message>, pipeline] {
        let said = fails(&mut client);
        assert_eq!(said.last().unwrap().body, b"E", "{said:?}");
        let said = client.query("insert into other (id) values (7)");
        assert_eq!(said[0].field('C').as_deref(), Some("25P02"), "{said:?}");
        assert_eq!(client.query("commit")[0].text(), "ROLLBACK\0");
    }
    client.query("begin");
    for (sql, answer) in [
        ("savepoint s; insert into other (id) values (7)", "CCZ"),
        ("savepoint s; delete from nosuch", "CEZ"),
        ("rollback to s", "CZ"),
        ("commit", "CZ"),
    ] {
        assert_eq!(tags(&client.query(sql)), answer, "{sql}");
    }
    assert_eq!(door.direct("select count(*) from other").trim(), "1");
}
