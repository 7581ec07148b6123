//! Scenarios: a request is looked at while people answer it.

use jiff::Timestamp;
use sallyport_audit::digest::Digest;
use serde_json::{Value, json};

use super::admission::{Seen, digest_now};
use super::since::Mark;
use crate::testing::admission;
use crate::testing::scenario::{Scenario, policy_object};

mod askers;
mod sealed;

const PATH: &str = "/apis/sallyport.dev/v1alpha1/namespaces/doors/accessrequests/bank-1";

fn request(expires: &str) -> Value {
    json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": { "namespace": "doors", "name": "bank-1", "uid": "r", "generation": 1 },
        "spec": {
            "connection": { "name": "bank", "uid": "uid-bank" },
            "requester": { "username": "oidc:alice", "issuer": "https://idp", "subject": "sub-alice" },
            "scope": "Command",
            "command": { "text": "DELETE", "summary": "DELETE", "digest": "d".repeat(64), "risk": 80 },
            "askedBy": [{ "policy": "writes", "uid": "uid-writes", "generation": 1, "rule": "delete" }],
            "expiresAt": expires,
        },
    })
}

async fn asked() -> Scenario {
    let mut scenario = Scenario::furnished().await;
    scenario.apply_bank().await;
    scenario.keep("accessrequests", request("2999-01-01T00:00:00Z"));
    scenario
}

