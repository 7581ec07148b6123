//! ServiceAccounts whose tokens are checked again while their sessions last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use sallyport_audit::Time;
use sallyport_audit::record::{EndCause, Event, Person, Refusal, Token};
use sallyport_proxy::door::{Identity, LoginRefused, Verifier};
use sallyport_proxy::postgres::frame::put_cstr;
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::postgres::server;
use super::common::wire::{Client, tags};

/// A ServiceAccount whose token holds until it does not.
struct Account {
    holds: Arc<AtomicBool>,
    away: Arc<AtomicBool>,
}

impl Verifier for Account {
    fn verify<'a>(&'a self, _: &'a [u8], _: Time) -> BoxFuture<'a, Result<Identity, LoginRefused>> {
        let refused = |reason| LoginRefused {
            reason,
            detail: "of a test".to_owned(),
            person: None,
        };
        let answer = if self.away.load(Ordering::Relaxed) {
            Err(refused(Refusal::IssuerUnavailable))
        } else if self.holds.load(Ordering::Relaxed) {
            let person = Person {
                issuer: "https://kubernetes.default.svc".into(),
                subject: "uid-of-the-account".into(),
                username: "system:serviceaccount:doors:robot".into(),
            };
            let groups = vec!["oidc:engineers".to_owned()];
            Ok(Identity {
                person,
                groups,
                agents: Vec::new(),
                email: None,
                token: Token::default(),
            })
        } else {
            Err(refused(Refusal::BadToken))
        };
        Box::pin(async { answer })
    }

    fn again(&self, identity: &Identity) -> Option<Duration> {
        assert_eq!(identity.person.username, "system:serviceaccount:doors:robot");
        Some(Duration::from_millis(50))
    }
}

#[test]
fn the_token_of_an_account_is_checked_again_while_its_session_lasts() {
    let server = server();
    let database = server.database(SCHEMA);
    let (holds, away) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let account = Account {
        holds: Arc::clone(&holds),
        away: Arc::clone(&away),
    };
    let door = TestDoor::known_to(&Given::open(), server, database, Arc::new(account));
    let mut client = Client::login(&door, "robot", &[]).unwrap();
    // That nobody can be asked ends no session.
    away.store(true, Ordering::Relaxed);
    assert_eq!(tags(&client.query("select pg_sleep(0.2)")), "TDCZ");
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
    away.store(false, Ordering::Relaxed);
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
    // The account is deleted, and the session says nothing: it ends all the same.
    holds.store(false, Ordering::Relaxed);
    let got = client.end();
    assert_eq!(got.last().unwrap().field('C').as_deref(), Some("57P01"));
    assert!(got.last().unwrap().text().contains("no longer valid"));
    door.recorded("the end", |event| match event {
        Event::SessionEnd(end) => (end.cause == EndCause::Revoked).then_some(()),
        _ => None,
    });
}

#[test]
fn the_token_of_an_account_is_checked_while_a_command_runs_or_is_held() {
    let server = server();
    let holds = Arc::new(AtomicBool::new(true));
    let given = Given::open().policy(json!([
        {"name": "deletes", "match": {"cel": "'delete' in command.verbs"}, "action": "RequireApproval",
         "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}]}},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]));
    let account = || Account {
        holds: Arc::clone(&holds),
        away: Arc::default(),
    };
    for sql in [
        "select pg_sleep(60)",
        "copy (select repeat('x', 1000) from generate_series(1, 100000000)) to stdout",
        "delete from acct",
    ] {
        holds.store(true, Ordering::Relaxed);
        let database = server.database(SCHEMA);
        let door = TestDoor::known_to(&given, Arc::clone(&server), database, Arc::new(account()));
        let mut client = Client::login(&door, "robot", &[]).unwrap();
        client.put(b'Q', |out| put_cstr(out, sql)).send();
        door.recorded("the intent", |event| matches!(event, Event::Command(_)).then_some(()));
        holds.store(false, Ordering::Relaxed);
        let mut last = None;
        while let Ok(message) = client.try_read() {
            last = Some(message);
        }
        let last = last.unwrap();
        assert_eq!(last.field('C').as_deref(), Some("57P01"), "{sql}");
        assert!(last.text().contains("no longer valid"), "{sql}");
        eventually("the target stopped", || {
            let running = "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and datname = current_database()";
            (door.direct(running) == "0").then_some(())
        });
        if sql.starts_with("delete") {
            let withdrawn = eventually("the withdrawal", || door.people.request("request-1").withdrawn);
            assert!(withdrawn.contains("token"), "{withdrawn}");
        }
    }
}
