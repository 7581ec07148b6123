//! Records about one command: what was asked, what was decided, what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::is_zero;
use super::request::RequestRef;
use super::session::{Agent, Person};
use crate::digest::{Digest, hex};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It runs.
    Allow,
    /// It is refused.
    Deny,
    /// A second person is asked.
    Hold,
}

/// A rule as it was when it decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// `metadata.generation` of the policy.
    pub generation: i64,
    /// The policy's name.
    pub policy: String,
    /// The rule's name within the policy.
    pub rule: String,
    /// The policy's uid.
    pub uid: String,
}

/// The verdict and its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// What was decided.
    pub action: Action,
    /// What rules in Observe mode would have decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<Observed>,
    /// Revision of the policy that decided.
    pub policy_revision: u64,
    /// Whether a rule runs it read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// In words, where it is not an Allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The documented risk score, 0 to 100.
    pub risk: u8,
    /// The rules that decided; empty when no rule matched, which is a Deny.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleRef>,
}

/// What a rule in Observe mode would have done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The decision it would have made.
    pub action: Action,
    /// The rule.
    pub rule: RuleRef,
}

/// How a parameter's value is spelled in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// As the text that was sent.
    Text,
    /// Hex of the bytes that were sent in binary format.
    Hex,
    /// SQL NULL.
    Null,
    /// Recognised as a credential; the value is not kept.
    Hidden,
}

/// One bound parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Length of the whole value in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole value, where `value` is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// How `value` is spelled.
    pub encoding: Encoding,
    /// The value, perhaps only its beginning.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}

impl Param {
    /// SQL NULL.
    #[must_use]
    pub fn null() -> Self {
        Self {
            bytes: 0,
            digest: None,
            encoding: Encoding::Null,
            value: String::new(),
        }
    }

    /// A credential: its length is all that is kept.
    #[must_use]
    pub fn hidden(bytes: usize) -> Self {
        Self {
            bytes: bytes as u64,
            digest: None,
            encoding: Encoding::Hidden,
            value: String::new(),
        }
    }

    /// A value in text format; beyond `limit` bytes it is cut (at a character) and its SHA-256 kept.
    #[must_use]
    pub fn text(value: &str, limit: usize) -> Self {
        let kept = super::split::prefix(value, limit);
        let digest = (kept.len() < value.len()).then(|| Digest::of(value.as_bytes()));
        Self {
            bytes: value.len() as u64,
            digest,
            encoding: Encoding::Text,
            value: kept.to_owned(),
        }
    }

    /// A value in binary format; beyond `limit` bytes it is cut and its SHA-256 kept.
    #[must_use]
    pub fn binary(value: &[u8], limit: usize) -> Self {
        let kept = value.get(..limit).unwrap_or(value);
        let digest = (kept.len() < value.len()).then(|| Digest::of(value));
        Self {
            bytes: value.len() as u64,
            digest,
            encoding: Encoding::Hex,
            value: hex(kept),
        }
    }
}

/// What the door intends to do with one command, on disk before it does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Who acts for the person, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Agent>,
    /// Keyed hash (HMAC-SHA-256, hex) of the verbatim bytes and parameters: joins the AccessRequest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// Running number of the command within its session, from 1.
    pub command: u64,
    /// SHA-256 of the whole text as recorded, continuations included.
    pub digest: Digest,
    /// Bound parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// How many [`CommandPart`] records follow with the rest of `text` and `params`. Set by [`super::Batch::push`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts: u32,
    /// The person.
    pub person: Arc<Person>,
    /// The grant that a later run uses, when it is not the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRef>,
    /// Tables it names or reaches, `schema.name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// How many tables did not fit into one record. Set by [`super::Batch::push`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tables_omitted: u32,
    /// The exact text, recognised credentials masked (or all detector hits, where the sink says so).
    pub text: String,
    /// Number of the unit (a Query string, or all messages up to Sync) within the session, from 1.
    pub unit: u64,
    /// Verb classes of every node of the statement (`select`, `delete`, `ddl`…).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<String>,
    /// What was decided.
    pub verdict: Verdict,
}

/// A command's text and parameters, continued: a log entry holds at most 65,535 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandPart {
    /// The command's number.
    pub command: u64,
    /// Parameters, continued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// 1 for the first continuation.
    pub part: u32,
    /// Text, continued.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// The target completed it.
    Executed,
    /// The target answered with an error.
    Failed,
    /// It never ran; [`Outcome::why`] says why.
    #[serde(alias = "skipped")]
    NotRun,
    /// The target vanished, or the session ended, while it ran.
    Unknown,
}

/// Why a command that no rule refused did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NotRun {
    /// It was sent together with a command that was refused: such a unit does not run past its first refusal.
    SentWithRefused,
    /// An earlier command of its unit failed at the target, which then passes over the rest.
    EarlierFailed,
    /// Its intent was not known to be on disk in time, so the client was refused.
    NotRecordedInTime,
    /// The target's catalog changed while it was recorded: what its names mean was judged again, as another command.
    JudgedAgain,
    /// Its client bound it to a portal and never had that executed: the target planned it, and no more.
    NeverExecuted,
}

/// What COPY moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Bytes of CopyData payload, as the client got or sent them: no hash is made of what a mask hides.
    pub bytes: u64,
    /// SHA-256 over them.
    pub sha256: Digest,
}

/// What came of a command that was let through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Bytes of result sent to the client.
    pub bytes: u64,
    /// The command's number.
    pub command: u64,
    /// COPY only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copied>,
    /// From the first byte to the target until its answer was complete.
    pub duration_us: u64,
    /// What became of it.
    pub fate: Fate,
    /// Masked fields by rule or detector.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masked: BTreeMap<String, u64>,
    /// Rows that were returned or affected; of what failed or broke off, those that the client got.
    pub rows: u64,
    /// The target's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// Number of the transaction within the session, from 1; joins [`TransactionEnd`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<u64>,
    /// Whether its client asked for fewer rows than there were and left the rest: `rows` are those that it got, and a change with
    /// RETURNING was made to all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
    /// Why it did not run; [`Fate::NotRun`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<NotRun>,
}

/// How a transaction ended: a command's own success says nothing about a later COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TransactionFate {
    /// The target said so.
    Committed,
    /// Rolled back.
    RolledBack,
    /// Nobody said, or code that nobody sees into may have ended it before.
    Unknown,
}

/// The end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionEnd {
    /// How.
    pub fate: TransactionFate,
    /// Number of the transaction within the session.
    pub transaction: u64,
}
