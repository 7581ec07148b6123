//! What a door holds to make its records durable.
//!
//! [`Evidence::append`] takes its place in the queue at once and resolves when the recorder has answered "on disk", with a
//! [`Durable`] that nothing else can make. Records keep their order and their running numbers across a broken connection:
//! what was not acknowledged is sent again under the same number, and the recorder drops what it already has.

mod error;
mod link;
mod mailbox;
mod presents;
mod queue;
mod road;
mod task;
#[cfg(test)]
mod tests;
mod thread;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sallyport_audit::record::{Batch, Origin};
use sallyport_audit::wire::Present;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

pub use error::EvidenceError;
pub use link::{Durability, Limits, Link, TlsSource};
pub use thread::thread;

use crate::log::Log;
use crate::server::{self, Door, Shared};
use road::Road;

/// Bytes in the pipe to a port in the same process.
const PIPE: usize = 256 * 1024;

/// Proof that records were accepted with the sink's durability: on disk for [`Durability::BeforeExecution`], in the bounded
/// queue for [`Durability::Async`]. Not `Clone`: one proof lets one thing happen.
#[derive(Debug)]
pub struct Durable {
    on_disk: bool,
}

impl Durable {
    /// Whether the records are on the recorder's disk (else they are queued, with the loss that the sink states).
    #[must_use]
    pub fn on_disk(&self) -> bool {
        self.on_disk
    }
}

/// How the way to the recorder stands; for readiness, conditions and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// A stream is up and the recorder takes records; after its volume refused some, not until it has taken something new.
    pub connected: bool,
    /// In words, why not; empty while connected.
    pub problem: String,
    /// Size of the recorder's tree at its last answer.
    pub tree_size: u64,
}

/// How much of what was handed over for one sink is not acknowledged; for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// A stream is up and the recorder takes records.
    pub connected: bool,
    /// Records that are not acknowledged.
    pub records: u64,
    /// How long the oldest of them has been on its way; zero where there is none.
    pub oldest: Duration,
}

/// One way into one or several logs. Cloneable, and usable from any runtime.
#[derive(Clone)]
pub struct Evidence {
    sinks: Arc<[Sink]>,
}

/// Shared by the handles of one sink and its task.
#[derive(Debug)]
struct Gauge {
    /// Records in the queue, sent or not, that are not acknowledged.
    records: AtomicU64,
    /// Their bytes.
    bytes: AtomicU64,
    /// When the oldest of them was handed over, in microseconds since `epoch`; 0 while there is none.
    oldest: AtomicU64,
    epoch: Instant,
    closed: AtomicBool,
}

#[derive(Clone)]
struct Sink {
    queue: mailbox::Sender<Message>,
    gauge: Arc<Gauge>,
    limits: Limits,
    durability: Durability,
    state: watch::Receiver<State>,
}

/// What a handle tells the task.
enum Message {
    Append {
        batch: Batch,
        reply: Option<oneshot::Sender<Result<(), EvidenceError>>>,
    },
    Present {
        present: Present,
        reply: presents::Reply,
    },
    Close {
        done: oneshot::Sender<()>,
    },
}

impl Evidence {
    /// Starts the way to one recorder on `runtime`; the stream is opened, kept and opened again in the background.
    ///
    /// # Errors
    /// When the link's names cannot be written into records.
    pub fn connect(link: Link, runtime: &Handle) -> Result<Self, EvidenceError> {
        Self::start(
            task::origin(&link.connection, &link.pod)?,
            Road::Stream(road::tls(&link)),
            link.limits,
            link.durability,
            runtime,
        )
    }

    /// The way to a log in the same process (the door without a cluster): the same order, numbers and guarantees, without a
    /// stream. `runtime` is blocked for each fdatasync. What a recorder found of people here would be the door's own word.
    ///
    /// # Errors
    /// When the names cannot be written into records.
    pub fn local(
        log: Log,
        door: Door,
        durability: Durability,
        limits: Limits,
        runtime: &Handle,
    ) -> Result<Self, EvidenceError> {
        let origin = task::origin(&door.connection, &door.pod)?;
        Self::start(
            origin,
            Road::Here {
                log,
                door: Arc::new(door),
            },
            limits,
            durability,
            runtime,
        )
    }

    /// The way to a port in the same process, over a pipe.
    ///
    /// # Errors
    /// When the names cannot be written into records.
    pub fn piped(
        shared: Shared,
        door: Door,
        durability: Durability,
        limits: Limits,
        runtime: &Handle,
    ) -> Result<Self, EvidenceError> {
        let spawner = runtime.clone();
        let origin = task::origin(&door.connection, &door.pod)?;
        let dial: road::Dial = Arc::new(move || {
            let (near, far) = tokio::io::duplex(PIPE);
            let (door, shared) = (door.clone(), shared.clone());
            spawner.spawn(async move {
                if let Err(reason) = server::serve_stream(far, door, shared).await {
                    tracing::warn!(%reason, "the way to the log in this process breaks");
                }
            });
            Box::pin(async move { Ok(Box::new(near) as Box<dyn road::Stream>) })
        });
        Self::start(origin, Road::Stream(dial), limits, durability, runtime)
    }

