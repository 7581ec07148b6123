//! Doors that ask a real API server, and a person who asks it beforehand.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::PostParams;
use sallyport_audit::record::{ObjectRef, PodRef};
use sallyport_crds::AccessRequest;
use sallyport_proxy::approval::Requests;
use sallyport_proxy::control::{Contact, Place};
use sallyport_proxy::door::Approvals;
use serde_json::json;
use tokio::runtime::Runtime;

use super::cluster::{Cluster, ISSUER, operator_keys};
use super::door::{Given, TestDoor, bank};
use super::postgres::Postgres;

/// What a Pod of the door has of the API server.
pub fn requests(cluster: &Cluster, runtime: &Runtime, pod: &str) -> Arc<Requests> {
    let connection = &cluster.carrier.connection;
    let place = Place {
        connection: ObjectRef {
            namespace: connection.namespace.clone(),
            name: connection.name.clone(),
            uid: connection.uid.clone(),
        },
        pod: PodRef {
            name: pod.to_owned(),
            uid: format!("{pod}-uid"),
        },
        keys: operator_keys(),
    };
    let client = runtime.block_on(cluster.door(pod));
    let requests = {
        let _guard = runtime.enter();
        Requests::start(client, place, Arc::new(Contact::new()), runtime.handle())
    };
    requests.apply(&Arc::new(cluster.carrier.clone()));
    requests
}

/// A replica of the door, with its Pod's own way to the API server.
pub fn replica(
    cluster: &Cluster,
    runtime: &Runtime,
    given: &Given,
    server: &Arc<Postgres>,
    database: &str,
    pod: &str,
) -> (TestDoor, Arc<Requests>) {
    let requests = requests(cluster, runtime, pod);
    let approvals: Arc<dyn Approvals> = requests.clone();
    let door = TestDoor::asking(given, server.clone(), database.to_owned(), |_| approvals);
    (door, requests)
}

/// An API server that has these rules.
pub fn cluster(given: &Given, server: &Postgres) -> Cluster {
    sallyport_runtime::crypto::install();
    let mut carrier = given.carrier(1, server.port);
    carrier.settings.known_issuers = vec![ISSUER.to_owned()];
    Cluster::start(carrier)
}

/// Alice asks for a window of time, as the door knows her; the operator says that `rule` of the only policy judges it.
pub async fn window(cluster: &Cluster, duration: &str, rule: &str) -> String {
    let (issuer, subject) = ("https://idp.test", "sub-alice");
    let extra = [("sallyport.dev/issuer", issuer)];
    let alice = cluster.client("oidc:alice", subject, &["oidc:engineers"], &extra).await;
    let connection = bank();
    let request = json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": { "generateName": "window-", "namespace": "doors" },
        "spec": {
            "connection": { "name": connection.name, "uid": connection.uid },
            "requester": { "username": "oidc:alice", "issuer": issuer, "subject": subject },
            "scope": "Window", "window": { "duration": duration }, "reason": "migration", "expiresAt": "2100-01-01T00:00:00Z",
        },
    });
    let request: AccessRequest = serde_json::from_value(request).unwrap();
    let made = cluster
        .requests(alice)
        .await
        .create(&PostParams::default(), &request)
        .await;
    let name = made.unwrap().name_any();
    let policy = &cluster.carrier.approval_policies[0];
    let requirement = json!({
        "askedBy": { "policy": policy.name, "uid": policy.uid, "generation": policy.generation, "rule": rule },
        "required": 1, "approvers": [{ "kind": "Group", "name": "oidc:dba" }],
    });
    let target = &cluster.carrier.connection.spec.target;
    let target = format!("{}:{}", target.host, target.port);
    let status = json!({ "requirements": [requirement], "approvals": [], "conditions": [], "progress": "0/1", "target": target });
    cluster
        .operate(&name, json!([{ "op": "add", "path": "/status", "value": status }]))
        .await;
    name
}

/// Bob says yes to what was asked beforehand, and the operator says so.
pub async fn approve(cluster: &Cluster, name: &str) {
    cluster.answer("bob", name, "Approve").await;
    cluster.derive(name, "Approved").await;
}

/// It was asked while the Connection led elsewhere.
pub async fn asked_of_another_target(cluster: &Cluster, name: &str) {
    let elsewhere = || Some("clone.bank.svc:5432".to_owned());
    cluster.say(name, |status| status.target = elsewhere()).await;
}

/// What was approved just now was approved this long ago.
pub async fn age(cluster: &Cluster, name: &str, minutes: i64) {
    let since = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    cluster
        .say(name, |status| status.conditions[0].last_transition_time = Time(since))
        .await;
}
