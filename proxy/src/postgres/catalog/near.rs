//! Checks on a session's own thread.
//!
//! Nearly every check finds that nothing was written. To find that takes no more than the write-ahead position, and asking
//! for it from another thread costs more in wake-ups than the question itself. So sessions that ask often share a connection
//! on their thread that asks for nothing else; whatever else it finds is left to the database's side connection.
//!
//! Where a database rests, even that is too much: there a session assumes that nothing was written, and lets its own backend
//! check that in front of the unit ([`precondition`]). An assumption that fails costs a unit sent twice and a line in the
//! target's log, so after one the database is asked again for a while, longer each time.
//!
//! [`precondition`]: crate::postgres::precondition

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, oneshot};

use super::footprint::{Footprint, Footprints};
use super::service::PATIENCE;
use super::{Known, queries};
use crate::postgres::ask::{AskError, Row, ask};
use crate::postgres::dial::{Asking, DialError, Reached, dial};
use crate::postgres::handed::{Entry, MAX_ENTRIES};
use crate::postgres::precondition::is_plain;
use crate::session::Target;

/// Checks of one session that the side connection answers: short sessions are not worth a connection.
const FAR: u32 = 8;
/// Threads that have a connection of their own, for each database: a target's connections are few.
const MAX_NEAR: usize = 4;
/// How long a database is asked after an assumption that failed; it doubles up to [`LONGEST`], and a database that rests twice
/// as long begins anew.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// How long what was seen of a database is worth an assumption.
const RECENT: Duration = Duration::from_secs(2);
/// As the side connection's: nothing that is asked here waits for a lock. What is asked for is few rows, whichever they are.
const SETTINGS: [(&str, &str); 3] = [
    ("search_path", ""),
    ("statement_timeout", "15s"),
    ("plan_cache_mode", "force_generic_plan"),
];
/// The question, which is planned once.
const NAME: &str = "sallyport_position";

/// What was known last of a database, and at which write-ahead position. Shared by all threads.
#[derive(Default)]
pub(super) struct Latest {
    known: ArcSwapOption<(Arc<str>, usize, Arc<Known>)>,
    footprints: Mutex<Footprints>,
    /// Where protection went on to.
    handed: Mutex<Vec<Entry>>,
    connections: AtomicUsize,
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

/// A session's way to its thread's connection.
#[derive(Default)]
pub struct Near {
    checks: u32,
    way: Way,
    /// What its database's sessions share, once it was asked for.
    latest: Option<Arc<Latest>>,
    /// What the last check of this session gave.
    last: Option<Arc<Known>>,
}

#[derive(Default)]
enum Way {
    /// None yet.
    #[default]
    Untried,
    /// None: no room, or it failed.
    Far,
    /// Held by all sessions of a thread that use it; without them it ends.
    Near(mpsc::UnboundedSender<Request>),
}

struct Request {
    target: Arc<Target>,
    /// What may be looked at if something was written.
    footprints: Vec<Arc<Footprint>>,
    reply: oneshot::Sender<Option<Rc<Seen>>>,
}

/// What was seen of a database at one moment.
struct Seen {
    position: String,
    footprints: HashMap<Arc<Footprint>, String>,
}

/// The database whose [`Latest`] this is, by its address: it lives as long as the connection.
type Place = usize;

thread_local! {
    static HERE: RefCell<HashMap<Place, mpsc::WeakUnboundedSender<Request>>> = RefCell::default();
}

// === impl Latest ===

impl Latest {
    /// `entries`: how many of what was handed on are in it.
    pub(super) fn publish(&self, position: &str, entries: usize, known: &Arc<Known>) {
        self.known
            .store(Some(Arc::new((position.into(), entries, Arc::clone(known)))));
        self.rest().see(Instant::now());
    }

