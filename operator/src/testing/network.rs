//! Who reaches whom, by the words of networking.k8s.io/v1: an evaluator of NetworkPolicies, since a test cluster's network plugin
//! may enforce none. It panics at what the API server refuses.
//!
//! A Pod is isolated for ingress (egress) once a policy of its namespace selects it and speaks of ingress (egress). From then on
//! only what one of these policies allows passes: they add up, none takes away. A connection needs both its ends to allow it.
//! Between a Pod and itself, and between a Pod and the node that it runs on, nothing is ever shut.

pub mod block;
pub mod selector;

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::shared::labels::{Labels, labels};

/// A protocol and a port of the Pod itself: policies see what is behind Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub &'static str, pub i32);

/// A Pod, as far as policies look at it.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: Labels,
    /// Its address.
    pub address: IpAddr,
    /// Address of the node that it runs on.
    pub node: IpAddr,
    /// Ports of its containers that have a name.
    pub ports: BTreeMap<String, Port>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// A Pod.
    Pod(&'a Pod),
    /// What is no Pod: a node, or anything outside the cluster.
    Address(IpAddr),
}

/// Namespaces and the policies in them.
pub struct Network {
    namespaces: BTreeMap<String, Labels>,
    policies: Vec<NetworkPolicy>,
}

/// Which way a policy looks at a connection, from the Pod that it selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ingress,
    Egress,
}

/// A rule of either way: peers and ports, where a list that is missing or empty means all.
type Rule<'a> = (Option<&'a [NetworkPolicyPeer]>, Option<&'a [NetworkPolicyPort]>);

// === impl Pod ===

impl Pod {
    /// A Pod with these labels and nothing else.
    pub fn new(namespace: &str, labels: Labels, address: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            labels,
            address: address.parse().unwrap(),
            node: "192.0.2.1".parse().unwrap(),
            ports: BTreeMap::new(),
        }
    }

    /// A Pod as a template makes it.
    pub fn of(namespace: &str, template: &PodTemplateSpec, address: &str) -> Self {
        let labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone());
        let mut pod = Self::new(namespace, labels.unwrap_or_default(), address);
        let containers = template.spec.iter().flat_map(|spec| &spec.containers);
        for port in containers.flat_map(|container| container.ports.iter().flatten()) {
            let protocol = known(port.protocol.as_deref());
            if let Some(name) = &port.name {
                pod.ports.insert(name.clone(), Port(protocol, port.container_port));
            }
        }
        pod
    }
}

// === impl End ===

impl End<'_> {
    fn address(&self) -> IpAddr {
        match self {
            Self::Pod(pod) => pod.address,
            Self::Address(address) => *address,
        }
    }

    /// Whether no policy can stand between the two: a Pod and itself, a Pod and its own node.
    fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pod(one), Self::Pod(two)) => one.address == two.address,
            (Self::Pod(pod), Self::Address(address)) | (Self::Address(address), Self::Pod(pod)) => pod.node == *address,
            (Self::Address(_), Self::Address(_)) => false,
        }
    }
}

// === impl Network ===

impl Network {
    /// Namespaces by name and labels, to which Kubernetes adds the name itself, and all policies.
    pub fn new<const N: usize>(namespaces: [(&str, Labels); N], policies: Vec<NetworkPolicy>) -> Self {
        let named = |(name, mut given): (&str, Labels)| {
            given.extend(labels([("kubernetes.io/metadata.name", name)]));
            (name.to_owned(), given)
        };
        Self {
            namespaces: namespaces.into_iter().map(named).collect(),
            policies,
        }
    }

    /// Whether `from` may open a connection to this port of `to`.
    pub fn reaches(&self, from: End<'_>, to: End<'_>, port: Port) -> bool {
        from.is_beside(&to)
            || self.allows(Way::Egress, from, to, (port, to)) && self.allows(Way::Ingress, to, from, (port, to))
    }