    fn start(
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
        });
        task::spawn(origin, road, messages, publish, Arc::clone(&gauge), runtime)?;
        Ok(Self {
            sinks: Arc::new([Sink {
                queue,
                gauge,
                limits,
                durability,
                state,
            }]),
        })
    }

    /// One handle for several sinks, each of which must accept.
    #[must_use]
    pub fn all(handles: &[Self]) -> Self {
        Self {
            sinks: handles.iter().flat_map(|handle| handle.sinks.iter().cloned()).collect(),
        }
    }

    /// Hands over records that belong together. Their place in the order is taken now, before the future is polled; dropping
    /// the future drops the wait, never the records.
    ///
    /// The future fails with [`EvidenceError::Unavailable`] after [`Limits::accept_within`]. The records stay queued all the
    /// same, so an intent that was refused this way may still appear in the log; whoever refused it appends an outcome
    /// `NotRun` after it.
    pub fn append(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<Durable, EvidenceError>> + Send + 'static + use<> {
        let waits = self.each(batch, Sink::append);
        async move {
            let mut on_disk = true;
            for wait in waits? {
                on_disk &= wait.finish().await?;
            }
            Ok(Durable { on_disk })
        }
    }

    /// Hands over records that nobody waits for (outcomes, ends): delivered with the same care, within the same bounds.
    ///
    /// # Errors
    /// When the queue is full or closed: whoever gets this ends the session, since its evidence would have a gap.
    pub fn send(&self, batch: Batch) -> Result<(), EvidenceError> {
        self.each(batch, Sink::send).map(drop)
    }

    /// Hands the batch to every sink, without a copy where there is one.
    fn each<T>(
        &self,
        batch: Batch,
        hand: impl Fn(&Sink, Batch) -> Result<T, EvidenceError>,
    ) -> Result<Vec<T>, EvidenceError> {
        let (last, others) = self.sinks.split_last().ok_or(EvidenceError::Closed)?;
        let mut handed = others
            .iter()
            .map(|sink| hand(sink, batch.clone()))
            .collect::<Result<Vec<T>, _>>()?;
        handed.push(hand(last, batch)?);
        Ok(handed)
    }

    /// How each sink stands, in the order given to [`Evidence::all`].
    #[must_use]
    pub fn states(&self) -> Vec<watch::Receiver<State>> {
        self.sinks.iter().map(|sink| sink.state.clone()).collect()
    }

    /// Whether every sink takes records now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.sinks.is_empty() && self.sinks.iter().all(|sink| sink.state.borrow().connected)
    }

    /// What each sink has not acknowledged, in the order given to [`Evidence::all`].
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.sinks.iter().map(Sink::standing).collect()
    }

    /// Whether what sends to some sink has ended, by itself or after [`Evidence::close`]: nothing more is ever accepted there.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.sinks.iter().any(|sink| sink.state.has_changed().is_err())
    }

    /// Sends what is queued, waits for its acknowledgement at most `within`, says goodbye to the recorder (so that it need not
    /// wait for this instance) and refuses further records.
    pub async fn close(&self, within: Duration) {
        let goodbyes: Vec<_> = self.sinks.iter().map(Sink::close).collect();
        let all = futures::future::join_all(goodbyes);
        // Past the time there is nothing to add: the recorder notices the broken stream by itself.
        let _ = tokio::time::timeout(within, all).await;
    }
}

/// What one sink owes to one append.
enum Wait {
    Queued,
    Reply {
        reply: oneshot::Receiver<Result<(), EvidenceError>>,
        within: Duration,
    },
}

impl Wait {
    async fn finish(self) -> Result<bool, EvidenceError> {
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
    fn standing(&self) -> Standing {
        Standing {
            connected: self.state.borrow().connected,
            records: self.gauge.records.load(Ordering::Relaxed),
            oldest: self.gauge.age().unwrap_or_default(),
        }
    }

    fn append(&self, batch: Batch) -> Result<Wait, EvidenceError> {
        self.admit(&batch)?;
        match self.durability {
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

    fn send(&self, batch: Batch) -> Result<(), EvidenceError> {
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

    fn close(&self) -> impl Future<Output = ()> + use<> {
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
    fn oldest(&self, since: Option<Instant>) {
        let micros = since.map_or(0, |since| {
            u64::try_from(since.saturating_duration_since(self.epoch).as_micros()).map_or(u64::MAX, |us| us.max(1))
        });
        self.oldest.store(micros, Ordering::Release);
    }

    fn release(&self, records: u64, bytes: u64) {
        self.records.fetch_sub(records, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}
