//! A target that does not let the door in.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_door_that_its_target_refuses_is_not_ready_until_it_is_let_in() {
    let mut scenario = served().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    let mut bank = serde_json::to_value(crate::testing::connection()).unwrap();
    bank["spec"]["proxy"]["replicas"] = json!(0);
    scenario.apply_connection(bank).await;
    let revision = scenario.carrier().revision;
    for pod in ["a", "b"] {
        scenario.pod_runs(pod);
        scenario.pod_says(pod, revision);
    }
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Ready"), ("True".into(), "Ready".into()));

    let refused = Problem {
        reason: "TargetRefused".into(),
        message: "the target answers SQLSTATE 28P01: mend Secret bank-credentials".into(),
    };
    scenario.pod_complains("a", revision, vec![refused.clone()]);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Accepted").0, "True");
    assert_eq!(scenario.bank("Enforced").0, "True");
    for kind in ["Ready", "Advisory"] {
        let truth = if kind == "Ready" { "False" } else { "True" };
        assert_eq!(scenario.bank(kind), (truth.into(), "TargetRefused".into()));
    }
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    let conditions = |scenario: &Scenario| scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
    assert_eq!(conditions(&scenario).matches(&refused.message).count(), 2);

    // What is graver gives the reason, and the gravest of many is never left out.
    let mut many: Vec<Problem> = (0..5)
        .map(|number| Problem {
            reason: "IssuerUnavailable".into(),
            message: format!("issuer {number}"),
        })
        .collect();
    many.push(refused);
    scenario.pod_complains("a", revision, many);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Advisory"), ("True".into(), "TargetRefused".into()));
    assert_eq!(conditions(&scenario).matches("SQLSTATE 28P01").count(), 2);

    scenario.pod_says("a", revision);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Ready"), ("True".into(), "Ready".into()));
    assert!(!conditions(&scenario).contains("Advisory"), "{}", conditions(&scenario));
}
