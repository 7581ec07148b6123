//! What tests of several rooms share.

pub mod admission;
pub mod api;
pub mod golden;
pub mod network;
pub mod scenario;

use std::collections::{BTreeMap, BTreeSet};

use sallyport_crds::{ApprovalPolicySpec, Connection, MaskingRule};
use sallyport_policy::carrier::{CarriedConnection, CarriedRule, Carrier, ClusterSettings, FORMAT};
use serde_json::json;

use crate::connection::plan::{Place, Plan};
use crate::settings::Settings;

/// Settings as an installation might have them.
pub fn settings() -> Settings {
    Settings {
        namespace: "sallyport-system".into(),
        image: "sallyport:dev".into(),
        image_pull_policy: "IfNotPresent".into(),
        operator_url: "https://sallyport-operator.sallyport-system.svc:8443".into(),
        workload_bundle: "(workload CA)".into(),
        permit_key: "(permit key)".into(),
        witness_key: "(witness key)".into(),
        carrier_keys: "(carrier key)".into(),
        door_bundle: "(door CA)".into(),
        cluster_domain: "cluster.local".into(),
        denied_cidrs: vec!["127.0.0.0/8".into()],
        api_server_cidrs: vec!["10.200.0.2/32".into()],
        keep_finished_seconds: 3_600,
    }
}

/// The plan of a plain Connection `doors/bank`.
pub fn plan() -> Plan {
    let connection = connection();
    Plan::new(&place(), "uid-bank", &connection.spec, [])
}

/// `doors/bank`.
pub fn place() -> Place {
    Place {
        namespace: "doors".into(),
        name: "bank".into(),
    }
}

/// The plain Connection `doors/bank`.
pub fn connection() -> Connection {
    let mut connection: Connection = serde_saphyr::from_str(&golden::read("connection/plain.yaml")).unwrap();
    connection.metadata.uid = Some("uid-bank".into());
    connection.metadata.generation = Some(3);
    connection
}

/// A MaskingRule with uid `uid-<name>` and generation 7.
pub fn masking_rule(name: &str) -> MaskingRule {
    serde_json::from_value(json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "MaskingRule",
        "metadata": { "namespace": "doors", "name": name, "uid": format!("uid-{name}"), "generation": 7 },
        "spec": {
            "connectionSelector": { "matchLabels": { "data": "pii" } },
            "match": { "detectors": ["US_SSN"] },
            "action": { "type": "Redact" },
        },
    }))
    .unwrap()
}

/// An ApprovalPolicy in force with uid `uid-<name>` and a rule `delete` that wants `required` members of `oidc:dba`.
pub fn policy(name: &str, required: i32) -> CarriedRule<ApprovalPolicySpec> {
    let spec = json!({
        "connectionSelector": { "matchLabels": { "data": "pii" } },
        "rules": [{
            "name": "delete", "match": { "any": true }, "action": "RequireApproval",
            "approval": { "approvers": [{ "kind": "Group", "name": "oidc:dba" }], "required": required },
        }],
    });
    CarriedRule {
        name: name.into(),
        uid: format!("uid-{name}"),
        generation: 1,
        spec: serde_json::from_value(spec).unwrap(),
    }
}

/// The policy `writes` in its second generation: one approval lets the first parameter vary up to 100.
pub fn ranged_policy() -> CarriedRule<ApprovalPolicySpec> {
    let mut policy = policy("writes", 1);
    let grant = json!({ "scope": "Fingerprint", "validFor": "1h", "parameters": [{ "position": 1, "maximum": 100 }] });
    policy.generation = 2;
    policy.spec.rules[0].approval.as_mut().unwrap().grant = serde_json::from_value(grant).unwrap();
    policy
}

/// A carrier with the rules `pii` and `writes`.
pub fn carrier() -> Carrier {
    let rule = masking_rule("pii");
    Carrier {
        format: FORMAT,
        revision: 0,
        connection: CarriedConnection {
            namespace: "doors".into(),
            name: "bank".into(),
            uid: "uid-bank".into(),
            generation: 3,
            labels: BTreeMap::from([("data".to_owned(), "pii".to_owned())]),
            spec: connection().spec,
        },
        masking_rules: vec![CarriedRule {
            name: "pii".into(),
            uid: "uid-pii".into(),
            generation: 7,
            spec: rule.spec,
        }],
        approval_policies: vec![policy("writes", 1)],
        sinks: vec![],
        issuers: vec![],
        settings: ClusterSettings::default(),
        columns: BTreeMap::new(),
        stricter: BTreeSet::new(),
        closed: None,
    }
}
