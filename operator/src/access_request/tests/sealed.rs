//! Scenarios: somebody writes what is the operator's to say, or an operator that had no seal said it.

use sallyport_crds::AccessRequest;
use sallyport_policy::seal::is_sealed;

use super::*;

/// Whether doors believe what stands there.
fn is_believed(scenario: &Scenario) -> bool {
    let request: AccessRequest = serde_json::from_value(scenario.api.get(PATH).unwrap()).unwrap();
    is_sealed(&request, &[scenario.context.keys.carrier.public().to_vec()])
}

fn change(scenario: &Scenario, change: impl Fn(&mut Value)) {
    let mut object = scenario.api.get(PATH).unwrap();
    change(&mut object["status"]);
    scenario.api.put(PATH, object);
}

fn says(kind: &str) -> Value {
    json!({
        "type": kind, "status": "True", "reason": "ApprovedByPeople", "message": "", "lastTransitionTime": "2026-01-01T12:00:00Z",
    })
}

async fn approved() -> Scenario {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    people_answer(&scenario, "bob");
    scenario.look_at_request("bank-1").await.unwrap();
    assert!(is_believed(&scenario));
    scenario
}

#[tokio::test]
async fn what_is_approved_is_sealed_once() {
    let mut scenario = approved().await;
    let before = scenario.api.get(PATH).unwrap();
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(scenario.api.get(PATH).unwrap(), before, "it was written anew");
    // What comes later is not sealed unseen.
    people_answer(&scenario, "carol");
    scenario.look_at_request("bank-1").await.unwrap();
    let after = scenario.api.get(PATH).unwrap();
    assert_eq!(after["status"]["seal"], before["status"]["seal"]);
    assert_eq!(after["status"]["seal"]["by"], json!(["oidc:bob"]));
    assert!(is_believed(&scenario));
}

#[tokio::test]
async fn what_waits_or_is_over_bears_no_seal() {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(scenario.api.get(PATH).unwrap()["status"]["seal"], Value::Null);
    let mut scenario = approved().await;
    flip_admission(&scenario);
    change(
        &scenario,
        |status| {
            status["consumed"] = json!({ "nonce": "n", "pod": "door-bank-0", "time": "2026-11-28T00:00:00.000000Z" })
        },
    );
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "AdmissionChanged");
    assert_eq!(scenario.api.get(PATH).unwrap()["status"]["seal"], Value::Null);
}

#[tokio::test]
async fn whoever_writes_that_it_is_approved_cannot_seal_it() {
    let mut scenario = asked().await;
    scenario.look_at_request("bank-1").await.unwrap();
    flip_admission(&scenario);
    people_answer(&scenario, "bob");
    change(&scenario, |status| {
        status["conditions"] = json!([says("Approved")]);
        status["seal"] = json!({ "by": ["oidc:bob"], "signature": "A".repeat(88) });
    });
    assert!(!is_believed(&scenario));
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "AdmissionChanged");
    assert!(!is_believed(&scenario));
}

#[tokio::test]
async fn what_an_operator_without_seals_approved_is_looked_at_as_if_it_were_new() {
    let mut scenario = approved().await;
    let unseal = |scenario: &Scenario| {
        change(scenario, |status| {
            status.as_object_mut().unwrap().remove("seal");
        });
    };
    unseal(&scenario);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!((state(&scenario).as_str(), is_believed(&scenario)), ("Approved", true));
    unseal(&scenario);
    flip_admission(&scenario);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(
        (state(&scenario).as_str(), is_believed(&scenario)),
        ("AdmissionChanged", false)
    );
}

#[tokio::test]
async fn a_review_that_bears_no_seal_was_given_by_nobody() {
    let mut scenario = Scenario::furnished().await;
    scenario.apply_bank().await;
    let mut used = request("2999-01-01T00:00:00Z");
    let spec = &mut used["spec"];
    (spec["breakGlass"], spec["scope"], spec["reason"]) = (json!(true), json!("Window"), json!("branch is down"));
    spec["window"] = json!({ "duration": "5m" });
    spec["session"] = json!({ "id": "s", "pod": "door-bank-0", "podUid": "u", "onHold": "Refuse" });
    scenario.keep("accessrequests", used);
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(state(&scenario), "BreakGlass");
    change(&scenario, |status| {
        let conditions = status["conditions"].as_array_mut().unwrap();
        conditions.retain(|one| one["type"] != "Reviewed");
        conditions.push(says("Reviewed"));
        status["state"] = json!("Reviewed");
    });
    scenario.look_at_request("bank-1").await.unwrap();
    assert_eq!(
        (state(&scenario).as_str(), is_believed(&scenario)),
        ("BreakGlass", false)
    );
    let reviewed = scenario.condition("accessrequests", "doors", "bank-1", "Reviewed");
    assert_eq!(reviewed.0, "False");
}
