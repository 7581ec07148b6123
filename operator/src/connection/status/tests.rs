//! Scenarios: what a Connection's status says while its doors come, change and fall silent.

mod columns;
mod deleted;
mod refused;
mod target;

use std::time::Duration;

use sallyport_runtime::report::{Backends, Problem};
use serde_json::json;

use crate::audit_sink::witness::{Outcome, Sight};
use crate::testing::scenario::Scenario;
use crate::testing::{admission, masking_rule};

async fn served() -> Scenario {
    let mut scenario = Scenario::furnished().await;
    scenario.apply_bank().await;
    scenario
}

#[tokio::test]
async fn looking_again_writes_nothing() {
    let mut scenario = served().await;
    scenario.look_at_connection("doors", "bank").await;
    scenario.api.writes();
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_policy_change_makes_a_new_carrier_and_touches_no_deployment() {
    let mut scenario = served().await;
    let mut rule = serde_json::to_value(masking_rule("pii")).unwrap();
    rule["metadata"]["generation"] = json!(8);
    rule["spec"]["action"] = json!({ "type": "Null" });
    scenario.apply_masking_rule(rule).await;
    scenario.api.writes();
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(
        (
            scenario.carrier().revision,
            scenario.carrier().masking_rules[0].generation
        ),
        (2, 8)
    );
    let writes = scenario.api.writes();
    assert!(
        !writes.iter().any(|write| write.contains("/deployments/")),
        "{writes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn enforced_is_what_processes_say_and_silence_is_a_no() {
    let mut scenario = served().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    scenario.pod_runs("a");
    scenario.pod_runs("b");
    scenario.pod_says("a", 1);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Enforced"), ("False".into(), "WaitingForProxies".into()));

    scenario.pod_says("b", 1);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Enforced"), ("True".into(), "Enforced".into()));

    tokio::time::advance(Duration::from_secs(5)).await;
    scenario.pod_says("a", 1);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Enforced"), ("False".into(), "ProxySilent".into()));
    assert_eq!(scenario.bank("Ready").0, "False");
}

#[tokio::test]
async fn a_required_rule_that_is_deleted_closes_the_door_and_one_that_was_not_does_not() {
    let mut scenario = served().await;
    scenario
        .apply_masking_rule(serde_json::to_value(masking_rule("more")).unwrap())
        .await;
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier().masking_rules.len(), 2);
    scenario.take("maskingrules", "doors", "more");
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(
        (scenario.carrier().masking_rules.len(), scenario.carrier().closed),
        (1, None)
    );
    scenario.take("maskingrules", "doors", "pii");
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier().closed.unwrap().reason, "RequiredRuleMissing");
    assert_eq!(
        scenario.bank("Enforced"),
        ("False".into(), "RequiredRuleMissing".into())
    );
}

#[tokio::test]
async fn a_required_rule_that_only_observes_closes_the_door() {
    let mut scenario = served().await;
    let mut rule = serde_json::to_value(masking_rule("pii")).unwrap();
    rule["metadata"]["generation"] = json!(8);
    rule["spec"]["mode"] = json!("Observe");
    scenario.apply_masking_rule(rule.clone()).await;
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier().closed.unwrap().reason, "RequiredRuleNotEnforcing");
    rule["metadata"]["generation"] = json!(9);
    rule["spec"]["mode"] = json!("Enforce");
    scenario.apply_masking_rule(rule).await;
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier().closed, None);
}

#[tokio::test]
async fn an_edit_that_is_not_accepted_leaves_the_last_one_in_force() {
    let mut scenario = served().await;
    let mut rule = serde_json::to_value(masking_rule("pii")).unwrap();
    rule["metadata"]["generation"] = json!(8);
    rule["spec"]["match"]["detectors"] = json!(["NO_SUCH_THING"]);
    scenario.apply_masking_rule(rule).await;
    assert_eq!(
        scenario.condition("maskingrules", "doors", "pii", "Accepted").0,
        "False"
    );
    assert_eq!(scenario.condition("maskingrules", "doors", "pii", "Degraded").0, "True");
    scenario.look_at_connection("doors", "bank").await;
    let carrier = scenario.carrier();
    assert_eq!((carrier.closed, carrier.masking_rules[0].generation), (None, 7));
}

#[tokio::test]
async fn a_rule_that_does_not_decode_closes_and_does_not_stop_the_others() {
    let mut scenario = served().await;
    let mut rule = serde_json::to_value(masking_rule("broken")).unwrap();
    rule["spec"]["match"] = json!("nonsense");
    scenario.apply_masking_rule(rule).await;
    assert_eq!(
        scenario.condition("maskingrules", "doors", "broken", "Accepted").1,
        "Invalid"
    );
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier().closed.unwrap().reason, "RuleNotAccepted");
    scenario.take("maskingrules", "doors", "broken");
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier().closed, None);
}

