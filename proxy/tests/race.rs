//! Two doors, one API server with the admission that ships, one PostgreSQL: a grant is used once, whoever tries.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

mod common;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use common::asking::{cluster, replica};
use common::cluster::until;
use common::door::Given;
use common::psql::finish;
use common::wire::{Client, tags};
use serde_json::json;
use tokio::runtime::Runtime;

const ROUNDS: usize = 200;
const SCHEMA: &str = "CREATE TABLE acct (id int PRIMARY KEY); INSERT INTO acct SELECT generate_series(0, 1000);";

fn given(on_hold: &str, hold_for: &str) -> Given {
    Given::open()
        .policy(json!([
            {"name": "deletes", "match": {"cel": "'delete' in command.verbs"}, "action": "RequireApproval",
             "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}], "onHold": on_hold, "holdFor": hold_for}},
            {"name": "rest", "match": {"any": true}, "action": "Allow"},
        ]))
        .connection(json!({"limits": {"maxOpenRequestsPerPerson": 1000, "maxOpenRequests": 10000, "maxHeldBytes": 268_435_456}}))
}

/// The request's name, out of a refusal's DETAIL.
fn asked(messages: &[common::wire::Message]) -> String {
    let detail = messages.iter().find_map(|message| message.field('D')).unwrap();
    detail.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn of_two_doors_that_race_for_a_grant_one_runs() {
    let given = given("Refuse", "10m");
    let server = common::postgres::server();
    let database = server.database(SCHEMA);
    server.sql(
        "postgres",
        &format!("ALTER DATABASE {database} SET log_statement = 'all'"),
    );
    let cluster = cluster(&given, &server);
    let runtime = Runtime::new().unwrap();
    let (one, _) = replica(&cluster, &runtime, &given, &server, &database, "door-bank-0");
    let (two, _) = replica(&cluster, &runtime, &given, &server, &database, "door-bank-1");
    let mut clients = [&one, &two].map(|door| Client::login(door, "alice", &[]).unwrap());
    let mut waits = Vec::new();
    for round in 0..ROUNDS {
        let sql = format!("delete from acct where id = {round}");
        let first = clients[0].query(&sql);
        assert_eq!(tags(&first), "EZ", "{first:?}");
        let name = asked(&first);
        runtime.block_on(cluster.approve(&name));
        let approved = Instant::now();
        let barrier = Barrier::new(2);
        let ran = std::thread::scope(|scope| {
            let each = clients.each_mut().map(|client| {
                let (barrier, sql, name) = (&barrier, &sql, &name);
                scope.spawn(move || {
                    barrier.wait();
                    let deadline = Instant::now() + Duration::from_secs(20);
                    // The watch may not have shown the approval yet; once it did, one of the two runs it.
                    loop {
                        let answer = client.query(sql);
                        match tags(&answer).as_str() {
                            "CZ" => return Some(approved.elapsed()),
                            "EZ" => {}
                            other => panic!("{other}"),
                        }
                        let again = asked_again(&answer, name);
                        if !again || Instant::now() > deadline {
                            return None;
                        }
                    }
                })
            });
            each.map(|thread| thread.join().unwrap())
        });
        let [a, b] = ran;
        assert!(a.is_some() != b.is_some(), "round {round}: {a:?} {b:?}");
        waits.extend(a.or(b));
    }
    let log = server.log();
    for round in 0..ROUNDS {
        let line = format!("statement: delete from acct where id = {round}\n");
        assert_eq!(log.matches(&line).count(), 1, "round {round}");
    }
    assert_eq!(one.direct("select count(*) from acct where id < 200"), "0");
    waits.sort();
    println!(
        "from approval to the end of the command, asking again and again: median {:?}, p99 {:?}, longest {:?}",
        waits[ROUNDS / 2],
        waits[ROUNDS * 99 / 100],
        waits[ROUNDS - 1]
    );
}

/// Whether the refusal still names the first request: then its approval has not been seen here yet.
fn asked_again(answer: &[common::wire::Message], name: &str) -> bool {
    answer
        .iter()
        .filter_map(|message| message.field('D'))
        .any(|detail| detail.contains(name))
}

#[test]
fn an_api_server_that_goes_away_grants_nothing() {
    let given = given("Wait", "3s");
    let server = common::postgres::server();
    let database = server.database(SCHEMA);
    let cluster = cluster(&given, &server);
    let runtime = Runtime::new().unwrap();
    let (door, requests) = replica(&cluster, &runtime, &given, &server, &database, "door-bank-0");
    let held = door.psql_start("alice", &["delete from acct where id = 1", "select 'lives on'"]);
    runtime.block_on(until("it is asked", || async { requests.open_requests() == 1 }));
    drop(cluster);
    let printed = finish(held);
    assert!(
        printed.err.contains("42501") && printed.err.contains("nobody approved it in time"),
        "{printed:?}"
    );
    assert_eq!(printed.out, "lives on");
    let printed = door.psql("alice", &["delete from acct where id = 2"]);
    assert!(printed.err.contains("the API server cannot be reached"), "{printed:?}");
    assert_eq!(door.direct("select count(*) from acct where id < 3"), "3");
}
