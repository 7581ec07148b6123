//! Leaks that take two sessions, whose statements have to come in a certain order.

use sallyport_proxy::postgres::frame::put_cstr;
use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::wire::{Client, Message};

/// One protected value, and names that can be made to mean something else.
const SCHEMA: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text, ssn_num bigint); \
     INSERT INTO customers VALUES (1, 'Ada', '536-90-4399', 536904399); \
     CREATE TABLE acct (id int, ssn text); CREATE SCHEMA evil; \
     CREATE VIEW v AS SELECT id, name AS x FROM customers; \
     CREATE VIEW v_cust AS SELECT id, ssn AS tax_ref FROM customers";
/// The value as no detector knows it.
const DISGUISED: &str = "9934-09-635";

fn door(profile: &str) -> TestDoor {
    TestDoor::new(&Given::cases_under(profile), SCHEMA)
}

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

/// Whether there is a value, and it is hidden.
fn is_masked(answer: &str) -> bool {
    answer.contains("[REDACTED]") && !answer.contains(DISGUISED)
}

/// Until some session of the door's database waits for a lock.
fn somebody_waits(door: &TestDoor) {
    so_many_wait(door, 1);
}

/// The same for several.
fn so_many_wait(door: &TestDoor, sessions: usize) {
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("a wait for a lock", || {
        let waiting: usize = door.direct(waiting).trim().parse().unwrap();
        (waiting >= sessions).then_some(())
    });
}

fn send(client: &mut Client, sql: &str) {
    client.put(b'Q', |out| put_cstr(out, sql)).send();
}

/// By the extended protocol, in a unit of its own that `end` closes.
fn send_bound(client: &mut Client, sql: &str, end: u8) {
    client
        .put(b'P', |out| {
            out.push(0);
            put_cstr(out, sql);
            out.extend([0, 0]);
        })
        .put(b'B', |out| out.extend([0; 8]))
        .put(b'E', |out| out.extend([0; 5]))
        .put(end, |_| {});
    if end != b'S' {
        client.put(b'S', |_| {});
    }
    client.send();
}

#[test]
fn a_view_that_is_replaced_while_its_lock_is_waited_for_is_masked() {
    for sql in [
        "select id, reverse(x) from v",
        "copy (select id, reverse(x) from v) to stdout",
    ] {
        let door = door("Standard");
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        assert!(said(&client.query("select reverse(x) from v")).contains("adA"));
        let swap = "create or replace view v as select id, ssn as x from customers";
        let mut other = beside(&door, &["begin", swap]);
        send(&mut client, sql);
        somebody_waits(&door);
        said(&other.query("commit"));
        let answer = said(&client.ready());
        assert!(is_masked(&answer), "{sql}: {answer}");
    }
}

#[test]
fn a_view_that_is_replaced_and_put_back_while_its_lock_is_waited_for_is_masked() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    assert!(said(&client.query("select reverse(x) from v")).contains("adA"));
    let swap = "create or replace view v as select id, ssn as x from customers";
    let mut other = beside(&door, &["begin", swap]);
    send(&mut client, "select id, reverse(x) from v");
    somebody_waits(&door);
    let mut third = beside(&door, &[]);
    send(
        &mut third,
        "create or replace view v as select id, name as x from customers",
    );
    so_many_wait(&door, 2);
    said(&other.query("commit"));
    let answer = said(&client.ready());
    said(&third.ready());
    assert!(!answer.contains(DISGUISED), "{answer}");
}

#[test]
fn what_is_copied_by_a_view_that_is_replaced_meanwhile_is_protected() {
    for profile in ["Standard", "Strict"] {
        for (sql, copies) in [
            ("insert into acct select id, reverse(x) from v", "select ssn from acct"),
            (
                "create table copied as select id, reverse(x) as x from v",
                "select x from copied",
            ),
        ] {
            let door = door(profile);
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            said(&client.query("select count(*) from v"));
            let swap = "create or replace view v as select id, ssn as x from customers";
            let mut other = beside(&door, &["begin", swap]);
            send(&mut client, sql);
            somebody_waits(&door);
            said(&other.query("commit"));
            let answer = client.ready();
            if profile == "Strict" {
                // It is judged by what it names now.
                assert!(answer.iter().any(|message| message.tag == 'E'), "{sql}: {answer:?}");
                continue;
            }
            said(&answer);
            assert!(
                door.direct(copies).contains(DISGUISED),
                "it copied something else: {sql}"
            );
            let answer = said(&client.query(copies));
            assert!(!answer.contains(DISGUISED), "{profile}: {sql}: {answer}");
        }
    }
}

