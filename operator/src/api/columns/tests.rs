//! What doors tell is kept with the rule, told to every door of the target, and answered when all of them protect it.

use sallyport_policy::catalog::ColumnId;
use sallyport_policy::columns::{Kept, Named};
use serde_json::{Value, json};

use super::*;
use crate::testing::masking_rule;
use crate::testing::scenario::Scenario;

const LIST: &str = "/api/v1/namespaces/doors/configmaps/door-rule-uid-pii-columns";
const ID: ColumnId = ColumnId {
    relation: 16_384,
    column: 2,
};

fn peer() -> Workload {
    Workload {
        namespace: "doors".into(),
        name: "bank".into(),
        uid: "uid-bank".into(),
        pod: "a".into(),
        pod_uid: "uid-a".into(),
    }
}

fn told(rule: &str, columns: Columns) -> Told {
    Told {
        database: "accounts".into(),
        rules: [(rule.to_owned(), columns)].into(),
    }
}

fn copied() -> Columns {
    let mut columns = Columns::default();
    columns.note_copied(ID);
    columns
}

fn matched(generation: i64) -> Columns {
    let mut columns = Columns {
        generation,
        ..Columns::default()
    };
    columns.note_matched(ID);
    columns
}

/// The bank's door stands and runs what it was given.
async fn served() -> Scenario {
    let mut scenario = Scenario::furnished().await;
    scenario.apply_bank().await;
    scenario.pod_runs("a");
    scenario.pod_says("a", scenario.carrier().revision);
    scenario
}

