use serde_json::{Value, json};

use super::*;
use crate::testing::policy;

mod glass;
mod lasting;
mod logins;
mod ready;
mod skew;
mod vain;

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
        open_before: 0,
        seen: true,
        policies: vec![policy("writes", required)],
        may_grant: false,
        settings: sallyport_policy::carrier::ClusterSettings {
            known_issuers: vec!["https://idp".into()],
            ..Default::default()
        },
        admission: Some(std::sync::Arc::new(crate::access_request::admission::Seen {
            digest: "one".into(),
            ..Default::default()
        })),
        asker_gone: false,
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
fn the_clock_of_who_answers_decides_nothing() {
    // A minute behind the operator's, a minute ahead of it, and after the request's end.
    for ahead in [-60, 60, 2 * EXPIRES] {
        let mut entry = answer("bob", "Approve");
        entry["time"] = json!(at(2 + ahead).to_string());
        let mut request = answered(1, &[entry]);
        request.status = decide(&request, &found(1), at(2));
        let conditions = &request.status.as_ref().unwrap().conditions;
        let approved = conditions.iter().find(|one| one.type_ == "Approved").unwrap();
        assert_eq!(approved.status, "True", "{ahead}");
        assert_eq!(approved.last_transition_time.0, at(2), "{ahead}");
        assert_eq!(state_of(&request, &found(1), EXPIRES - 1).0, "Approved", "{ahead}");
        assert_eq!(state_of(&request, &found(1), EXPIRES).0, "Expired", "{ahead}");
    }
}

#[test]
fn what_was_approved_has_to_be_used_in_time() {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(2));
    assert_eq!(state_of(&request, &found(1), EXPIRES - 1).0, "Approved");
    assert_eq!(state_of(&request, &found(1), EXPIRES).0, "Expired");
}

/// A request of scope Window that the person made beforehand, approved at second 2 for five minutes.
fn window(seconds: i32) -> AccessRequest {
    let mut request = request(Value::Null);
    request.spec.scope = sallyport_crds::approval_policy::GrantScope::Window;
    request.spec.command = None;
    request.spec.asked_by = Vec::new();
    request.spec.window = Some(serde_json::from_value(json!({ "duration": format!("{seconds}s") })).unwrap());
    request
}

fn found_windows() -> Found {
    let mut found = found(1);
    let approval = found.policies[0].spec.rules[0].approval.as_mut().unwrap();
    approval.grant = serde_json::from_value(json!({ "scope": "Window", "validFor": "1h" })).unwrap();
    found
}

#[test]
fn a_window_begins_with_its_approval_and_ends_by_itself() {
    let found = found_windows();
    let mut request = window(300);
    request.status = decide(&request, &found, at(1));
    let mut bob = answer("bob", "Approve");
    bob.as_object_mut().unwrap().remove("digest");
    request.status.as_mut().unwrap().approvals = Some(vec![serde_json::from_value(bob).unwrap()]);
    request.status = decide(&request, &found, at(2));
    let status = request.status.clone().unwrap();
    assert_eq!(status.state.as_deref(), Some("Approved"));
    assert_eq!(status.granted_until.map(|time| time.0), Some(at(302)));
    assert_eq!(status.left.as_deref(), Some("<5m"));
    // The question's own end does not end what was granted.
    let later = decide(&request, &found, at(301)).unwrap();
    assert_eq!(
        (later.state.as_deref(), later.left.as_deref()),
        (Some("Approved"), Some("<1m"))
    );
    let over = decide(&request, &found, at(302)).unwrap();
    assert_eq!((over.state.as_deref(), over.left), (Some("Expired"), None));
    let reason = over
        .conditions
        .iter()
        .find(|one| one.type_ == "Expired")
        .unwrap()
        .reason
        .clone();
    assert_eq!(reason, "GrantOver");
}

