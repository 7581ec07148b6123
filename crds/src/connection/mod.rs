//! Connection: one target behind one door.

mod certificate;
mod identity;
mod limits;
mod protocol;
mod proxy;
mod requires;
mod status;
mod target;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use certificate::Certificate;
pub use identity::{AgentRule, Identity, IssuerReference};
pub use limits::Limits;
pub use protocol::{AlwaysDenied, KubernetesApi, PostgreSql, Protocol, Ssh};
pub use proxy::{Proxy, Service, ServiceType};
pub use requires::Requires;
pub use status::{ConnectionStatus, ProxyCounts, RuleCounts};
pub use target::{CaBundle, Target, TargetTls, TlsMode};

use crate::Subject;
use crate::reference::{LocalReference, SinkReference};

/// One target behind one door.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "Connection",
    namespaced,
    status = "ConnectionStatus",
    shortname = "conn",
    category = "sallyport",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 46 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must be a DNS label of at most 46 characters: Service and Pods are named after it"),
    doc = "One target behind one door: what it is, who may come in, what is required of the rules, and where evidence goes.",
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".spec.protocol"}"#,
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".status.address"}"#,
    printcolumn = r#"{"name":"Rules","type":"string","jsonPath":".status.rules.summary"}"#,
    printcolumn = r#"{"name":"Enforced","type":"string","jsonPath":".status.conditions[?(@.type=='Enforced')].status"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name":"Target","type":"string","jsonPath":".spec.target.host","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self.protocol == 'PostgreSQL' || !has(self.postgresql)").message("postgresql belongs to protocol PostgreSQL"))]
#[x_kube(validation = Rule::new("self.protocol == 'SSH' || !has(self.ssh)").message("ssh belongs to protocol SSH"))]
#[x_kube(validation = Rule::new("self.protocol == 'Kubernetes' || !has(self.kubernetes)").message("kubernetes belongs to protocol Kubernetes"))]
#[x_kube(validation = Rule::new("self.protocol != 'SSH' || has(self.ssh)").message("protocol SSH needs ssh.hostKeys"))]
#[x_kube(validation = Rule::new("self.protocol == 'SSH' || has(self.target.tls)").message("target.tls is needed: say mode VerifyFull, or mode Disable with insecureReason").field_path(".target"))]
#[x_kube(validation = Rule::new("self.protocol != 'SSH' || !has(self.target.tls)").message("protocol SSH has no TLS: leave target.tls out").field_path(".target"))]
#[x_kube(validation = Rule::new("self.sinks.all(a, self.sinks.exists_one(b, a.name == b.name && has(a.__namespace__) == has(b.__namespace__) && (!has(a.__namespace__) || a.__namespace__ == b.__namespace__)))").message("a sink is named twice").field_path(".sinks"))]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSpec {
    /// PostgreSQL, SSH or Kubernetes.
    pub protocol: Protocol,
    /// What is behind the door.
    pub target: Target,
    /// Secret in this namespace with the target's own credential: for PostgreSQL `username` and `password`, or a client certificate (type kubernetes.io/tls) whose common name is the role unless `username` says it, or both. Users of the door never see it. Its annotation `sallyport.dev/hosts` names the hosts it may be used for.
    pub credentials_ref: LocalReference,
    /// Who may come in. Nobody else may.
    #[schemars(length(min = 1, max = 128))]
    pub subjects: Vec<Subject>,
    /// Which agents may act for whom, where their tokens do not say so themselves (`act`, `may_act`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub agents: Vec<AgentRule>,
    /// The rules without which the door stays shut; or `none: true`.
    pub requires: Requires,
    /// Where evidence goes. Each sink must accept a record before it counts as recorded.
    #[schemars(length(min = 1, max = 4))]
    pub sinks: Vec<SinkReference>,
    /// The door's own certificate; by the operator's CA if left out.
    #[serde(default)]
    pub certificate: Certificate,
    /// Whose tokens are taken.
    pub identity: Identity,
    /// Limits of a session.
    #[serde(default)]
    pub limits: Limits,
    /// The workload.
    #[serde(default)]
    pub proxy: Proxy,
    /// For protocol PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<PostgreSql>,
    /// For protocol SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,
    /// For protocol Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesApi>,
}
