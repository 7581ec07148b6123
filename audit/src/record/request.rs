//! Records about a question to a second person.

use serde::{Deserialize, Serialize};

use super::source::ObjectRef;
use crate::time::Time;

/// An AccessRequest by name and uid: a grant binds to the uid, since names can be made again.
pub type RequestRef = ObjectRef;

/// One person's entry in `status.approvals`, as the API server authenticated it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    /// The id of their answer in the API server's own audit log, as their client chose it and they say it.
    #[serde(default, rename = "auditID", skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<String>,
    /// Their reason, where they gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// The API server's uid of the user: (issuer, sub) where the configuration maps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The API server's name of the user.
    pub username: String,
}

/// A command waits, or was refused with the request's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The command's number.
    pub command: u64,
    /// When the request expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// The question.
    pub request: RequestRef,
    /// Whether the client waits in place (`Wait`) or was refused for now (`Refuse`).
    pub waits: bool,
}

/// The request was approved, and this door saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Everybody whose approval counts.
    pub approvers: Vec<Approver>,
    /// The command's number; 0 where no session waited for the answer: the `hold` of the same request names the command.
    pub command: u64,
    /// The question.
    pub request: RequestRef,
    /// Microseconds from hold to approval, as the door waited; 0 where no session waited.
    #[serde(rename = "waitedUs")]
    pub waited_us: u64,
}

/// The request was denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The command's number.
    pub command: u64,
    /// Who said no.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deniers: Vec<Approver>,
    /// The question.
    pub request: RequestRef,
}

/// The question was taken back, ran out of time, or was closed by the system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The command's number.
    pub command: u64,
    /// In words: the client cancelled or left; the hold's longest time is over; admission changed…
    pub reason: String,
    /// The question.
    pub request: RequestRef,
}

/// A grant was claimed: `Consumed` is set and carries this nonce. Spent, not yet executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Everybody whose approval is used.
    pub approvers: Vec<Approver>,
    /// The command's number.
    pub command: u64,
    /// The claimant's nonce, read back from the API server.
    pub nonce: String,
    /// The question.
    pub request: RequestRef,
}

/// Another person looked at a use of break-glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// The command's number; see [`Approved::command`].
    pub command: u64,
    /// What stands for the use.
    pub request: RequestRef,
    /// Who looked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<Approver>,
}

/// Glass was broken: a command that needs a second person runs without one. It is reviewed afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The command's number.
    pub command: u64,
    /// Why, in the person's own words.
    pub reason: String,
    /// What stands for the use until it is reviewed.
    pub request: RequestRef,
    /// When the use ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}
