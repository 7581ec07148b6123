//! Connection: one target behind one door.

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::reference::{ConfigMapKeyReference, LocalReference, SinkReference};
use crate::{Duration, Subject};

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
#[serde(rename_all = "camelCase")]
pub struct ConnectionSpec {
    /// PostgreSQL, SSH or Kubernetes.
    pub protocol: Protocol,
    /// What is behind the door.
    pub target: Target,
    /// Secret in this namespace with the target's own credential (`username` and `password` for PostgreSQL). Users of the door never see it. Its annotation `sallyport.dev/hosts` names the hosts it may be used for.
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

/// Protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// PostgreSQL 15 to 18.
    PostgreSQL,
    /// SSH.
    #[serde(rename = "SSH")]
    Ssh,
    /// A Kubernetes API.
    Kubernetes,
}

/// What is behind the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Host name or address.
    #[schemars(length(min = 1, max = 253), pattern("^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$"))]
    pub host: String,
    /// Port.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// How the target's certificate is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TargetTls>,
}

/// How the target's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.mode == 'Disable') == has(self.insecureReason)").message("mode Disable needs insecureReason, in so many words; no other mode takes it"))]
#[x_kube(validation = Rule::new("self.mode != 'Disable' || !has(self.caBundle) && !has(self.serverName)").message("caBundle and serverName mean nothing with mode Disable"))]
#[serde(rename_all = "camelCase")]
pub struct TargetTls {
    /// VerifyFull (default), or Disable.
    #[serde(default)]
    pub mode: TlsMode,
    /// The CAs that may have signed it; the system's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// The name it must carry; `target.host` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// Why values may cross the network in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 512))]
    pub insecure_reason: Option<String>,
}

/// TLS towards the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// The chain and the host name are checked.
    #[default]
    VerifyFull,
    /// No TLS.
    Disable,
}

/// A PEM bundle, in place or in a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.inline) != has(self.configMapKeyRef)").message("give exactly one of inline and configMapKeyRef"))]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// The PEM text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub inline: Option<String>,
    /// A ConfigMap of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyReference>,
}

/// Which agents may act for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentRule {
    /// The agent.
    pub agent: Subject,
    /// The people it may act for.
    #[schemars(length(min = 1, max = 32))]
    pub acts_for: Vec<Subject>,
}

/// The rules without which the door stays shut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(has(self.none) && self.none) != (has(self.maskingRules) && size(self.maskingRules) > 0 || has(self.approvalPolicies) && size(self.approvalPolicies) > 0)").message("name maskingRules and approvalPolicies that must hold, or say none: true, and not both"))]
#[serde(rename_all = "camelCase")]
pub struct Requires {
    /// MaskingRules of this namespace, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub masking_rules: Vec<String>,
    /// ApprovalPolicies of this namespace, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub approval_policies: Vec<String>,
    /// No rule is required: in so many words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<bool>,
}

/// The door's own certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// A kubernetes.io/tls Secret of this namespace. Left out: the operator's own CA issues one and rotates it; its bundle stands in `status.caBundle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// More names and addresses for the certificate that the operator issues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub names: Vec<String>,
}

/// Whose tokens are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.issuers) && size(self.issuers) > 0 || has(self.serviceAccounts) && self.serviceAccounts").message("name at least one issuer, or set serviceAccounts: true: otherwise nobody could come in"))]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Issuers of the operator's configuration, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub issuers: Vec<IssuerReference>,
    /// Whether ServiceAccount tokens with the audience `sallyport://namespace/name` are taken.
    #[serde(default)]
    pub service_accounts: bool,
}

/// An issuer of the operator's configuration. What is given here only narrows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerReference {
    /// Name in the operator's configuration.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Only this one of the issuer's audiences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub audience: Option<String>,
    /// Only members of one of these groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub groups: Vec<String>,
}

/// Limits of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// A session ends after this time.
    #[serde(default = "max_duration")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("maxDuration must be between 10s and 168h"))]
    pub max_duration: Duration,
    /// A session ends after this time without a command.
    #[serde(default = "idle")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("idle must be between 10s and 168h"))]
    pub idle: Duration,
    /// A token may be at most this old at login (`iat`).
    #[serde(default = "max_token_age")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("maxTokenAge must be between 10s and 168h"))]
    pub max_token_age: Duration,
    /// Sessions at one time, of each proxy.
    #[serde(default = "max_sessions")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_sessions: i32,
    /// Sessions at one time, of each person and proxy.
    #[serde(default = "max_sessions_per_person")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_sessions_per_person: i32,
    /// Open AccessRequests of each person.
    #[serde(default = "max_open_requests")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_open_requests_per_person: i32,
    /// How long a known policy is enforced while the API server is away; then the door closes.
    #[serde(default = "policy_grace")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("policyGrace must be between 10s and 168h"))]
    pub policy_grace: Duration,
}

