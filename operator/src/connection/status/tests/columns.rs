//! Columns that rules name and no database has.

use sallyport_runtime::report::{Absent, Sought};

use super::*;

const CONNECTION: &str = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
const RULE: &str = "/apis/sallyport.dev/v1alpha1/namespaces/doors/maskingrules/pii";
const WORDS: &str = "public.customers.snn (looked for in accounts; did you mean public.customers.ssn?)";

fn sought(generation: i64, absent: &[&str]) -> Sought {
    let nowhere = Absent {
        databases: ["accounts".to_owned()].into(),
        meant: Some("public.customers.ssn".to_owned()),
    };
    let absent = absent.iter().map(|name| ((*name).to_owned(), nowhere.clone()));
    Sought {
        generation,
        absent: absent.collect(),
    }
}

/// Looks at the Connection and at the rule; gives the conditions of each.
async fn said(scenario: &mut Scenario, rule: &serde_json::Value) -> [String; 2] {
    scenario.look_at_connection("doors", "bank").await;
    scenario.apply_masking_rule(rule.clone()).await;
    [CONNECTION, RULE].map(|path| scenario.api.get(path).unwrap()["status"]["conditions"].to_string())
}

#[tokio::test(start_paused = true)]
async fn a_column_that_no_database_has_is_said_until_somebody_finds_it() {
    let mut scenario = served().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    let rule = serde_json::to_value(masking_rule("pii")).unwrap();
    scenario.pod_runs("a");
    scenario.pod_sought("a", 1, sought(7, &["public.customers.snn"]));
    let [connection, of_rule] = said(&mut scenario, &rule).await;
    let wanted = ("True".to_owned(), "ColumnNotFound".to_owned());
    assert_eq!(scenario.bank("Advisory"), wanted);
    assert_eq!(scenario.condition("maskingrules", "doors", "pii", "Advisory"), wanted);
    assert!(connection.contains("MaskingRule pii names"), "{connection}");
    for said in [connection, of_rule] {
        assert!(said.contains(WORDS), "{said}");
    }
    assert_eq!(scenario.bank("Accepted").0, "True");
    assert_eq!(scenario.bank("Enforced").0, "True");

    // A replica whose people use another database has it there.
    scenario.pod_runs("b");
    scenario.pod_sought("b", 1, sought(7, &[]));
    for said in said(&mut scenario, &rule).await {
        assert!(!said.contains("ColumnNotFound"), "{said}");
    }
    // It falls silent: what it saw is not known any more.
    tokio::time::advance(Duration::from_secs(5)).await;
    scenario.pod_sought("a", 1, sought(7, &["public.customers.snn"]));
    for said in said(&mut scenario, &rule).await {
        assert!(said.contains(WORDS), "{said}");
    }
    // The column is made.
    scenario.pod_sought("a", 1, sought(7, &[]));
    for said in said(&mut scenario, &rule).await {
        assert!(!said.contains("ColumnNotFound"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_mended_says_so_no_longer() {
    let mut scenario = served().await;
    scenario.pod_runs("a");
    scenario.pod_sought("a", 1, sought(7, &["public.customers.snn"]));
    let mut rule = serde_json::to_value(masking_rule("pii")).unwrap();
    for said in said(&mut scenario, &rule).await {
        assert!(said.contains(WORDS), "{said}");
    }
    rule["metadata"]["generation"] = json!(8);
    rule["spec"]["match"]["columns"] = json!(["public.customers.ssn"]);
    // Once it is kept, and once more as it is in force then.
    scenario.apply_masking_rule(rule.clone()).await;
    for said in said(&mut scenario, &rule).await {
        assert!(!said.contains("ColumnNotFound"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_process_of_before_does_not_tell_is_not_said() {
    let mut scenario = served().await;
    scenario.old_pod_says("a", 1);
    let rule = serde_json::to_value(masking_rule("pii")).unwrap();
    for said in said(&mut scenario, &rule).await {
        assert!(!said.contains("ColumnNotFound"), "{said}");
    }
}
