//! Records on their way: serialised where they arise, numbered where they are sent.

use std::fmt::Write as _;

use super::{Event, Header, Kind, MAX_ENTRY, Origin, SessionId, VERSION, Writer, split};
use crate::time::Time;

/// Most records fit into this; what is longer grows.
const USUAL: usize = 1024;
/// What a draft may weigh: the rest of an entry is for the writer's names (each bounded by Kubernetes).
pub(super) const DRAFT_BUDGET: usize = MAX_ENTRY - 4 * 1024;

/// An event that cannot be written down.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// One part that cannot be split is longer than a log entry.
    #[error("a {0} record is longer than a log entry holds ({MAX_ENTRY} bytes)")]
    TooLong(&'static str),
    /// The event does not serialise: a defect.
    #[error("a record does not serialise: {0}")]
    Json(#[from] serde_json::Error),
}

/// A record but for its source: serialised once, by whoever states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// `{"event":…,"session":…,"source":` and `,"time":…,"v":1}`
    text: String,
    /// Where the second begins.
    gap: usize,
    session: Option<SessionId>,
    kind: &'static str,
    time: Time,
}

impl Draft {
    pub(super) fn new(time: Time, session: Option<&SessionId>, event: &Event) -> Result<Self, RecordError> {
        let mut text = Vec::with_capacity(USUAL);
        text.extend_from_slice(b"{\"event\":");
        serde_json::to_writer(&mut text, event)?;
        let mut text = String::from_utf8(text)
            .map_err(serde::ser::Error::custom)
            .map_err(RecordError::Json)?;
        if let Some(session) = session {
            text.push_str(",\"session\":\"");
            text.push_str(session.as_str());
            text.push('"');
        }
        text.push_str(",\"source\":");
        let gap = text.len();
        // A String takes whatever is written to it.
        let _ = write!(text, ",\"time\":\"{time}\",\"v\":{VERSION}}}");
        let draft = Self {
            text,
            gap,
            session: session.cloned(),
            kind: event.kind(),
            time,
        };
        if draft.len() > DRAFT_BUDGET {
            return Err(RecordError::TooLong(draft.kind));
        }
        Ok(draft)
    }

    /// Bytes, without the source.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a draft is never empty")]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session(&self) -> Option<&SessionId> {
        self.session.as_ref()
    }

    /// The event's JSON name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What [`Header::parse`] reads from the entry that it becomes as this writer's record number `seq`.
    #[must_use]
    pub fn header(&self, origin: &Origin, seq: u64) -> Header {
        Header {
            kind: Kind::named(self.kind),
            session: self.session.clone(),
            source: origin.at(seq),
            time: self.time,
            v: VERSION,
        }
    }

    /// Whether a volume still takes it that runs out of room for anything new; see [`Kind::closes`].
    #[must_use]
    pub fn closes(&self) -> bool {
        Kind::is_closing(self.kind)
    }
}

/// Records that are accepted together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    drafts: Vec<Draft>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch of one event.
    ///
    /// # Errors
    /// As [`Batch::push`].
    pub fn of(time: Time, session: Option<&SessionId>, event: Event) -> Result<Self, RecordError> {
        let mut batch = Self::new();
        batch.push(time, session, event)?;
        Ok(batch)
    }

    /// Adds an event, a command that is too long for one entry as several.
    ///
    /// # Errors
    /// When a part that cannot be split is too long; the batch is then unchanged.
    pub fn push(&mut self, time: Time, session: Option<&SessionId>, mut event: Event) -> Result<(), RecordError> {
        split::cut(&mut event);
        if !split::is_long(&event) {
            match Draft::new(time, session, &event) {
                Ok(draft) => {
                    self.add(draft);
                    return Ok(());
                }
                Err(RecordError::TooLong(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let parts = split::split(event)?;
        let drafts = parts.iter().map(|event| Draft::new(time, session, event));
        drafts
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .for_each(|draft| self.add(draft));
        Ok(())
    }

    fn add(&mut self, draft: Draft) {
        self.bytes += draft.len();
        self.drafts.push(draft);
    }

    /// The drafts, in order.
    #[must_use]
    pub fn drafts(&self) -> &[Draft] {
        &self.drafts
    }

    /// Takes the drafts out.
    #[must_use]
    pub fn into_drafts(self) -> Vec<Draft> {
        self.drafts
    }

    /// Bytes of all drafts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.drafts.len()
    }

    /// Whether there is nothing to record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }
}

/// Gives drafts their source: one writer's names, serialised once.
#[derive(Clone, Debug)]
pub struct Seal {
    /// `{"connection":…,"instance":…,"pod":…,"seq":`
    before: String,
    /// `,"writer":"proxy"}`
    after: &'static str,
}

impl Seal {
    /// The seal of one writer.
    ///
    /// # Errors
    /// When a name does not serialise: a defect.
    pub fn new(origin: &Origin) -> Result<Self, RecordError> {
        let mut before = String::from("{");
        if let Some(connection) = &origin.connection {
            before.push_str("\"connection\":");
            before.push_str(&serde_json::to_string(connection)?);
            before.push(',');
        }
        let instance = serde_json::to_string(&origin.instance)?;
        let pod = serde_json::to_string(&origin.pod)?;
        before.push_str(&format!("\"instance\":{instance},\"pod\":{pod},\"seq\":"));
        let after = match origin.writer {
            Writer::Proxy => ",\"writer\":\"proxy\"}",
            Writer::Recorder => ",\"writer\":\"recorder\"}",
        };
        Ok(Self { before, after })
    }

    /// The log entry: canonical JSON.
    ///
    /// # Errors
    /// When the writer's names are so long that the entry does not fit.
    pub fn seal(&self, draft: &Draft, seq: u64) -> Result<Vec<u8>, RecordError> {
        let seq = seq.to_string();
        let (head, tail) = draft.text.split_at_checked(draft.gap).unwrap_or_default();
        let parts = [head, &self.before, &seq, self.after, tail];
        let leaf = parts.concat().into_bytes();
        if leaf.len() > MAX_ENTRY {
            return Err(RecordError::TooLong(draft.kind));
        }
        Ok(leaf)
    }
}

/// Names every event once, so that none is missing in the list of them.
macro_rules! kinds {
    ($($event:ident: $name:literal,)*) => {
        impl Event {
            /// The JSON names of all events there are.
            pub const KINDS: &'static [&'static str] = &[$($name),*];

            /// The event's JSON name; a closed set, fit for a metric's label.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$event(_) => $name,)*
                }
            }
        }
    };
}

kinds! {
    SessionStart: "sessionStart",
    Attested: "attested",
    LoginRefused: "loginRefused",
    Command: "command",
    CommandPart: "commandPart",
    Hold: "hold",
    Approved: "approved",
    Denied: "denied",
    Withdrawn: "withdrawn",
    Expired: "expired",
    Claimed: "claimed",
    Revoked: "revoked",
    BreakGlass: "breakGlass",
    Reviewed: "reviewed",
    Outcome: "outcome",
    TransactionEnd: "transactionEnd",
    SessionEnd: "sessionEnd",
    LogStart: "logStart",
    LogEnd: "logEnd",
    Pruned: "pruned",
    PolicyChange: "policyChange",
}
