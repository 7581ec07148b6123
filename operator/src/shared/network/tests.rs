//! Who reaches whom in a cluster whose network plugin keeps NetworkPolicies: those of doors and recorders as the operator makes
//! them, the operator's own, and the target's sample.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PodTemplateSpec, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use sallyport_crds::{AuditSink, Connection};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;
use crate::audit_sink::build::Children as SinkChildren;
use crate::connection::build::Children;
use crate::connection::plan::{Place, Plan};
use crate::shared::labels::labels;
use crate::testing::network::{End, Network, Pod, Port};
use crate::testing::{golden, settings};
use crate::{audit_sink, connection};

/// Another node than that on which all Pods run.
const OTHER_NODE: &str = "192.0.2.2";
const OWN_NODE: &str = "192.0.2.1";
const API_SERVER: &str = "10.200.0.2";
/// A client or an identity provider in the world.
const WORLD: &str = "203.0.113.10";

const SQL: Port = Port("TCP", 5432);
const PEERS: Port = Port("TCP", 7446);
const ADMIN: Port = Port("TCP", 9090);
const EVIDENCE: Port = Port("TCP", 7443);
const READ: Port = Port("TCP", 7444);
const API: Port = Port("TCP", 8443);
const DNS: Port = Port("UDP", 53);
const HTTPS: Port = Port("TCP", 443);

/// One object of a file under `config`.
fn shipped<K: DeserializeOwned>(file: &str, kind: &str) -> K {
    let path = format!("{}/../config/{file}", env!("CARGO_MANIFEST_DIR"));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    let found = documents.into_iter().find(|one| one["kind"] == kind).unwrap();
    serde_json::from_value(found).unwrap()
}

