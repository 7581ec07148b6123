//! A grant is spent once, and what for is on record before.

use std::sync::Arc;

use futures::future::BoxFuture;
use sallyport_audit::record::{Event, Fate, RequestRef};
use sallyport_crds::access_request::RuleIdentity;
use sallyport_proxy::door::{Approvals, ApprovalsError, Ask, Claim, Glass, GrantSought, Held, Identity};
use serde_json::json;

use super::common;
use super::common::door::TestDoor;
use super::{SCHEMA, asks_bob};

/// People behind an API server that takes a claim and never answers.
struct Silent(common::approvals::People);

impl Approvals for Silent {
    fn find(&self, identity: &Identity, sought: &GrantSought) -> Vec<Held> {
        self.0.find(identity, sought)
    }

    fn glass(&self, identity: &Identity, asked_by: &[RuleIdentity]) -> Glass {
        self.0.glass(identity, asked_by)
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>> {
        self.0.ask(ask)
    }

    fn claim<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a GrantSought,
        _: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>> {
        Box::pin(std::future::pending())
    }

    fn withdraw(&self, request: &RequestRef, reason: &str) {
        self.0.withdraw(request, reason);
    }
}

#[test]
fn an_intent_is_on_record_before_its_grant_is_spent() {
    let server = common::postgres::server();
    let database = server.database(SCHEMA);
    let given = asks_bob(json!({"onHold": "Refuse"}));
    let door = TestDoor::asking(&given, server, database, |people| Arc::new(Silent(people.clone())));
    let sql = "delete from acct where id = 1";
    assert!(door.psql("alice", &[sql]).err.contains("request-1"));
    door.people.approve("request-1");
    // Its claim is under way for ever: that is where a door that dies leaves things.
    let mut claiming = door.psql_start("alice", &[sql]);
    door.recorded_times("one intent that names the grant", 1, |event| {
        matches!(event, Event::Command(command)
            if command.request.as_ref().is_some_and(|request| request.name == "request-1"))
    });
    assert_eq!(door.direct("select count(*) from acct"), "2", "and nothing ran");
    claiming.kill().unwrap();
    claiming.wait().unwrap();
}

#[test]
fn a_grant_that_cannot_be_claimed_leaves_one_intent_and_one_question() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let sql = "delete from acct where id = 1";
    door.psql("alice", &[sql]);
    door.people.approve("request-1");
    door.people.use_elsewhere("request-1");
    let printed = door.psql("alice", &[sql]);
    assert!(printed.err.contains("request-2"), "it is asked anew: {printed:?}");
    let told = |wanted: &'static str| {
        move |event: &Event| match event {
            Event::Command(command) => wanted == "command" && command.text == sql,
            Event::Hold(hold) => wanted == "hold" && hold.request.name.starts_with("request-"),
            Event::Outcome(outcome) => wanted == "outcome" && outcome.fate == Fate::NotRun,
            _ => false,
        }
    };
    door.recorded_times("one intent for each attempt", 2, told("command"));
    door.recorded_times("one question for each attempt", 2, told("hold"));
    door.recorded_times("neither ran", 2, told("outcome"));
    door.people.approve("request-2");
    assert_eq!(door.psql("alice", &[sql]).err, "");
    assert_eq!(door.direct("select count(*) from acct"), "1");
}
