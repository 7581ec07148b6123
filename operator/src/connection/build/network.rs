//! The door's NetworkPolicy. What it promises is kept by the cluster's network plugin, if that knows NetworkPolicies.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec,
};
use sallyport_crds::names;

use super::{DOOR_PORT, PEER_PORT, metadata, selector};
use crate::connection::plan::Plan;
use crate::settings::Settings;
use crate::shared::network::{addresses, admin_from, api_server, dns, operator, pods_in, port};

pub(super) fn policy(plan: &Plan, settings: &Settings) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata(plan),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(plan)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![
                // Anybody may knock; who comes in is decided at the door.
                NetworkPolicyIngressRule {
                    from: None,
                    ports: Some(vec![port("TCP", DOOR_PORT)]),
                },
                admin_from(settings),
                NetworkPolicyIngressRule {
                    from: Some(vec![peers(plan)]),
                    ports: Some(vec![port("TCP", PEER_PORT)]),
                },
            ]),
            egress: Some(egress(plan, settings)),
        }),
    }
}

fn egress(plan: &Plan, settings: &Settings) -> Vec<NetworkPolicyEgressRule> {
    let given = &plan.spec.proxy.egress_cidrs;
    if given.is_empty() {
        // A policy cannot name DNS hosts, and the target may be anywhere.
        return vec![NetworkPolicyEgressRule::default()];
    }
    let recorders: Vec<NetworkPolicyPeer> = plan
        .sinks
        .iter()
        .map(|sink| pods_in(&sink.namespace, names::SINK_LABEL, &sink.name))
        .collect();
    vec![
        dns(),
        api_server(settings),
        operator(settings),
        NetworkPolicyEgressRule {
            to: Some(recorders),
            ports: Some(vec![port("TCP", crate::audit_sink::EVIDENCE_PORT)]),
        },
        NetworkPolicyEgressRule {
            to: Some(vec![peers(plan)]),
            ports: Some(vec![port("TCP", PEER_PORT)]),
        },
        NetworkPolicyEgressRule {
            to: Some(addresses(given)),
            ports: None,
        },
    ]
}

/// The other replicas: Pods of the same Connection, in its own namespace.
fn peers(plan: &Plan) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(selector(plan)),
        ..NetworkPolicyPeer::default()
    }
}