    /// What is known, if it was read at this position and for these rules, with all that was handed on.
    fn at(&self, position: &str, revision: u64) -> Option<Arc<Known>> {
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
    fn assumed(&self, revision: u64) -> Option<Assumed> {
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

// === impl Near ===

impl Near {
    /// What may be assumed without a check, as long as the unit's own backend makes it.
    #[must_use]
    pub fn assume(&mut self, revision: u64) -> Option<Assumed> {
        let assumed = self.latest.as_ref()?.assumed(revision)?;
        self.last = Some(Arc::clone(&assumed.known));
        Some(assumed)
    }

    /// Whether what was assumed was so.
    pub fn found(&self, so: bool) {
        if let Some(latest) = &self.latest {
            let (mut rest, now) = (latest.rest(), Instant::now());
            if so { rest.see(now) } else { rest.disturb(now) }
        }
    }

    /// What the last check gave, if that was for these rules: a guess at what the next one will.
    #[must_use]
    pub fn guess(&self, revision: u64) -> Option<&Arc<Known>> {
        self.last.as_ref().filter(|known| known.revision == revision)
    }

    /// Notes what a check gave.
    pub(super) fn note(&mut self, known: &Arc<Known>) {
        self.last = Some(Arc::clone(known));
    }

    /// What is known, if the write-ahead position, read after this call, says that it is fresh, or all of these footprints do.
    /// `shared` finds what the database's sessions share, which stays the same as long as this session lasts.
    pub(super) async fn fresh(
        &mut self,
        shared: impl FnOnce() -> Arc<Latest>,
        target: &Arc<Target>,
        database: &str,
        footprints: &[Arc<Footprint>],
        revision: u64,
    ) -> Option<Arc<Known>> {
        let latest = self.latest.get_or_insert_with(shared);
        self.checks = self.checks.saturating_add(1);
        if self.checks <= FAR {
            return None;
        }
        if matches!(self.way, Way::Untried) {
            self.way = way(latest, database);
        }
        let Way::Near(queue) = &self.way else { return None };
        let (reply, answer) = oneshot::channel();
        let remembered = latest.remembered(footprints, revision);
        let request = Request {
            target: Arc::clone(target),
            footprints: if remembered { footprints.to_vec() } else { Vec::new() },
            reply,
        };
        let asked = async {
            queue.send(request).ok()?;
            // Every question has a time limit where it is asked.
            answer.await.ok()?
        };
        match asked.await {
            Some(seen) => {
                let at = latest.at(&seen.position, revision);
                at.or_else(|| latest.by(footprints, &seen.footprints, revision))
            }
            None => {
                self.way = Way::Far;
                None
            }
        }
    }
}

/// This thread's connection to a database, or a new one if there is room.
fn way(latest: &Arc<Latest>, database: &str) -> Way {
    let place = Arc::as_ptr(latest) as Place;
    let here = HERE.with_borrow(|here| here.get(&place).and_then(mpsc::WeakUnboundedSender::upgrade));
    if let Some(queue) = here {
        return Way::Near(queue);
    }
    if latest.connections.fetch_add(1, Ordering::AcqRel) >= MAX_NEAR {
        latest.connections.fetch_sub(1, Ordering::AcqRel);
        return Way::Far;
    }
    let (queue, requests) = mpsc::unbounded_channel();
    HERE.with_borrow_mut(|here| here.insert(place, queue.downgrade()));
    let connection = Connection {
        latest: Arc::clone(latest),
        database: database.to_owned(),
    };
    tokio::task::spawn_local(connection.run(requests));
    Way::Near(queue)
}

/// Room for a connection, given back when dropped.
struct Connection {
    latest: Arc<Latest>,
    database: String,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.latest.connections.fetch_sub(1, Ordering::AcqRel);
        let place = Arc::as_ptr(&self.latest) as Place;
        // A thread that ends has no map any more; one that goes on may have a new entry, whose sender lives.
        let _ = HERE.try_with(|here| {
            if let Ok(mut here) = here.try_borrow_mut() {
                here.retain(|known, queue| *known != place || queue.upgrade().is_some());
            }
        });
    }
}

impl Connection {
    /// Answers until nobody asks any more, or it fails.
    async fn run(self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let mut reached = None;
        while let Some(first) = requests.recv().await {
            // Everybody who asked before the question is sent may share the answer; who asks later waits for the next.
            let mut waiting = vec![first];
            while let Ok(more) = requests.try_recv() {
                waiting.push(more);
            }
            let seen = tokio::time::timeout(PATIENCE, self.see(&mut reached, &waiting)).await;
            let seen = seen.unwrap_or(Err(NearError::Slow));
            if let Err(error) = &seen {
                tracing::warn!(database = %self.database, %error, "no check near the sessions");
            }
            let seen = seen.ok().map(Rc::new);
            for request in waiting {
                // Who does not wait any more does not mind.
                let _ = request.reply.send(seen.clone());
            }
            if seen.is_none() {
                return;
            }
        }
    }

    async fn see(&self, reached: &mut Option<Reached>, waiting: &[Request]) -> Result<Seen, NearError> {
        let reached = match (reached, waiting.first()) {
            (Some(reached), _) => reached,
            (none, Some(request)) => none.insert(self.reach(&request.target).await?),
            (None, None) => return Err(NearError::Nobody),
        };
        let mut footprints: Vec<&Arc<Footprint>> = Vec::new();
        for footprint in waiting.iter().flat_map(|request| &request.footprints) {
            if !footprints.contains(&footprint) {
                footprints.push(footprint);
            }
        }
        let mut question = format!("EXECUTE {NAME}");
        for footprint in &footprints {
            question.push_str("; ");
            question.push_str(footprint.question());
        }
        let answers = ask(&mut reached.wire, &question).await?;
        let mut values = answers.into_iter().map(value);
        let position = values.next().flatten().filter(|position| !position.is_empty());
        let footprints = footprints.into_iter().map(Arc::clone).zip(values);
        Ok(Seen {
            position: position.ok_or(NearError::Nothing)?,
            footprints: footprints.filter_map(|(one, value)| Some((one, value?))).collect(),
        })
    }

    async fn reach(&self, target: &Target) -> Result<Reached, NearError> {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let asking = Asking {
            database: &self.database,
            application: "sallyport catalog",
            settings: &settings,
        };
        let mut reached = dial(target, &asking).await?;
        let question = format!("PREPARE {NAME} AS SELECT {}", queries::POSITION);
        ask(&mut reached.wire, &question).await?;
        ask(&mut reached.wire, &queries::footprint_prepared()).await?;
        Ok(reached)
    }
}

/// The one value of a question with one row.
pub(super) fn value(rows: Vec<Row>) -> Option<String> {
    rows.into_iter().next()?.into_iter().next()?
}

#[derive(Debug, thiserror::Error)]
enum NearError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the target states no write-ahead position")]
    Nothing,
    #[error("nobody asks")]
    Nobody,
    #[error("it took too long")]
    Slow,
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

    #[tokio::test]
    async fn short_sessions_and_crowded_targets_have_no_connection_of_their_own() {
        let latest = Arc::new(Latest::default());
        latest.connections.store(MAX_NEAR, Ordering::Release);
        assert!(matches!(way(&latest, "bank"), Way::Far));
        assert_eq!(latest.connections.load(Ordering::Acquire), MAX_NEAR);
    }
}
