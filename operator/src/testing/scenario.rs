//! A small cluster: the API server in memory, a world that sees it, and reconcilers that are called one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use prometheus::Registry;
use sallyport_audit::digest::Digest;
use sallyport_crds::{AccessRequest, ApprovalPolicy, AuditSink, Connection, MaskingRule};
use sallyport_policy::carrier::{Carrier, FORMAT, payload_digest, verify};
use sallyport_policy::issuer::Issuers;
use sallyport_runtime::peer::Workload;
use sallyport_runtime::report::{Backends, Problem, Report, Sought};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api::ApiServer;
use crate::access_request::admission::{Admission, Seen};
use crate::access_request::since::Mark;
use crate::columns::Lists;
use crate::context::{Context, Error};
use crate::enforce::{Fleet, Programs};
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::rule::reconcile::reconcile as reconcile_rule;
use crate::schema::Schema;
use crate::shared::apply::Applier;
use crate::world::queue::{Receivers, queues};
use crate::world::room::{Writers, room};
use crate::world::{Guarded, World};
use crate::{access_request, audit_sink, connection};

const GROUP: &str = "/apis/sallyport.dev/v1alpha1/namespaces";

/// The cluster.
pub struct Scenario {
    /// What reconcilers work with.
    pub context: Arc<Context>,
    /// The API server.
    pub api: ApiServer,
    /// Who would be looked at.
    pub receivers: Receivers,
    rooms: Vec<(String, Writers)>,
    connections: Writer<Guarded<Connection>>,
    masking_rules: Writer<Guarded<MaskingRule>>,
    approval_policies: Writer<Guarded<ApprovalPolicy>>,
    audit_sinks: Writer<Guarded<AuditSink>>,
    access_requests: Writer<Guarded<AccessRequest>>,
}

/// Nothing is there, and nothing is wrong with it.
fn seen_admission() -> Admission {
    let admission = Admission::default();
    let digest = Digest::of(b"").to_string();
    admission.mark(Mark {
        digest: digest.clone(),
        since: Timestamp::UNIX_EPOCH,
    });
    admission.store(Seen {
        digest,
        ..Seen::default()
    });
    admission
}

impl Scenario {
    /// Namespaces `doors` and `evidence` opted in, `elsewhere` not; an issuer `keycloak`; nothing else.
    #[expect(clippy::new_without_default, reason = "it starts things: no value to fall back on")]
    pub fn new() -> Self {
        sallyport_runtime::crypto::install();
        let api = ApiServer::default();
        let client = api.client();
        let (namespaces, mut namespaces_in) = kube::runtime::reflector::store();
        for (name, enabled) in [("doors", "true"), ("evidence", "true"), ("elsewhere", "false")] {
            let value = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": { "sallyport.dev/enabled": enabled } } });
            namespaces_in.apply_watcher_event(&Event::Apply(serde_json::from_value(value).unwrap()));
        }
        let (connections, connections_in) = kube::runtime::reflector::store();
        let (masking_rules, masking_rules_in) = kube::runtime::reflector::store();
        let (approval_policies, approval_policies_in) = kube::runtime::reflector::store();
        let (audit_sinks, audit_sinks_in) = kube::runtime::reflector::store();
        let (access_requests, access_requests_in) = kube::runtime::reflector::store();
        let world = World::new(
            namespaces,
            connections,
            (masking_rules, approval_policies),
            audit_sinks,
            access_requests,
        );
        let mut rooms = Vec::new();
        for namespace in ["doors", "evidence"] {
            let (room, mut writers) = room();
            writers.listed();
            world.set_room(namespace, Some(Arc::new(room)));
            rooms.push((namespace.to_owned(), writers));
        }
        let keys = Arc::new(Keys::make().unwrap());
        let (queues, receivers) = queues();
        let reporter = Reporter {
            controller: "test".into(),
            instance: None,
        };
        let metrics = Metrics::new(&Registry::new()).unwrap();
        let context = Context {
            client: client.clone(),
            world: Arc::new(world),
            queues,
            applier: Arc::new(Applier::new(client.clone())),
            columns: Lists::new(client.clone(), keys.clone()),
            keys,
            settings: super::settings(),
            issuers: Arc::default(),
            programs: Arc::new(Programs::default()),
            fleet: Arc::new(Fleet::new()),
            admission: seen_admission(),
            schema: Schema::default(),
            sights: Arc::default(),
            events: Recorder::new(client, reporter),
            notifier: Notifier::new(metrics.notifications.clone()),
            metrics,
        };
        context.issuers.store(Arc::new(issuers()));
        Self {
            context: Arc::new(context),
            api,
            receivers,
            rooms,
            connections: connections_in,
            masking_rules: masking_rules_in,
            approval_policies: approval_policies_in,
            audit_sinks: audit_sinks_in,
            access_requests: access_requests_in,
        }
    }

