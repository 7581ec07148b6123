//! The door's Deployment.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Probe, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sallyport_crds::names;

use super::{DOOR_CONTAINER, DOOR_PORT, PEER_PORT, metadata, selector};
use crate::connection::plan::Plan;
use crate::settings::Settings;
use crate::shared::{labels, pods};

/// Sessions have this long to end when a Pod is told to stop.
const GRACE_SECONDS: i64 = 60;

pub(super) fn deployment(plan: &Plan, settings: &Settings) -> Deployment {
    Deployment {
        metadata: metadata(plan),
        spec: Some(DeploymentSpec {
            replicas: Some(plan.spec.proxy.replicas),
            selector: selector(plan),
            revision_history_limit: Some(3),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::door(&plan.name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(plan, settings)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn pod(plan: &Plan, settings: &Settings) -> PodSpec {
    let proxy = &plan.spec.proxy;
    PodSpec {
        service_account_name: Some(names::door(&plan.name)),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        security_context: Some(pods::pod_security()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        node_selector: (!proxy.node_selector.is_empty()).then(|| proxy.node_selector.clone()),
        tolerations: (!proxy.tolerations.is_empty()).then(|| proxy.tolerations.clone()),
        topology_spread_constraints: Some(spread(plan)),
        priority_class_name: proxy.priority_class_name.clone(),
        containers: vec![container(plan, settings)],
        volumes: Some(pods::volumes()),
        ..PodSpec::default()
    }
}

fn container(plan: &Plan, settings: &Settings) -> Container {
    let mut environment = vec![
        pods::variable("SALLYPORT_NAMESPACE", &plan.namespace),
        pods::variable("SALLYPORT_CONNECTION", &plan.name),
        pods::variable("SALLYPORT_CONNECTION_UID", &plan.uid),
    ];
    environment.extend(pods::environment(settings));
    Container {
        name: DOOR_CONTAINER.to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        command: Some(vec!["sallyport-proxy".to_owned()]),
        env: Some(environment),
        ports: Some(vec![
            pods::port("door", DOOR_PORT),
            pods::port("admin", pods::ADMIN_PORT),
            pods::port("peers", PEER_PORT),
        ]),
        resources: Some(
            plan.spec
                .proxy
                .resources
                .clone()
                .unwrap_or_else(pods::default_resources),
        ),
        security_context: Some(pods::container_security()),
        startup_probe: Some(pods::probe("/healthz", 1, 60)),
        liveness_probe: Some(pods::probe("/healthz", 10, 3)),
        readiness_probe: Some(Probe {
            success_threshold: Some(1),
            ..pods::probe("/readyz", 2, 2)
        }),
        volume_mounts: Some(pods::mounts()),
        ..Container::default()
    }
}

/// What the user says, or: over nodes, as well as it goes.
fn spread(plan: &Plan) -> Vec<TopologySpreadConstraint> {
    let wanted = &plan.spec.proxy.topology_spread_constraints;
    if !wanted.is_empty() {
        return wanted.clone();
    }
    vec![TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector(plan)),
        ..TopologySpreadConstraint::default()
    }]
}
