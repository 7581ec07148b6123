//! What the API reference of NetworkPolicy (networking.k8s.io/v1) and its concept page say, as tables.

use serde_json::{Value, json};

use super::*;

const REDIS: Port = Port("TCP", 6379);

/// Namespace, labels and address of every Pod of these tables, by name. Their nodes are 192.0.2.1.
static PODS: [(&str, &str, &[(&str, &str)], &str); 5] = [
    ("db", "default", &[("role", "db")], "10.1.0.1"),
    ("frontend", "default", &[("role", "frontend")], "10.1.0.2"),
    ("batch", "default", &[("role", "batch"), ("tier", "low")], "10.1.0.3"),
    ("project", "myproject", &[("role", "client")], "10.1.0.4"),
    ("stranger", "other", &[("role", "frontend")], "10.1.0.5"),
];

/// The policy that the concept page explains.
fn documented() -> Value {
    json!({
        "podSelector": { "matchLabels": { "role": "db" } },
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{
            "from": [
                { "ipBlock": { "cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"] } },
                { "namespaceSelector": { "matchLabels": { "project": "myproject" } } },
                { "podSelector": { "matchLabels": { "role": "frontend" } } },
            ],
            "ports": [{ "protocol": "TCP", "port": 6379 }],
        }],
        "egress": [{
            "to": [{ "ipBlock": { "cidr": "10.0.0.0/24" } }],
            "ports": [{ "protocol": "TCP", "port": 5978 }],
        }],
    })
}

/// A policy of `default` for all its Pods, with these rules for ingress.
fn ingress(rules: &Value) -> Value {
    json!({ "podSelector": {}, "ingress": rules })
}

/// Likewise with one rule: these ports, from everybody.
fn ports(ports: &Value) -> Value {
    ingress(&json!([{ "ports": ports }]))
}

/// Likewise with one rule: one peer, on every port.
fn peer(peer: &Value) -> Value {
    ingress(&json!([{ "from": [peer] }]))
}

/// Whether `from` reaches `to`, where these are the policies of `default`.
fn reaches(specs: &[Value], from: &str, to: &str, port: Port) -> bool {
    let policies = specs.iter().map(|spec| {
        let object = json!({ "metadata": { "name": "one", "namespace": "default" }, "spec": spec });
        serde_json::from_value(object).unwrap()
    });
    let network = Network::new(
        [
            ("default", Labels::new()),
            ("myproject", labels([("project", "myproject")])),
            ("other", Labels::new()),
        ],
        policies.collect(),
    );
    let pod = |name: &str| {
        let (_, namespace, given, address) = PODS.iter().find(|pod| pod.0 == name)?;
        let given = given
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut pod = Pod::new(namespace, given.collect(), address);
        if name == "db" {
            pod.ports = BTreeMap::from([("redis".to_owned(), REDIS)]);
        }
        Some(pod)
    };
    let (one, two) = (pod(from), pod(to));
    network.reaches(at(one.as_ref(), from), at(two.as_ref(), to), port)
}

/// A Pod, or else an address.
fn at<'a>(pod: Option<&'a Pod>, text: &str) -> End<'a> {
    pod.map_or_else(|| End::Address(text.parse().unwrap()), End::Pod)
}

fn hold(table: &[(&str, Vec<Value>, (&str, &str), Port, bool)]) {
    for (what, specs, (from, to), port, expected) in table {
        assert_eq!(
            reaches(specs, from, to, *port),
            *expected,
            "{what}: {from} to {to}, {port:?}"
        );
    }
}