    /// Whether the policies of `own` allow the connection with `other`.
    fn allows(&self, way: Way, own: End<'_>, other: End<'_>, destination: (Port, End<'_>)) -> bool {
        let End::Pod(pod) = own else { return true };
        let mut isolated = false;
        for policy in &self.policies {
            let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
            let spec = policy.spec.as_ref().unwrap();
            // A selector that is left out selects all, as an empty one does.
            let selected = spec
                .pod_selector
                .as_ref()
                .is_none_or(|selector| selector::matches(selector, &pod.labels));
            if namespace != pod.namespace || !selected || !speaks_of(spec, way) {
                continue;
            }
            isolated = true;
            let allowed = rules(spec, way)
                .into_iter()
                .any(|(peers, ports)| self.has(peers, namespace, other) && covers(ports, destination));
            if allowed {
                return true;
            }
        }
        !isolated
    }

    /// Whether a list of peers, in a policy of this namespace, has `end` among them.
    fn has(&self, peers: Option<&[NetworkPolicyPeer]>, namespace: &str, end: End<'_>) -> bool {
        let peers = peers.unwrap_or_default();
        peers.is_empty() || peers.iter().any(|peer| self.is(peer, namespace, end))
    }

    fn is(&self, peer: &NetworkPolicyPeer, namespace: &str, end: End<'_>) -> bool {
        let selectors = (peer.namespace_selector.as_ref(), peer.pod_selector.as_ref());
        if let Some(block) = &peer.ip_block {
            assert_eq!(selectors, (None, None), "ipBlock stands alone");
            return block::contains(block, end.address());
        }
        assert_ne!(selectors, (None, None), "a peer that says nothing");
        let End::Pod(pod) = end else { return false };
        let there = match selectors.0 {
            Some(selector) => selector::matches(selector, &self.namespaces[&pod.namespace]),
            None => pod.namespace == namespace,
        };
        there
            && selectors
                .1
                .is_none_or(|selector| selector::matches(selector, &pod.labels))
    }
}

/// `policyTypes`, or its default: ingress always, egress where there are rules for it.
fn speaks_of(spec: &NetworkPolicySpec, way: Way) -> bool {
    let types = spec.policy_types.as_deref().unwrap_or_default();
    match way {
        Way::Ingress => types.is_empty() || types.iter().any(|one| one == "Ingress"),
        Way::Egress if types.is_empty() => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        Way::Egress => types.iter().any(|one| one == "Egress"),
    }
}

fn rules(spec: &NetworkPolicySpec, way: Way) -> Vec<Rule<'_>> {
    match way {
        Way::Ingress => spec
            .ingress
            .iter()
            .flatten()
            .map(|rule| (rule.from.as_deref(), rule.ports.as_deref()))
            .collect(),
        Way::Egress => spec
            .egress
            .iter()
            .flatten()
            .map(|rule| (rule.to.as_deref(), rule.ports.as_deref()))
            .collect(),
    }
}

/// Whether a list of ports covers a port of its destination.
fn covers(ports: Option<&[NetworkPolicyPort]>, (wanted, destination): (Port, End<'_>)) -> bool {
    let ports = ports.unwrap_or_default();
    ports.is_empty()
        || ports.iter().any(|port| {
            let protocol = known(port.protocol.as_deref());
            protocol == wanted.0
                && match (&port.port, port.end_port) {
                    (None, None) => true,
                    (Some(IntOrString::Int(number)), None) => *number == wanted.1,
                    (Some(IntOrString::Int(first)), Some(last)) => {
                        assert!(first <= &last, "endPort before port");
                        (*first..=last).contains(&wanted.1)
                    }
                    // A name is looked up in the Pod that is dialled. What is no Pod has none.
                    (Some(IntOrString::String(name)), None) => {
                        matches!(destination, End::Pod(pod) if pod.ports.get(name) == Some(&wanted))
                    }
                    (_, Some(_)) => panic!("endPort needs a port that is a number"),
                }
        })
}

fn known(protocol: Option<&str>) -> &'static str {
    match protocol {
        None | Some("TCP") => "TCP",
        Some("UDP") => "UDP",
        Some("SCTP") => "SCTP",
        Some(other) => panic!("no protocol: {other}"),
    }
}

#[cfg(test)]
mod tests;
