//! The task that owns the stream to one recorder.

mod handshake;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::checkpoint::Head;
use sallyport_audit::note::VerifierKey;
use sallyport_audit::record::{Instance, ObjectRef, Origin, PodRef, Writer};
use sallyport_audit::wire::Refuse;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::mailbox;
use super::presents::Presents;
use super::queue::{Queue, Released};
use super::road::Road;
use super::sink::Gauge;
use super::{EvidenceError, Message, State};
use crate::log::LogError;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

pub(super) fn spawn(
    origin: Origin,
    road: Road,
    messages: mailbox::Receiver<Message>,
    state: watch::Sender<State>,
    gauge: Arc<Gauge>,
    runtime: &Handle,
) -> Result<(), EvidenceError> {
    let queue = Queue::new(origin)?;
    let task = Task {
        queue,
        road,
        messages,
        state,
        gauge,
        key: None,
        head: None,
        permit: None,
        refusal: None,
        presents: Presents::default(),
        tokens: false,
        ages: VecDeque::new(),
        closing: None,
    };
    runtime.spawn(task.run());
    Ok(())
}

/// The names under which records of this process are written.
pub(super) fn origin(connection: &ObjectRef, pod: &PodRef) -> Result<Origin, EvidenceError> {
    let instance = Instance::random().map_err(|error| EvidenceError::Setup(error.to_string()))?;
    Ok(Origin {
        connection: Some(Arc::new(connection.clone())),
        instance,
        pod: Arc::new(pod.clone()),
        writer: Writer::Proxy,
    })
}

struct Task {
    queue: Queue,
    road: Road,
    messages: mailbox::Receiver<Message>,
    state: watch::Sender<State>,
    gauge: Arc<Gauge>,
    /// The log's key, from the first welcome on: a recorder that comes back with another one is refused.
    key: Option<VerifierKey>,
    /// The newest head seen, echoed with every batch.
    head: Option<Head>,
    /// The newest permit that a recorder has shown: passed on, so that one that was replaced learns of it.
    permit: Option<String>,
    /// Why the recorder's volume takes nothing, from its refusal until something new is on it: the recorder welcomes doors all the
    /// while, and takes what ends things.
    refusal: Option<String>,
    /// Tokens that the recorder has said nothing of.
    presents: Presents,
    /// Whether the recorder of this stream wants them.
    tokens: bool,
    /// When the batches in the queue were handed over, by their last record's number.
    ages: VecDeque<(u64, std::time::Instant)>,
    closing: Option<oneshot::Sender<()>>,
}

/// Why a stream is not used any longer.
enum Break {
    /// Everything is said.
    Done,
    /// In words; another try is made.
    Problem(String),
}

impl<E: std::error::Error> From<E> for Break {
    fn from(error: E) -> Self {
        Self::Problem(error.to_string())
    }
}

impl Task {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let broke = match self.connect().await {
                Ok(live) => {
                    pause = FIRST_PAUSE;
                    self.stream(live).await
                }
                Err(broke) => broke,
            };
            match broke {
                Break::Done => break,
                Break::Problem(problem) => self.disconnected(problem),
            }
            if self.wait(pause).await.is_none() {
                break;
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
        self.queue.fail(|| EvidenceError::Closed);
        self.closing.take().map(|done| done.send(()));
    }

    fn disconnected(&self, problem: String) {
        self.messages.look_soon(false);
        if self.state.borrow().connected || self.state.borrow().problem != problem {
            tracing::warn!(%problem, "no stream to the recorder");
        }
        self.state
            .send_modify(|state| (state.connected, state.problem) = (false, problem));
    }

    /// Takes messages for a while; `None` when there will be no more and nothing is left to send.
    async fn wait(&mut self, pause: Duration) -> Option<()> {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                message = self.messages.recv(), if !self.messages.is_closed() || !self.messages.is_empty() => self.take(message)?,
                () = tokio::time::sleep_until(until) => return Some(()),
            }
        }
    }

    /// `None` when there is nothing left to wait for.
    fn take(&mut self, message: Option<Message>) -> Option<()> {
        match message {
            Some(Message::Append { batch, reply }) => {
                self.gauge.forget(&batch);
                let released = self.queue.push(batch, reply);
                self.ages.push_back((self.queue.last(), std::time::Instant::now()));
                self.release(released);
                Some(())
            }
            Some(Message::Present { present, reply }) => {
                self.presents.push(present, reply);
                Some(())
            }
            Some(Message::Close { done }) => {
                self.closing = Some(done);
                self.messages.close();
                self.goes_on()
            }
            // Every handle is gone: what is queued is still delivered.
            None => {
                self.messages.close();
                self.goes_on()
            }
        }
    }

    fn goes_on(&self) -> Option<()> {
        (!self.queue.is_empty()).then_some(())
    }

    /// Goes on as a new instance, in which the sessions of the old one are over.
    fn renew(&mut self) -> Result<(), Break> {
        self.gauge.end(self.queue.sessions());
        let released = self.queue.renew(Instance::random()?)?;
        self.release(released);
        Ok(())
    }

    fn release(&mut self, released: Released) {
        self.gauge.release(released.records, released.bytes);
        self.age();
    }

    /// Tells how long the oldest record is on its way.
    fn age(&mut self) {
        let acked = self.queue.acked();
        while self.ages.front().is_some_and(|(last, _)| *last <= acked) {
            self.ages.pop_front();
        }
        if self.queue.is_empty() {
            self.ages.clear();
        }
        self.gauge.oldest(self.ages.front().map(|(_, since)| *since));
    }

    /// A log only grows: a smaller head, or another root for the same size, is a volume that was rolled back.
    fn see(&mut self, head: Head) -> Result<(), Break> {
        if let Some(known) = self.head
            && (head.size < known.size || (head.size == known.size && head.root != known.root))
        {
            return Err(Break::Problem(format!(
                "the recorder's log has {} records and had {}: it was rolled back",
                head.size, known.size
            )));
        }
        self.head = Some(head);
        Ok(())
    }

    fn refused_by_log(&mut self, error: LogError) -> Break {
        let LogError { code, reason, session } = error;
        self.refused(Refuse { code, reason, session })
    }

    fn refused(&mut self, refuse: Refuse) -> Break {
        let Refuse { code, reason, session } = refuse;
        tracing::warn!(?code, %reason, "the recorder refuses");
        use sallyport_audit::wire::RefuseCode::{Busy, Fenced, Record, Sequence, Stopping, Storage};
        if !matches!(code, Busy | Stopping | Fenced) {
            self.presents.fail(|| EvidenceError::Refused(reason.clone()));
        }
        match code {
            Busy | Stopping | Fenced => {}
            Record | Sequence => {
                self.queue.fail(|| EvidenceError::Refused(reason.clone()));
                // The same records would be refused for ever: a defect of ours, which must not silence the door.
                if let Err(Break::Problem(problem)) = self.renew() {
                    tracing::error!(%problem, "no new instance can be begun");
                }
            }
            Storage => {
                self.refusal = Some(reason.clone());
                self.queue.abandon(|| EvidenceError::Refused(reason.clone()));
            }
            _ => {
                // A start that a recorder does not take it would not take again, and nothing that comes after it.
                self.queue.abandon_starts();
                if let Some(session) = session {
                    tracing::error!(%session, "the recorder will never take this session: it is over");
                    if self.queue.abandon_session(&session) {
                        self.gauge.end([&session]);
                    }
                }
                self.queue.fail(|| EvidenceError::Refused(reason.clone()));
            }
        }
        Break::Problem(reason)
    }
}
