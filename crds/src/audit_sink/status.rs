//! State of an AuditSink.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of an AuditSink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditSinkStatus {
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Programmed, Ready; Degraded and Advisory where they apply.
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
    /// The operator's verifier key for cosignatures on checkpoints, as C2SP signed-note writes it. Keep a copy elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness_key: Option<String>,
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