#[test]
fn a_view_of_the_sessions_own_is_not_what_others_see_while_somebody_waits_for_its_table() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    said(&client.query("begin"));
    said(&client.query("create or replace view v as select id, ssn as x from customers"));
    let mut other = beside(&door, &["begin"]);
    send(&mut other, "lock table customers in access exclusive mode");
    somebody_waits(&door);
    let answer = client.query("select id, reverse(x) from v");
    let answer: String = answer.iter().map(Message::text).collect();
    assert!(is_masked(&answer), "{answer}");
    client.query("rollback");
    said(&other.ready());
}

#[test]
fn a_relation_that_comes_first_while_a_lock_is_waited_for_is_masked() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    said(&client.query("set search_path = evil, public"));
    said(&client.query("select reverse(ssn) from acct"));
    let swap = "create view evil.acct as select id, ssn from customers";
    let mut other = beside(&door, &["begin", "lock table acct in access exclusive mode", swap]);
    send(&mut client, "select reverse(ssn) from acct");
    somebody_waits(&door);
    said(&other.query("commit"));
    let answer = said(&client.ready());
    assert!(is_masked(&answer), "{answer}");
}

#[test]
fn a_column_that_gives_way_to_a_function_while_its_lock_is_waited_for_is_masked() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    door.direct("insert into acct values (1, 'plain')");
    assert!(said(&client.query("select acct.id, acct.ssn from acct")).contains("plain"));
    let call = "create function id(acct) returns text language sql as 'select reverse(ssn) from customers'";
    let mut other = beside(&door, &["begin", "alter table acct rename id to number", call]);
    send(&mut client, "select acct.id from acct");
    somebody_waits(&door);
    said(&other.query("commit"));
    let answer = said(&client.ready());
    assert!(is_masked(&answer), "{answer}");
}

#[test]
fn code_that_comes_by_a_name_of_postgresqls_own_while_a_lock_is_waited_for_is_masked() {
    for sql in [
        "select lower(id) from acct",
        "copy (select lower(id) from acct) to stdout",
    ] {
        let door = door("Standard");
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        door.direct("insert into acct values (1, 'plain')");
        said(&client.query("select lower(ssn) from acct"));
        let call = "create function lower(int) returns text language sql as 'select reverse(ssn) from customers'";
        let mut other = beside(&door, &["begin", "lock table acct in access exclusive mode", call]);
        send(&mut client, sql);
        somebody_waits(&door);
        said(&other.query("commit"));
        let answer = said(&client.ready());
        assert!(is_masked(&answer), "{sql}: {answer}");
    }
}

#[test]
fn what_stands_behind_a_statement_that_waits_for_a_lock_is_looked_at_with_it() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    door.direct("insert into acct values (1, 'plain'); create table plain (a int)");
    // What the first hangs on is remembered once the catalog was found unchanged.
    for _ in 0..2 {
        said(&client.query("select a from plain; select ssn from acct"));
    }
    let call = "create function lower(int) returns text language sql as 'select reverse(ssn) from customers'";
    let mut other = beside(&door, &["begin", "lock table plain in access exclusive mode", call]);
    send(&mut client, "select a from plain; select lower(id) from acct");
    somebody_waits(&door);
    said(&other.query("commit"));
    let answer = said(&client.ready());
    assert!(is_masked(&answer), "{answer}");
}