#[tokio::test]
async fn another_operator_takes_over_where_this_one_was() {
    let mut scenario = served().await;
    let first = scenario.carrier();
    scenario.context.programs.retain(|_| false);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier(), first, "the carrier says who was before");

    // The ConfigMap is gone: the status and the doors remember.
    scenario.context.programs.retain(|_| false);
    scenario
        .api
        .delete("/api/v1/namespaces/doors/configmaps/door-bank-policy");
    scenario.context.applier.forget("doors");
    scenario.pod_says("a", 9);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier().revision, 10);
}

#[tokio::test]
async fn a_forged_carrier_is_not_believed() {
    let mut scenario = served().await;
    scenario.context.programs.retain(|_| false);
    let forged = json!({ "metadata": { "name": "door-bank-policy", "namespace": "doors" }, "data": { "carrier.json": "{\"payload\":\"\",\"signature\":\"\",\"keyId\":\"\"}" } });
    scenario
        .api
        .put("/api/v1/namespaces/doors/configmaps/door-bank-policy", forged);
    scenario.context.applier.forget("doors");
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.carrier().closed, None);
}

#[tokio::test]
async fn a_namespace_that_is_not_opted_in_is_left_alone() {
    let mut scenario = served().await;
    let mut bank = serde_json::to_value(crate::testing::connection()).unwrap();
    bank["metadata"]["namespace"] = json!("elsewhere");
    scenario.keep("connections", bank);
    scenario.api.writes();
    scenario.look_at_connection("elsewhere", "bank").await;
    assert_eq!(
        scenario.condition("connections", "elsewhere", "bank", "Accepted").1,
        "NamespaceNotEnabled"
    );
    let writes = scenario.api.writes();
    assert!(
        writes
            .iter()
            .all(|write| write.ends_with("/status") || write.contains("/events")),
        "{writes:?}"
    );
}

