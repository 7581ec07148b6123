//! What was known last of a database, shared by all threads, and whether it may be assumed to be so still.
//!
//! Where a database rests, asking is too much: there a session assumes that nothing was written, and lets its own backend
//! check that in front of the unit ([`precondition`]). An assumption that fails costs a unit sent twice and a line in the
//! target's log, so after one the database is asked again for a while, longer each time.
//!
//! [`precondition`]: crate::postgres::precondition

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::Known;
use super::footprint::{Footprint, Footprints};
use crate::postgres::handed::{Entry, MAX_ENTRIES};
use crate::postgres::precondition::is_plain;

/// How long a database is asked after an assumption that failed; it doubles up to [`LONGEST`], and a database that rests twice
/// as long begins anew.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// How long what was seen of a database is worth an assumption.
const RECENT: Duration = Duration::from_secs(2);

/// What was known last of a database, and at which write-ahead position. Shared by all threads.
#[derive(Default)]
pub(super) struct Latest {
    known: ArcSwapOption<(Arc<str>, usize, Arc<Known>)>,
    footprints: Mutex<Footprints>,
    /// Where protection went on to.
    handed: Mutex<Vec<Entry>>,
    /// Threads that have a connection of their own.
    pub(super) connections: AtomicUsize,
    rest: Mutex<Rest>,
}

/// Whether a database may be assumed to rest.
#[derive(Debug, Default)]
struct Rest {
    /// When the position that is known was read, or found to be the same, last.
    seen: Option<Instant>,
    /// Nothing is assumed before.
    from: Option<Instant>,
    pause: Duration,
}

/// What is assumed of a database, and where the write-ahead log stands if that is so.
pub struct Assumed {
    /// The position.
    pub position: Arc<str>,
    /// The catalog as it was read there.
    pub known: Arc<Known>,
}

// === impl Latest ===

impl Latest {
    /// `entries`: how many of what was handed on are in it.
    pub(super) fn publish(&self, position: &str, entries: usize, known: &Arc<Known>) {
        self.known
            .store(Some(Arc::new((position.into(), entries, Arc::clone(known)))));
        self.rest().see(Instant::now());
    }

    /// Whether a thread has a connection of its own to see by whether what is known is fresh.
    pub(super) fn is_looked_at(&self) -> bool {
        self.connections.load(Ordering::Acquire) > 0
    }

    /// Nothing is known until it is read again. Where protection went on to stays.
    pub(super) fn forget(&self) {
        self.known.store(None);
        *self.footprints() = Footprints::default();
    }

    /// What is known, if it was read at this position and for these rules, with all that was handed on.
    pub(super) fn at(&self, position: &str, revision: u64) -> Option<Arc<Known>> {
        let latest = self.known.load();
        let (known_at, entries, known) = latest.as_deref()?;
        let same = **known_at == *position && known.revision == revision && *entries == self.handed().len();
        same.then(|| Arc::clone(known))
    }

    /// What is known, if all of this has stayed as it was when that was read; `now` says how it is.
    pub(super) fn by(
        &self,
        footprints: &[Arc<Footprint>],
        now: &HashMap<Arc<Footprint>, String>,
        revision: u64,
    ) -> Option<Arc<Known>> {
        let known = self.remembering(revision)?;
        let kept = self.footprints();
        let same = |footprint: &Arc<Footprint>| {
            let was = kept.of(footprint, &known);
            was.is_some() && was == now.get(footprint).map(String::as_str)
        };
        (!footprints.is_empty() && footprints.iter().all(same)).then_some(known)
    }

    /// Those of which it is known what they were when the catalog was read; all of them or none.
    pub(super) fn remembered(&self, footprints: &[Arc<Footprint>], revision: u64) -> bool {
        let Some(known) = self.remembering(revision) else {
            return false;
        };
        let kept = self.footprints();
        !footprints.is_empty() && footprints.iter().all(|one| kept.of(one, &known).is_some())
    }

