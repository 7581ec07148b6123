//! Build: a plan becomes the recorder's children, exactly. No client, no clock, no way to fail.
//!
//! The volume claim is made by the StatefulSet and owned by nobody: deleting a sink must not delete evidence. Its name
//! carries the sink's uid, so that a namesake does not get the volume.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec, Service, ServiceAccount,
    ServicePort, ServiceSpec, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sallyport_crds::audit_sink::Unconfirmed;
use sallyport_crds::{AuditSink, names};

use super::validate::Plan;
use super::{EVIDENCE_PORT, READ_PORT};
use crate::settings::Settings;
use crate::shared::labels::{self, SINK_UID_LABEL};
use crate::shared::network;
use crate::shared::owner::owned_by;
use crate::shared::pods;

/// Where the recorder's volume is mounted.
const DATA: &str = "/var/lib/sallyport";

/// Everything that the operator makes of an AuditSink.
#[derive(Clone, Debug)]
pub struct Children {
    /// Who the recorder is to the operator. At the API server it may ask whose token it was shown, and nothing else.
    pub service_account: ServiceAccount,
    /// What doors, operator and readers dial.
    pub service: Service,
    /// Names the Pod.
    pub headless_service: Service,
    /// Who may speak with the recorder, and with whom it may speak.
    pub network_policy: NetworkPolicy,
    /// The recorder.
    pub stateful_set: StatefulSet,
}

/// The recorder's own DNS name, which it has also while it takes no records: then its Service leads nowhere.
pub fn pod_host(namespace: &str, name: &str) -> String {
    let recorder = names::recorder(name);
    format!("{recorder}-0.{recorder}-pods.{namespace}.svc")
}

/// The children of an AuditSink.
pub fn build(plan: &Plan, settings: &Settings) -> Children {
    let service = service(plan, None);
    Children {
        service_account: ServiceAccount {
            metadata: metadata(plan, None),
            ..ServiceAccount::default()
        },
        headless_service: self::service(plan, Some("pods")),
        service,
        network_policy: network_policy(plan, settings),
        stateful_set: stateful_set(plan, settings),
    }
}

/// Where proxies send records, host and port.
pub fn address(plan: &Plan) -> String {
    format!(
        "{}.{}.svc:{EVIDENCE_PORT}",
        names::recorder(&plan.place.name),
        plan.place.namespace
    )
}

fn metadata(plan: &Plan, suffix: Option<&str>) -> ObjectMeta {
    let name = names::recorder(&plan.place.name);
    ObjectMeta {
        name: Some(suffix.map_or_else(|| name.clone(), |suffix| format!("{name}-{suffix}"))),
        namespace: Some(plan.place.namespace.clone()),
        labels: Some(labels::recorder(&plan.place.name)),
        owner_references: Some(owned_by::<AuditSink>(&plan.place.name, &plan.uid)),
        ..ObjectMeta::default()
    }
}

fn selector(plan: &Plan) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels::recorder_selector(&plan.place.name)),
        ..LabelSelector::default()
    }
}