#[tokio::test]
async fn what_others_changed_is_mended() {
    let mut scenario = served().await;
    let path = "/apis/networking.k8s.io/v1/namespaces/doors/networkpolicies/door-bank";
    let mut policy = scenario.api.get(path).unwrap();
    let ours = policy["spec"]["ingress"].take();
    policy["spec"]["ingress"] = json!([]);
    scenario.api.put(path, policy);
    let seen: k8s_openapi::api::networking::v1::NetworkPolicy =
        serde_json::from_value(scenario.api.get(path).unwrap()).unwrap();
    scenario.context.applier.noticed(&seen);
    scenario.look_at_connection("doors", "bank").await;
    let mended = scenario.api.get(path).unwrap();
    assert_eq!(mended["spec"]["ingress"], ours);
    assert!(ours.as_array().is_some_and(|rules| !rules.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_role_that_can_undo_masks_is_said_while_the_door_stays_open() {
    let mut scenario = served().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    scenario.pod_runs("a");
    let problem = Problem {
        reason: "TargetRoleTooStrong".into(),
        message: "role postgres is a superuser at the target".into(),
    };
    scenario.pod_complains("a", 1, vec![problem]);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Enforced").0, "True");
    assert_eq!(scenario.bank("Advisory"), ("True".into(), "TargetRoleTooStrong".into()));

    scenario.pod_says("a", 1);
    scenario.look_at_connection("doors", "bank").await;
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    let conditions = scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
    assert!(!conditions.contains("Advisory"), "{conditions}");
}

#[tokio::test]
async fn connections_past_the_door_are_said_while_it_stays_open() {
    let mut scenario = served().await;
    let sees = |others: &[(&str, &[i32])]| Backends {
        target: "postgres.bank.svc:5432".into(),
        others: others
            .iter()
            .map(|(role, pids)| ((*role).to_owned(), pids.to_vec()))
            .collect(),
        whole: true,
        ..Backends::default()
    };
    scenario.pod_sees("a", 1, sees(&[("app", &[11, 12]), ("postgres", &[13])]));
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Accepted").0, "True");
    assert_eq!(
        scenario.bank("Advisory"),
        ("True".into(), "ConnectionsPastDoors".into())
    );
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    let conditions = |scenario: &Scenario| scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
    let words = "3 connections at the target did not come through a door (roles: app, postgres)";
    assert!(conditions(&scenario).contains(words), "{}", conditions(&scenario));

    scenario.pod_sees("a", 1, sees(&[]));
    scenario.look_at_connection("doors", "bank").await;
    assert!(!conditions(&scenario).contains("Advisory"), "{}", conditions(&scenario));
}

#[tokio::test]
async fn a_target_without_tls_and_an_issuer_without_keys_are_said() {
    let mut scenario = served().await;
    let mut bank = serde_json::to_value(crate::testing::connection()).unwrap();
    bank["spec"]["target"]["tls"] = json!({ "mode": "Disable", "insecureReason": "a lab without certificates" });
    scenario.apply_connection(bank).await;
    scenario.pod_runs("a");
    let problem = Problem {
        reason: "IssuerUnavailable".into(),
        message: "the keys of issuer bank cannot be fetched".into(),
    };
    scenario.pod_complains("a", 1, vec![problem.clone()]);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Advisory"), ("True".into(), "TargetNotEncrypted".into()));
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    let conditions = scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
    for words in ["a lab without certificates", problem.message.as_str()] {
        assert!(conditions.contains(words), "{conditions}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_door_whose_records_go_nowhere_is_not_ready() {
    let mut scenario = served().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    let mut bank = serde_json::to_value(crate::testing::connection()).unwrap();
    bank["spec"]["proxy"]["replicas"] = json!(0);
    scenario.apply_connection(bank).await;
    let problem = Problem {
        reason: "RecorderUnavailable".into(),
        message: "no records reach AuditSink evidence/evidence".into(),
    };
    let revision = scenario.carrier().revision;
    for pod in ["a", "b"] {
        scenario.pod_runs(pod);
        scenario.pod_says(pod, revision);
    }
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Ready"), ("True".into(), "Ready".into()));

    scenario.pod_complains("a", revision, vec![problem.clone()]);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Enforced").0, "True");
    assert_eq!(scenario.bank("Ready"), ("False".into(), "RecorderUnavailable".into()));
    assert_eq!(scenario.bank("Advisory"), ("True".into(), "RecorderUnavailable".into()));
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    let conditions = scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
    assert!(conditions.contains(&problem.message), "{conditions}");

    scenario.pod_says("a", revision);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Ready"), ("True".into(), "Ready".into()));

    // The door's last record found room; the recorder says that nothing more does.
    let told = |outcome| Sight {
        outcome,
        ..Sight::default()
    };
    let full = "the volume is full: 1 MiB of 16 are free";
    scenario
        .context
        .sights
        .set("uid-sink", told(Outcome::TakesNothing(full.to_owned())));
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Ready"), ("False".into(), "RecorderUnavailable".into()));
    let conditions = scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
    assert!(
        conditions.contains("evidence/evidence") && conditions.contains(full),
        "{conditions}"
    );
    scenario.context.sights.set("uid-sink", told(Outcome::Consistent));
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Ready"), ("True".into(), "Ready".into()));

    // A process that ended while it complained is not listened to for ever.
    scenario.pod_complains("c", revision, vec![problem]);
    tokio::time::advance(Duration::from_secs(5)).await;
    scenario.pod_says("a", revision);
    scenario.pod_says("b", revision);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Ready"), ("True".into(), "Ready".into()));
}

#[tokio::test(start_paused = true)]
async fn a_door_that_alone_lost_the_api_server_says_so_and_stays_ready() {
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
    let problem = Problem {
        reason: "ApiServerUnavailable".into(),
        message: "the API server does not answer a door".into(),
    };
    scenario.pod_complains("a", revision, vec![problem.clone()]);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(
        scenario.bank("Advisory"),
        ("True".into(), "ApiServerUnavailable".into())
    );
    assert_eq!(scenario.bank("Enforced").0, "True", "it still reports what it enforces");
    assert_eq!(scenario.bank("Ready"), ("True".into(), "Ready".into()));
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    let conditions = |scenario: &Scenario| scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
    assert!(
        conditions(&scenario).contains(&problem.message),
        "{}",
        conditions(&scenario)
    );

    scenario.pod_says("a", revision);
    scenario.look_at_connection("doors", "bank").await;
    assert!(!conditions(&scenario).contains("Advisory"), "{}", conditions(&scenario));
}

#[tokio::test]
async fn what_admission_no_longer_guards_is_said_while_the_door_stays_open() {
    let mut scenario = served().await;
    let weakened = admission::seen("sallyport-namespace-ways-in", |policy, _| {
        policy["spec"]["validations"] = json!([]);
    });
    scenario.context.admission.store(weakened);
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Accepted").0, "True");
    assert_eq!(scenario.bank("Advisory"), ("True".into(), "AdmissionNotTrusted".into()));

    scenario.context.admission.store(admission::seen("", |_, _| ()));
    scenario.look_at_connection("doors", "bank").await;
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    let conditions = scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
    assert!(!conditions.contains("Advisory"), "{conditions}");
}