#[test]
fn who_is_isolated() {
    let deny = || json!({ "podSelector": {}, "policyTypes": ["Ingress"] });
    let quiet = || json!({ "podSelector": {}, "policyTypes": ["Egress"] });
    let without_egress = || json!({ "podSelector": {}, "egress": [] });
    let with_egress = || json!({ "podSelector": {}, "egress": [{ "ports": [{ "port": 6379 }] }] });
    let egress_alone = || json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{}] });
    let unselected = || json!({ "policyTypes": ["Ingress"] });
    let of_frontends = || json!({ "podSelector": { "matchLabels": { "role": "frontend" } } });
    let out = ("db", "8.8.8.8");
    let within = ("frontend", "db");
    hold(&[
        ("no policy", vec![], within, REDIS, true),
        ("no policy", vec![], out, REDIS, true),
        ("a policy of others", vec![of_frontends()], within, REDIS, true),
        (
            "a policy of others",
            vec![of_frontends()],
            ("db", "frontend"),
            REDIS,
            false,
        ),
        ("no rule for ingress", vec![deny()], within, REDIS, false),
        ("no rule for ingress", vec![deny()], ("8.8.8.8", "db"), REDIS, false),
        ("ingress alone leaves egress", vec![deny()], out, REDIS, true),
        (
            "Pods of other namespaces",
            vec![deny()],
            ("db", "stranger"),
            REDIS,
            true,
        ),
        ("no selector is an empty one", vec![unselected()], within, REDIS, false),
        ("no rule for egress", vec![quiet()], out, REDIS, false),
        (
            "egress alone leaves ingress",
            vec![quiet()],
            ("8.8.8.8", "db"),
            REDIS,
            true,
        ),
        ("both ends must allow", vec![quiet()], within, REDIS, false),
        (
            "by default ingress counts",
            vec![with_egress()],
            ("8.8.8.8", "db"),
            REDIS,
            false,
        ),
        (
            "by default egress counts if it has rules",
            vec![with_egress()],
            out,
            REDIS,
            true,
        ),
        (
            "by default egress counts if it has rules",
            vec![with_egress()],
            out,
            Port("TCP", 80),
            false,
        ),
        (
            "by default egress without rules does not",
            vec![without_egress()],
            out,
            REDIS,
            true,
        ),
        (
            "no default where something is said",
            vec![egress_alone()],
            ("8.8.8.8", "db"),
            REDIS,
            true,
        ),
        ("a Pod reaches itself", vec![deny(), quiet()], ("db", "db"), REDIS, true),
        (
            "its node reaches it",
            vec![deny(), quiet()],
            ("192.0.2.1", "db"),
            REDIS,
            true,
        ),
        (
            "it reaches its node",
            vec![deny(), quiet()],
            ("db", "192.0.2.1"),
            REDIS,
            true,
        ),
        ("another node", vec![deny()], ("192.0.2.2", "db"), REDIS, false),
    ]);
}

#[test]
fn policies_add_up() {
    let deny = || json!({ "podSelector": {}, "policyTypes": ["Ingress"] });
    let frontends = || peer(&json!({ "podSelector": { "matchLabels": { "role": "frontend" } } }));
    let redis = || ports(&json!([{ "port": 6379 }]));
    let within = ("frontend", "db");
    hold(&[
        ("none takes away", vec![deny(), frontends()], within, REDIS, true),
        ("in any order", vec![frontends(), deny()], within, REDIS, true),
        (
            "peers of one",
            vec![frontends(), redis()],
            within,
            Port("TCP", 80),
            true,
        ),
        (
            "ports of the other",
            vec![frontends(), redis()],
            ("batch", "db"),
            REDIS,
            true,
        ),
        (
            "never across",
            vec![frontends(), redis()],
            ("batch", "db"),
            Port("TCP", 80),
            false,
        ),
    ]);
}

#[test]
fn the_documented_policy() {
    let hr = || vec![documented()];
    hold(&[
        (
            "a Pod of the namespace with the label",
            hr(),
            ("frontend", "db"),
            REDIS,
            true,
        ),
        ("without it", hr(), ("batch", "db"), REDIS, false),
        ("with it, elsewhere", hr(), ("stranger", "db"), REDIS, false),
        ("any Pod of the project", hr(), ("project", "db"), REDIS, true),
        ("the block", hr(), ("172.17.0.255", "db"), REDIS, true),
        ("the block's end", hr(), ("172.17.255.255", "db"), REDIS, true),
        ("its exception", hr(), ("172.17.1.0", "db"), REDIS, false),
        ("beyond it", hr(), ("172.18.0.0", "db"), REDIS, false),
        ("another port", hr(), ("frontend", "db"), Port("TCP", 6380), false),
        ("another protocol", hr(), ("frontend", "db"), Port("UDP", 6379), false),
        ("egress", hr(), ("db", "10.0.0.7"), Port("TCP", 5978), true),
        ("egress elsewhere", hr(), ("db", "10.0.1.7"), Port("TCP", 5978), false),
        (
            "egress on another port",
            hr(),
            ("db", "10.0.0.7"),
            Port("TCP", 5979),
            false,
        ),
    ]);
}