    /// A cluster in which everything that the Connection `doors/bank` needs is there and accepted, but not yet the Connection.
    pub async fn furnished() -> Self {
        let mut scenario = Self::new();
        scenario.api.put("/api/v1/namespaces/doors/secrets/bank-credentials", json!({
            "metadata": { "name": "bank-credentials", "namespace": "doors", "annotations": { "sallyport.dev/hosts": "postgres.bank.svc" } },
            "data": { "username": "dQ==", "password": "cA==" },
        }));
        scenario
            .apply_masking_rule(serde_json::to_value(super::masking_rule("pii")).unwrap())
            .await;
        scenario.apply_policy(policy_object(1)).await;
        scenario.apply_sink().await;
        scenario
    }

    /// People apply a Connection, and it is looked at.
    pub async fn apply_connection(&mut self, value: Value) {
        let name = self.keep("connections", value);
        self.look_at_connection("doors", &name).await;
    }

    /// The Connection `doors/bank`.
    pub async fn apply_bank(&mut self) {
        self.apply_connection(serde_json::to_value(super::connection()).unwrap())
            .await;
    }

    /// People apply a MaskingRule, and it is looked at.
    pub async fn apply_masking_rule(&mut self, value: Value) {
        self.try_masking_rule(value).await.unwrap();
    }

    /// People apply a MaskingRule, and it is looked at, of which something may fail.
    pub async fn try_masking_rule(&mut self, value: Value) -> Result<Action, Error> {
        let path = self.path("maskingrules", &value);
        self.keep("maskingrules", value);
        self.see(&path);
        let store = self.context.world.masking_rules.clone();
        let object = store
            .state()
            .into_iter()
            .find(|found| path.ends_with(found_name(&**found)))
            .unwrap();
        let looked = reconcile_rule::<MaskingRule>(object, self.context.clone()).await;
        self.see_revisions();
        self.see(&path);
        looked
    }

    /// People apply an ApprovalPolicy, at which nobody has looked yet. Gives its path.
    pub fn write_policy(&mut self, value: Value) -> String {
        let path = self.path("approvalpolicies", &value);
        self.keep("approvalpolicies", value);
        self.see(&path);
        path
    }

    /// People apply an ApprovalPolicy, and it is looked at.
    pub async fn apply_policy(&mut self, value: Value) {
        let path = self.write_policy(value);
        let store = self.context.world.approval_policies.clone();
        let object = store
            .state()
            .into_iter()
            .find(|found| path.ends_with(found_name(&**found)))
            .unwrap();
        reconcile_rule::<ApprovalPolicy>(object, self.context.clone())
            .await
            .unwrap();
        self.see_revisions();
        self.see(&path);
    }

