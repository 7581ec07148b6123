//! How a door hands records to a recorder: length-prefixed frames over one mutually authenticated stream.
//!
//! ```text
//! door                                   recorder
//!   Hello {instance, names, head} ──▶
//!                                  ◀── Welcome {log key, acked, fenced, head}   or Refuse
//!   Present {session, who, token} ──▶             (where Welcome says that tokens are taken)
//!                                  ◀── Vouched {session, or why not}             in any order
//!   Batch {first, head, records}  ──▶
//!   Batch …  (several in flight)  ──▶
//!                                  ◀── Ack {up to, head}                         or Refuse, and the end
//!   KeepAlive                     ◀─▶ KeepAlive
//!   Bye                           ──▶
//! ```
//!
//! Frame: 32-bit big-endian length of what follows, one byte of kind, payload. Running numbers start at 1 and have no gaps;
//! an `Ack` means that every record up to its number is on disk. A door that comes back sends again what was not
//! acknowledged, under the same numbers; the recorder drops what it has. A door echoes the newest head it has seen with every
//! batch, and a recorder whose log does not contain that head (a volume rolled back) refuses.
//!
//! A token goes to the recorder before its session's start record does, so that statements of other sessions wait for nobody's
//! identity provider; it is in no record and on no disk. A recorder of an earlier version says nothing of tokens in its
//! Welcome and is sent none; a door of an earlier version does not read what it says.

mod frame;
mod present;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use frame::{Frame, FrameHeader, HEADER_LEN, WireError, batch_room};
pub use present::{Present, Token, Unvouched, Vouched};

use crate::checkpoint::Head;
use crate::record::{Instance, ObjectRef, PodRef, SessionId};

/// The protocol's version; a recorder refuses others in words. What either side may leave unread does not raise it.
pub const PROTOCOL: u32 = 1;
/// ALPN name of the stream, so that it can never be taken for another service's.
pub const ALPN: &[u8] = b"sallyport-evidence/1";
/// The longest `Batch` frame.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Records in one `Batch`.
pub const MAX_BATCH_RECORDS: usize = 8 * 1024;
/// The longest `Present` frame: the longest that a client may present (65,535 bytes), and names.
pub const MAX_PRESENT_BYTES: usize = 96 * 1024;
/// The longest of every other frame.
pub const MAX_CONTROL_BYTES: usize = 16 * 1024;

/// Who comes, and what they last saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The Connection served; must be the certificate's.
    pub connection: ObjectRef,
    /// The newest head seen, also by an earlier stream to this log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// This start of the door.
    pub instance: Instance,
    /// The newest permit to write that a recorder of this log has shown (see [`crate::permit`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<String>,
    /// The door's Pod; must be the certificate's.
    pub pod: PodRef,
    /// [`PROTOCOL`].
    pub version: u32,
}

/// The recorder takes records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Number of the instance's last record on disk; 0 for a new instance.
    pub acked: u64,
    /// The instance was away for too long and its sessions were declared over: no further session may start in it.
    pub fenced: bool,
    /// The recorder's newest head.
    pub head: Head,
    /// The operator's permit by which this recorder writes; `None` where no operator is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<String>,
    /// The recorder checks tokens itself: it wants each session's before the session's start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tokens: bool,
    /// The log's public key (verifier key).
    pub vkey: String,
}

/// Why the recorder ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RefuseCode {
    /// Another protocol version.
    Version,
    /// The names are not the certificate's.
    Identity,
    /// The Connection is of a namespace from which this sink takes none.
    Namespace,
    /// The recorder may not write: the operator has not vouched for its volume yet, or another recorder took over. A later
    /// try may find the one that may.
    Fenced,
    /// Running numbers with a gap, or records that are none.
    Sequence,
    /// A record that is not canonical, too long, or of a session that is not open.
    Record,
    /// The log does not contain a head that the door has seen.
    RolledBack,
    /// The volume takes no more (full, failing). A later try may pass.
    Storage,
    /// Too many streams or bytes. A later try may pass.
    Busy,
    /// The recorder stops. Another try will pass.
    Stopping,
    /// One of a newer recorder, of which this version knows the reason in words alone.
    #[serde(other)]
    Other,
}

impl RefuseCode {
    /// Whether the same records may pass later.
    #[must_use]
    pub fn may_pass_later(self) -> bool {
        matches!(self, Self::Storage | Self::Busy | Self::Stopping | Self::Fenced)
    }
}

/// The recorder ends the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// For programs.
    pub code: RefuseCode,
    /// For people.
    pub reason: String,
    /// The session whose start is not taken, where that is why: it would not be taken the next time either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
}

/// Records in sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Running number of the first record.
    pub first: u64,
    /// The newest head seen.
    pub head: Option<Head>,
    /// The records, each a log entry.
    pub records: Vec<Vec<u8>>,
}

/// Every record up to `up_to` is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Running number within the instance.
    pub up_to: u64,
    /// A head of the log that contains them.
    pub head: Head,
}