fn place(namespace: &str, name: &str) -> Place {
    Place {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn door(namespace: &str, name: &str, connection: &Connection, settings: &Settings) -> Children {
    let plan = Plan::new(&place(namespace, name), "uid", &connection.spec, []);
    connection::build::build(&plan, settings)
}

fn sink(name: &str, sink: AuditSink, settings: &Settings) -> SinkChildren {
    let plan = audit_sink::validate::Plan {
        place: place("evidence", name),
        uid: "01202ab6-ddad-408f-bef0-ee46984f493b".into(),
        spec: sink.spec,
        template_size: None,
    };
    audit_sink::build::build(&plan, settings)
}

/// The sample's Connection: no word of where its Pods may go.
fn bank() -> Connection {
    shipped("samples/connection.yaml", "Connection")
}

/// A Connection that may go to 10.20.0.0/16.
fn shop() -> Connection {
    serde_saphyr::from_str(&golden::read("connection/full.yaml")).unwrap()
}

/// A sink for `doors` and `more-doors` whose recorder may go to 10.30.0.0/16.
fn evidence() -> AuditSink {
    serde_saphyr::from_str(&golden::read("audit_sink/full.yaml")).unwrap()
}

/// A cluster with all of them.
struct Cluster {
    network: Network,
    pods: Vec<(&'static str, Pod)>,
    services: Vec<Service>,
}

impl Cluster {
    fn new(settings: &Settings, shop: &Connection, evidence: AuditSink) -> Self {
        let operator: Deployment = shipped("operator/deployment.yaml", "Deployment");
        let operator = operator.spec.unwrap().template;
        let mut others: AuditSink = shipped("samples/audit-sink.yaml", "AuditSink");
        others.spec.namespaces = vec!["lapsed".into()];
        let (bank, shop) = (
            door("doors", "bank", &bank(), settings),
            door("doors", "shop", shop, settings),
        );
        let namesake = door("more-doors", "bank", &self::bank(), settings);
        let (recorder, others) = (sink("evidence", evidence, settings), sink("others", others, settings));
        let pod = |name, namespace, template: &PodTemplateSpec, address| (name, Pod::of(namespace, template, address));
        let plain = |name, namespace, given, address| (name, Pod::new(namespace, given, address));
        let of_door = |door: &Children| door.deployment.spec.clone().unwrap().template;
        let of_sink = |sink: &SinkChildren| sink.stateful_set.spec.clone().unwrap().template;
        let pods = vec![
            pod("door", "doors", &of_door(&bank), "10.1.0.1"),
            pod("replica", "doors", &of_door(&bank), "10.1.0.2"),
            pod("shop", "doors", &of_door(&shop), "10.1.0.3"),
            pod("namesake", "more-doors", &of_door(&namesake), "10.1.0.4"),
            // Its other labels were taken off: these are not guarded everywhere.
            plain(
                "bare",
                "doors",
                labels([("sallyport.dev/connection", "bank")]),
                "10.1.0.5",
            ),
            // Whoever may make Pods beside doors may give them these.
            plain(
                "pretender",
                "doors",
                labels([
                    ("app.kubernetes.io/name", "sallyport-proxy"),
                    ("app.kubernetes.io/instance", "bank"),
                ]),
                "10.1.0.6",
            ),
            // In a namespace that is not opted in any more nobody guards labels.
            plain(
                "lapsed",
                "lapsed",
                labels([("sallyport.dev/connection", "bank")]),
                "10.1.0.7",
            ),
            pod("recorder", "evidence", &of_sink(&recorder), "10.1.1.1"),
            pod("others", "evidence", &of_sink(&others), "10.1.1.2"),
            pod("operator", "sallyport-system", &operator, "10.1.2.1"),
            plain(
                "neighbour",
                "sallyport-system",
                labels([("app", "dashboard")]),
                "10.1.2.2",
            ),
            plain("prometheus", "monitoring", labels([("app", "prometheus")]), "10.1.3.1"),
            plain("engineer", "work", labels([("app", "shell")]), "10.1.4.1"),
            plain("target", "bank", labels([("app", "postgres")]), "10.1.5.1"),
            plain("resolver", "kube-system", labels([("k8s-app", "kube-dns")]), "10.1.6.1"),
        ];
        let opted_in = || labels([("sallyport.dev/enabled", "true")]);
        let namespaces = [
            ("doors", opted_in()),
            ("more-doors", opted_in()),
            ("evidence", opted_in()),
            ("lapsed", Labels::new()),
            ("sallyport-system", Labels::new()),
            ("monitoring", labels([("sallyport.dev/monitoring", "true")])),
            ("work", Labels::new()),
            ("bank", Labels::new()),
            ("kube-system", Labels::new()),
        ];
        let policies = vec![
            bank.network_policy,
            shop.network_policy,
            namesake.network_policy,
            recorder.network_policy,
            others.network_policy,
            shipped::<NetworkPolicy>("operator/network-policy.yaml", "NetworkPolicy"),
            shipped::<NetworkPolicy>("samples/target-network-policy.yaml", "NetworkPolicy"),
        ];
        Self {
            network: Network::new(namespaces, policies),
            pods,
            services: vec![
                bank.service,
                bank.peer_service,
                recorder.service,
                recorder.headless_service,
            ],
        }
    }

    /// A Pod by its name here, or an address.
    fn end(&self, name: &str) -> End<'_> {
        let pod = self.pods.iter().find(|pod| pod.0 == name);
        pod.map_or_else(|| End::Address(name.parse().unwrap()), |pod| End::Pod(&pod.1))
    }

    fn holds(&self, table: &[(&str, &str, Port, bool)]) {
        for (from, to, port, expected) in table {
            let reached = self.network.reaches(self.end(from), self.end(to), *port);
            assert_eq!(reached, *expected, "{from} to {to}, {port:?}");
        }
    }
}

fn cluster() -> Cluster {
    Cluster::new(&settings(), &shop(), evidence())
}

#[test]
fn people_reach_doors_and_nothing_behind_them() {
    cluster().holds(&[
        ("engineer", "door", SQL, true),
        (WORLD, "door", SQL, true),
        ("engineer", "door", ADMIN, false),
        ("engineer", "door", PEERS, false),
        ("engineer", "target", SQL, false),
        (WORLD, "target", SQL, false),
        ("engineer", "recorder", EVIDENCE, false),
        ("engineer", "recorder", READ, false),
        ("engineer", "recorder", ADMIN, false),
        ("engineer", "operator", API, false),
        ("engineer", "operator", ADMIN, false),
    ]);
}

#[test]
fn a_door_reaches_its_target_its_recorder_its_replicas_and_the_operator() {
    cluster().holds(&[
        ("door", "target", SQL, true),
        ("door", "recorder", EVIDENCE, true),
        ("door", "recorder", READ, false),
        ("door", "recorder", ADMIN, false),
        ("door", "others", EVIDENCE, false),
        ("door", "operator", API, true),
        ("door", "operator", ADMIN, false),
        ("replica", "door", PEERS, true),
        ("replica", "door", ADMIN, false),
        ("door", "resolver", DNS, true),
        ("door", API_SERVER, Port("TCP", 6443), true),
        // Nothing was said of where it may go: identity providers and the target may be anywhere.
        ("door", WORLD, HTTPS, true),
        ("shop", "door", PEERS, false),
        ("namesake", "door", PEERS, false),
        ("namesake", "recorder", EVIDENCE, true),
        ("namesake", "target", SQL, false),
    ]);
}

#[test]
fn a_door_whose_ways_are_said_goes_nowhere_else() {
    cluster().holds(&[
        ("shop", "10.20.0.5", Port("TCP", 5433), true),
        ("shop", "10.20.0.9", HTTPS, true),
        ("shop", "10.21.0.5", Port("TCP", 5433), false),
        ("shop", WORLD, HTTPS, false),
        ("shop", "target", SQL, false),
        ("shop", "engineer", Port("TCP", 8080), false),
        ("shop", "door", SQL, false),
        ("shop", "recorder", EVIDENCE, true),
        ("shop", "recorder", READ, false),
        ("shop", "others", EVIDENCE, false),
        ("shop", "operator", API, true),
        ("shop", "operator", ADMIN, false),
        ("shop", "neighbour", API, false),
        ("shop", "resolver", DNS, true),
        ("shop", "resolver", Port("TCP", 53), true),
        ("shop", API_SERVER, HTTPS, true),
        ("shop", API_SERVER, Port("TCP", 6443), true),
        ("shop", API_SERVER, Port("TCP", 2379), false),
    ]);
}

#[test]
fn a_recorder_hears_doors_and_the_operator() {
    cluster().holds(&[
        ("operator", "recorder", READ, true),
        ("operator", "recorder", EVIDENCE, false),
        ("neighbour", "recorder", READ, false),
        ("prometheus", "recorder", READ, false),
        ("prometheus", "recorder", EVIDENCE, false),
        ("others", "recorder", EVIDENCE, false),
        ("others", "recorder", READ, false),
        (WORLD, "recorder", READ, false),
        ("recorder", "operator", API, true),
        ("recorder", "operator", ADMIN, false),
        ("recorder", "resolver", DNS, true),
        ("recorder", API_SERVER, Port("TCP", 6443), true),
        ("recorder", "10.30.0.9", API, true),
        ("recorder", WORLD, HTTPS, false),
        ("recorder", "target", SQL, false),
        ("recorder", "door", SQL, false),
        ("others", WORLD, HTTPS, true),
        ("others", "target", SQL, false),
    ]);
}

#[test]
fn metrics_are_for_the_monitoring_and_probes_for_the_node() {
    let cluster = cluster();
    for program in ["door", "shop", "recorder", "operator"] {
        cluster.holds(&[
            ("prometheus", program, ADMIN, true),
            (OWN_NODE, program, ADMIN, true),
            (OTHER_NODE, program, ADMIN, false),
            ("engineer", program, ADMIN, false),
            ("neighbour", program, ADMIN, false),
            ("pretender", program, ADMIN, false),
        ]);
    }
    cluster.holds(&[
        ("prometheus", "operator", API, false),
        ("prometheus", "door", PEERS, false),
    ]);
}

#[test]
fn labels_that_anybody_may_write_lead_nowhere_and_none_leads_out() {
    cluster().holds(&[
        ("pretender", "recorder", EVIDENCE, false),
        ("pretender", "operator", API, false),
        ("pretender", "door", PEERS, false),
        ("pretender", "target", SQL, false),
        ("lapsed", "others", EVIDENCE, false),
        ("lapsed", "operator", API, false),
        ("engineer", "bare", ADMIN, false),
        ("engineer", "bare", PEERS, false),
    ]);
}

#[test]
fn a_list_of_nobody_is_nobody() {
    let (mut shop, mut evidence) = (shop(), evidence());
    shop.spec.sinks.clear();
    evidence.spec.namespaces.clear();
    Cluster::new(&settings(), &shop, evidence).holds(&[
        ("door", "recorder", EVIDENCE, false),
        ("engineer", "recorder", EVIDENCE, false),
        ("shop", "others", EVIDENCE, false),
        ("shop", WORLD, EVIDENCE, false),
    ]);
}

#[test]
fn an_api_server_whose_addresses_nobody_said_is_known_by_its_ports() {
    let unknown = Settings {
        api_server_cidrs: Vec::new(),
        ..settings()
    };
    Cluster::new(&unknown, &shop(), evidence()).holds(&[
        ("shop", API_SERVER, Port("TCP", 6443), true),
        ("shop", WORLD, HTTPS, true),
        ("shop", WORLD, API, false),
        ("shop", "target", SQL, false),
    ]);
}

#[test]
fn services_lead_to_the_ports_of_these_tables() {
    let cluster = cluster();
    let expected = [vec![SQL], vec![PEERS], vec![EVIDENCE, READ], vec![EVIDENCE, READ]];
    for (service, expected) in cluster.services.iter().zip(expected) {
        let spec = service.spec.as_ref().unwrap();
        let selector = spec.selector.as_ref().unwrap();
        let behind = |pod: &&(&str, Pod)| selector.iter().all(|(key, value)| pod.1.labels.get(key) == Some(value));
        let (_, pod) = cluster.pods.iter().find(behind).unwrap();
        let ports = spec.ports.iter().flatten().map(|port| match &port.target_port {
            Some(IntOrString::String(name)) => pod.ports[name],
            other => panic!("a port by its number: {other:?}"),
        });
        assert_eq!(ports.collect::<Vec<_>>(), expected);
    }
}
