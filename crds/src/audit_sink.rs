//! AuditSink: where evidence goes. One log with one recorder.

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::Duration;
use crate::reference::SecretKeyReference;

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
    doc = "Where evidence goes: one append-only log with one recorder, and the destinations to which it is copied.",
    printcolumn = r#"{"name":"Durability","type":"string","jsonPath":".spec.durability"}"#,
    printcolumn = r#"{"name":"Records","type":"integer","jsonPath":".status.checkpoint.size"}"#,
    printcolumn = r#"{"name":"Connections","type":"integer","jsonPath":".status.connections"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AuditSinkSpec {
    /// Namespaces from which Connections may name this sink. Its own is not implied.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
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
    /// Exact (default), or Masked: detector hits in the command's text are masked in records too. Recognised credentials always are.
    #[serde(default)]
    pub command_text: CommandText,
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
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// StorageClass; the cluster's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Size of the volume. May grow, never shrink.
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

/// One place to which the log is copied. Exactly one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.s3), has(self.webhook), has(self.syslog), has(self.nats), has(self.kafka), has(self.stdout)].filter(x, x).size() == 1").message("give exactly one of s3, webhook, syslog, nats, kafka, stdout"))]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Name, unique within the sink.
    #[schemars(length(min = 1, max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// An S3 bucket with object lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// An HTTPS endpoint; bodies are signed by HMAC-SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Syslog (RFC 5424) over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Syslog>,
    /// NATS JetStream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<Nats>,
    /// Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Kafka>,
    /// The recorder's standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Stdout>,
}

/// An S3 bucket. Its default retention makes objects immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3 {
    /// Endpoint, for services other than AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,
    /// Region.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// Bucket.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Prefix of all object names.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub prefix: String,
    /// Secret with `accessKeyId` and `secretAccessKey`; the Pod's own identity if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<crate::reference::LocalReference>,
}

/// An HTTPS endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Address; https only.
    #[schemars(length(min = 9, max = 1024), pattern("^https://"))]
    pub url: String,
    /// Key of the signature.
    pub hmac_key_secret_ref: SecretKeyReference,
    /// PEM bundle by which the endpoint's certificate is checked; the system's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub ca_bundle: Option<String>,
}

/// Syslog over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Syslog {
    /// Host and port, such as `siem.bank.example:6514`.
    #[schemars(length(min = 3, max = 261))]
    pub address: String,
    /// PEM bundle by which the server's certificate is checked; the system's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub ca_bundle: Option<String>,
    /// Client certificate (a kubernetes.io/tls Secret).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<crate::reference::LocalReference>,
}

/// NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nats {
    /// Servers, such as `tls://nats.bank.example:4222`.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 512)))]
    pub servers: Vec<String>,
    /// Stream.
    #[schemars(length(min = 1, max = 256))]
    pub stream: String,
    /// Secret with credentials (`nats.creds`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<crate::reference::LocalReference>,
    /// Whether this stream, not the recorder's volume, is what makes a record durable.
    #[serde(default)]
    pub authoritative: bool,
}

/// Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kafka {
    /// Bootstrap servers, host and port.
    #[schemars(length(min = 1, max = 8), inner(length(min = 3, max = 261)))]
    pub bootstrap_servers: Vec<String>,
    /// Topic.
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
    /// Secret with `username` and `password` (SCRAM-SHA-512).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<crate::reference::LocalReference>,
    /// Whether this topic, not the recorder's volume, is what makes a record durable.
    #[serde(default)]
    pub authoritative: bool,
}

/// The recorder's standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stdout {}

/// How long records are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Days. Hashes stay, so that what is kept can still be proved.
    #[schemars(range(min = 1, max = 36_500))]
    pub days: i32,
}

/// What is recorded of terminals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
}

/// State of an AuditSink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditSinkStatus {
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Programmed, Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many Connections name this sink.
    #[serde(default)]
    pub connections: i32,
    /// Where proxies send records, host and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The log's origin as it stands in checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The log's verifier key, as C2SP signed-note writes it. Keep a copy elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier_key: Option<String>,
    /// The latest checkpoint that was found consistent with all before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
}

/// A checkpoint of the log, signed by the recorder and cosigned by the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// How many records the log held.
    pub size: i64,
    /// Root of the Merkle tree (RFC 6962), base64.
    pub root: String,
    /// The signed note in full (C2SP tlog-checkpoint).
    pub note: String,
    /// When the operator checked it, RFC 3339.
    pub time: String,
}

fn yes() -> bool {
    true
}
