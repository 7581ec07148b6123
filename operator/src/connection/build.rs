//! Build: a plan becomes the children, exactly. No client, no clock, no way to fail.
//!
//! Nothing of the policy is in the Pod template, so that no change of a rule restarts a door.

mod deployment;
mod network;
mod rights;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sallyport_crds::connection::ServiceType;
use sallyport_crds::{Connection, names};

use super::plan::Plan;
use crate::settings::Settings;
use crate::shared::labels;
use crate::shared::owner::owned_by;

/// The port on which every door of PostgreSQL listens; the Service's port is the user's.
pub const DOOR_PORT: i32 = 5432;
/// The port on which the replicas of a door hear each other; as the door's program has it by itself.
const PEER_PORT: i32 = 7446;

/// The container of a door's Pod that is the door.
pub const DOOR_CONTAINER: &str = "proxy";

/// Everything that the operator makes of a Connection, secrets and carrier apart.
#[derive(Clone, Debug)]
pub struct Children {
    /// What clients dial.
    pub service: Service,
    /// By which the replicas find each other.
    pub peer_service: Service,
    /// Who the door is at the API server.
    pub service_account: ServiceAccount,
    /// What the door may read and write.
    pub role: Role,
    /// Gives the Role to the ServiceAccount.
    pub role_binding: RoleBinding,
    /// Who may speak with the door, and with whom the door may speak.
    pub network_policy: NetworkPolicy,
    /// The door.
    pub deployment: Deployment,
    /// Only above one replica: with one it would stop every drain of a node.
    pub disruption_budget: Option<PodDisruptionBudget>,
}

/// The children of a Connection.
pub fn build(plan: &Plan, settings: &Settings) -> Children {
    Children {
        service: service(plan),
        peer_service: peer_service(plan),
        service_account: ServiceAccount {
            metadata: metadata(plan),
            ..ServiceAccount::default()
        },
        role: rights::role(plan),
        role_binding: rights::binding(plan),
        network_policy: network::policy(plan, settings),
        deployment: deployment::deployment(plan, settings),
        disruption_budget: disruption_budget(plan),
    }
}

/// Metadata of a child with the common name `door-<connection>`.
fn metadata(plan: &Plan) -> ObjectMeta {
    metadata_named(plan, names::door(&plan.name))
}

/// Metadata of a child: its labels, and its owner, with which it goes.
pub fn metadata_named(plan: &Plan, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(plan.namespace.clone()),
        labels: Some(labels::door(&plan.name)),
        owner_references: Some(owned_by::<Connection>(&plan.name, &plan.uid)),
        ..ObjectMeta::default()
    }
}

fn selector(plan: &Plan) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels::door_selector(&plan.name)),
        ..LabelSelector::default()
    }
}

fn service(plan: &Plan) -> Service {
    let wanted = &plan.spec.proxy.service;
    let mut metadata = metadata(plan);
    if !wanted.annotations.is_empty() {
        metadata.annotations = Some(wanted.annotations.clone());
    }
    let kind = match wanted.kind {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    };
    Service {
        metadata,
        spec: Some(ServiceSpec {
            // A CancelRequest is a connection of its own. Replicas pass on what they do not know; with affinity most cancels
            // reach the Pod that holds the session at once, and depend on no other.
            session_affinity: Some("ClientIP".to_owned()),
            type_: Some(kind.to_owned()),
            selector: Some(labels::door_selector(&plan.name)),
            ports: Some(vec![ServicePort {
                name: Some("door".to_owned()),
                port: plan.port(),
                target_port: Some(IntOrString::String("door".to_owned())),
                node_port: wanted.node_port,
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            // Where a load balancer is in front, the client's own address must reach the records.
            external_traffic_policy: (wanted.kind != ServiceType::ClusterIP).then(|| "Local".to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn peer_service(plan: &Plan) -> Service {
    Service {
        metadata: metadata_named(plan, names::peers(&plan.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(labels::door_selector(&plan.name)),
            ports: Some(vec![ServicePort {
                name: Some("peers".to_owned()),
                port: PEER_PORT,
                target_port: Some(IntOrString::String("peers".to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            // A Pod that drains is not ready and holds sessions.
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn disruption_budget(plan: &Plan) -> Option<PodDisruptionBudget> {
    (plan.spec.proxy.replicas > 1).then(|| PodDisruptionBudget {
        metadata: metadata(plan),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(plan)),
            // A door that is not ready must not stop the drain that would heal it.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}

#[cfg(test)]
mod tests;
