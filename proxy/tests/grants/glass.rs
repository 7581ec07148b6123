//! Going ahead without a grant.

use sallyport_audit::record::{Event, Fate};
use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::wire::{Client, tags};
use super::{SCHEMA, asks_bob};

fn glass() -> Given {
    let mut given = asks_bob(json!({"onHold": "Refuse"}));
    let spec = given.policies[0].1.as_object_mut().unwrap();
    let leave = json!({
        "subjects": [{"kind": "Group", "name": "oidc:engineers"}], "reviewers": [{"kind": "Group", "name": "oidc:dba"}],
        "maxDuration": "1h", "maxLoginAge": "5m",
    });
    spec.insert("breakGlass".into(), leave);
    given
}

#[test]
fn glass_is_broken_loudly_and_locked_until_it_is_reviewed() {
    let door = TestDoor::new(&glass(), SCHEMA);
    let plain = door.psql("alice", &["delete from acct where id = 1"]);
    assert!(
        plain.err.contains("request-1"),
        "without the word nothing breaks: {plain:?}"
    );
    let breaking = |user: &str| {
        format!(
            "{} options='-c sallyport.break_glass=branch\\\\ is\\\\ down'",
            door.conninfo(user)
        )
    };
    let printed = door.psql_with(
        &breaking("alice"),
        &["delete from acct where id = 1", "delete from acct where id = 2"],
    );
    let told = |printed: &str| {
        printed
            .matches("NOTICE:  00000: break-glass is in use until 20")
            .count()
    };
    assert_eq!(told(&printed.err), 1, "once a session: {printed:?}");
    let words = [
        "AccessRequest request-2",
        "reviewed by 1 of group oidc:dba",
        "sallyport review request-2 -n doors",
    ];
    for words in words {
        assert!(printed.err.contains(words), "{words}: {printed:?}");
    }
    assert!(!printed.err.contains("ERROR"), "{printed:?}");
    let again = door.psql_with(
        &breaking("alice"),
        &["delete from acct where id = 3", "select 1 where false"],
    );
    assert_eq!(told(&again.err), 1, "another session hears of it, too: {again:?}");
    let unneeded = door.psql_with(&breaking("alice"), &["select 1 where false"]);
    assert_eq!(unneeded.err, "", "nothing leans on it: {unneeded:?}");
    assert_eq!(door.direct("select count(*) from acct"), "0");
    assert_eq!(door.people.count(), 2, "one use, three commands");
    let (reason, _) = door.people.request("request-2").ask.break_glass.unwrap();
    assert_eq!(reason, "branch is down");
    let glass = |event: &Event| match event {
        Event::BreakGlass(glass) => Some((glass.reason.clone(), glass.request.name.clone())),
        _ => None,
    };
    assert_eq!(
        door.recorded("the record of its own kind", glass),
        ("branch is down".into(), "request-2".into())
    );
    door.recorded_times(
        "two outcomes",
        2,
        |event| matches!(event, Event::Outcome(outcome) if outcome.fate == Fate::Executed && outcome.rows == 1),
    );

    door.people.lock("request-2");
    let locked = door.psql_with(&breaking("alice"), &["insert into acct values (1)"]);
    assert!(
        locked.err.contains("locked for you until AccessRequest request-2") && locked.err.contains("request-3"),
        "{locked:?}"
    );
    let others = door.psql_with(&breaking("bob"), &["insert into acct values (1)"]);
    assert!(others.err.contains("Break-glass is not open to you"), "{others:?}");
    assert_eq!(door.direct("select count(*) from acct"), "0");
}

#[test]
fn glass_never_lifts_a_denial_and_a_revoked_use_ends() {
    let mut given = glass();
    let rules = given.policies[0].1["rules"].as_array_mut().unwrap();
    rules.insert(
        0,
        json!({"name": "no", "match": {"cel": "'truncate' in command.verbs"}, "action": "Deny"}),
    );
    let door = TestDoor::new(&given, SCHEMA);
    let breaking = format!("{} options='-c sallyport.break_glass=x'", door.conninfo("alice"));
    let printed = door.psql_with(&breaking, &["truncate acct"]);
    assert!(printed.err.contains("42501"), "{printed:?}");
    assert_eq!(door.people.count(), 0);
    let mut client = Client::login(&door, "alice", &[("options", "-c sallyport.break_glass=x")]).unwrap();
    assert_eq!(tags(&client.query("begin")), "CZ");
    assert_eq!(tags(&client.query("delete from acct")), "NCZ");
    assert_eq!(tags(&client.query("delete from acct")), "CZ", "it knows by now");
    door.people.revoke("request-1", "the grant was revoked by oidc:bob");
    assert_eq!(client.read().field('C').as_deref(), Some("57P01"));
    eventually("the rollback", || {
        (door.direct("select count(*) from acct") == "2").then_some(())
    });
}
