//! Checks on a session's own thread.
//!
//! Nearly every check finds that nothing was written. To find that takes no more than the write-ahead position, and asking
//! for it from another thread costs more in wake-ups than the question itself. So sessions that ask often share a connection
//! on their thread that asks for nothing else; whatever else it finds is left to the database's side connection.
//!
//! Where a database rests, even that is too much: see `latest`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::footprint::Footprint;
use super::latest::{Assumed, Latest};
use super::service::PATIENCE;
use super::{Known, queries};
use crate::postgres::ask::{AskError, Row, ask};
use crate::postgres::dial::{Asking, DialError, Reached, dial};
use crate::session::Target;

/// Checks of one session that the side connection answers: short sessions are not worth a connection.
const FAR: u32 = 8;
/// Threads that have a connection of their own, for each database: a target's connections are few.
const MAX_NEAR: usize = 4;
/// As the side connection's: nothing that is asked here waits for a lock. What is asked for is few rows, whichever they are.
const SETTINGS: [(&str, &str); 4] = [
    ("search_path", ""),
    ("statement_timeout", "15s"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
];
/// The question, which is planned once.
const NAME: &str = "sallyport_position";

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
            latest.found(so);
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

    #[tokio::test]
    async fn short_sessions_and_crowded_targets_have_no_connection_of_their_own() {
        let latest = Arc::new(Latest::default());
        latest.connections.store(MAX_NEAR, Ordering::Release);
        assert!(matches!(way(&latest, "bank"), Way::Far));
        assert_eq!(latest.connections.load(Ordering::Acquire), MAX_NEAR);
    }
}
