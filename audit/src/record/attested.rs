//! What the recorder itself found of whom a door let in.

use serde::{Deserialize, Serialize};

use super::Person;

/// What the recorder itself found of whom a door let in. Only a recorder writes it: right after the session's start, or,
/// where it did not take the session, without one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// In words, where the finding does not say it all; never holds a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it found.
    pub finding: Finding,
    /// Whom the token proves, where it proves anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
}

/// What the recorder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// The token proves the person, and the agents that act for them, whom the session's start states.
    Proved,
    /// The door presented no token: it is of a version that presents none, its sink is one that waits for no recorder and this
    /// one was away, or it has none to present.
    NotPresented,
    /// A token was presented, and the recorder has not been told whose tokens count.
    NotChecked,
    /// The recorder runs in the door's own process: its word would be the door's own.
    SameProcess,
    /// No token proves whom the door states, and the recorder did not take the session.
    Refused,
}

// === impl Attested ===

impl Attested {
    /// A finding that says it all.
    #[must_use]
    pub fn new(finding: Finding) -> Self {
        Self {
            detail: None,
            finding,
            person: None,
        }
    }

    /// In words, as well.
    #[must_use]
    pub fn saying(finding: Finding, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::new(finding)
        }
    }
}
