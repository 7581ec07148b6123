//! What was found of tokens whose sessions have not started yet. In memory alone: findings come to the log with the starts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sallyport_audit::Digest;
use sallyport_audit::record::{Attested, Finding, SessionId};

use crate::server::Door;

/// A door gives a login a minute, and sends a start again that a broken stream lost.
const KEPT: Duration = Duration::from_secs(180);
/// Between two looks for what is older than that.
const SWEEP: Duration = Duration::from_secs(30);
/// Logins of one door within [`KEPT`].
const OF_ONE_DOOR: usize = 16 * 1024;

/// Findings by session.
pub(super) struct Presented(Mutex<Kept>);

struct Kept {
    doors: HashMap<Door, HashMap<SessionId, Entry>>,
    swept: Instant,
}

struct Entry {
    /// Whom the door stated.
    who: Digest,
    attested: Attested,
    at: Instant,
    /// The log tells that it was refused.
    told: bool,
}

/// What became of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remembered {
    /// It counts.
    New,
    /// The session was refused before, which stays and was told.
    Refused,
    /// Nothing: the door has presented too many.
    TooMany,
}

/// What is known of a session that starts.
pub(super) enum Found {
    /// No token was presented.
    Nothing,
    /// One was, and the session is taken.
    Taken(Attested),
    /// It is not; with what the log does not tell yet.
    Refused(Option<Attested>),
}

// === impl Presented ===

impl Presented {
    /// Remembers what was found, so that of each session it is told once.
    pub(super) fn remember(&self, door: &Door, session: &SessionId, who: Digest, attested: &Attested) -> Remembered {
        let mut kept = self.lock();
        kept.sweep();
        let sessions = kept.doors.entry(door.clone()).or_default();
        let known = sessions.get(session);
        if known.is_some_and(|entry| entry.attested.finding == Finding::Refused) {
            return Remembered::Refused;
        }
        if known.is_none() && sessions.len() >= OF_ONE_DOOR {
            return Remembered::TooMany;
        }
        let entry = Entry {
            who,
            attested: attested.clone(),
            at: Instant::now(),
            told: attested.finding == Finding::Refused,
        };
        sessions.insert(session.clone(), entry);
        Remembered::New
    }

    /// What was found of the session of `who` that starts. It stays: a start may come again.
    pub(super) fn found(&self, door: &Door, session: &SessionId, who: &Digest) -> Found {
        let mut kept = self.lock();
        let entry = kept.doors.get_mut(door).and_then(|sessions| sessions.get_mut(session));
        let Some(entry) = entry else { return Found::Nothing };
        if entry.attested.finding != Finding::Refused {
            if entry.who == *who {
                return Found::Taken(entry.attested.clone());
            }
            entry.attested = Attested {
                person: entry.attested.person.take(),
                ..Attested::saying(
                    Finding::Refused,
                    "the session's start states somebody else than the token was presented for",
                )
            };
        }
        let untold = !std::mem::replace(&mut entry.told, true);
        Found::Refused(untold.then(|| entry.attested.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Presented {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            doors: HashMap::new(),
            swept: Instant::now(),
        }))
    }
}

// === impl Kept ===

impl Kept {
    fn sweep(&mut self) {
        if self.swept.elapsed() < SWEEP {
            return;
        }
        self.swept = Instant::now();
        for sessions in self.doors.values_mut() {
            sessions.retain(|_, entry| entry.at.elapsed() < KEPT);
        }
        self.doors.retain(|_, sessions| !sessions.is_empty());
    }
}
