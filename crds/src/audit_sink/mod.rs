//! AuditSink: where evidence goes. One log with one recorder.

mod destination;
mod status;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use destination::{Destination, Kafka, Nats, S3, Stdout, Syslog, Webhook};
pub use status::{AuditSinkStatus, Checkpoint};

use crate::Duration;

/// Where evidence goes: one log with one recorder.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "AuditSink",
    namespaced,
    status = "AuditSinkStatus",
    shortname = "sink",
    category = "sallyport",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must be a DNS label of at most 40 characters: Service and Pod are named after it"),
    doc = "Where evidence goes: one append-only log with one recorder, and the destinations to which it is copied.",
    printcolumn = r#"{"name":"Durability","type":"string","jsonPath":".spec.durability"}"#,
    printcolumn = r#"{"name":"Records","type":"integer","jsonPath":".status.checkpoint.size"}"#,
    printcolumn = r#"{"name":"Connections","type":"integer","jsonPath":".status.connections"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("(self.durability == 'Async') == has(self.async)").message("durability Async needs async with maxRecords and maxLag, and no other durability takes it"))]
#[x_kube(validation = Rule::new("self.unconfirmed == 'Record' || self.durability == 'BeforeExecution'").message("unconfirmed Refuse needs durability BeforeExecution"))]
#[x_kube(validation = Rule::new("!has(self.destinations) || self.destinations.filter(d, has(d.nats) && d.nats.authoritative || has(d.kafka) && d.kafka.authoritative).size() <= 1").message("only one destination can be authoritative").field_path(".destinations"))]
#[serde(rename_all = "camelCase")]
pub struct AuditSinkSpec {
    /// Namespaces from which Connections may name this sink. Its own is not implied.
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub namespaces: Vec<String>,
    /// The recorder's volume.
    pub storage: Storage,
    /// BeforeExecution (default): nothing runs until its record is durable. Async: bounded lag, stated loss.
    #[serde(default)]
    pub durability: Durability,
    /// How far Async may lag; for durability Async.
    #[serde(default, rename = "async", skip_serializing_if = "Option::is_none")]
    pub asynchronous: Option<Asynchronous>,
    /// Exact (default), or Masked: detector hits in the command's text are masked in records too. Recognised credentials always are. Where a Connection has several sinks and one says Masked, texts are masked for all of them.
    #[serde(default)]
    pub command_text: CommandText,
    /// Record (default): a session whose token no door has shown the recorder is taken and marked as known by the door's word alone, so a broken door can invent people. Refuse: it is not taken.
    #[serde(default)]
    pub unconfirmed: Unconfirmed,
    /// Where the log is copied to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub destinations: Vec<Destination>,
    /// How long records are kept; for ever if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// What is recorded of terminals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// The log's signing key.
    #[serde(default)]
    pub signing_key: SigningKey,
    /// The recorder's Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<RecorderPod>,
}

/// The recorder's volume claim. Volumes outlive the sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)").message("storageClassName cannot change: make another sink").field_path(".storageClassName"))]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// StorageClass; the cluster's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Size of the volume. May grow, never shrink.
    #[x_kube(validation = Rule::new("isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('1Mi'))").message("size must be more than 1Mi, such as 10Gi"))]
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0").message("a volume grows but never shrinks"))]
    pub size: Quantity,
}

/// When a command may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Durability {
    /// After its record is on disk.
    #[default]
    BeforeExecution,
    /// At once; records follow within a bounded lag.
    Async,
}

/// How far [`Durability::Async`] may lag. Past either bound the door refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asynchronous {
    /// At most this many records may be on their way from one process.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_records: i32,
    /// No record may be on its way for longer.
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('5m')").message("maxLag must be between 100ms and 5m"))]
    pub max_lag: Duration,
}

/// How a command's text is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CommandText {
    /// As it was sent.
    #[default]
    Exact,
    /// With detector hits masked.
    Masked,
}

/// What becomes of a session whose token the recorder was not shown, and so could not check itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unconfirmed {
    /// It is recorded, and that nobody but the door says who it was: one that is broken into can invent people.
    #[default]
    Record,
    /// It is not taken: who is in the log was proved to the recorder.
    Refuse,
}

/// How long records are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Days. Hashes stay, so that what is kept can still be proved.
    #[schemars(range(min = 1, max = 36_500))]
    pub days: i32,
}

/// What is recorded of terminals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.terminal || !self.input").message("input is a part of the terminal's recording: set terminal: true"))]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    /// Whether terminal sessions are recorded as asciicast, masked as the person saw them.
    #[serde(default = "yes")]
    pub terminal: bool,
    /// Whether what the person types is recorded too.
    #[serde(default)]
    pub input: bool,
}

/// The log's signing key. The recorder makes it; nobody else has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    /// Algorithm.
    #[serde(default)]
    pub algorithm: SigningAlgorithm,
}

/// Algorithms of [`SigningKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8032), as in C2SP signed-note.
    #[default]
    Ed25519,
}

/// The recorder's Pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecorderPod {
    /// Requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels of nodes it may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints it tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// Where it may connect beyond DNS, operator and API server; anywhere if left out.
    #[serde(default, rename = "egressCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(range, isCIDR(range))").message("egressCIDRs holds what is no CIDR, such as 10.0.0.0/8"))]
    pub egress_cidrs: Vec<String>,
}

fn yes() -> bool {
    true
}