fn service(plan: &Plan, headless: Option<&str>) -> Service {
    let ports = [("evidence", EVIDENCE_PORT), ("read", READ_PORT)].map(|(name, number)| ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    });
    Service {
        metadata: metadata(plan, headless),
        spec: Some(ServiceSpec {
            cluster_ip: headless.map(|_| "None".to_owned()),
            selector: Some(labels::recorder_selector(&plan.place.name)),
            ports: Some(ports.to_vec()),
            // A recorder that is not ready yet can still say why.
            publish_not_ready_addresses: headless.map(|_| true),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn network_policy(plan: &Plan, settings: &Settings) -> NetworkPolicy {
    // People read on the Pod's loopback, by port-forward: what comes over the network is doors and the operator.
    let let_in = [
        network::ingress(network::doors(&plan.spec.namespaces), EVIDENCE_PORT),
        network::ingress(vec![network::operator(settings)], READ_PORT),
        network::admin_from(settings),
    ];
    NetworkPolicy {
        metadata: metadata(plan, None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(network::pod_of(&plan.place.name)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(let_in.into_iter().flatten().collect()),
            egress: Some(egress(plan, settings)),
        }),
    }
}

/// With whom it speaks by itself: the operator, and whoever says whose a token is.
fn egress(plan: &Plan, settings: &Settings) -> Vec<NetworkPolicyEgressRule> {
    let given = plan.spec.recorder.as_ref().map(|wanted| wanted.egress_cidrs.as_slice());
    let given = given.unwrap_or_default();
    let issuers = NetworkPolicyEgressRule {
        // A policy cannot name DNS hosts, and identity providers may be anywhere.
        to: (!given.is_empty()).then(|| network::addresses(given)),
        ports: Some(vec![network::any_port("TCP")]),
    };
    let rules = [
        Some(network::dns()),
        network::operator_api(settings),
        Some(network::api_server(settings)),
        Some(issuers),
    ];
    rules.into_iter().flatten().collect()
}

fn stateful_set(plan: &Plan, settings: &Settings) -> StatefulSet {
    StatefulSet {
        metadata: metadata(plan, None),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(format!("{}-pods", names::recorder(&plan.place.name))),
            selector: selector(plan),
            pod_management_policy: Some("OrderedReady".to_owned()),
            revision_history_limit: Some(3),
            // Whatever happens to the StatefulSet, evidence stays.
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some("Retain".to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::recorder(&plan.place.name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(plan, settings)),
            },
            volume_claim_templates: Some(vec![claim(plan)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn pod(plan: &Plan, settings: &Settings) -> PodSpec {
    let wanted = plan.spec.recorder.as_ref();
    PodSpec {
        service_account_name: Some(names::recorder(&plan.place.name)),
        // By it the API server is asked whose token a door has shown.
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        security_context: Some(pods::pod_security()),
        termination_grace_period_seconds: Some(30),
        node_selector: wanted
            .map(|wanted| wanted.node_selector.clone())
            .filter(|labels| !labels.is_empty()),
        tolerations: wanted
            .map(|wanted| wanted.tolerations.clone())
            .filter(|list| !list.is_empty()),
        containers: vec![container(plan, settings)],
        volumes: Some(pods::volumes()),
        ..PodSpec::default()
    }
}

fn container(plan: &Plan, settings: &Settings) -> Container {
    let mut environment = vec![
        pods::variable("SALLYPORT_NAMESPACE", &plan.place.namespace),
        pods::variable("SALLYPORT_SINK", &plan.place.name),
        pods::variable("SALLYPORT_SINK_UID", &plan.uid),
        pods::variable("SALLYPORT_SINK_NAMESPACES", &plan.spec.namespaces.join(",")),
        pods::variable("SALLYPORT_WITNESS_KEY", &settings.permit_key),
        pods::variable("SALLYPORT_DATA", DATA),
    ];
    if let Some(retention) = &plan.spec.retention {
        environment.push(pods::variable("SALLYPORT_RETENTION_DAYS", &retention.days.to_string()));
    }
    if plan.spec.unconfirmed == Unconfirmed::Refuse {
        environment.push(pods::variable("SALLYPORT_TOKENS_REQUIRED", "true"));
    }
    environment.extend(pods::environment(settings));
    let mut mounts = pods::mounts();
    mounts.push(VolumeMount {
        name: claim_name(plan),
        mount_path: DATA.to_owned(),
        ..VolumeMount::default()
    });
    Container {
        name: "recorder".to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        command: Some(vec!["sallyport-recorder".to_owned()]),
        env: Some(environment),
        ports: Some(vec![
            pods::port("evidence", EVIDENCE_PORT),
            pods::port("read", READ_PORT),
            pods::port("admin", pods::ADMIN_PORT),
        ]),
        resources: Some(
            plan.spec
                .recorder
                .as_ref()
                .and_then(|wanted| wanted.resources.clone())
                .unwrap_or_else(pods::default_resources),
        ),
        security_context: Some(pods::container_security()),
        startup_probe: Some(pods::probe("/healthz", 1, 300)),
        liveness_probe: Some(pods::probe("/healthz", 10, 3)),
        readiness_probe: Some(pods::probe("/readyz", 2, 2)),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// The claim becomes `<this>-recorder-<sink>-0`.
fn claim_name(plan: &Plan) -> String {
    format!("log-{}", plan.uid.chars().take(8).collect::<String>())
}

/// The name of the recorder's claim.
pub fn claim_of(plan: &Plan) -> String {
    format!("{}-{}-0", claim_name(plan), names::recorder(&plan.place.name))
}

fn template_size(plan: &Plan) -> Quantity {
    plan.template_size
        .clone()
        .unwrap_or_else(|| plan.spec.storage.size.clone())
}

fn claim(plan: &Plan) -> PersistentVolumeClaim {
    let mut labels = labels::recorder(&plan.place.name);
    labels.insert(SINK_UID_LABEL.to_owned(), plan.uid.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(claim_name(plan)),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: plan.spec.storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), template_size(plan))].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

#[cfg(test)]
mod tests;
