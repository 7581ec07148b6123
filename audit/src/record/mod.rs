//! What one record says.
//!
//! A record is one JSON object in canonical form (see [`crate::canonical`]), and is one leaf of the log:
//!
//! ```json
//! {"event":{"command":{"command":1,"digest":"…","text":"select 1",…}},"session":"…","source":{"instance":"…","seq":7,…},"time":"…","v":1}
//! ```
//!
//! Struct fields are declared in the order of their JSON names, so that plain serialisation is already canonical; the
//! tests of this module check every kind of event against [`crate::canonical::check`].

mod attested;
mod batch;
mod command;
mod header;
mod log;
mod request;
mod session;
mod source;
mod split;
#[cfg(test)]
pub(crate) mod tests;

use serde::{Deserialize, Serialize};

pub use attested::{Attested, Finding};
pub use batch::{Batch, Draft, RecordError, Seal};
pub use command::{
    Action, Command, CommandPart, Copied, Encoding, Fate, NotRun, Observed, Outcome, Param, RuleRef, TransactionEnd,
    TransactionFate, Verdict,
};
pub use header::{Header, HeaderError, Kind};
pub use log::{LogEnd, LogStart, PolicyChange, Pruned};
pub use request::{Approved, Approver, BreakGlass, Claimed, Closed, Denied, Hold, RequestRef, Reviewed};
pub use session::{Agent, Claims, EndCause, LoginRefused, Person, Refusal, SessionEnd, SessionStart, Token};
pub use source::{Instance, ObjectRef, Origin, PodRef, RandomError, SessionId, Source, Writer};

use crate::time::Time;

/// The schema's version. Additions keep it; a change of meaning raises it.
pub const VERSION: u32 = 1;

/// The longest entry that a tlog-tiles entry bundle can hold (its length prefix has 16 bits).
pub const MAX_ENTRY: usize = 65_535;

/// The longest beginning of a parameter's value that a record keeps, in bytes.
pub const MAX_PARAM: usize = 8 * 1024;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// A person came in.
    SessionStart(Box<SessionStart>),
    /// What the recorder itself found of whom a door let in.
    Attested(Box<Attested>),
    /// Somebody was turned away.
    LoginRefused(Box<LoginRefused>),
    /// What the door intends to do with a command.
    Command(Box<Command>),
    /// A long command, continued.
    CommandPart(CommandPart),
    /// A second person is asked.
    Hold(Hold),
    /// They said yes.
    Approved(Approved),
    /// They said no.
    Denied(Denied),
    /// The asker took the question back.
    Withdrawn(Closed),
    /// The question ran out of time.
    Expired(Closed),
    /// The grant is spent.
    Claimed(Claimed),
    /// A running grant was ended, and with it what it allowed.
    Revoked(Closed),
    /// The person went ahead without waiting, to be reviewed by another.
    BreakGlass(BreakGlass),
    /// Somebody looked at that.
    Reviewed(Reviewed),
    /// What came of a command.
    Outcome(Outcome),
    /// How a transaction ended.
    TransactionEnd(TransactionEnd),
    /// The session is over.
    SessionEnd(SessionEnd),
    /// A recorder started on this log.
    LogStart(LogStart),
    /// A recorder stopped in order.
    LogEnd(LogEnd),
    /// Old records were removed.
    Pruned(Pruned),
    /// A door enforces another policy.
    PolicyChange(PolicyChange),
}

/// One leaf of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Who states it.
    pub source: Source,
    /// When, by the writer's clock. The order of records is their place in the log, not this.
    pub time: Time,
    /// [`VERSION`].
    pub v: u32,
}

impl Record {
    /// Reads a leaf.
    ///
    /// # Errors
    /// When it is not a record, or one of a newer version than this.
    pub fn parse(leaf: &[u8]) -> Result<Self, HeaderError> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u32,
        }
        // Before anything else is read: another version's record need not even look like one.
        let Versioned { v } = serde_json::from_slice(leaf)?;
        if v > VERSION {
            return Err(HeaderError::Version(v));
        }
        Ok(serde_json::from_slice(leaf)?)
    }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