    /// The AuditSink `evidence/evidence`, looked at.
    pub async fn apply_sink(&mut self) {
        let value = json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "AuditSink",
            "metadata": { "namespace": "evidence", "name": "evidence", "uid": "uid-sink", "generation": 1 },
            "spec": { "namespaces": ["doors"], "storage": { "size": "1Gi" } },
        });
        let path = self.path("auditsinks", &value);
        self.keep("auditsinks", value);
        self.see(&path);
        let object = self
            .context
            .world
            .audit_sinks
            .get(&ObjectRef::new("evidence").within("evidence"))
            .unwrap();
        audit_sink::reconcile(object, self.context.clone()).await.unwrap();
        self.see(&path);
    }

    /// Looks at a Connection.
    pub async fn look_at_connection(&mut self, namespace: &str, name: &str) -> Action {
        self.try_connection(namespace, name).await.unwrap()
    }

    /// Looks at a Connection of which something may fail.
    pub async fn try_connection(&mut self, namespace: &str, name: &str) -> Result<Action, Error> {
        let path = format!("{GROUP}/{namespace}/connections/{name}");
        self.see(&path);
        let object = self
            .context
            .world
            .connections
            .get(&ObjectRef::new(name).within(namespace))
            .unwrap();
        let action = connection::reconcile(object, self.context.clone()).await;
        self.see(&path);
        action
    }

    /// Looks at an AccessRequest.
    pub async fn look_at_request(&mut self, name: &str) -> Result<Action, Error> {
        let path = format!("{GROUP}/doors/accessrequests/{name}");
        self.see(&path);
        let object = self
            .context
            .world
            .access_requests
            .get(&ObjectRef::new(name).within("doors"))
            .unwrap();
        access_request::reconcile(object, self.context.clone()).await
    }

    /// Puts an object of ours into the API server. Gives its name.
    pub fn keep(&mut self, plural: &str, value: Value) -> String {
        let path = self.path(plural, &value);
        let name = value["metadata"]["name"].as_str().unwrap().to_owned();
        // Status is not for people to write.
        let before = self
            .api
            .get(&path)
            .map_or(Value::Null, |before| before["status"].clone());
        let mut value = value;
        if !before.is_null() {
            value["status"] = before;
        }
        self.api.put(&path, value);
        name
    }

    /// Takes an object of ours away.
    pub fn take(&mut self, plural: &str, namespace: &str, name: &str) {
        let path = format!("{GROUP}/{namespace}/{plural}/{name}");
        let Some(value) = self.api.get(&path) else { return };
        self.api.delete(&path);
        match plural {
            "maskingrules" => self.masking_rules.apply_watcher_event(&Event::Delete(guarded(&value))),
            "approvalpolicies" => self
                .approval_policies
                .apply_watcher_event(&Event::Delete(guarded(&value))),
            "connections" => self.connections.apply_watcher_event(&Event::Delete(guarded(&value))),
            other => panic!("{other}"),
        }
    }

    /// The status condition of an object: status and reason.
    pub fn condition(&self, plural: &str, namespace: &str, name: &str, kind: &str) -> (String, String) {
        let object = self.api.get(&format!("{GROUP}/{namespace}/{plural}/{name}")).unwrap();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions
            .iter()
            .find(|one| one["type"] == kind)
            .unwrap_or_else(|| panic!("no {kind} in {conditions:?}"));
        (
            found["status"].as_str().unwrap().to_owned(),
            found["reason"].as_str().unwrap().to_owned(),
        )
    }

    /// A condition of `doors/bank`.
    pub fn bank(&self, kind: &str) -> (String, String) {
        self.condition("connections", "doors", "bank", kind)
    }

    /// The carrier of `doors/bank`, as a door would read it.
    pub fn carrier(&self) -> Carrier {
        let keys = [self.context.keys.carrier.public().to_vec()];
        verify(self.carried().as_bytes(), &keys).unwrap()
    }

    /// The digest of that carrier.
    pub fn digest(&self) -> String {
        let digest = payload_digest(self.carried().as_bytes()).unwrap();
        Digest::from_bytes(digest).to_string()
    }

    fn carried(&self) -> String {
        let path = "/api/v1/namespaces/doors/configmaps/door-bank-policy";
        let map = self.api.get(path).unwrap();
        map["data"]["carrier.json"].as_str().unwrap().to_owned()
    }

    /// A Pod of the door runs.
    pub fn pod_runs(&mut self, name: &str) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "namespace": "doors", "name": name, "uid": format!("uid-{name}"), "labels": { "sallyport.dev/connection": "bank" } },
            "status": { "phase": "Running" },
        }))
        .unwrap();
        self.rooms[0].1.pod(pod);
    }

    /// A door's Service has an address in the cluster.
    pub fn service_has(&mut self, namespace: &str, name: &str, address: &str) {
        let service: Service = serde_json::from_value(json!({
            "metadata": { "namespace": namespace, "name": name },
            "spec": { "clusterIP": address, "clusterIPs": [address] },
        }))
        .unwrap();
        let room = self.rooms.iter_mut().find(|(of, _)| of == namespace).unwrap();
        room.1.service(service);
    }

    /// A Pod of the door says what it runs.
    pub fn pod_says(&self, name: &str, revision: u64) {
        self.pod_complains(name, revision, Vec::new());
    }

    /// A process of the bank's door reports a revision and problems.
    pub fn pod_complains(&self, name: &str, revision: u64, problems: Vec<Problem>) {
        self.pod_reports(name, revision, problems, Backends::default());
    }

    /// A process of the bank's door reports what the columns of the rule `pii` fit, in this generation.
    pub fn pod_sought(&self, name: &str, revision: u64, sought: Sought) {
        let report = Report {
            columns: BTreeMap::from([("uid-pii".to_owned(), sought)]),
            ..report(name, revision)
        };
        self.hear(name, &report);
    }

    /// A process of the bank's door reports whom it holds and sees at the target.
    pub fn pod_sees(&self, name: &str, revision: u64, backends: Backends) {
        self.pod_reports(name, revision, Vec::new(), backends);
        self.context.fleet.survey(tokio::time::Instant::now());
    }

    /// A process of the release before reports a revision, and not which format it reads.
    pub fn old_pod_says(&self, name: &str, revision: u64) {
        let report = json!({
            "instance": "i", "pod": name, "connectionUid": "uid-bank",
            "revision": revision, "loaded": revision, "sessions": 0,
        });
        self.hear(name, &serde_json::from_value(report).unwrap());
    }

    /// A process of the bank's door reports a revision, and the digest of what it read under it.
    pub fn pod_reads(&self, name: &str, revision: u64, digest: &str) {
        let digest = Some(digest.to_owned());
        self.hear(
            name,
            &Report {
                digest,
                ..report(name, revision)
            },
        );
    }

    fn pod_reports(&self, name: &str, revision: u64, problems: Vec<Problem>, backends: Backends) {
        let report = Report {
            problems,
            backends: Some(backends),
            ..report(name, revision)
        };
        self.hear(name, &report);
    }

    fn hear(&self, name: &str, report: &Report) {
        let peer = Workload {
            namespace: "doors".into(),
            name: "bank".into(),
            uid: "uid-bank".into(),
            pod: name.into(),
            pod_uid: format!("uid-{name}"),
        };
        self.context.fleet.heard(&peer, report);
    }

    fn path(&self, plural: &str, value: &Value) -> String {
        let meta = &value["metadata"];
        format!(
            "{GROUP}/{}/{plural}/{}",
            meta["namespace"].as_str().unwrap(),
            meta["name"].as_str().unwrap()
        )
    }

    /// The watch shows what is at a path.
    fn see(&mut self, path: &str) {
        let Some(value) = self.api.get(path) else { return };
        match path.split('/').nth(6).unwrap() {
            "connections" => self.connections.apply_watcher_event(&Event::Apply(guarded(&value))),
            "maskingrules" => self.masking_rules.apply_watcher_event(&Event::Apply(guarded(&value))),
            "approvalpolicies" => self
                .approval_policies
                .apply_watcher_event(&Event::Apply(guarded(&value))),
            "auditsinks" => self.audit_sinks.apply_watcher_event(&Event::Apply(guarded(&value))),
            "accessrequests" => self.access_requests.apply_watcher_event(&Event::Apply(guarded(&value))),
            other => panic!("{other}"),
        }
    }

    fn see_revisions(&mut self) {
        for written in self.api.writes() {
            let Some(collection) = written
                .strip_prefix("POST ")
                .filter(|path| path.ends_with("controllerrevisions"))
            else {
                continue;
            };
            for revision in self.api.list(collection) {
                let revision: ControllerRevision = serde_json::from_value(revision).unwrap();
                self.rooms[0].1.revision(revision);
            }
        }
    }
}