#[test]
fn names_are_not_known_by_a_catalog_as_old_as_the_transaction() {
    let door = door("Standard");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    said(&client.query("set search_path = evil, public"));
    said(&client.query("begin isolation level repeatable read"));
    said(&client.query("create table t (a int)"));
    door.direct("create view evil.acct as select id, ssn from customers");
    let answer = said(&client.query("select reverse(ssn) from acct"));
    assert!(is_masked(&answer), "{answer}");
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

#[test]
fn a_name_that_is_anothers_for_a_moment_while_a_lock_is_waited_for_is_masked() {
    for profile in ["Standard", "Strict"] {
        let door = door(profile);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        said(&client.query("select reverse(ssn) from acct"));
        let mut other = beside(
            &door,
            &[
                "begin",
                "alter table acct rename to aside",
                "create view acct as select id, ssn from customers",
            ],
        );
        send(&mut client, "select reverse(ssn) from acct");
        somebody_waits(&door);
        let mut third = beside(&door, &[]);
        said(&other.query("commit"));
        eventually("the name is its own again", || {
            let back = third.query("drop view acct; alter table aside rename to acct");
            back.iter().all(|message| message.tag != 'E').then_some(())
        });
        let answer: String = client.ready().iter().map(Message::text).collect();
        assert!(!answer.contains(DISGUISED), "{profile}: {answer}");
    }
}

#[test]
fn a_relation_that_comes_first_for_a_moment_while_a_lock_is_waited_for_is_masked() {
    for (profile, end) in [("Standard", b'Q'), ("Strict", b'Q'), ("Standard", b'S')] {
        let door = door(profile);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        said(&client.query("set search_path = evil, public"));
        said(&client.query("select reverse(ssn) from acct"));
        let first = "create view evil.acct as select id, ssn from customers";
        let mut other = beside(&door, &["begin", "lock table acct in access exclusive mode", first]);
        match end {
            b'Q' => send(&mut client, "select reverse(ssn) from acct"),
            end => send_bound(&mut client, "select reverse(ssn) from acct", end),
        }
        somebody_waits(&door);
        let mut third = beside(&door, &[]);
        said(&other.query("commit"));
        eventually("it is gone again", || {
            let dropped = third.query("drop view evil.acct");
            dropped.iter().all(|message| message.tag != 'E').then_some(())
        });
        let answer: String = client.ready().iter().map(Message::text).collect();
        assert!(!answer.contains(DISGUISED), "{profile}: {answer}");
    }
}

/// What somebody copies while a statement waits, or runs, is protected by the time that it is read.
#[test]
fn what_another_session_copies_meanwhile_is_masked() {
    let copy = "update kept set x = c.ssn from customers c where c.id = kept.id";
    for profile in ["Standard", "Strict"] {
        for (lock, sql) in [
            // The row as it is by then is what comes.
            (
                "select 1 from kept for update",
                "select reverse(x) from kept for update",
            ),
            ("select 1 from kept for update", "delete from kept returning reverse(x)"),
            ("lock table kept", "select reverse(x) from kept"),
            // And what is copied on from there.
            (
                "select 1 from kept for update",
                "with d as (delete from kept returning reverse(x) as x) insert into onward select x from d",
            ),
            // One string, of which the first waits.
            (
                "lock table acct",
                "select count(*) from acct; select reverse(x) from kept",
            ),
        ] {
            let door = door(profile);
            door.direct(
                "create table kept (id int, x text); insert into kept values (1, 'q'); create table onward (x text)",
            );
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            said(&client.query("select reverse(x) from kept"));
            // Who is exempt under either profile; under Standard anybody may.
            let mut other = Client::login(&door, "bob", &[]).unwrap();
            said(&other.query("begin"));
            said(&other.query(lock));
            send(&mut client, sql);
            somebody_waits(&door);
            said(&other.query(copy));
            said(&other.query("commit"));
            let answer: String = client.ready().iter().map(Message::text).collect();
            assert!(!answer.contains(DISGUISED), "{profile}: {sql}: {answer}");
            let onward: String = client.query("select x from onward").iter().map(Message::text).collect();
            assert!(!onward.contains(DISGUISED), "{profile}: {sql}: {onward}");
        }
    }
}

/// A portal that locks rows, or writes, reads them as they are when it is executed.
#[test]
fn what_another_session_copies_behind_a_bind_is_masked() {
    let copy = "update kept set x = c.ssn from customers c where c.id = kept.id";
    for profile in ["Standard", "Strict"] {
        for sql in [
            "select reverse(x) from kept for update",
            "delete from kept returning reverse(x)",
        ] {
            let door = door(profile);
            door.direct("create table kept (id int, x text); insert into kept values (1, 'q')");
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            said(&client.query("begin"));
            client.parse("", sql).bind("p", "", &[], 0).put(b'S', |_| {}).send();
            said(&client.ready());
            let mut other = Client::login(&door, "bob", &[]).unwrap();
            said(&other.query(copy));
            client
                .put(b'E', |out| {
                    put_cstr(out, "p");
                    out.extend([0; 4]);
                })
                .put(b'S', |_| {})
                .send();
            let answer: String = client.ready().iter().map(Message::text).collect();
            assert!(!answer.contains(DISGUISED), "{profile}: {sql}: {answer}");
        }
    }
}

/// A portal that locks rows reads each of them as it is when it comes to it.
#[test]
fn what_another_session_copies_between_two_rows_of_a_portal_is_masked() {
    for profile in ["Standard", "Strict"] {
        let door = door(profile);
        door.direct("create table kept (id int, x text); insert into kept values (1, 'q'), (2, 'r')");
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        said(&client.query("begin"));
        client
            .parse("", "select reverse(x) from kept order by id for update")
            .bind("p", "", &[], 0)
            .execute("p", 1)
            .sync();
        assert!(said(&client.ready()).contains('q'), "{profile}");
        let mut other = Client::login(&door, "bob", &[]).unwrap();
        said(&other.query("update kept set x = c.ssn from customers c where c.id = 1 and kept.id = 2"));
        client.execute("p", 1).sync();
        let answer: String = client.ready().iter().map(Message::text).collect();
        assert!(!answer.contains(DISGUISED), "{profile}: {answer}");
    }
}

/// Protection that goes on to where a statement copies is no news to that statement, however long it takes.
#[test]
fn a_copy_that_takes_long_hides_no_more_than_what_it_copies() {
    let door = door("Standard");
    door.direct("create table report (id int, name text, x text)");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let copy = "insert into report select c.id, c.name, c.ssn from customers c, pg_sleep(0.1) where c.id = 1 returning id, name";
    let answer = said(&client.query(copy));
    assert!(answer.contains("Ada"), "{answer}");
    client.parse("", copy).bind("", "", &[], 0).execute("", 0).sync();
    let answer = said(&client.ready());
    assert!(answer.contains("Ada"), "{answer}");
    let answer = said(&client.query("select name, reverse(x) from report"));
    assert!(answer.contains("Ada") && is_masked(&answer), "{answer}");
}

/// What fails once a lock was waited for may quote what was committed meanwhile.
#[test]
fn errors_of_what_waited_for_a_lock_do_not_say_what_came_meanwhile() {
    for profile in ["Standard", "Strict"] {
        for sql in [
            "select reverse(x)::int from v",
            "copy (select reverse(x)::int from v) to stdout",
        ] {
            let door = door(profile);
            door.direct("create or replace view v as select id, '1'::text as x from customers");
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            said(&client.query("select reverse(x)::int from v"));
            let swap = "create or replace view v as select id, ssn as x from customers";
            let mut other = beside(&door, &["begin", swap]);
            send(&mut client, sql);
            somebody_waits(&door);
            said(&other.query("commit"));
            let answer: String = client.ready().iter().map(Message::text).collect();
            assert!(!answer.contains(DISGUISED), "{profile}: {sql}: {answer}");
        }
        // The same where somebody copies meanwhile.
        for (lock, sql) in [
            ("lock table kept", "select reverse(x)::int from kept"),
            ("select 1 from kept for update", "update kept set id = reverse(x)::int"),
        ] {
            let door = door(profile);
            door.direct("create table kept (id int, x text); insert into kept values (1, '1')");
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            said(&client.query("select reverse(x)::int from kept"));
            let mut other = Client::login(&door, "bob", &[]).unwrap();
            said(&other.query("begin"));
            said(&other.query(lock));
            send(&mut client, sql);
            somebody_waits(&door);
            said(&other.query("update kept set x = c.ssn from customers c where c.id = kept.id"));
            said(&other.query("commit"));
            let answer: String = client.ready().iter().map(Message::text).collect();
            assert!(!answer.contains(DISGUISED), "{profile}: {sql}: {answer}");
        }
    }
}

/// What a function left while definitions changed is not taken back: it is looked at before.
#[test]
fn what_waits_for_a_lock_leaves_nothing_where_no_mask_follows() {
    for profile in ["Standard", "Strict"] {
        for sql in [
            "select set_config('app.x', reverse(x), false) is null from v",
            "select set_config('app.x', (select reverse(x) from v where id = 1), false) is null",
            "select pg_notify('words', reverse(x)) is null from v",
            "copy (select set_config('app.x', reverse(x), false) is null from v) to stdout",
        ] {
            let door = door(profile);
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            said(&client.query("set app.x = 'nothing'"));
            said(&client.query("listen words"));
            said(&client.query("select count(*) from v"));
            let swap = "create or replace view v as select id, ssn as x from customers";
            let mut other = beside(&door, &["begin", swap]);
            send(&mut client, sql);
            // A utility is refused at once.
            if !sql.starts_with("copy") {
                somebody_waits(&door);
            }
            said(&other.query("commit"));
            let answer = client.ready();
            assert!(
                answer.iter().any(|message| message.tag == 'E'),
                "{profile}: {sql}: {answer:?}"
            );
            let left: String = client.query("show app.x").iter().map(Message::text).collect();
            assert!(left.contains("nothing"), "{profile}: {sql}: {left}");
            let heard: String = client.query("select 1").iter().map(Message::text).collect();
            assert!(!heard.contains(DISGUISED), "{profile}: {sql}: {heard}");
        }
    }
}

/// What stands behind a copy in the same unit reads what was copied at once.
#[test]
fn what_stands_behind_a_copy_that_waited_is_masked_and_its_copies_are() {
    for (sql, kept) in [
        ("insert into k select id, a from w for update; select x from k", "k"),
        (
            "update w set b = a; insert into k select id, b from w; select x from k",
            "k",
        ),
        (
            "insert into k select id, a from w for update; insert into further select id, x from k",
            "further",
        ),
        (
            "create table made as select id, a as x from w for update; select x from made",
            "made",
        ),
        (
            "create table made as select id, a as x from w for update; insert into further select id, x from made",
            "further",
        ),
    ] {
        let door = door("Standard");
        door.direct(
            "create table w (id int, a text, b text); insert into w values (1, 'a', 'b'); \
             create table k (id int, x text); create table further (id int, x text)",
        );
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        said(&client.query("select count(*) from w, k, further"));
        let mut other = Client::login(&door, "alice", &[]).unwrap();
        said(&other.query("begin"));
        said(&other.query("update w set a = 'c'"));
        send(&mut client, sql);
        somebody_waits(&door);
        said(&other.query("update w set a = reverse(c.ssn) from customers c where c.id = w.id"));
        said(&other.query("commit"));
        let answer: String = client.ready().iter().map(Message::text).collect();
        assert!(!answer.contains(DISGUISED), "{sql}: {answer}");
        let answer = said(&client.query(&format!("select x from {kept}")));
        assert!(is_masked(&answer), "{sql}: {answer}");
    }
}

/// What a cursor's names mean is settled when it is opened, and no catalog tells it later.
#[test]
fn a_cursor_that_waited_for_a_lock_shows_nothing_of_what_came_meanwhile() {
    for profile in ["Standard", "Strict"] {
        for (begin, sql) in [
            (
                "select 1",
                "declare k cursor with hold for select reverse(x) from v where id = 1",
            ),
            ("begin", "declare k cursor for select reverse(x) from v where id = 1"),
        ] {
            let door = door(profile);
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            said(&client.query("select count(*) from v"));
            said(&client.query(begin));
            let swap = "create or replace view v as select id, ssn as x from customers";
            let mut other = beside(&door, &["begin", swap]);
            send(&mut client, sql);
            somebody_waits(&door);
            said(&other.query("commit"));
            client.ready();
            let answer: String = client.query("fetch all k").iter().map(Message::text).collect();
            assert!(!answer.contains(DISGUISED), "{profile}: {sql}: {answer}");
        }
    }
}

/// The same for a portal, whichever way its rows are asked for.
#[test]
fn a_portal_that_waited_for_a_lock_shows_nothing_of_what_came_meanwhile() {
    for fetches in [true, false] {
        let door = door("Standard");
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        said(&client.query("select count(*) from v"));
        said(&client.query("begin"));
        let swap = "create or replace view v as select id, ssn as x from customers";
        let mut other = beside(&door, &["begin", swap]);
        let sql = "select reverse(x) from v where id = 1";
        client.parse("", sql).bind("k", "", &[], 0).sync();
        somebody_waits(&door);
        said(&other.query("commit"));
        client.ready();
        let answer = if fetches {
            client.query("fetch all k")
        } else {
            client.execute("k", 0).sync();
            client.ready()
        };
        let answer: String = answer.iter().map(Message::text).collect();
        assert!(!answer.contains(DISGUISED), "{fetches}: {answer}");
    }
}
