//! Scenarios: somebody waits at a door's Pod for an answer, and what becomes of the Pod.

use super::*;
use crate::world::{Queues, World};

const POD: &str = "/api/v1/namespaces/doors/pods/door-bank-0";

/// Alice asked at noon, at the Pod `door-bank-0`.
async fn asked_there(on_hold: &str) -> Scenario {
    let mut scenario = Scenario::furnished().await;
    scenario.apply_bank().await;
    let mut asked = request("2999-01-01T00:00:00Z");
    asked["metadata"]["creationTimestamp"] = json!("2026-01-01T12:00:00Z");
    asked["spec"]["session"] =
        json!({ "id": "s", "pod": "door-bank-0", "podUid": "uid-door-bank-0", "onHold": on_hold });
    scenario.keep("accessrequests", asked);
    scenario
}

fn pod(uid: &str, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "namespace": "doors", "name": "door-bank-0", "uid": uid }, "status": status,
    })
}

/// The status of a Pod of which one container is, and was, in these states.
fn container(name: &str, state: Value, last: Value) -> Value {
    json!({ "phase": "Running", "containerStatuses": [{
        "name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "state": state, "lastState": last,
    }] })
}

fn running_since(time: &str) -> Value {
    json!({ "running": { "startedAt": format!("2026-01-01T{time}Z") } })
}

fn own(status: Value) -> Option<Value> {
    Some(pod("uid-door-bank-0", status))
}

#[tokio::test]
async fn a_question_ends_with_the_process_at_which_its_asker_waits() {
    let never = || json!({});
    let killed = json!({ "terminated": { "exitCode": 137, "finishedAt": "2026-01-01T12:05:00Z" } });
    let backing_off = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let cases = [
        (
            "it runs",
            own(container("proxy", running_since("11:59:59"), never())),
            "Pending",
        ),
        (
            "its node does not answer",
            own(json!({ "phase": "Unknown" })),
            "Pending",
        ),
        ("nobody has said how it is", own(Value::Null), "Pending"),
        ("there is none", None, "Withdrawn"),
        (
            "another has its name",
            Some(pod(
                "uid-another",
                container("proxy", running_since("11:59:59"), never()),
            )),
            "Withdrawn",
        ),
        (
            "it was evicted",
            own(json!({ "phase": "Failed", "reason": "Evicted" })),
            "Withdrawn",
        ),
        (
            "its process was killed and is not back",
            own(container("proxy", backing_off, killed.clone())),
            "Withdrawn",
        ),
        (
            "its process began anew",
            own(container("proxy", running_since("12:05:01"), never())),
            "Withdrawn",
        ),
        (
            "its process began within what clocks differ by",
            own(container("proxy", running_since("12:01:00"), never())),
            "Pending",
        ),
        (
            "something beside the door began anew",
            own(container("mesh", running_since("12:05:01"), killed)),
            "Pending",
        ),
    ];
    for (what, pod, wanted) in cases {
        let mut scenario = asked_there("Wait").await;
        if let Some(pod) = pod {
            scenario.api.put(POD, pod);
        }
        scenario.look_at_request("bank-1").await.unwrap();
        assert_eq!(state(&scenario), wanted, "{what}");
        if wanted == "Withdrawn" {
            let said = scenario.condition("accessrequests", "doors", "bank-1", "Withdrawn");
            assert_eq!(said, ("True".into(), "AskerGone".into()), "{what}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_seen_is_there() {
    let mut scenario = asked_there("Wait").await;
    scenario.api.forbid(POD);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Pending", "the API server does not say");
    // What the watch shows is asked of nobody.
    let mut scenario = asked_there("Wait").await;
    scenario.pod_runs("door-bank-0");
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Pending");
}

#[tokio::test]
async fn who_comes_again_has_nobody_who_waits() {
    let mut scenario = asked_there("Refuse").await;
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Pending");
}

#[tokio::test]
async fn an_approval_counts_while_somebody_waits_and_is_too_late_after_that() {
    let running = || own(container("proxy", running_since("11:59:59"), json!({}))).unwrap();
    let mut scenario = asked_there("Wait").await;
    scenario.api.put(POD, running());
    scenario.look_at_request("bank-1").await.unwrap();
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    scenario.api.delete(POD);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Approved", "what was granted stays");

    let mut scenario = asked_there("Wait").await;
    scenario.api.put(POD, running());
    scenario.look_at_request("bank-1").await.unwrap();
    scenario.api.delete(POD);
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Withdrawn");
    let approved = scenario.condition("accessrequests", "doors", "bank-1", "Approved");
    assert_eq!(approved.0, "False");
}

/// Whether the request is looked at once something was told.
fn is_queued(scenario: &mut Scenario, tell: impl Fn(&Queues, &World)) -> bool {
    let context = scenario.context.clone();
    while scenario.receivers.access_requests.try_recv().is_ok() {}
    tell(&context.queues, &context.world);
    scenario.receivers.access_requests.try_recv().is_ok()
}

#[tokio::test]
async fn what_changed_elsewhere_has_no_request_looked_at() {
    let mut scenario = asked_there("Wait").await;
    scenario.api.put(
        POD,
        pod(
            "uid-door-bank-0",
            container("proxy", running_since("11:59:59"), json!({})),
        ),
    );
    scenario.look_at_request("bank-1").await.unwrap();
    for (name, asked) in [("door-bank-0", true), ("door-bank-1", false)] {
        let told = is_queued(&mut scenario, |queues, world| {
            queues.requests_from(world, "doors", name);
        });
        assert_eq!(told, asked, "Pod {name}");
    }
    for (name, asked) in [("bank", true), ("ledger", false)] {
        let told = is_queued(&mut scenario, |queues, world| {
            queues.requests_about(world, "doors", name);
        });
        assert_eq!(told, asked, "Connection {name}");
    }
    let by_policies = |namespace: &'static str| {
        move |queues: &Queues, world: &World| {
            queues.open_requests_of(world, namespace);
        }
    };
    assert!(is_queued(&mut scenario, by_policies("doors")));
    assert!(!is_queued(&mut scenario, by_policies("evidence")));

    scenario.keep("accessrequests", request("2001-01-01T00:00:00Z"));
    scenario.look_at_request("bank-1").await.unwrap();
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "Expired");
    assert!(
        !is_queued(&mut scenario, by_policies("doors")),
        "what is over hangs on no policy"
    );
    assert!(
        is_queued(&mut scenario, |queues, world| {
            queues.requests_about(world, "doors", "bank");
        }),
        "it goes with its Connection"
    );
}
