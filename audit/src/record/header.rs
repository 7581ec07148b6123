//! The part of a record that a recorder reads: enough to know whose it is, whatever the event holds.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{SessionId, Source, VERSION};
use crate::time::Time;

/// A leaf that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// It is no record.
    #[error("not a record: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer version, which may mean something else by the same words.
    #[error("a record of version {0}, and this program reads up to {VERSION}")]
    Version(u32),
}

/// The kind of an event, by its JSON name. Open, so that a recorder takes kinds that a newer door knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// Opens a session.
    pub const SESSION_START: &str = "sessionStart";
    /// Closes one.
    pub const SESSION_END: &str = "sessionEnd";
    /// What the recorder itself found of whom a door let in.
    pub const ATTESTED: &str = "attested";
    /// An intent.
    pub const COMMAND: &str = "command";
    /// What came of a command; may arrive after its session was declared over.
    pub const OUTCOME: &str = "outcome";
    /// How a transaction ended; may arrive after its session was declared over.
    pub const TRANSACTION_END: &str = "transactionEnd";

    /// Old records were removed.
    pub const PRUNED: &str = "pruned";
    /// Somebody was turned away.
    pub const LOGIN_REFUSED: &str = "loginRefused";
    /// A recorder started on the log.
    pub const LOG_START: &str = "logStart";
    /// A recorder stopped in order.
    pub const LOG_END: &str = "logEnd";

    pub(super) fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Whether only a recorder writes such a record: it speaks of the log itself, or of what the recorder found.
    #[must_use]
    pub fn is_recorders_own(&self) -> bool {
        matches!(
            self.as_str(),
            Self::ATTESTED | Self::LOG_START | Self::LOG_END | Self::PRUNED
        )
    }

    /// Whether such a record ends something that is on record already: it is still taken when a volume runs out of room for
    /// anything new.
    #[must_use]
    pub fn closes(&self) -> bool {
        Self::is_closing(self.as_str())
    }

    pub(super) fn is_closing(kind: &str) -> bool {
        matches!(
            kind,
            Self::OUTCOME
                | Self::TRANSACTION_END
                | Self::SESSION_END
                | "denied"
                | "withdrawn"
                | "expired"
                | Self::LOG_END
                | Self::PRUNED
        )
    }

    /// The JSON name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;
        impl<'de> Visitor<'de> for OneKey {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the event's kind as its only key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
                let Some((kind, Object(IgnoredAny))) = map.next_entry::<String, Object<IgnoredAny>>()? else {
                    return Err(serde::de::Error::custom("an event without a kind"));
                };
                match map.next_key::<IgnoredAny>()? {
                    Some(_) => Err(serde::de::Error::custom("an event of two kinds")),
                    None => Ok(Kind(Cow::Owned(kind))),
                }
            }
        }
        deserializer.deserialize_map(OneKey)
    }
}

/// Something that is spelled as an object. A struct reads from a list of its values as well, which other readers would not take
/// for the same.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Named<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Named(PhantomData)).map(Self)
    }
}

fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(inner)| inner)
}

/// Whose record it is and what kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Header {
    /// The kind of event.
    #[serde(rename = "event")]
    pub kind: Kind,
    /// The session it belongs to.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// Who states it.
    #[serde(deserialize_with = "object")]
    pub source: Source,
    /// When, by the writer's clock.
    pub time: Time,
    /// The schema's version.
    pub v: u32,
}

impl Header {
    /// Reads a leaf's header.
    ///
    /// # Errors
    /// When it is not a record.
    pub fn parse(leaf: &[u8]) -> Result<Self, HeaderError> {
        let Object(header) = serde_json::from_slice(leaf)?;
        Ok(header)
    }
}
