//! What was granted is taken back.

use sallyport_audit::record::{EndCause, Event};
use serde_json::json;

use super::common::door::TestDoor;
use super::common::eventually;
use super::common::psql::finish;
use super::common::wire::{Client, tags};
use super::{SCHEMA, asks_bob};

#[test]
fn revoking_ends_what_was_allowed() {
    let grant = json!({"onHold": "Refuse", "grant": {"scope": "Session", "validFor": "1h"}});
    let door = TestDoor::new(&asks_bob(grant), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("update acct set n = 1");
    door.people.approve("request-1");
    assert_eq!(tags(&client.query("begin")), "CZ");
    assert_eq!(tags(&client.query("update acct set n = 1")), "CZ");
    assert_eq!(
        tags(&client.query("insert into acct values (3)")),
        "CZ",
        "whatever needs it in this session"
    );
    door.people
        .revoke("request-1", "the grant was revoked by oidc:bob: wrong ticket");
    let said = client.read();
    assert_eq!(said.field('C').as_deref(), Some("57P01"));
    assert!(
        said.field('M').unwrap().contains("revoked by oidc:bob: wrong ticket"),
        "{said:?}"
    );
    eventually("the rollback", || {
        (door.direct(
            "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'",
        ) == "0")
            .then_some(())
    });
    assert_eq!(door.direct("select sum(n) from acct"), "0");
    door.recorded("the revocation", |event| match event {
        Event::Revoked(closed) if closed.request.name == "request-1" => Some(()),
        _ => None,
    });

    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    let running = door.psql_start("alice", &["select pay(1), pg_sleep(60)", "select 'lives on'"]);
    let (name, _) = door.people.asked(1);
    door.people.approve(&name);
    // Other tests ask the same of databases of their own.
    let pays = "select count(*) from pg_stat_activity where datname = current_database() and query like 'select pay%'";
    eventually("it runs", || {
        (door.direct(&format!("{pays} and state = 'active'")) == "1").then_some(())
    });
    door.people.revoke(&name, "the grant was revoked by oidc:bob");
    let printed = finish(running);
    assert!(printed.err.contains("57P01") && printed.out.is_empty(), "{printed:?}");
    eventually("the target stopped", || (door.direct(pays) == "0").then_some(()));
    let cause = door.recorded("the end", |event| match event {
        Event::SessionEnd(end) => Some(end.cause),
        _ => None,
    });
    assert_eq!(cause, EndCause::Revoked);
}

/// The target waits for a lock on what a command names before it runs: what is revoked by then has not begun.
#[test]
fn what_is_revoked_before_it_begins_ends_the_session_and_never_runs() {
    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    let mut other = Client::direct(door.server(), &door.database, &[]).unwrap();
    other.query("begin");
    assert_eq!(tags(&other.query("lock table acct in share row exclusive mode")), "CZ");
    let held = door.psql_start("alice", &["update acct set n = 1"]);
    let (name, _) = door.people.asked(1);
    door.people.approve(&name);
    let waits = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like 'update acct%'";
    eventually("it waits", || (door.direct(waits) == "1").then_some(()));
    door.people.revoke(&name, "the grant was revoked by oidc:bob");
    let printed = finish(held);
    assert!(
        printed.err.contains("57P01") && printed.err.contains("revoked by oidc:bob"),
        "{printed:?}"
    );
    eventually("the target stopped", || (door.direct(waits) == "0").then_some(()));
    other.query("commit");
    assert_eq!(door.direct("select sum(n) from acct"), "0");
    let cause = door.recorded("the end", |event| match event {
        Event::SessionEnd(end) => Some(end.cause),
        _ => None,
    });
    assert_eq!(
        cause,
        EndCause::Revoked,
        "not that of the target, which was told to stop"
    );
}
