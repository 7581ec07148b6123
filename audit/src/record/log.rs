//! Records about the log and the policy themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::source::ObjectRef;
use crate::digest::Digest;

/// The first record of every log, and one at every start of its recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStart {
    /// Number of the operator's permit under which this recorder writes (see [`crate::permit`]); none where no operator is
    /// asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The log's name, in its checkpoints and key.
    pub origin: String,
    /// Root of the tree that the recorder found, in hex; only after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Digest>,
    /// The AuditSink.
    pub sink: ObjectRef,
    /// Records that the recorder found at its start: 0 at the log's birth.
    pub size: u64,
    /// The log's public key, as C2SP verifier key.
    pub vkey: String,
}

/// The recorder stops in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// In words.
    pub reason: String,
}

/// Records were removed from the log's volume, because they were kept for as long as the sink says. Their hashes stay, so that
/// everything after them can still be proved; that they are gone is told by this record alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// All records before this place are gone (a multiple of 256).
    pub before: u64,
    /// For how many seconds at least each was kept.
    #[serde(rename = "keptSecs")]
    pub kept_secs: u64,
}

/// A door began to enforce another policy, or to hash or make tokens by another key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// SHA-256 of the carrier's payload.
    pub digest: Digest,
    /// The revision before; `None` at start. The same as `to` where a Secret changed that holds a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// By which key each Hash rule hashes, by the rule's name: ids, which tell keys apart and nothing of them.
    #[serde(default, rename = "hashKeys", skip_serializing_if = "BTreeMap::is_empty")]
    pub hash_keys: BTreeMap<String, String>,
    /// The revision now enforced.
    pub to: u64,
    /// By which key each Tokenize rule encrypts, as `hash_keys`.
    #[serde(default, rename = "tokenKeys", skip_serializing_if = "BTreeMap::is_empty")]
    pub token_keys: BTreeMap<String, String>,
}