    /// What is known, if it was read whole and for these rules, with all that was handed on.
    fn remembering(&self, revision: u64) -> Option<Arc<Known>> {
        let latest = self.known.load();
        let (position, entries, known) = latest.as_deref()?;
        let usable = !position.is_empty() && known.revision == revision && *entries == self.handed().len();
        usable.then(|| Arc::clone(known))
    }

    pub(super) fn footprints(&self) -> MutexGuard<'_, Footprints> {
        self.footprints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, if it was read for these rules, and that may be assumed to be so still.
    pub(super) fn assumed(&self, revision: u64) -> Option<Assumed> {
        let latest = self.known.load();
        let (position, entries, known) = latest.as_deref()?;
        let usable =
            !position.is_empty() && is_plain(position) && known.revision == revision && *entries == self.handed().len();
        let rests = usable && self.rest().may_be_assumed(Instant::now());
        rests.then(|| Assumed {
            position: Arc::clone(position),
            known: Arc::clone(known),
        })
    }

    /// Whether what was assumed was so.
    pub(super) fn found(&self, so: bool) {
        let (mut rest, now) = (self.rest(), Instant::now());
        if so { rest.see(now) } else { rest.disturb(now) }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where protection went on to.
    pub(super) fn handed(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands protection on. `false` when there is no room: then what copies must not run.
    pub(super) fn hand_on(&self, entries: Vec<Entry>) -> bool {
        let mut list = self.handed();
        for entry in entries {
            if !list.contains(&entry) {
                list.push(entry);
            }
        }
        list.len() <= MAX_ENTRIES
    }
}

// === impl Rest ===

impl Rest {
    fn see(&mut self, now: Instant) {
        self.seen = self.seen.max(Some(now));
    }

    fn may_be_assumed(&self, now: Instant) -> bool {
        let recent = self
            .seen
            .is_some_and(|seen| now.saturating_duration_since(seen) <= RECENT);
        recent && self.is_over(now)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.from.is_none_or(|from| from <= now)
    }

    /// An assumption failed. Those that failed together count once.
    fn disturb(&mut self, now: Instant) {
        if !self.is_over(now) {
            return;
        }
        let rested = self.from.is_none_or(|from| now.duration_since(from) > 2 * self.pause);
        self.pause = if rested { PAUSE } else { (2 * self.pause).min(LONGEST) };
        self.from = Some(now + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_counts_at_its_position_and_for_its_rules_only() {
        let latest = Latest::default();
        assert!(latest.at("0/1", 7).is_none());
        let known = Arc::new(Known {
            revision: 7,
            ..Known::default()
        });
        latest.publish("0/1", 0, &known);
        assert!(latest.at("0/1", 7).is_some_and(|same| Arc::ptr_eq(&same, &known)));
        assert!(latest.at("0/2", 7).is_none(), "something was written");
        assert!(latest.at("0/1", 8).is_none(), "other rules protect other columns");
    }

    #[test]
    fn a_database_that_is_disturbed_again_and_again_is_left_alone_longer_and_longer() {
        let (mut rest, start) = (Rest::default(), Instant::now());
        assert!(!rest.may_be_assumed(start), "nothing was seen");
        rest.see(start);
        assert!(rest.may_be_assumed(start + RECENT) && !rest.may_be_assumed(start + 2 * RECENT));
        let mut at = start;
        for pause in [PAUSE, 2 * PAUSE, 4 * PAUSE] {
            rest.disturb(at);
            rest.disturb(at);
            assert!(!rest.is_over(at + pause - Duration::from_millis(1)) && rest.is_over(at + pause));
            at += pause;
        }
        rest.disturb(at + 9 * PAUSE);
        assert!(rest.is_over(at + 10 * PAUSE), "it rested");
        at += 10 * PAUSE;
        for _ in 0..20 {
            rest.disturb(at);
            at += LONGEST;
            assert!(rest.is_over(at));
        }
    }
}
