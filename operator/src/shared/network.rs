//! Parts of NetworkPolicies. Peers are told by labels that admission lets nobody else write (`sallyport.dev/connection`,
//! `sallyport.dev/sink`), in namespaces that opted in, since admission guards them nowhere else. `tests` evaluates what comes of it.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sallyport_crds::names::{CONNECTION_LABEL, ENABLED_LABEL, SINK_LABEL};

use super::labels::{self, Labels, MONITORING_LABEL};
use super::pods::ADMIN_PORT;
use crate::settings::Settings;

/// The label that Kubernetes itself puts on every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Port of the operator's API.
pub const OPERATOR_PORT: i32 = 8443;

/// One port.
pub fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(number)),
        ..NetworkPolicyPort::default()
    }
}

/// Every port.
pub fn any_port(protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    }
}

/// One port, from these peers alone. `None` where there are none: a list without peers would let in everybody.
pub fn ingress(from: Vec<NetworkPolicyPeer>, number: i32) -> Option<NetworkPolicyIngressRule> {
    (!from.is_empty()).then(|| NetworkPolicyIngressRule {
        from: Some(from),
        ports: Some(vec![port("TCP", number)]),
    })
}

/// One port of these peers alone. `None` where there are none: a list without peers would let out to everybody.
pub fn egress(to: Vec<NetworkPolicyPeer>, number: i32) -> Option<NetworkPolicyEgressRule> {
    (!to.is_empty()).then(|| NetworkPolicyEgressRule {
        to: Some(to),
        ports: Some(vec![port("TCP", number)]),
    })
}

/// The admin port, from the operator and from namespaces that are labelled for monitoring.
pub fn admin_from(settings: &Settings) -> Option<NetworkPolicyIngressRule> {
    let monitoring = NetworkPolicyPeer {
        namespace_selector: Some(matching(labels::labels([(MONITORING_LABEL, "true")]))),
        ..NetworkPolicyPeer::default()
    };
    ingress(vec![operator(settings), monitoring], ADMIN_PORT)
}

/// Name resolution, wherever the cluster's resolver is.
pub fn dns() -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![port("UDP", 53), port("TCP", 53)]),
    }
}

/// The API server: by its addresses where they are configured, else by its usual ports.
pub fn api_server(settings: &Settings) -> NetworkPolicyEgressRule {
    let known = &settings.api_server_cidrs;
    NetworkPolicyEgressRule {
        to: (!known.is_empty()).then(|| addresses(known)),
        ports: Some(vec![port("TCP", 443), port("TCP", 6443)]),
    }
}

/// The operator's API.
pub fn operator_api(settings: &Settings) -> Option<NetworkPolicyEgressRule> {
    egress(vec![operator(settings)], OPERATOR_PORT)
}

/// The operator's Pods, by what its Deployment selects them by.
pub fn operator(settings: &Settings) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(matching(labels::labels([(
            NAMESPACE_NAME,
            settings.namespace.as_str(),
        )]))),
        pod_selector: Some(matching(labels::operator_selector())),
        ..NetworkPolicyPeer::default()
    }
}

/// The recorder of a sink.
pub fn recorder(namespace: &str, sink: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(opted_in(namespace)),
        pod_selector: Some(matching(labels::labels([(SINK_LABEL, sink)]))),
        ..NetworkPolicyPeer::default()
    }
}

/// All doors of these namespaces.
pub fn doors(namespaces: &[String]) -> Vec<NetworkPolicyPeer> {
    let door = LabelSelectorRequirement {
        key: CONNECTION_LABEL.to_owned(),
        operator: "Exists".to_owned(),
        values: None,
    };
    let any = LabelSelector {
        match_expressions: Some(vec![door]),
        ..LabelSelector::default()
    };
    namespaces
        .iter()
        .map(|namespace| NetworkPolicyPeer {
            namespace_selector: Some(opted_in(namespace)),
            pod_selector: Some(any.clone()),
            ..NetworkPolicyPeer::default()
        })
        .collect()
}

/// The Pods of one Connection, by the label that stays on them: one that could be taken off would lead out of the policy.
pub fn pods_of(connection: &str) -> LabelSelector {
    matching(labels::labels([(CONNECTION_LABEL, connection)]))
}

/// The Pod of one sink, likewise.
pub fn pod_of(sink: &str) -> LabelSelector {
    matching(labels::labels([(SINK_LABEL, sink)]))
}

/// Address ranges.
pub fn addresses(cidrs: &[String]) -> Vec<NetworkPolicyPeer> {
    cidrs
        .iter()
        .map(|cidr| NetworkPolicyPeer {
            ip_block: Some(IPBlock {
                cidr: cidr.clone(),
                except: None,
            }),
            ..NetworkPolicyPeer::default()
        })
        .collect()
}

/// A namespace by its name, while it is opted in.
fn opted_in(namespace: &str) -> LabelSelector {
    matching(labels::labels([(NAMESPACE_NAME, namespace), (ENABLED_LABEL, "true")]))
}

fn matching(labels: Labels) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        ..LabelSelector::default()
    }
}

#[cfg(test)]
mod tests;
