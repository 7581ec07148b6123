//! Who wrote a record, and its running number.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

use crate::digest::hex;

/// A Kubernetes object by name and by uid: the uid tells namesakes apart after a delete and re-create.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: String,
}

/// The Pod that a process runs in (host name and boot id where there is no cluster).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodRef {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

/// One start of one process: 128 random bits in hex. Running numbers count within it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(Arc<str>);

/// One session at a door: 128 random bits in hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Arc<str>);

/// The system's source of randomness failed; nothing that needs an unguessable name may go on.
#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct RandomError;

fn random_name() -> Result<Arc<str>, RandomError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(hex(&bytes).into())
}

macro_rules! name {
    ($type:ident) => {
        impl $type {
            /// A fresh random name.
            ///
            /// # Errors
            /// When the system gives no randomness.
            pub fn random() -> Result<Self, RandomError> {
                random_name().map(Self)
            }

            /// Reads a name: 32 lower-case hex digits, nothing else, so that it is safe in paths and logs.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                (text.len() == 32 && text.bytes().all(hex)).then(|| Self(text.into()))
            }

            /// The name itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(Instance);
name!(SessionId);

/// Which program stated a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Writer {
    /// A door.
    Proxy,
    /// The recorder itself: births and ends of logs, what it found of whom doors let in, and ends of sessions whose door
    /// vanished.
    Recorder,
}

/// Everything about a writer but the running number; see [`Source`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The Connection that a door serves; `None` where a recorder speaks of its log.
    pub connection: Option<Arc<ObjectRef>>,
    /// This start of the process.
    pub instance: Instance,
    /// The process's Pod.
    pub pod: Arc<PodRef>,
    /// Which program.
    pub writer: Writer,
}

/// Who wrote a record. `(instance, seq)` is unique in a log and has no gaps, so a record that was lost or dropped between
/// the door and the recorder is visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The Connection that the record is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Arc<ObjectRef>>,
    /// The start of the process that wrote it.
    pub instance: Instance,
    /// Its Pod.
    pub pod: Arc<PodRef>,
    /// Running number within `instance`, from 1.
    pub seq: u64,
    /// Which program stated it.
    pub writer: Writer,
}

impl Origin {
    /// This writer's record number `seq`.
    #[must_use]
    pub fn at(&self, seq: u64) -> Source {
        let Self {
            connection,
            instance,
            pod,
            writer,
        } = self.clone();
        Source {
            connection,
            instance,
            pod,
            seq,
            writer,
        }
    }
}