#[test]
fn another_admission_closes_what_was_asked_before() {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(2));
    let other = |digest: &str, fault: Option<&str>| Found {
        admission: Some(std::sync::Arc::new(crate::access_request::admission::Seen {
            digest: digest.into(),
            fault: fault.map(str::to_owned),
            ..Default::default()
        })),
        ..found(1)
    };
    assert_eq!(state_of(&request, &other("two", None), 3).0, "AdmissionChanged");
    request.status = decide(&request, &other("two", None), at(3));
    assert_eq!(
        state_of(&request, &found(1), 4).0,
        "AdmissionChanged",
        "flipping back does not open it"
    );
    // Asked while admission has no teeth: nothing is approved under it.
    let toothless = other("three", Some("no binding"));
    let mut asked = answered(1, &[answer("bob", "Approve")]);
    asked.status.as_mut().unwrap().admission = None;
    assert_eq!(state_of(&asked, &toothless, 3).0, "Pending");
    assert_eq!(
        decide(
            &asked,
            &Found {
                admission: None,
                ..found(1)
            },
            at(3)
        ),
        None
    );
}

#[test]
fn a_declared_name_is_listed_for_the_groups_that_are_declared_with_it() {
    let declared = json!([
        { "username": "bob", "issuer": "https://idp", "subject": "sub-bob", "groups": ["oidc:dba"] },
        { "username": "carol", "issuer": "https://idp", "subject": "sub-carol", "groups": ["oidc:seniors"] },
        { "username": "system:admin", "issuer": "https://idp", "subject": "sub-dave", "groups": ["oidc:dba"] },
    ]);
    let mut found = found(1);
    found.settings.approver_mappings = serde_json::from_value(declared).unwrap();
    let mut asked = request(Value::Null);
    asked.status = decide(&asked, &found, at(1));
    let status = asked.status.as_mut().unwrap();
    let approvers = &status.requirements.as_ref().unwrap()[0].approvers;
    let names: Vec<&str> = approvers.iter().map(|subject| subject.name.as_str()).collect();
    assert_eq!(names, ["oidc:dba", "bob"]);
    let entry = json!({ "user": "bob", "decision": "Approve", "requestUID": "r", "digest": "d".repeat(64) });
    status.approvals = Some(vec![serde_json::from_value(entry).unwrap()]);
    assert_eq!(state_of(&asked, &found, 2).0, "Approved");
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

#[test]
fn a_grant_is_for_the_target_that_it_was_asked_about() {
    let mut found = found_windows();
    found.connection = Some(crate::testing::connection());
    let mut request = window(300);
    request.status = decide(&request, &found, at(1));
    let mut bob = answer("bob", "Approve");
    bob.as_object_mut().unwrap().remove("digest");
    request.status.as_mut().unwrap().approvals = Some(vec![serde_json::from_value(bob).unwrap()]);
    request.status = decide(&request, &found, at(2));
    assert_eq!(request.status.as_ref().unwrap().state.as_deref(), Some("Approved"));
    found.connection.as_mut().unwrap().spec.target.host = "production.bank.svc".into();
    let after = decide(&request, &found, at(3)).unwrap();
    assert_eq!(after.state.as_deref(), Some("Expired"));
    let expired = after.conditions.iter().find(|one| one.type_ == "Expired").unwrap();
    assert_eq!(expired.reason, "TargetChanged");
    assert!(
        expired.message.contains("leads to production.bank.svc:"),
        "{}",
        expired.message
    );
    assert_eq!(
        after.target,
        request.status.unwrap().target,
        "it stays what it was asked about"
    );
}

#[test]
fn what_nobody_else_could_approve_is_over_at_once() {
    let asked = |approvers: Value, required: i32| {
        let mut found = found_windows();
        let approval = found.policies[0].spec.rules[0].approval.as_mut().unwrap();
        approval.approvers = serde_json::from_value(approvers).unwrap();
        approval.required = required;
        let status = decide(&window(300), &found, at(1)).unwrap();
        let expired = status.conditions.into_iter().find(|one| one.type_ == "Expired");
        expired.map(|one| (one.reason, one.message))
    };
    let (alice, bob) = (
        json!({"kind": "User", "name": "oidc:alice"}),
        json!({"kind": "User", "name": "oidc:bob"}),
    );
    let (reason, message) = asked(json!([alice]), 1).unwrap();
    assert_eq!(reason, "NobodyElse");
    assert!(message.contains("apart from oidc:alice, rule delete"), "{message}");
    assert!(asked(json!([alice, bob]), 2).is_some());
    // By certificate they are the same people.
    let user = |name: &str| json!({"kind": "User", "name": name});
    assert!(asked(json!([alice, user("alice")]), 1).is_some());
    assert!(asked(json!([bob, user("bob")]), 2).is_some());
    assert_eq!(asked(json!([alice, bob]), 1), None);
    assert_eq!(asked(json!([alice, {"kind": "Group", "name": "oidc:dba"}]), 2), None);
}

#[test]
fn a_window_that_no_rule_grants_is_over_at_once() {
    let end = |status: &AccessRequestStatus| {
        let expired = status.conditions.iter().find(|one| one.type_ == "Expired");
        expired.map(|one| (one.reason.clone(), one.message.clone()))
    };
    let status = decide(&window(300), &found(1), at(1)).unwrap();
    let (reason, message) = end(&status).unwrap();
    assert_eq!(reason, "NobodyElse");
    assert!(
        message.contains("no rule in force grants windows on connection bank"),
        "{message}"
    );
    // One whose rule is written and not in force yet waits for it.
    let mut early = window(300);
    let written = Found {
        may_grant: true,
        ..found(1)
    };
    early.status = decide(&early, &written, at(1));
    assert_eq!(state_of(&early, &written, 2).0, "Pending");
    let asked_of = decide(&early, &found_windows(), at(3)).unwrap().requirements;
    assert_eq!(asked_of.unwrap().len(), 1);
    // One that was asked of somebody waits for its rule to come again.
    let mut asked = window(300);
    asked.status = decide(&asked, &found_windows(), at(1));
    asked.status = decide(&asked, &found(1), at(2));
    let status = asked.status.as_ref().unwrap();
    assert_eq!((status.state.as_deref(), end(status)), (Some("Pending"), None));
    assert_eq!(state_of(&asked, &found(1), 3).0, "Pending");
    assert_eq!(
        decide(&asked, &found_windows(), at(4))
            .unwrap()
            .requirements
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn what_was_over_as_it_was_asked_says_so() {
    let words = |made: i64| {
        let mut asked = request(Value::Null);
        asked.metadata.creation_timestamp = Some(Time(at(made)));
        let status = decide(&asked, &found(1), at(EXPIRES)).unwrap();
        let expired = status
            .conditions
            .into_iter()
            .find(|one| one.type_ == "Expired")
            .unwrap();
        (expired.reason, expired.message)
    };
    assert_eq!(words(1), ("TimedOut".into(), "nobody decided in time".into()));
    let (reason, message) = words(EXPIRES);
    assert_eq!(reason, "TimedOut");
    assert!(message.starts_with("expiresAt was over as this was asked"), "{message}");
}

#[test]
fn what_is_asked_beforehand_has_bounds() {
    let asked = |expires: i64| {
        let mut request = request(Value::Null);
        request.metadata.creation_timestamp = Some(Time(at(0)));
        request.spec.expires_at = Time(at(expires));
        request
    };
    let end = |request: &AccessRequest, found: &Found| {
        let status = decide(request, found, at(1)).unwrap();
        let expired = status.conditions.into_iter().find(|one| one.type_ == "Expired");
        expired.map(|one| (one.status, one.reason, one.message))
    };
    let week = 168 * 3_600;
    assert_eq!(end(&asked(week), &found(1)), None);
    let (status, reason, message) = end(&asked(week + 1), &found(1)).unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", "QuotaExceeded"));
    assert!(message.contains("168h"), "{message}");
    let mut many = found(1);
    many.connection = Some(crate::testing::connection());
    many.open_before = 20;
    let (_, reason, message) = end(&asked(week), &many).unwrap();
    assert_eq!(reason, "QuotaExceeded");
    assert!(message.contains("allows 20"), "{message}");
    many.open_before = 19;
    assert_eq!(end(&asked(week), &many), None);
    let mut held = asked(week + 1);
    held.spec.session =
        serde_json::from_value(json!({"id": "s", "pod": "p", "podUid": "u", "onHold": "Wait"})).unwrap();
    assert_eq!(end(&held, &found(1)), None, "a door's own are bounded by the door");
}

#[test]
fn what_was_denied_was_not_withdrawn_when_its_asker_is_gone() {
    let mut denied = answered(1, &[answer("bob", "Deny")]);
    denied.spec.session =
        serde_json::from_value(json!({"id": "s", "pod": "p", "podUid": "u", "onHold": "Wait"})).unwrap();
    let gone = Found {
        asker_gone: true,
        ..found(1)
    };
    assert_eq!(state_of(&denied, &gone, 2).0, "Denied");
}
