//! Parts of NetworkPolicies.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{self, MONITORING_LABEL};
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

/// The admin port, from the operator's namespace and from namespaces that are labelled for monitoring.
pub fn admin_from(settings: &Settings) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(vec![
            namespace(NAMESPACE_NAME, &settings.namespace),
            namespace(MONITORING_LABEL, "true"),
        ]),
        ports: Some(vec![port("TCP", ADMIN_PORT)]),
    }
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
pub fn operator(settings: &Settings) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: Some(vec![namespace(NAMESPACE_NAME, &settings.namespace)]),
        ports: Some(vec![port("TCP", OPERATOR_PORT)]),
    }
}

/// Pods of one namespace by one label.
pub fn pods_in(namespace_name: &str, label: &str, value: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(matching(label, value)),
        ..namespace(NAMESPACE_NAME, namespace_name)
    }
}

/// Pods with a label in any namespace of a list.
pub fn pods_in_any(namespaces: &[String], label: &str, value: &str) -> Vec<NetworkPolicyPeer> {
    namespaces.iter().map(|name| pods_in(name, label, value)).collect()
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

fn namespace(label: &str, value: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(matching(label, value)),
        ..NetworkPolicyPeer::default()
    }
}

fn matching(label: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels::labels([(label, value)])),
        ..LabelSelector::default()
    }
}
