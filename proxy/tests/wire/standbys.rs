//! A commit that stands in the target's log and that nobody sees yet: it waits for a standby, and is seen without another
//! byte in the log.

use std::process::Child;

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::postgres::server_alone;
use super::common::wire::{Client, Message, value};

/// `seen` is the view in `public`, until there is one in the schema of the door's own role, which the path has first.
const SCHEMA: &str = "CREATE TABLE customers (id int, ssn text); INSERT INTO customers VALUES (1, '536-90-4399');
    CREATE VIEW seen AS SELECT id::text AS v FROM customers; CREATE SCHEMA sallyport;";
/// Takes no lock that anybody waits for who asks for the other one.
const THEIRS: &str = "CREATE VIEW sallyport.seen AS SELECT ssn AS v FROM customers";
/// No description of its rows says where they come from.
const ASKED: &str = "select reverse(v) from seen";
const BACKWARDS: &str = "9934-09-635";

fn set(door: &TestDoor, setting: &str) {
    // ALTER SYSTEM stands in no transaction with anything else.
    door.direct(setting);
    door.direct("SELECT pg_reload_conf()");
}

/// Commits what nobody sees; whoever does it waits.
fn committed_unseen(door: &TestDoor) -> Child {
    set(door, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    eventually("a commit to wait for a standby", || {
        let mut theirs = door.server().sql_start(&door.database, THEIRS);
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let waits = eventually("a commit", || match theirs.try_wait().unwrap() {
            Some(_) => Some(false),
            None => (door.direct(waiting) == "1").then_some(true),
        });
        if !waits {
            // The server had not heard of the standby yet.
            door.direct("SET synchronous_commit = local; DROP VIEW sallyport.seen");
        }
        waits.then_some(theirs)
    })
}

/// How often the session's backend checked what the session assumed.
fn checks(client: &mut Client) -> u64 {
    let sql = "select coalesce(sum(generic_plans + custom_plans), 0) from pg_prepared_statements \
               where name ~ 'sallyport position'";
    value(&client.pipeline(sql)).parse().unwrap()
}

#[test]
fn a_commit_that_waits_for_a_standby_is_noticed_when_it_is_seen() {
    let given = Given::open().mask("columns", json!({"match": {"columns": ["public.customers.ssn"]}}));
    let server = server_alone();
    let database = server.database(SCHEMA);
    let door = TestDoor::before(&given, server, database);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let senders: [fn(&mut Client, &str) -> Vec<Message>; 2] = [Client::query, Client::pipeline];
    for send in senders {
        let mut theirs = committed_unseen(&door);
        let before = checks(&mut client);
        // One may find the log moved by the commit; those after it assume the catalog as it is while nobody sees that.
        eventually("the session to assume what it sees", || {
            assert_eq!(value(&send(&mut client, ASKED)), "1");
            (checks(&mut client) >= before + 3).then_some(())
        });
        set(&door, "ALTER SYSTEM RESET synchronous_standby_names");
        assert!(theirs.wait().unwrap().success());
        assert_eq!(value(&send(&mut client, ASKED)), "[REDACTED]");
        let direct = door.direct("SELECT reverse(v) FROM sallyport.seen");
        assert_eq!(direct, BACKWARDS, "or this tests nothing");
        door.direct("DROP VIEW sallyport.seen");
    }
}
