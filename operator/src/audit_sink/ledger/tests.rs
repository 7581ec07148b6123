use super::*;
use crate::testing::scenario::Scenario;

const PATH: &str = "/api/v1/namespaces/sallyport-system/configmaps/sallyport-logs";
const ENTRY: &str = r#"{"namespace":"evidence","name":"evidence","born":"2026-11-01T00:00:00Z","verifierKey":"key"}"#;

fn stored(scenario: &Scenario, entry: &str) {
    let map = json!({ "metadata": { "name": "sallyport-logs", "namespace": "sallyport-system" }, "data": { "uid-sink": entry } });
    scenario.api.put(PATH, map);
}

#[tokio::test]
async fn an_entry_that_does_not_decode_is_a_fault_and_no_new_log() {
    let scenario = Scenario::new();
    stored(&scenario, r#"{"namespace":"evidence"}"#);
    let mut ledger = Ledger::open(&scenario.context.client, "sallyport-system")
        .await
        .unwrap();
    assert_eq!(ledger.entry("uid-sink"), None);
    let why = ledger.fault("uid-sink").unwrap();
    assert!(why.contains("entry uid-sink of ConfigMap sallyport-logs"), "{why}");
    assert_eq!(ledger.fault("uid-another"), None);

    assert_eq!(
        ledger.open_again(&scenario.context.client).await.unwrap(),
        Vec::<String>::new()
    );
    stored(&scenario, ENTRY);
    assert_eq!(ledger.open_again(&scenario.context.client).await.unwrap(), ["uid-sink"]);
    assert_eq!(ledger.fault("uid-sink"), None);
    assert_eq!(ledger.entry("uid-sink").unwrap().verifier_key.as_deref(), Some("key"));
}

#[tokio::test]
async fn what_was_read_once_is_not_read_again() {
    let scenario = Scenario::new();
    stored(&scenario, ENTRY);
    let mut ledger = Ledger::open(&scenario.context.client, "sallyport-system")
        .await
        .unwrap();
    stored(&scenario, "{}");
    assert_eq!(
        ledger.open_again(&scenario.context.client).await.unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(ledger.entry("uid-sink").unwrap().verifier_key.as_deref(), Some("key"));
}
