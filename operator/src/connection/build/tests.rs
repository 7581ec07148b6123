//! Golden files: `testdata/connection/<case>.yaml` holds the Connection, `<case>.children.yaml` its children.
//! `UPDATE_GOLDEN=1 cargo test` writes them anew; a person reads the difference.

use sallyport_crds::Connection;

use super::*;
use crate::connection::plan::Place;
use crate::testing::{golden, settings};

fn children_of(case: &str) -> String {
    let connection: Connection = serde_saphyr::from_str(&golden::read(&format!("connection/{case}.yaml"))).unwrap();
    let place = Place {
        namespace: "doors".into(),
        name: connection.metadata.name.clone().unwrap(),
    };
    let plan = Plan::new(
        &place,
        "0b5e6a0e-6f5c-4d3c-9a53-1f6f2b1f0001",
        &connection.spec,
        ["hash-key".to_owned()],
    );
    let children = build(&plan, &settings());
    let mut texts = vec![
        golden::yaml(&children.service),
        golden::yaml(&children.peer_service),
        golden::yaml(&children.service_account),
        golden::yaml(&children.role),
        golden::yaml(&children.role_binding),
        golden::yaml(&children.network_policy),
        golden::yaml(&children.deployment),
    ];
    texts.extend(children.disruption_budget.as_ref().map(golden::yaml));
    texts.join("---\n")
}

#[test]
fn a_plain_connection() {
    golden::compare("connection/plain.children.yaml", &children_of("plain"));
}

#[test]
fn a_connection_with_everything_said() {
    golden::compare("connection/full.children.yaml", &children_of("full"));
}

#[test]
fn no_connection_takes_the_name_by_which_anothers_replicas_find_each_other() {
    let longest = "x".repeat(46);
    assert!(names::peers(&longest).len() <= 63, "a Service's name is a DNS label");
    // A Connection's name begins with a letter or digit, so what follows `door-` in its children's names does.
    assert!(names::peers("bank").starts_with("door--"));
}

#[test]
fn one_replica_has_no_disruption_budget() {
    assert!(!children_of("full").contains("PodDisruptionBudget"));
    assert!(children_of("plain").contains("PodDisruptionBudget"));
}
