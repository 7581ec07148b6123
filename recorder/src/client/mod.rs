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
mod sink;
mod task;
#[cfg(test)]
mod tests;
mod thread;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::record::Batch;
use sallyport_audit::wire::Present;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

pub use error::EvidenceError;
pub use link::{Durability, Limits, Link, TlsSource};
pub use thread::thread;

use crate::log::Log;
use crate::server::{self, Door, Shared};
use road::Road;
use sink::Sink;

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
        let origin = task::origin(&link.connection, &link.pod)?;
        let road = Road::Stream(road::tls(&link));
        Sink::start(origin, road, link.limits, link.durability, runtime).map(Self::one)
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
        let door = Arc::new(door);
        Sink::start(origin, Road::Here { log, door }, limits, durability, runtime).map(Self::one)
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
        Sink::start(origin, Road::Stream(dial), limits, durability, runtime).map(Self::one)
    }

    fn one(sink: Sink) -> Self {
        Self {
            sinks: Arc::new([sink]),
        }
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