fn state(scenario: &Scenario) -> String {
    scenario.api.get(PATH).unwrap()["status"]["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn people_answer(scenario: &Scenario, who: &str) {
    let mut object = scenario.api.get(PATH).unwrap();
    object["status"]["approvals"].as_array_mut().unwrap().push(json!({
        "user": format!("oidc:{who}"), "decision": "Approve", "requestUID": "r", "digest": "d".repeat(64),
        "issuer": "https://idp", "subject": format!("sub-{who}"), "groups": ["oidc:dba"],
    }));
    scenario.api.put(PATH, object);
}

#[tokio::test]
async fn from_the_question_to_the_approval() {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    let status = &scenario.api.get(PATH).unwrap()["status"];
    assert_eq!(status["approvals"], json!([]));
    assert_eq!(status["requirements"][0]["approvers"][0]["name"], "oidc:dba");
    assert_eq!(state(&scenario), "Pending");
    let ready = |scenario: &Scenario| scenario.condition("accessrequests", "doors", "bank-1", "Ready");
    assert_eq!(ready(&scenario), ("False".into(), "WaitingForApproval".into()));
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Approved");
    assert_eq!(ready(&scenario), ("True".into(), "Ready".into()));
    let object = scenario.api.get(PATH).unwrap();
    assert_eq!(object["status"]["observedGeneration"], object["metadata"]["generation"]);
}

#[tokio::test]
async fn a_window_waits_for_a_rule_that_is_written_and_not_in_force_yet() {
    let mut policy = policy_object(1);
    policy["metadata"]["name"] = json!("windows");
    policy["metadata"]["uid"] = json!("uid-windows");
    policy["spec"]["rules"][0]["approval"]["grant"] = json!({ "scope": "Window", "validFor": "1h" });
    let mut asked = request("2999-01-01T00:00:00Z");
    asked["spec"] = json!({
        "connection": { "name": "bank", "uid": "uid-bank" },
        "requester": { "username": "oidc:alice", "issuer": "https://idp", "subject": "sub-alice" },
        "scope": "Window", "window": { "duration": "1h" }, "expiresAt": "2999-01-01T00:00:00Z",
    });
    for written in [false, true] {
        let mut scenario = Scenario::furnished().await;
        scenario.apply_bank().await;
        if written {
            scenario.write_policy(policy.clone());
        }
        scenario.keep("accessrequests", asked.clone());
        scenario.look_at_request("bank-1").await.unwrap();
        assert_eq!(state(&scenario), if written { "Pending" } else { "Expired" });
        scenario.apply_policy(policy.clone()).await;
        scenario.look_at_request("bank-1").await.unwrap();
        let object = scenario.api.get(PATH).unwrap();
        let asked_of = object["status"]["requirements"].as_array().map(Vec::len);
        assert_eq!(asked_of, Some(usize::from(written)), "what is over stays so");
    }
}

#[tokio::test]
async fn events_tell_of_the_question_and_its_answer_on_request_and_connection() {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    let events = scenario.api.list("/apis/events.k8s.io/v1/namespaces/doors/events");
    for (kind, name) in [("AccessRequest", "bank-1"), ("Connection", "bank")] {
        for (reason, words) in [
            ("WaitingForApproval", "oidc:alice: 0/1 approvals"),
            ("ApprovedByPeople", "oidc:alice: approved by oidc:bob"),
        ] {
            let told = events.iter().any(|event| {
                let about = &event["regarding"];
                about["kind"] == kind
                    && about["name"] == name
                    && event["reason"] == reason
                    && event["note"].as_str().is_some_and(|note| note.ends_with(words))
            });
            assert!(told, "{reason} on {kind} {name}: {events:#?}");
        }
    }
}

#[tokio::test]
async fn a_guard_that_was_weakened_in_place_closes_approvals() {
    let mut scenario = asked().await;
    let seen = admission::seen("sallyport-request-answers", |policy, _| {
        let conditions =
            json!([{ "name": "but-mallory", "expression": "request.userInfo.username != 'oidc:mallory'" }]);
        policy["spec"]["matchConditions"] = conditions;
    });
    scenario.context.admission.store(seen);
    scenario.look_at_request("bank-1").await.unwrap();
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Pending");
    let approved = scenario.condition("accessrequests", "doors", "bank-1", "Approved");
    assert_eq!(approved, ("False".into(), "AdmissionNotTrusted".into()));
    let said = scenario.api.get(PATH).unwrap()["status"]["conditions"].to_string();
    let words = "ValidatingAdmissionPolicy sallyport-request-answers is not what ships with this version: spec.matchConditions differs: put back";
    assert!(said.contains(words), "{said}");
}

/// Somebody switches admission off and on again, ahead of the operator's watch.
fn flip_admission(scenario: &Scenario) {
    let binding = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/sallyport-request-answers";
    let metadata = json!({ "name": "sallyport-request-answers", "uid": "b", "generation": 3 });
    scenario.api.put(binding, json!({ "metadata": metadata }));
}

#[tokio::test]
async fn an_answer_that_passed_while_admission_was_off_for_a_moment_approves_nothing() {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    flip_admission(&scenario);
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "AdmissionChanged");
    let approved = scenario.condition("accessrequests", "doors", "bank-1", "Approved");
    assert_eq!(approved.0, "False");
}

/// Who was past admission for a moment wrote what a status says of it, too.
fn forget_admission(scenario: &Scenario) {
    let mut object = scenario.api.get(PATH).unwrap();
    object["status"].as_object_mut().unwrap().remove("admission");
    scenario.api.put(PATH, object);
}

#[tokio::test]
async fn what_was_made_before_admission_changed_is_over_whatever_its_status_says() {
    // An API server takes up what changed within seconds.
    for (since, after) in [(1, "AdmissionChanged"), (-5, "AdmissionChanged"), (-6, "Approved")] {
        let now = Timestamp::now().as_second();
        let at = |seconds: i64| Timestamp::from_second(now + seconds).unwrap();
        let mut scenario = asked().await;
        let mut made = request(&at(3_600).to_string());
        made["metadata"]["creationTimestamp"] = json!(at(0).to_string());
        scenario.keep("accessrequests", made);
        scenario.look_at_request("bank-1").await.unwrap();
        assert_eq!(state(&scenario), "Pending", "{since}");
        scenario.context.admission.mark(Mark {
            digest: Digest::of(b"").to_string(),
            since: at(since),
        });
        forget_admission(&scenario);
        people_answer(&scenario, "bob");
        scenario.look_at_request("bank-1").await.unwrap();
        assert_eq!(state(&scenario), after, "{since}");
    }
}

