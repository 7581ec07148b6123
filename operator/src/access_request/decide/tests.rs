use serde_json::{Value, json};

use super::*;
use crate::testing::policy;

const EXPIRES: i64 = 1_000;

fn request(status: Value) -> AccessRequest {
    let mut value = json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": { "namespace": "doors", "name": "bank-1", "uid": "r", "generation": 1 },
        "spec": {
            "connection": { "name": "bank", "uid": "uid-bank" },
            "requester": { "username": "oidc:alice", "issuer": "https://idp", "subject": "sub-alice" },
            "scope": "Command",
            "command": { "text": "DELETE", "summary": "DELETE", "digest": "d".repeat(64), "risk": 80 },
            "askedBy": [{ "policy": "writes", "uid": "uid-writes", "generation": 1, "rule": "delete" }],
            "expiresAt": Timestamp::from_second(EXPIRES).unwrap().to_string(),
        },
    });
    if !status.is_null() {
        value["status"] = status;
    }
    serde_json::from_value(value).unwrap()
}

fn found(required: i32) -> Found {
    Found {
        connection: None,
        seen: true,
        policies: vec![policy("writes", required)],
        settings: sallyport_policy::carrier::ClusterSettings {
            known_issuers: vec!["https://idp".into()],
            ..Default::default()
        },
    }
}

fn answer(who: &str, decision: &str) -> Value {
    json!({
        "user": format!("oidc:{who}"), "decision": decision, "requestUID": "r", "digest": "d".repeat(64),
        "issuer": "https://idp", "subject": format!("sub-{who}"), "groups": ["oidc:dba"],
    })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// The status after the operator looked once before anybody answered, and people then answered.
fn answered(required: i32, answers: &[Value]) -> AccessRequest {
    let first = decide(&request(Value::Null), &found(required), at(1)).unwrap();
    let mut status = serde_json::to_value(first).unwrap();
    status["approvals"] = json!(answers);
    request(status)
}

fn state_of(request: &AccessRequest, found: &Found, now: i64) -> (String, Option<String>) {
    let status = decide(request, found, at(now)).unwrap();
    (status.state.unwrap(), status.progress)
}

#[test]
fn the_first_look_says_who_may_answer_and_opens_the_list() {
    let status = decide(&request(Value::Null), &found(2), at(1)).unwrap();
    assert_eq!(status.requirements.as_ref().map(Vec::len), Some(1));
    assert_eq!(status.approvals, Some(vec![]));
    assert_eq!(
        (status.state.as_deref(), status.progress.as_deref()),
        (Some("Pending"), Some("0/2"))
    );
}

#[test]
fn answers_become_states() {
    let cases: [(i32, Vec<Value>, &str, &str); 7] = [
        (1, vec![answer("bob", "Approve")], "Approved", "1/1"),
        (2, vec![answer("bob", "Approve")], "Pending", "1/2"),
        (
            2,
            vec![answer("bob", "Approve"), answer("carol", "Approve")],
            "Approved",
            "2/2",
        ),
        (1, vec![answer("alice", "Approve")], "Pending", "0/1"),
        (1, vec![answer("bob", "Deny")], "Denied", "0/1"),
        (
            1,
            vec![answer("bob", "Approve"), answer("carol", "Deny")],
            "Denied",
            "1/1",
        ),
        (1, vec![answer("alice", "Withdraw")], "Withdrawn", "0/1"),
    ];
    for (required, answers, state, progress) in cases {
        let request = answered(required, &answers);
        let seen = state_of(&request, &found(required), 2);
        assert_eq!(seen, (state.to_owned(), Some(progress.to_owned())), "{answers:?}");
    }
}

#[test]
fn what_comes_after_the_end_of_time_does_not_count() {
    let request = answered(1, &[answer("bob", "Approve")]);
    assert_eq!(state_of(&request, &found(1), EXPIRES - 1).0, "Approved");
    assert_eq!(state_of(&request, &found(1), EXPIRES).0, "Expired");
}

#[test]
fn what_was_approved_in_time_stays_approved() {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(2));
    assert_eq!(state_of(&request, &found(1), EXPIRES + 5).0, "Approved");
}

#[test]
fn an_end_is_an_end() {
    let mut request = answered(1, &[answer("bob", "Deny")]);
    request.status = decide(&request, &found(1), at(2));
    request.status.as_mut().unwrap().approvals =
        Some(vec![serde_json::from_value(answer("carol", "Approve")).unwrap()]);
    assert_eq!(state_of(&request, &found(1), 3).0, "Denied");
}

#[test]
fn an_approval_can_be_revoked() {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(2));
    let status = request.status.as_mut().unwrap();
    status
        .approvals
        .as_mut()
        .unwrap()
        .push(serde_json::from_value(answer("carol", "Revoke")).unwrap());
    let status = decide(&request, &found(1), at(3)).unwrap();
    assert_eq!(status.state.as_deref(), Some("Revoked"));
    assert!(!condition::is_true(&status.conditions, ConditionType::Approved));
}

#[test]
fn a_changed_policy_drops_those_it_no_longer_entitles() {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(2));
    let mut changed = found(1);
    changed.policies[0].generation += 1;
    changed.policies[0].spec.rules[0].approval.as_mut().unwrap().approvers[0].name = "oidc:board".into();
    let status = decide(&request, &changed, at(3)).unwrap();
    assert_eq!(status.approvals, Some(vec![]));
    assert_eq!(status.state.as_deref(), Some("Pending"));
}

#[test]
fn a_policy_that_is_gone_approves_nothing() {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(2));
    let without = Found {
        policies: vec![],
        ..found(1)
    };
    assert_eq!(state_of(&request, &without, 3), ("Pending".to_owned(), None));
}

#[test]
fn the_doors_claim_is_left_alone() {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(2));
    let claim: Condition = serde_json::from_value(json!({
        "type": "Consumed", "status": "True", "reason": "ClaimedByProxy", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    request.status.as_mut().unwrap().conditions.push(claim.clone());
    let status = decide(&request, &found(1), at(3)).unwrap();
    assert!(status.conditions.contains(&claim));
    assert_eq!(status.state.as_deref(), Some("Consumed"));
}

#[test]
fn looking_twice_changes_nothing() {
    let mut request = answered(2, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(2), at(2));
    assert_eq!(decide(&request, &found(2), at(3)), request.status);
}
