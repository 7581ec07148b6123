//! What the API server does not take, or no longer lets the operator see.

use super::*;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/doors/deployments/door-bank";

#[tokio::test(start_paused = true)]
async fn a_child_that_is_refused_is_said_and_the_rest_does_not_stand_still() {
    let mut scenario = served().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    for pod in ["a", "b"] {
        scenario.pod_runs(pod);
        scenario.pod_says(pod, 1);
    }
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Enforced"), ("True".into(), "Enforced".into()));

    // Somebody's admission, a quota, or a value that Deployments do not take.
    scenario.api.forbid(DEPLOYMENT);
    let mut bank = serde_json::to_value(crate::testing::connection()).unwrap();
    bank["metadata"]["generation"] = json!(4);
    bank["spec"]["proxy"]["nodeSelector"] = json!({ "pool": "doors" });
    scenario.keep("connections", bank);
    assert!(
        scenario.try_connection("doors", "bank").await.is_err(),
        "it is not tried again"
    );
    for kind in ["Programmed", "Ready"] {
        assert_eq!(scenario.bank(kind), ("False".into(), "ChildRefused".into()), "{kind}");
    }
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    let status = scenario.api.get(path).unwrap()["status"].clone();
    assert_eq!(status["observedGeneration"], 4);
    let words = "a part of the door cannot be made as it should be: Forbidden";
    assert!(status.to_string().contains(words), "{status}");
    assert_eq!(scenario.bank("Enforced").0, "False", "nobody runs this policy yet");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(scenario.try_connection("doors", "bank").await.is_err());
    assert_eq!(scenario.bank("Enforced"), ("False".into(), "ProxySilent".into()));
}

#[tokio::test]
async fn a_child_that_is_not_written_yet_is_not_vouched_for() {
    let mut scenario = served().await;
    let mut bank = serde_json::to_value(crate::testing::connection()).unwrap();
    bank["metadata"]["generation"] = json!(4);
    bank["spec"]["proxy"]["replicas"] = json!(0);
    scenario.keep("connections", bank.clone());
    scenario.api.fail(DEPLOYMENT, true);
    for _ in 0..2 {
        assert!(scenario.try_connection("doors", "bank").await.is_err());
        assert_eq!(scenario.bank("Programmed"), ("False".into(), "Progressing".into()));
        assert_eq!(scenario.bank("Ready").0, "False");
    }
    scenario.api.fail(DEPLOYMENT, false);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Programmed"), ("True".into(), "ScaledToZero".into()));

    // Nothing of what stands is taken back for a request that failed.
    bank["spec"]["proxy"]["nodeSelector"] = json!({ "pool": "doors" });
    scenario.keep("connections", bank);
    scenario.api.fail(DEPLOYMENT, true);
    assert!(scenario.try_connection("doors", "bank").await.is_err());
    assert_eq!(scenario.bank("Programmed"), ("True".into(), "ScaledToZero".into()));
}

#[tokio::test]
async fn a_right_that_is_taken_from_the_operator_is_said() {
    let mut scenario = served().await;
    assert_eq!(scenario.bank("Accepted").0, "True");
    scenario.api.forbid("/api/v1/namespaces/doors/secrets/bank-credentials");
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(
        scenario.bank("Accepted"),
        ("False".into(), "NamespaceNotEnabled".into())
    );
    assert_eq!(scenario.bank("Ready").0, "False");
    assert!(scenario.api.get(DEPLOYMENT).is_some(), "what stands goes on");
}

#[tokio::test]
async fn a_name_that_another_namespace_has_too_is_said_at_both() {
    let mut scenario = served().await;
    let with = |namespace: &str, uid: &str| {
        let mut connection = serde_json::to_value(crate::testing::connection()).unwrap();
        connection["metadata"]["namespace"] = json!(namespace);
        connection["metadata"]["uid"] = json!(uid);
        connection["spec"]["certificate"] = json!({ "names": ["db.bank.example", "127.0.0.1", "localhost"] });
        connection
    };
    scenario.keep("connections", with("doors", "uid-bank"));
    scenario.look_at_connection("doors", "bank").await;
    let status = |scenario: &Scenario| {
        let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
        scenario.api.get(path).unwrap()["status"].to_string()
    };
    assert!(!status(&scenario).contains("NameShared"));
    // One that was not opted in gets no certificate.
    for (namespace, shared) in [("elsewhere", false), ("evidence", true)] {
        scenario.keep("connections", with(namespace, "uid-of-another"));
        scenario.look_at_connection(namespace, "bank").await;
        scenario.look_at_connection("doors", "bank").await;
        assert_eq!(status(&scenario).contains("NameShared"), shared, "{namespace}");
        let words = "another namespace has db.bank.example in its certificate";
        assert_eq!(status(&scenario).contains(words), shared, "{namespace}");
    }
    assert_eq!(scenario.bank("Accepted").0, "True", "it is for people to mend");
}

#[tokio::test]
async fn an_address_of_a_door_of_another_namespace_is_said_at_both() {
    let status = |scenario: &Scenario, namespace: &str| {
        let path = format!("/apis/sallyport.dev/v1alpha1/namespaces/{namespace}/connections/bank");
        scenario.api.get(&path).unwrap()["status"].to_string()
    };
    for (asked, shared) in [("fd00::3", false), ("FD00:0:0::2", true)] {
        let mut scenario = Scenario::furnished().await;
        scenario.service_has("doors", "door-bank", "fd00::2");
        scenario.apply_bank().await;
        let mut other = serde_json::to_value(crate::testing::connection()).unwrap();
        other["metadata"]["namespace"] = json!("evidence");
        other["metadata"]["uid"] = json!("uid-of-another");
        other["spec"]["certificate"] = json!({ "names": [asked] });
        scenario.keep("connections", other);
        scenario.look_at_connection("evidence", "bank").await;
        scenario.look_at_connection("doors", "bank").await;
        for namespace in ["doors", "evidence"] {
            let told = status(&scenario, namespace);
            assert_eq!(told.contains("NameShared"), shared, "{asked}, {namespace}: {told}");
            let words = "another namespace has fd00::2 in its certificate";
            assert_eq!(told.contains(words), shared, "{asked}, {namespace}: {told}");
        }
    }
}
