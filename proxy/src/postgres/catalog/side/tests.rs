use std::sync::atomic::Ordering;

use sallyport_policy::carrier::Carrier;
use sallyport_policy::catalog::{Catalog as _, Column, ColumnId};
use sallyport_policy::mask::Fit;
use serde_json::json;

use super::*;
use crate::door::ThisProcess;

/// Rules that protect `public.customers.ssn`.
fn policy() -> Arc<Policy> {
    let rule = json!({
        "connectionSelector": { "matchLabels": { "data": "pii" } },
        "match": { "columns": ["public.customers.ssn"] },
        "action": { "type": "Redact" },
    });
    let carrier = json!({
        "format": 1,
        "revision": 1,
        "connection": {
            "namespace": "doors", "name": "bank", "uid": "u", "generation": 1,
            "spec": {
                "protocol": "PostgreSQL",
                "target": { "host": "db", "port": 5432 },
                "credentialsRef": { "name": "c" },
                "subjects": [],
                "requires": { "none": true },
                "sinks": [],
                "identity": {},
            },
        },
        "maskingRules": [{ "name": "pii", "uid": "r", "generation": 1, "spec": rule }],
        "approvalPolicies": [],
        "sinks": [],
        "issuers": [],
        "settings": {},
    });
    let carrier: Carrier = serde_json::from_value(carrier).unwrap();
    Arc::new(Policy::compile(&carrier).unwrap())
}

/// A catalog in which the first column of the one table is called so.
fn called(column: &str) -> Arc<Snapshot> {
    let column = Column {
        attnum: 1,
        name: column.to_owned(),
        type_oid: 25,
        generated: None,
    };
    let customers = Relation {
        oid: 20_000,
        schema: "public".to_owned(),
        name: "customers".to_owned(),
        columns: vec![column],
        ..Relation::default()
    };
    Arc::new(Snapshot::new(vec![customers]))
}

#[tokio::test]
async fn what_was_protected_is_so_after_a_rest_whatever_it_is_called_by_then() {
    let mut side = Side::new("bank".to_owned(), Arc::default(), &Handle::current());
    let columns: Arc<dyn Columns> = Arc::new(ThisProcess);
    let policy = policy();
    let ssn = ColumnId {
        relation: 20_000,
        column: 1,
    };
    side.snapshot = called("ssn");
    assert!(side.known(&policy, &columns).protected.contains(ssn));
    assert_eq!(side.fits["public.customers.ssn"], Fit::Column);
    side.rest();
    assert!(side.known.is_none() && side.snapshot.relations().next().is_none());
    side.snapshot = called("ssm");
    assert!(side.known(&policy, &columns).protected.contains(ssn));
    let meant = Some("public.customers.ssm".to_owned());
    assert_eq!(side.fits["public.customers.ssn"], Fit::Nothing(meant));
}

#[tokio::test(start_paused = true)]
async fn what_no_session_looks_at_is_given_back() {
    let latest = Arc::new(Latest::default());
    latest.publish("0/1", 0, &Arc::default());
    latest.connections.store(1, Ordering::Release);
    let (_queue, requests) = mpsc::unbounded_channel();
    let side = Side::new("bank".to_owned(), Arc::clone(&latest), &Handle::current());
    tokio::spawn(side.run(requests));
    tokio::time::sleep(IDLE + Duration::from_secs(1)).await;
    assert!(latest.at("0/1", 0).is_some());
    latest.connections.store(0, Ordering::Release);
    tokio::time::sleep(IDLE).await;
    assert!(latest.at("0/1", 0).is_none());
}