#[tokio::test]
async fn what_the_watch_has_not_shown_yet_approves_nothing() {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    flip_admission(&scenario);
    forget_admission(&scenario);
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    let approved = scenario.condition("accessrequests", "doors", "bank-1", "Approved");
    assert_eq!(approved, ("False".into(), "AdmissionNotTrusted".into()));
}

#[tokio::test]
async fn what_was_claimed_while_admission_was_off_for_a_moment_is_closed() {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    let claim = |scenario: &Scenario| {
        let mut object = scenario.api.get(PATH).unwrap();
        object["status"]["consumed"] =
            json!({ "nonce": "n", "pod": "door-bank-0", "time": "2026-11-28T00:00:00.000000Z" });
        scenario.api.put(PATH, object);
    };
    claim(&scenario);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Approved", "it is as it was");
    flip_admission(&scenario);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "AdmissionChanged");
}

/// A grant that was used, and that the operator has looked at since.
async fn used() -> Scenario {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    let mut used = scenario.api.get(PATH).unwrap();
    used["status"]["consumed"] = json!({ "nonce": "n", "pod": "door-bank-0", "time": "2026-11-28T00:00:00.000000Z" });
    used["status"]["conditions"].as_array_mut().unwrap().push(json!({
        "type": "Consumed", "status": "True", "reason": "ClaimedByProxy", "message": "",
        "lastTransitionTime": "2999-01-01T00:00:00Z",
    }));
    scenario.api.put(PATH, used);
    for _ in 0..2 {
        scenario.look_at_request("bank-1").await.unwrap();
        assert_eq!(state(&scenario), "Consumed");
    }
    scenario
}

#[tokio::test(start_paused = true)]
async fn what_was_used_before_is_held_against_admission_of_a_moment_ago() {
    let mut scenario = used().await;
    flip_admission(&scenario);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Consumed", "asked a moment ago");
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "AdmissionChanged");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_a_moment_ago_counts_no_more_once_the_watch_shows_something_else() {
    let mut scenario = used().await;
    flip_admission(&scenario);
    scenario.context.admission.store(Seen {
        digest: digest_now(&scenario.context.client).await.unwrap(),
        ..Seen::default()
    });
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "AdmissionChanged");
}

#[tokio::test]
async fn an_answer_that_arrives_meanwhile_is_not_lost() {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    people_answer(&scenario, "bob");
    // The store still shows the request without bob's answer, and carol's arrives before the operator writes.
    let seen = scenario.api.get(PATH).unwrap();
    people_answer(&scenario, "carol");
    let object: crate::world::Guarded<sallyport_crds::AccessRequest> = serde_json::from_value(seen).unwrap();
    super::reconcile(std::sync::Arc::new(object), scenario.context.clone())
        .await
        .unwrap();
    let answers = scenario.api.get(PATH).unwrap()["status"]["approvals"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(answers, 2);
    assert!(
        scenario.receivers.access_requests.try_recv().is_ok(),
        "it is looked at again"
    );
}

#[tokio::test]
async fn a_request_goes_when_its_connection_is_gone_or_it_was_over_for_long() {
    let mut scenario = asked().await;
    scenario.keep("accessrequests", request("2001-01-01T00:00:00Z"));
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Expired");
    let mut old = scenario.api.get(PATH).unwrap();
    for condition in old["status"]["conditions"].as_array_mut().unwrap() {
        condition["lastTransitionTime"] = json!("2001-01-01T00:00:00Z");
    }
    scenario.api.put(PATH, old);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(scenario.api.get(PATH), None);

    let mut scenario = asked().await;
    scenario.take("connections", "doors", "bank");
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(scenario.api.get(PATH), None);
}
