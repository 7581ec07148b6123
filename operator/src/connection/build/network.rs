//! The door's NetworkPolicy. What it promises is kept by the cluster's network plugin, if that knows NetworkPolicies.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec,
};

use super::{DOOR_PORT, PEER_PORT, metadata};
use crate::audit_sink::EVIDENCE_PORT;
use crate::connection::plan::Plan;
use crate::settings::Settings;
use crate::shared::network::{
    addresses, admin_from, api_server, dns, egress, ingress, operator_api, pods_of, port, recorder,
};

pub(super) fn policy(plan: &Plan, settings: &Settings) -> NetworkPolicy {
    // Anybody may knock; who comes in is decided at the door.
    let knock = NetworkPolicyIngressRule {
        from: None,
        ports: Some(vec![port("TCP", DOOR_PORT)]),
    };
    let let_in = [Some(knock), admin_from(settings), ingress(vec![peers(plan)], PEER_PORT)];
    NetworkPolicy {
        metadata: metadata(plan),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods_of(&plan.name)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(let_in.into_iter().flatten().collect()),
            egress: Some(let_out(plan, settings)),
        }),
    }
}

fn let_out(plan: &Plan, settings: &Settings) -> Vec<NetworkPolicyEgressRule> {
    let given = &plan.spec.proxy.egress_cidrs;
    if given.is_empty() {
        // A policy cannot name DNS hosts, and the target may be anywhere.
        return vec![NetworkPolicyEgressRule::default()];
    }
    let recorders = plan.sinks.iter().map(|sink| recorder(&sink.namespace, &sink.name));
    let rules = [
        Some(dns()),
        Some(api_server(settings)),
        operator_api(settings),
        egress(recorders.collect(), EVIDENCE_PORT),
        egress(vec![peers(plan)], PEER_PORT),
        Some(NetworkPolicyEgressRule {
            to: Some(addresses(given)),
            ports: None,
        }),
    ];
    rules.into_iter().flatten().collect()
}

/// The other replicas: Pods of the same Connection, in its own namespace.
fn peers(plan: &Plan) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(pods_of(&plan.name)),
        ..NetworkPolicyPeer::default()
    }
}
