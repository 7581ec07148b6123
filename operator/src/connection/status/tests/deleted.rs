//! A Connection that is being deleted, and that somebody's finalizer holds.

use super::*;

#[tokio::test]
async fn one_that_is_being_deleted_has_no_door_whatever_holds_it() {
    const CHILDREN: [&str; 4] = [
        "/apis/apps/v1/namespaces/doors/deployments/door-bank",
        "/api/v1/namespaces/doors/configmaps/door-bank-policy",
        "/api/v1/namespaces/doors/services/door-bank",
        "/api/v1/namespaces/doors/secrets/door-bank-keys",
    ];
    let mut scenario = served().await;
    let stands = |scenario: &Scenario| CHILDREN.map(|child| scenario.api.get(child).is_some());
    assert_eq!(stands(&scenario), [true; 4]);
    let rule = |scenario: &Scenario| {
        let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/maskingrules/pii";
        scenario.api.get(path).unwrap()["status"]["connections"].clone()
    };
    let pii = || serde_json::to_value(masking_rule("pii")).unwrap();
    scenario.apply_masking_rule(pii()).await;
    assert_eq!(rule(&scenario), json!(1));

    let mut bank = serde_json::to_value(crate::testing::connection()).unwrap();
    bank["metadata"]["deletionTimestamp"] = json!("2026-11-28T09:00:00Z");
    bank["metadata"]["finalizers"] = json!(["example.com/hold"]);
    scenario.apply_connection(bank).await;
    assert_eq!(stands(&scenario), [false; 4]);
    assert_eq!(scenario.bank("Accepted"), ("False".into(), "Deleted".into()));
    assert_eq!(
        (scenario.bank("Enforced").0, scenario.bank("Ready").0),
        ("False".into(), "False".into())
    );
    let brought = "/api/v1/namespaces/doors/secrets/bank-credentials";
    assert!(scenario.api.get(brought).is_some(), "what is not ours went too");
    scenario.apply_masking_rule(pii()).await;
    assert_eq!(rule(&scenario), json!(0), "it holds no rule back");

    scenario.api.writes();
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.api.writes(), Vec::<String>::new());
}
