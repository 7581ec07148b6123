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

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Instant;

use common::asking::{cluster, replica, requests};
use common::cluster::until;
use common::door::{Given, TestDoor};
use common::psql::finish;
use common::wire::{Client, tags};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sallyport_audit::record::RequestRef;
use sallyport_crds::access_request::RuleIdentity;
use sallyport_proxy::approval::Requests;
use sallyport_proxy::door::{Approvals, ApprovalsError, Ask, Claim, Glass, GrantSought, Held, HoldState, Identity};
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

/// What the doors of a race do at once.
#[derive(Default)]
struct Course {
    /// What a session looked for last, and for whom.
    sought: Mutex<Option<(Identity, GrantSought)>>,
    /// Claims that have begun and not ended.
    claiming: AtomicUsize,
    /// How often one began while another had not ended.
    met: AtomicUsize,
    /// How often one was told that it came too late.
    late: AtomicUsize,
}

/// One door's way to the API server.
struct Runner {
    requests: Arc<Requests>,
    course: Arc<Course>,
}

impl Runner {
    /// Whether a session of this door would find an approval that is not spent.
    fn sees(&self, name: &str) -> bool {
        let sought = self.course.sought.lock().unwrap().clone();
        let (identity, sought) = sought.expect("somebody asked");
        let is_it =
            |held: &Held| held.request.name == name && matches!(*held.state.borrow(), HoldState::Approved { .. });
        self.requests.find(&identity, &sought).iter().any(is_it)
    }
}

impl Approvals for Runner {
    fn find(&self, identity: &Identity, sought: &GrantSought) -> Vec<Held> {
        *self.course.sought.lock().unwrap() = Some((identity.clone(), sought.clone()));
        self.requests.find(identity, sought)
    }

    fn glass(&self, identity: &Identity, asked_by: &[RuleIdentity]) -> Glass {
        self.requests.glass(identity, asked_by)
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>> {
        self.requests.ask(ask)
    }

    fn claim<'a>(
        &'a self,
        identity: &'a Identity,
        sought: &'a GrantSought,
        request: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>> {
        async move {
            let course = &self.course;
            let others = course.claiming.fetch_add(1, Ordering::SeqCst);
            course.met.fetch_add(others, Ordering::SeqCst);
            let claimed = self.requests.claim(identity, sought, request).await;
            course.claiming.fetch_sub(1, Ordering::SeqCst);
            if matches!(claimed, Err(ApprovalsError::Gone(_))) {
                course.late.fetch_add(1, Ordering::SeqCst);
            }
            claimed
        }
        .boxed()
    }

    fn withdraw(&self, request: &RequestRef, reason: &str) {
        self.requests.withdraw(request, reason);
    }
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
    let course = Arc::new(Course::default());
    let runners = ["door-bank-0", "door-bank-1"].map(|pod| {
        Arc::new(Runner {
            requests: requests(&cluster, &runtime, pod),
            course: Arc::clone(&course),
        })
    });
    let doors = runners.each_ref().map(|runner| {
        let approvals: Arc<dyn Approvals> = runner.clone();
        TestDoor::asking(&given, server.clone(), database.clone(), |_| approvals)
    });
    let mut clients = doors.each_ref().map(|door| Client::login(door, "alice", &[]).unwrap());
    let mut waits = Vec::new();
    for round in 0..ROUNDS {
        let sql = format!("delete from acct where id = {round}");
        let first = clients[0].query(&sql);
        assert_eq!(tags(&first), "EZ", "{first:?}");
        let name = asked(&first);
        runtime.block_on(async {
            cluster.approve(&name).await;
            // Whoever saw it first would run alone.
            until("both doors see the approval", || async {
                runners.iter().all(|runner| runner.sees(&name))
            })
            .await;
        });
        let barrier = Barrier::new(2);
        let ran = std::thread::scope(|scope| {
            let each = clients.each_mut().map(|client| {
                let (barrier, sql) = (&barrier, &sql);
                scope.spawn(move || {
                    barrier.wait();
                    let began = Instant::now();
                    let answer = client.query(sql);
                    match tags(&answer).as_str() {
                        "CZ" => Some(began.elapsed()),
                        // It asks anew: this approval is somebody else's.
                        "EZ" => None,
                        other => panic!("{other}"),
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
    assert_eq!(doors[0].direct("select count(*) from acct where id < 200"), "0");
    let [met, late] = [&course.met, &course.late].map(|count| count.load(Ordering::SeqCst));
    waits.sort();
    println!(
        "{met} of {ROUNDS} times both claimed at once, {late} claims came too late; a command whose approval is seen took {:?} \
         (median), {:?} (p99), {:?} (longest)",
        waits[ROUNDS / 2],
        waits[ROUNDS * 99 / 100],
        waits[ROUNDS - 1]
    );
    assert!(met > 0, "they never met: this was no race");
    assert!(late > 0, "nobody was ever told that a claim came too late");
}

#[test]
fn an_api_server_that_goes_away_grants_nothing() {
    let given = given("Wait", "15s");
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
