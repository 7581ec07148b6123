//! Records about a session as a whole: who came in, who was turned away, how it ended.

use serde::{Deserialize, Serialize};

use super::is_zero;
use crate::time::Time;

/// A person, as the identity provider states them. Sameness is `(issuer, subject)`, never the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The issuer's URL.
    pub issuer: String,
    /// The provider's `sub`.
    pub subject: String,
    /// The name after prefixing, as Kubernetes knows it (`oidc:alice`).
    pub username: String,
}

/// One link of the chain of agents that act for the person, nearest first. Sameness is `(issuer, subject)`, never the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The issuer that vouches for the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The agent's `sub`.
    pub subject: String,
    /// The name after prefixing, as the issuer's people have theirs; absent where nobody says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

// === impl Agent ===

impl Agent {
    /// The name, or where there is none the subject.
    pub fn name(&self) -> &str {
        self.username.as_deref().unwrap_or(&self.subject)
    }

    /// Whether both are one agent, by whatever names.
    pub fn is(&self, other: &Self) -> bool {
        (&self.issuer, &self.subject) == (&other.issuer, &other.subject)
    }
}

/// What is kept of the token; never the token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// When the person last proved who they are (`auth_time`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<Time>,
    /// `exp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// `jti`, so that the provider's own log can be joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Time>,
}

/// What the client said of itself before it was known. Recorded; decides nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The program's own name (`application_name`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The database asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The user name typed (`psql -U`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A person came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStart {
    /// Who acts for the person, nearest first; empty when the person acts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Agent>,
    /// What the client claimed.
    #[serde(default)]
    pub claims: Claims,
    /// The client's address and port.
    pub client: String,
    /// Groups after prefixing, as the token states them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// How many groups did not fit into one record. Set by [`super::Batch::push`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub groups_omitted: u32,
    /// The person.
    pub person: Person,
    /// Revision of the policy at admission.
    pub policy_revision: u64,
    /// `postgres`, later `ssh` and `kubernetes`.
    pub protocol: String,
    /// The target's host and port.
    pub target: String,
    /// What is kept of the token.
    #[serde(default)]
    pub token: Token,
    /// Another address by which the same token was in use at this door at that moment, as far as its replicas answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_elsewhere: Option<String>,
}

/// Why somebody was turned away. Closed, since it is also a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// The token does not verify, is expired, or is for another audience.
    BadToken,
    /// The handshake broke the protocol or used what is refused (plaintext, GSSENC, an old version…).
    BadStartup,
    /// The issuer, or the API server, that would have to say whose token it is cannot be asked.
    IssuerUnavailable,
    /// The person is not among the Connection's subjects.
    NotAdmitted,
    /// The door is shut: no accepted policy, a required rule missing.
    DoorShut,
    /// The target could not be reached or did not take its credential.
    TargetUnavailable,
    /// Too many sessions, or too slow.
    Limit,
}

/// Somebody was turned away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRefused {
    /// What the client claimed.
    #[serde(default)]
    pub claims: Claims,
    /// The client's address and port.
    pub client: String,
    /// In words, for an examiner; never holds a token.
    pub detail: String,
    /// The person, where the token verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// Why.
    pub reason: Refusal,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndCause {
    /// The client closed in order.
    ClientClosed,
    /// The client vanished.
    ClientLost,
    /// The target closed or vanished.
    TargetLost,
    /// The token or session ran out of its time.
    Expired,
    /// Idle for too long.
    Idle,
    /// The person lost their right, or policy ended the session.
    Revoked,
    /// The door shuts down in order.
    Shutdown,
    /// The client or the target broke the protocol.
    ProtocolViolation,
    /// No record could be made durable any more.
    EvidenceLost,
    /// A defect of the door.
    Internal,
    /// The door's stream to the recorder broke and did not come back: written by the recorder.
    DoorVanished,
}

/// The one end record of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnd {
    /// Why.
    pub cause: EndCause,
    /// Commands that were judged in this session; where the recorder writes it, those on record.
    pub commands: u64,
    /// Microseconds since the session's start; where the recorder writes it, until the session's last record.
    pub duration_us: u64,
}