/// The workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// How many Pods.
    #[serde(default = "replicas")]
    #[schemars(range(min = 0, max = 64))]
    pub replicas: i32,
    /// Requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The Service in front of the Pods.
    #[serde(default)]
    pub service: Service,
    /// Labels of nodes the Pods may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints the Pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// How the Pods are spread.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// PriorityClass of the Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Where the Pods may connect to beyond DNS, recorder and API server; anywhere if left out.
    #[serde(default, rename = "egressCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub egress_cidrs: Vec<String>,
}

/// The Service in front of the Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.nodePort) || self.type == 'NodePort'").message("nodePort belongs to type NodePort"))]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// ClusterIP (default), NodePort or LoadBalancer.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,
    /// The port that clients dial; the protocol's own if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
    /// For type NodePort; chosen by the cluster if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub node_port: Option<i32>,
    /// Annotations for the cloud's load balancer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Types of [`Service`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Reached within the cluster.
    #[default]
    ClusterIP,
    /// Reached at every node.
    NodePort,
    /// Reached through the cloud's load balancer.
    LoadBalancer,
}

/// What belongs to PostgreSQL alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgreSql {
    /// Databases that may be asked for; any if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub databases: Vec<String>,
    /// Opens what is otherwise denied whatever the rules say. Policies still apply to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub open: Vec<AlwaysDenied>,
}

/// What is denied on PostgreSQL whatever the rules say, since one shared role at the target makes each everybody's problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AlwaysDenied {
    /// CREATE, ALTER and DROP of roles, and their settings.
    Roles,
    /// SET SESSION AUTHORIZATION and SET ROLE to another role.
    SessionAuthorization,
    /// ALTER SYSTEM.
    AlterSystem,
    /// LOAD.
    Load,
    /// COPY to and from files and programs.
    ServerFiles,
    /// Functions that read and write files of the server, large objects among them.
    ServerFileFunctions,
    /// pg_terminate_backend, pg_cancel_backend and their like.
    SignalBackends,
    /// Logical decoding, replication slots and origins.
    Replication,
    /// Functions in C or an untrusted language.
    UntrustedFunctions,
}

/// What belongs to SSH alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ssh {
    /// The target's host keys, as in known_hosts without the host (`ssh-ed25519 AAAA…`).
    #[schemars(length(min = 1, max = 8), inner(length(min = 16, max = 2_048)))]
    pub host_keys: Vec<String>,
    /// Accounts of the target that may be asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub accounts: Vec<String>,
    /// What may be forwarded. Nothing if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 3, max = 261)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub forward_to: Vec<String>,
}

/// What belongs to Kubernetes APIs alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesApi {
    /// Prefix put before the user names that are impersonated at the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub user_prefix: Option<String>,
    /// Groups that may be impersonated; all of the person's if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub groups: Vec<String>,
}

/// State of a Connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStatus {
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Programmed, Enforced, Ready, Degraded, Advisory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What a client dials, host and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// PEM bundle by which clients check the door's certificate, where the operator's CA issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// What applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RuleCounts>,
    /// Revision of the policy that proxies are to run. Only grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Processes that hold or may hold sessions, and how many of them run the present revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ProxyCounts>,
}

/// How many rules apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleCounts {
    /// MaskingRules.
    pub masking_rules: i32,
    /// ApprovalPolicies.
    pub approval_policies: i32,
    /// Both, for `kubectl get`: `2 masks, 1 policy`.
    pub summary: String,
}

/// How many processes enforce the present revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyCounts {
    /// Processes that count.
    pub total: i32,
    /// Those that confirmed the present revision within the last 5 s.
    pub enforcing: i32,
}

fn max_duration() -> Duration {
    Duration::from_secs(8 * 3_600)
}

fn idle() -> Duration {
    Duration::from_secs(30 * 60)
}

fn max_token_age() -> Duration {
    Duration::from_secs(12 * 3_600)
}

fn max_sessions() -> i32 {
    2_000
}

fn max_sessions_per_person() -> i32 {
    200
}

fn max_open_requests() -> i32 {
    20
}

fn policy_grace() -> Duration {
    Duration::from_secs(3_600)
}

fn replicas() -> i32 {
    2
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration: max_duration(),
            idle: idle(),
            max_token_age: max_token_age(),
            max_sessions: max_sessions(),
            max_sessions_per_person: max_sessions_per_person(),
            max_open_requests_per_person: max_open_requests(),
            policy_grace: policy_grace(),
        }
    }
}

// === impl Proxy ===

impl Default for Proxy {
    fn default() -> Self {
        Self {
            replicas: replicas(),
            resources: None,
            service: Service::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            topology_spread_constraints: Vec::new(),
            priority_class_name: None,
            egress_cidrs: Vec::new(),
        }
    }
}

// === impl Protocol ===

impl Protocol {
    /// The port of the protocol where none is given.
    pub fn default_port(self) -> i32 {
        match self {
            Self::PostgreSQL => 5432,
            Self::Ssh => 22,
            Self::Kubernetes => 443,
        }
    }
}