fn found_name<K: kube::Resource>(object: &K) -> &str {
    object.meta().name.as_deref().unwrap()
}

fn guarded<K: DeserializeOwned + kube::Resource>(value: &Value) -> DeserializeGuard<K> {
    serde_json::from_value(value.clone()).unwrap()
}

/// The ApprovalPolicy `doors/writes`, which wants `required` people for a delete.
pub fn policy_object(required: i32) -> Value {
    json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "ApprovalPolicy",
        "metadata": { "namespace": "doors", "name": "writes", "uid": "uid-writes", "generation": 1 },
        "spec": super::policy("writes", required).spec,
    })
}

fn issuers() -> Issuers {
    let configuration = json!({ "jwt": [{
        "issuer": { "url": "https://idp", "audiences": ["kubernetes"] },
        "claimMappings": { "username": { "claim": "email", "prefix": "oidc:" } },
    }] });
    let names = json!({ "issuers": [{ "name": "keycloak", "url": "https://idp", "audiences": ["sallyport"] }] });
    Issuers::resolve(
        &serde_json::from_value(configuration).unwrap(),
        &serde_json::from_value(names).unwrap(),
    )
    .0
}

/// What a process of the bank's door reports in the simplest case.
fn report(name: &str, revision: u64) -> Report {
    Report {
        instance: "i".into(),
        pod: name.into(),
        connection_uid: "uid-bank".into(),
        revision: Some(revision),
        loaded: Some(revision),
        digest: None,
        format: FORMAT,
        sessions: 0,
        problems: Vec::new(),
        columns: BTreeMap::new(),
        terminating: false,
        backends: Some(Backends::default()),
    }
}
