//! What all Pods of the operator's making have in common: the `Restricted` pod security standard, the Pod-bound token by
//! which they ask for certificates, and how they are probed.

use k8s_openapi::api::core::v1::{
    Capabilities, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector,
    PodSecurityContext, Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecurityContext,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sallyport_crds::names::OPERATOR_AUDIENCE;

use crate::settings::Settings;

/// Admin port of every program: metrics and probes, never traffic.
pub const ADMIN_PORT: i32 = 9090;
/// User and group of all programs.
const NOBODY: i64 = 65_532;
/// Where the Pod-bound token for the operator is mounted.
const TOKEN_DIRECTORY: &str = "/var/run/secrets/sallyport";
/// The kubelet renews tokens at 80 % of this; ten minutes is the shortest that Kubernetes allows.
const TOKEN_SECONDS: i64 = 600;

/// Non-root, with the default seccomp profile.
pub fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        fs_group: Some(NOBODY),
        // Large volumes are not walked at each start when their root already belongs to the group.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// Read-only root, no capabilities, no way to gain any.
pub fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

/// What every Pod knows about itself and the operator.
pub fn environment(settings: &Settings) -> Vec<EnvVar> {
    vec![
        from_field("SALLYPORT_POD_NAME", "metadata.name"),
        from_field("SALLYPORT_POD_UID", "metadata.uid"),
        from_field("SALLYPORT_POD_IP", "status.podIP"),
        variable("SALLYPORT_OPERATOR_URL", &settings.operator_url),
        variable("SALLYPORT_OPERATOR_CA", &settings.workload_bundle),
        variable("SALLYPORT_CARRIER_KEYS", &settings.carrier_keys),
        variable("SALLYPORT_TOKEN_FILE", &format!("{TOKEN_DIRECTORY}/token")),
    ]
}

/// An environment variable.
pub fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..EnvVar::default()
    }
}

fn from_field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector {
        field_path: path.to_owned(),
        ..ObjectFieldSelector::default()
    };
    let source = EnvVarSource {
        field_ref: Some(field),
        ..EnvVarSource::default()
    };
    EnvVar {
        name: name.to_owned(),
        value_from: Some(source),
        ..EnvVar::default()
    }
}

/// The token for the operator, bound to the Pod, and a small place to write.
pub fn volumes() -> Vec<Volume> {
    let token = ServiceAccountTokenProjection {
        audience: Some(OPERATOR_AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: "token".to_owned(),
    };
    vec![
        Volume {
            name: "operator-token".to_owned(),
            projected: Some(ProjectedVolumeSource {
                sources: Some(vec![VolumeProjection {
                    service_account_token: Some(token),
                    ..VolumeProjection::default()
                }]),
                ..ProjectedVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("64Mi".to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
    ]
}

/// Where [`volumes`] are mounted.
pub fn mounts() -> Vec<VolumeMount> {
    vec![
        VolumeMount {
            name: "operator-token".to_owned(),
            mount_path: TOKEN_DIRECTORY.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        },
        VolumeMount {
            name: "tmp".to_owned(),
            mount_path: "/tmp".to_owned(),
            ..VolumeMount::default()
        },
    ]
}

/// A named TCP port of a container.
pub fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// Asks the admin port.
pub fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("admin".to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

/// What is asked for where the user says nothing.
pub fn default_resources() -> ResourceRequirements {
    let requests = [("cpu", "50m"), ("memory", "64Mi")];
    ResourceRequirements {
        requests: Some(
            requests
                .map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())))
                .into(),
        ),
        ..ResourceRequirements::default()
    }
}