#[test]
fn peers() {
    let everybody = || ingress(&json!([{}]));
    let empty = || ingress(&json!([{ "from": [], "ports": [] }]));
    let pods = || peer(&json!({ "podSelector": {} }));
    let namespaces = || peer(&json!({ "namespaceSelector": {} }));
    let both = || {
        peer(&json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "other" } },
            "podSelector": { "matchLabels": { "role": "frontend" } },
        }))
    };
    let either = || {
        ingress(&json!([{ "from": [
            { "namespaceSelector": { "matchLabels": { "project": "myproject" } } },
            { "podSelector": { "matchLabels": { "role": "frontend" } } },
        ] }]))
    };
    let six = || peer(&json!({ "ipBlock": { "cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"] } }));
    let all_of_four = || peer(&json!({ "ipBlock": { "cidr": "0.0.0.0/0" } }));
    let (two, stranger) = (("batch", "db"), ("stranger", "db"));
    hold(&[
        ("an empty rule", vec![everybody()], ("8.8.8.8", "db"), REDIS, true),
        ("empty lists", vec![empty()], ("8.8.8.8", "db"), REDIS, true),
        ("all Pods here", vec![pods()], two, REDIS, true),
        ("all Pods here", vec![pods()], stranger, REDIS, false),
        ("all Pods anywhere", vec![namespaces()], stranger, REDIS, true),
        (
            "Pods are no addresses",
            vec![namespaces()],
            ("8.8.8.8", "db"),
            REDIS,
            false,
        ),
        ("both selectors", vec![both()], stranger, REDIS, true),
        ("both selectors", vec![both()], ("frontend", "db"), REDIS, false),
        ("one of two peers", vec![either()], ("project", "db"), REDIS, true),
        ("one of two peers", vec![either()], stranger, REDIS, false),
        ("IPv6", vec![six()], ("2001:db8:2::1", "db"), REDIS, true),
        ("IPv6, excepted", vec![six()], ("2001:db8:1::1", "db"), REDIS, false),
        ("IPv4 is not in it", vec![six()], ("32.1.13.184", "db"), REDIS, false),
        ("all of IPv4", vec![all_of_four()], ("255.0.0.1", "db"), REDIS, true),
        ("has no IPv6", vec![all_of_four()], ("2001:db8::1", "db"), REDIS, false),
    ]);
}

#[test]
fn ports_of_the_destination() {
    let default = || ports(&json!([{ "port": 53 }]));
    let all_udp = || ports(&json!([{ "protocol": "UDP" }]));
    let range = || ports(&json!([{ "port": 32000, "endPort": 32768 }]));
    let named = || ports(&json!([{ "port": "redis" }]));
    let named_udp = || ports(&json!([{ "protocol": "UDP", "port": "redis" }]));
    let named_out = |role: &str| {
        json!({
            "podSelector": { "matchLabels": { "role": role } },
            "policyTypes": ["Egress"],
            "egress": [{ "ports": [{ "port": "redis" }] }],
        })
    };
    let within = ("frontend", "db");
    hold(&[
        ("TCP by default", vec![default()], within, Port("TCP", 53), true),
        ("TCP by default", vec![default()], within, Port("UDP", 53), false),
        (
            "no number is all of them",
            vec![all_udp()],
            within,
            Port("UDP", 1),
            true,
        ),
        ("of its protocol", vec![all_udp()], within, Port("TCP", 1), false),
        ("a range's first", vec![range()], within, Port("TCP", 32000), true),
        ("a range's last", vec![range()], within, Port("TCP", 32768), true),
        ("before it", vec![range()], within, Port("TCP", 31999), false),
        ("behind it", vec![range()], within, Port("TCP", 32769), false),
        ("a name", vec![named()], within, REDIS, true),
        ("a name is one port", vec![named()], within, Port("TCP", 6380), false),
        ("of a Pod that has it", vec![named()], ("db", "frontend"), REDIS, false),
        ("with its protocol", vec![named_udp()], within, Port("UDP", 6379), false),
        ("of who is dialled", vec![named_out("frontend")], within, REDIS, true),
        (
            "not of who dials",
            vec![named_out("db")],
            ("db", "frontend"),
            REDIS,
            false,
        ),
        (
            "no Pod, no name",
            vec![named_out("frontend")],
            ("frontend", "8.8.8.8"),
            REDIS,
            false,
        ),
    ]);
}
