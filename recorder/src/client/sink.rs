//! The way into one log: what it takes is bounded, in number, bytes and age.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sallyport_audit::record::{Batch, Kind, Origin, SessionId};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::road::Road;
use super::{Durability, EvidenceError, Limits, Message, Standing, State, mailbox, task};

/// Shared by the handles of one sink and its task.
#[derive(Debug)]
pub(super) struct Gauge {
    /// Records in the queue, sent or not, that are not acknowledged.
    records: AtomicU64,
    /// Their bytes.
    bytes: AtomicU64,
    /// When the oldest of them was handed over, in microseconds since `epoch`; 0 while there is none.
    oldest: AtomicU64,
    epoch: Instant,
    closed: AtomicBool,
    /// Sessions of which nothing is taken any more, until their own ends come by. Whoever waits for no answer learns it here:
    /// what they do next would run unrecorded.
    over: Mutex<BTreeSet<SessionId>>,
}

/// The way into one log.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) queue: mailbox::Sender<Message>,
    gauge: Arc<Gauge>,
    pub(super) limits: Limits,
    pub(super) durability: Durability,
    pub(super) state: watch::Receiver<State>,
}

/// What one sink owes to one append.
pub(super) enum Wait {
    Queued,
    Reply {
        reply: oneshot::Receiver<Result<(), EvidenceError>>,
        within: Duration,
    },
}

impl Wait {
    pub(super) async fn finish(self) -> Result<bool, EvidenceError> {
        match self {
            Self::Queued => Ok(false),
            Self::Reply { reply, within } => match tokio::time::timeout(within, reply).await {
                Ok(Ok(result)) => result.map(|()| true),
                Ok(Err(_)) => Err(EvidenceError::Closed),
                Err(_) => Err(EvidenceError::Unavailable { waited: within }),
            },
        }
    }
}

impl Sink {
    /// Starts the task that brings its records there.
    pub(super) fn start(
        origin: Origin,
        road: Road,
        limits: Limits,
        durability: Durability,
        runtime: &Handle,
    ) -> Result<Self, EvidenceError> {
        let (queue, messages) = mailbox::mailbox();
        let (publish, state) = watch::channel(State::default());
        let gauge = Arc::new(Gauge {
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
            epoch: Instant::now(),
            closed: AtomicBool::new(false),
            over: Mutex::default(),
        });
        task::spawn(origin, road, messages, publish, Arc::clone(&gauge), runtime)?;
        Ok(Self {
            queue,
            gauge,
            limits,
            durability,
            state,
        })
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            connected: self.state.borrow().connected,
            records: self.gauge.records.load(Ordering::Relaxed),
            oldest: self.gauge.age().unwrap_or_default(),
        }
    }

    pub(super) fn append(&self, batch: Batch) -> Result<Wait, EvidenceError> {
        self.admit(&batch)?;
        match self.durability {
            Durability::Async if self.gauge.is_over(&batch) => {
                self.gauge.release(batch.len() as u64, batch.bytes() as u64);
                Err(EvidenceError::SessionOver)
            }
            Durability::Async => self.push(batch, None).map(|()| Wait::Queued),
            Durability::BeforeExecution => {
                let (send, reply) = oneshot::channel();
                self.push(batch, Some(send))?;
                Ok(Wait::Reply {
                    reply,
                    within: self.limits.accept_within,
                })
            }
        }
    }

    pub(super) fn send(&self, batch: Batch) -> Result<(), EvidenceError> {
        self.admit(&batch)?;
        self.push(batch, None)
    }

    /// Takes room in the queue. The bound is what "bounded lag" and bounded memory mean.
    fn admit(&self, batch: &Batch) -> Result<(), EvidenceError> {
        if self.gauge.closed.load(Ordering::Acquire) {
            return Err(EvidenceError::Closed);
        }
        if self.durability == Durability::Async
            && let Some(lag) = self.gauge.age().filter(|lag| *lag > self.limits.max_lag)
        {
            return Err(EvidenceError::Lagging { lag });
        }
        let (records, bytes) = (batch.len() as u64, batch.bytes() as u64);
        let queued = self.gauge.records.fetch_add(records, Ordering::AcqRel) + records;
        let weight = self.gauge.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if queued > self.limits.max_records || weight > self.limits.max_bytes {
            self.gauge.release(records, bytes);
            return Err(EvidenceError::Full {
                records: queued - records,
            });
        }
        Ok(())
    }

    fn push(
        &self,
        batch: Batch,
        reply: Option<oneshot::Sender<Result<(), EvidenceError>>>,
    ) -> Result<(), EvidenceError> {
        let urgent = reply.is_some();
        if self.queue.send(Message::Append { batch, reply }, urgent) {
            Ok(())
        } else {
            Err(EvidenceError::Closed)
        }
    }

    pub(super) fn close(&self) -> impl Future<Output = ()> + use<> {
        self.gauge.closed.store(true, Ordering::Release);
        let (done, wait) = oneshot::channel();
        let sent = self.queue.send(Message::Close { done }, true);
        async move {
            if sent {
                // A task that is gone has nothing left to say.
                let _ = wait.await;
            }
        }
    }
}

impl Gauge {
    /// How long the oldest record is on its way.
    fn age(&self) -> Option<Duration> {
        let oldest = self.oldest.load(Ordering::Acquire);
        (oldest > 0).then(|| self.epoch.elapsed().saturating_sub(Duration::from_micros(oldest)))
    }

    /// The oldest record was handed over now, or at `since`; `None` when there is none.
    pub(super) fn oldest(&self, since: Option<Instant>) {
        let micros = since.map_or(0, |since| {
            u64::try_from(since.saturating_duration_since(self.epoch).as_micros()).map_or(u64::MAX, |us| us.max(1))
        });
        self.oldest.store(micros, Ordering::Release);
    }

    /// Nothing of these sessions is taken any more.
    pub(super) fn end<'a>(&self, sessions: impl IntoIterator<Item = &'a SessionId>) {
        self.over().extend(sessions.into_iter().cloned());
    }

    /// The ends of sessions come by: nothing more is asked of them.
    pub(super) fn forget(&self, batch: &Batch) {
        let ends = batch.drafts().iter().filter(|draft| draft.kind() == Kind::SESSION_END);
        for session in ends.filter_map(|draft| draft.session()) {
            self.over().remove(session);
        }
    }

    fn is_over(&self, batch: &Batch) -> bool {
        let over = self.over();
        !over.is_empty()
            && batch
                .drafts()
                .iter()
                .filter_map(|draft| draft.session())
                .any(|one| over.contains(one))
    }

    fn over(&self) -> MutexGuard<'_, BTreeSet<SessionId>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn release(&self, records: u64, bytes: u64) {
        self.records.fetch_sub(records, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}
