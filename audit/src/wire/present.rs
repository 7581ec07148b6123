//! The token of a session that is about to start, and what the recorder says of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::MAX_PRESENT_BYTES;
use crate::record::{Agent, Person, SessionId};

/// By which token a session is about to start, and whom the door took it for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Who acts for the person, as the start record will state them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Agent>,
    /// The person, as the start record will state them.
    pub person: Person,
    /// The session.
    pub session: SessionId,
    /// The token, or a person's and their agent's own with a comma between them, as the client presented it.
    pub token: Token,
}

/// What a client presented. It goes over the stream and nowhere else: it has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

/// The recorder's answer to a [`Present`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// Why it takes no such session; it takes it if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Unvouched>,
    /// The session.
    pub session: SessionId,
}

/// Why the recorder takes no session by a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unvouched {
    /// Nobody could be asked: the same token may pass later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later: bool,
    /// For an examiner; never holds a token.
    pub reason: String,
}

// === impl Present ===

impl Present {
    /// Whether it fits into its frame: a longer one would end the stream for every session of the door.
    #[must_use]
    pub fn fits(&self) -> bool {
        serde_json::to_vec(self).is_ok_and(|json| json.len() <= MAX_PRESENT_BYTES)
    }
}

// === impl Token ===

impl Token {
    /// What a client presented; `None` for bytes that are no text, and so no token.
    #[must_use]
    pub fn new(presented: &[u8]) -> Option<Self> {
        std::str::from_utf8(presented).ok().map(|text| Self(text.to_owned()))
    }

    /// The bytes, for whoever checks them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