/// The answer, while the Connection is looked at as the queue says and its Pod follows.
async fn asked(scenario: &mut Scenario, told: &Told, follows: bool) -> Result<Answer, StatusCode> {
    let (context, told) = (scenario.context.clone(), told.clone());
    let mut answered = tokio::spawn(async move { answer(&context, &peer(), &told).await });
    loop {
        tokio::select! {
            answered = &mut answered => return answered.unwrap().map_err(|refused| refused.0),
            // Time stands still but for waits: this is a turn, not a sleep.
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        scenario.look_at_connection("doors", "bank").await;
        if follows {
            scenario.pod_says("a", scenario.carrier().revision);
        } else {
            scenario.pod_says("a", 1);
        }
    }
}

fn carried(scenario: &Scenario) -> Value {
    serde_json::to_value(scenario.carrier().columns).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_kept_with_the_rule_and_carried() {
    let mut scenario = served().await;
    let before = scenario.carrier().revision;
    let answered = asked(&mut scenario, &told("uid-pii", copied()), true).await.unwrap();
    assert_eq!(answered.revision, before + 1);
    assert_eq!(scenario.carrier().revision, before + 1);
    assert_eq!(
        carried(&scenario)["accounts"]["uid-pii"]["copies"],
        json!({ "16384": [2] })
    );
    let list = scenario.api.get(LIST).unwrap();
    assert_eq!(list["metadata"]["ownerReferences"][0]["kind"], "MaskingRule");
    assert_eq!(list["metadata"]["ownerReferences"][0]["uid"], "uid-pii");
    // The policy is the same one: nothing waits for it to be enforced again.
    assert_eq!(scenario.bank("Enforced").0, "True");

    // The same again is written by nobody.
    scenario.api.writes();
    let again = asked(&mut scenario, &told("uid-pii", copied()), true).await.unwrap();
    assert_eq!(again, answered);
    assert!(scenario.api.writes().iter().all(|write| !write.contains("configmaps")));

    // Whoever deletes the Connection and makes it anew finds it again.
    scenario.take("connections", "doors", "bank");
    scenario.apply_bank().await;
    assert_eq!(
        carried(&scenario)["accounts"]["uid-pii"]["copies"],
        json!({ "16384": [2] })
    );
}

#[tokio::test(start_paused = true)]
async fn one_process_that_does_not_follow_makes_it_a_no() {
    let mut scenario = served().await;
    let answered = asked(&mut scenario, &told("uid-pii", copied()), false).await;
    assert_eq!(answered, Err(StatusCode::SERVICE_UNAVAILABLE));
}

#[tokio::test(start_paused = true)]
async fn a_match_ends_with_the_rules_generation_and_a_copy_does_not() {
    let mut scenario = served().await;
    asked(&mut scenario, &told("uid-pii", matched(7)), true).await.unwrap();
    let mut copy = Columns::default();
    copy.named.insert(Named {
        schema: "public".into(),
        relation: "x".into(),
        column: None,
    });
    asked(&mut scenario, &told("uid-pii", copy), true).await.unwrap();
    assert_eq!(
        carried(&scenario)["accounts"]["uid-pii"]["matched"],
        json!({ "16384": [2] })
    );

    let mut edited = serde_json::to_value(masking_rule("pii")).unwrap();
    edited["metadata"]["generation"] = json!(8);
    edited["spec"]["match"]["detectors"] = json!(["CREDIT_CARD"]);
    scenario.apply_masking_rule(edited).await;
    scenario.look_at_connection("doors", "bank").await;
    let columns = carried(&scenario)["accounts"]["uid-pii"].clone();
    assert_eq!(columns["matched"], Value::Null);
    assert_eq!(columns["named"][0]["relation"], "x");
    let stale = asked(&mut scenario, &told("uid-pii", matched(7)), true).await;
    assert_eq!(stale, Err(StatusCode::CONFLICT));
}

#[tokio::test(start_paused = true)]
async fn a_door_that_states_a_generation_to_come_takes_nothing_from_the_others() {
    let mut scenario = served().await;
    asked(&mut scenario, &told("uid-pii", matched(7)), true).await.unwrap();
    let beyond = Columns {
        generation: i64::MAX,
        ..copied()
    };
    asked(&mut scenario, &told("uid-pii", beyond), true).await.unwrap();
    let columns = carried(&scenario)["accounts"]["uid-pii"].clone();
    for held in ["matched", "copies"] {
        assert_eq!(columns[held], json!({ "16384": [2] }), "{held}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_masks_a_primary_key_says_so_until_it_is_edited() {
    let mut scenario = served().await;
    let rule = serde_json::to_value(masking_rule("pii")).unwrap();
    let conditions = |scenario: &Scenario| {
        let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/maskingrules/pii";
        scenario.api.get(path).unwrap()["status"]["conditions"].to_string()
    };
    let mut keys = matched(7);
    keys.keys.insert(Named {
        schema: "public".into(),
        relation: "customers\n".into(),
        column: Some("ssn".into()),
    });
    asked(&mut scenario, &told("uid-pii", keys.clone()), true)
        .await
        .unwrap();
    scenario.apply_masking_rule(rule.clone()).await;
    assert_eq!(
        scenario.condition("maskingrules", "doors", "pii", "Advisory"),
        ("True".into(), "PrimaryKeyMasked".into())
    );
    let said = conditions(&scenario);
    assert!(said.contains(r"public.customers\\n.ssn in database accounts"), "{said}");
    assert_eq!(scenario.condition("maskingrules", "doors", "pii", "Ready").0, "True");

    let mut edited = rule;
    edited["metadata"]["generation"] = json!(8);
    edited["spec"]["match"]["detectors"] = json!(["CREDIT_CARD"]);
    scenario.apply_masking_rule(edited.clone()).await;
    scenario.look_at_connection("doors", "bank").await;
    scenario.apply_masking_rule(edited).await;
    let said = conditions(&scenario);
    assert!(!said.contains("Advisory"), "{said}");
    keys.matched.clear();
    let stale = asked(&mut scenario, &told("uid-pii", keys), true).await;
    assert_eq!(stale, Err(StatusCode::CONFLICT));
}

#[tokio::test(start_paused = true)]
async fn a_door_speaks_for_the_rules_of_its_own_connection_only() {
    let mut scenario = served().await;
    for rule in ["uid-writes", "uid-of-somebody-else"] {
        let answered = asked(&mut scenario, &told(rule, copied()), true).await;
        assert_eq!(answered, Err(StatusCode::FORBIDDEN), "{rule}");
    }
    let mut other = peer();
    other.uid = "uid-of-a-namesake".into();
    let refused = answer(&scenario.context, &other, &told("uid-pii", copied())).await;
    assert_eq!(refused.unwrap_err().0, StatusCode::GONE);
    let mut unlawful = told("uid-pii", copied());
    unlawful.database = "x".repeat(64);
    assert_eq!(
        asked(&mut scenario, &unlawful, true).await,
        Err(StatusCode::BAD_REQUEST)
    );
    assert!(scenario.api.get(LIST).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_full_list_takes_nothing_more_and_keeps_what_it_has() {
    let mut scenario = served().await;
    asked(&mut scenario, &told("uid-pii", copied()), true).await.unwrap();
    let mut many = Columns::default();
    many.named.extend((0..2_000).map(|n| Named {
        schema: "public".into(),
        relation: format!("{n:063}"),
        column: None,
    }));
    let answered = asked(&mut scenario, &told("uid-pii", many), true).await;
    assert_eq!(answered, Err(StatusCode::INSUFFICIENT_STORAGE));
    assert_eq!(
        carried(&scenario)["accounts"]["uid-pii"],
        json!({ "generation": 7, "copies": { "16384": [2] } })
    );
    assert_eq!(scenario.bank("Accepted").0, "True");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_the_operators_closes_the_door() {
    let mut scenario = Scenario::furnished().await;
    let key = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
    let forged = String::from_utf8(Kept::new("uid-pii").sign(&key).unwrap()).unwrap();
    scenario.api.put(
        LIST,
        json!({ "metadata": { "name": "x", "namespace": "doors" }, "data": { "columns.json": forged } }),
    );
    scenario.apply_bank().await;
    assert_eq!(scenario.bank("Accepted"), ("False".into(), "ColumnsNotKnown".into()));
    assert!(scenario.carrier().closed.is_some());
    scenario.api.delete(LIST);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Accepted").0, "True");
}
