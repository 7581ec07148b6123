//! The task that owns the stream to one recorder.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::checkpoint::Head;
use sallyport_audit::note::VerifierKey;
use sallyport_audit::permit::Permit;
use sallyport_audit::record::{Instance, ObjectRef, Origin, PodRef, RecordError, Writer};
use sallyport_audit::wire::{Ack, Batch, Frame, Hello, PROTOCOL, Refuse, Welcome};
use tokio::io::WriteHalf;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::mailbox;
use super::presents::Presents;
use super::queue::{Queue, Released};
use super::road::{Dial, Live, Road, Stream, write_here};
use super::{EvidenceError, Gauge, Link, Message, State};
use crate::frames::{FrameReader, StreamError, write};
use crate::log::{Attached, Log, LogError};
use crate::server::Door;

/// Batches on the stream at one time: the recorder gathers what arrives while it waits for its disk, so a few suffice.
const IN_FLIGHT: usize = 4;
/// How long records that nobody waits for are gathered: each batch costs the recorder an fdatasync, which is better spent
/// together with the next one that somebody does wait for.
const GATHER: Duration = Duration::from_millis(20);
const CONNECT: Duration = Duration::from_secs(5);
const ALIVE: Duration = Duration::from_secs(3);
/// A recorder that says nothing for this long, not even to a keep-alive, is gone.
const SILENCE: Duration = Duration::from_secs(12);
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
pub(super) fn origin(link: &Link) -> Result<Origin, EvidenceError> {
    let instance = Instance::random().map_err(|error| EvidenceError::Setup(error.to_string()))?;
    Ok(Origin {
        connection: Some(link.connection.clone()),
        instance,
        pod: link.pod.clone(),
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

    async fn connect(&mut self) -> Result<Live, Break> {
        let live = match &self.road {
            Road::Stream(dial) => {
                let dial = Arc::clone(dial);
                self.greet(dial).await?
            }
            Road::Here { log, door } => {
                let (log, door) = (log.clone(), Arc::clone(door));
                self.enter(log, door).await?
            }
        };
        if self.refusal.is_none() {
            tracing::info!("records go to the recorder");
        }
        let tree_size = self.head.map_or(0, |head| head.size);
        self.state.send_replace(State {
            connected: self.refusal.is_none(),
            problem: self.refusal.clone().unwrap_or_default(),
            tree_size,
        });
        Ok(live)
    }

    fn names(&self) -> Result<(ObjectRef, Instance, PodRef), Break> {
        let Origin {
            connection,
            instance,
            pod,
            ..
        } = self.queue.origin().clone();
        let connection = connection.ok_or_else(|| Break::Problem("a door without a Connection".to_owned()))?;
        Ok((connection, instance, pod))
    }

    /// Opens a stream and greets the recorder at its end.
    async fn greet(&mut self, dial: Dial) -> Result<Live, Break> {
        let stream = timeout(CONNECT, dial())
            .await
            .map_err(|_| Break::Problem("the recorder does not answer".to_owned()))??;
        let (read, mut out) = tokio::io::split(stream);
        let mut reader = FrameReader::new(read);
        let (connection, instance, pod) = self.names()?;
        let hello = Hello {
            connection,
            head: self.head,
            instance,
            permit: self.permit.clone(),
            pod,
            version: PROTOCOL,
        };
        write(&mut out, &[Frame::Hello(hello)]).await?;
        match timeout(CONNECT, reader.next()).await {
            Ok(Ok(Frame::Welcome(welcome))) => self.welcomed(welcome)?,
            Ok(Ok(Frame::Refuse(refuse))) => return Err(self.refused(refuse)),
            Ok(Ok(_)) => return Err(Break::Problem("the recorder does not greet".to_owned())),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(Break::Problem("the recorder does not greet in time".to_owned())),
        }
        Ok(Live::Stream { reader, out })
    }

    /// Tells the log in this process of us.
    async fn enter(&mut self, log: Log, door: Arc<Door>) -> Result<Live, Break> {
        let (connection, instance, pod) = self.names()?;
        let standing = log
            .attach(instance.clone(), connection, pod, self.head, self.permit.clone())
            .await
            .map_err(|error| self.refused_by_log(error))?;
        let attached = Attached::new(log, instance);
        self.welcomed(Welcome {
            acked: standing.acked,
            fenced: standing.fenced,
            head: standing.head,
            permit: standing.permit,
            tokens: false,
            vkey: attached.log.key().to_string(),
        })?;
        Ok(Live::Here { attached, door })
    }

    fn welcomed(&mut self, welcome: Welcome) -> Result<(), Break> {
        let Welcome {
            acked,
            fenced,
            head,
            permit,
            tokens,
            vkey,
        } = welcome;
        let key: VerifierKey = vkey.parse()?;
        if self.key.as_ref().is_some_and(|known| *known != key) {
            return Err(Break::Problem("the recorder came back with another key".to_owned()));
        }
        if !head.verifies(&key) {
            return Err(Break::Problem(
                "the recorder's tree head is not signed by its key".to_owned(),
            ));
        }
        self.see_permit(permit)?;
        self.see(head)?;
        self.key = Some(key);
        self.tokens = tokens;
        self.presents.begin(tokens);
        if tokens {
            self.queue.abandon_starts();
        }
        let cannot = || Break::Problem(format!("the recorder claims {acked} records of this instance"));
        if fenced {
            // Only our own fence forgets numbers; take what the recorder has before the new instance begins at one.
            let released = self.queue.resume(acked).ok_or_else(cannot)?;
            self.release(released);
            tracing::error!("the recorder declared this door's sessions over; going on as a new instance");
            let released = self.queue.renew(Instance::random()?)?;
            self.release(released);
            return Err(Break::Problem("beginning a new instance".to_owned()));
        }
        let released = self.queue.resume(acked).ok_or_else(cannot)?;
        self.release(released);
        Ok(())
    }

    /// Of two recorders the one with the later permit writes the log. Only the recorder can check the operator's signature;
    /// the door passes on what it was shown.
    fn see_permit(&mut self, permit: Option<String>) -> Result<(), Break> {
        let epoch = |permit: &Option<String>| permit.as_deref().and_then(Permit::stated_epoch);
        if epoch(&permit) < epoch(&self.permit) {
            return Err(Break::Problem(
                "this recorder was replaced by another, which the operator let write after it".to_owned(),
            ));
        }
        self.permit = permit;
        Ok(())
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
        let LogError { code, reason } = error;
        self.refused(Refuse { code, reason })
    }

    fn refused(&mut self, refuse: Refuse) -> Break {
        let Refuse { code, reason } = refuse;
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
                if let Ok(instance) = Instance::random()
                    && let Ok(released) = self.queue.renew(instance)
                {
                    self.release(released);
                }
            }
            Storage => {
                self.refusal = Some(reason.clone());
                self.queue.abandon(|| EvidenceError::Refused(reason.clone()));
            }
            _ => {
                // A start that a recorder does not take it would not take again, and nothing that comes after it.
                self.queue.abandon_starts();
                self.queue.fail(|| EvidenceError::Refused(reason.clone()));
            }
        }
        Break::Problem(reason)
    }

    /// Sends and hears until the stream breaks or everything is said.
    async fn stream(&mut self, mut live: Live) -> Break {
        let mut alive = interval(ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        // What is left of an earlier stream goes at once.
        let mut send_at = Some(Instant::now());
        loop {
            self.messages.look_soon(false);
            while let Some(message) = self.messages.try_recv() {
                if self.take(Some(message)).is_none() {
                    break;
                }
            }
            if let Err(broke) = self.present(&mut live).await {
                return broke;
            }
            let open = !self.messages.is_closed();
            let due = !open || self.queue.is_urgent() || send_at.is_some_and(|at| at <= Instant::now());
            if due && let Err(broke) = self.send(&mut live).await {
                return broke;
            }
            // With the stream full, the next acknowledgement is when there is room again.
            let waits = self.queue.has_unsent() && self.queue.in_flight() < IN_FLIGHT;
            send_at = match send_at {
                Some(at) if waits && !due => Some(at),
                _ => waits.then(|| Instant::now() + GATHER),
            };
            self.messages.look_soon(send_at.is_some());
            if !open && self.queue.is_empty() {
                match &mut live {
                    // The other end may be gone already; it notices by itself.
                    Live::Stream { out, .. } => _ = write(out, &[Frame::Bye]).await,
                    Live::Here { attached, .. } => attached.goodbye = true,
                }
                return Break::Done;
            }
            let step = tokio::select! {
                message = self.messages.recv(), if open => {
                    self.take(message);
                    Ok(())
                }
                frame = live.next() => {
                    heard = Instant::now();
                    self.hear(frame)
                }
                () = tokio::time::sleep_until(send_at.unwrap_or(heard)), if send_at.is_some() => Ok(()),
                _ = alive.tick() => match &mut live {
                    Live::Stream { out, .. } => self.keep_alive(out, heard).await,
                    Live::Here { .. } => Ok(()),
                },
            };
            if let Err(broke) = step {
                return broke;
            }
        }
    }

    /// Shows the recorder what waits to be shown.
    async fn present(&mut self, live: &mut Live) -> Result<(), Break> {
        let Live::Stream { out, .. } = live else {
            self.presents.pass();
            return Ok(());
        };
        if !self.tokens {
            self.presents.pass();
            return Ok(());
        }
        for present in self.presents.next() {
            timeout(SILENCE, write(out, &[Frame::Present(present)]))
                .await
                .map_err(|_| StreamError::Silent)??;
        }
        Ok(())
    }

    async fn send(&mut self, live: &mut Live) -> Result<(), Break> {
        while self.queue.in_flight() < IN_FLIGHT && self.queue.has_unsent() {
            match live {
                Live::Stream { out, .. } => {
                    let next = self.queue.next_batch();
                    let Some((first, records)) = self.sealed(next)? else {
                        break;
                    };
                    let batch = Batch {
                        first,
                        head: self.head,
                        records,
                    };
                    timeout(SILENCE, write(out, &[Frame::Batch(batch)]))
                        .await
                        .map_err(|_| StreamError::Silent)??;
                }
                Live::Here { attached, door } => {
                    let next = self.queue.next_checked();
                    let Some((_, records)) = self.sealed(next)? else { break };
                    // What arrives while this thread waits for the disk goes together next time.
                    let written = write_here(&attached.log, door, records);
                    let (up_to, size) = written.map_err(|error| self.refused_by_log(error))?;
                    self.acknowledged(up_to, size)?;
                }
            }
        }
        Ok(())
    }

    fn sealed<T>(&mut self, next: Result<T, RecordError>) -> Result<T, Break> {
        next.or_else(|error| {
            // One record that cannot be written down must not stop all others.
            self.queue.fail(|| EvidenceError::Refused(error.to_string()));
            let released = self.queue.renew(Instance::random()?)?;
            self.release(released);
            Err(error.into())
        })
    }

    fn hear(&mut self, frame: Result<Frame, StreamError>) -> Result<(), Break> {
        match frame? {
            Frame::Ack(Ack { up_to, head }) => {
                self.see(head)?;
                self.acknowledged(up_to, head.size)
            }
            Frame::KeepAlive => Ok(()),
            Frame::Vouched(vouched) => {
                self.presents.answer(vouched);
                Ok(())
            }
            Frame::Refuse(refuse) => Err(self.refused(refuse)),
            _ => Err(Break::Problem(
                "the recorder sends what recorders do not send".to_owned(),
            )),
        }
    }

    /// Records up to this number are on disk, in a log of this size.
    fn acknowledged(&mut self, up_to: u64, size: u64) -> Result<(), Break> {
        let released = self
            .queue
            .ack(up_to)
            .ok_or(Break::Problem("the recorder acknowledges what was not sent".to_owned()))?;
        self.release(released);
        let again = released.anew && self.refusal.take().is_some();
        if again {
            tracing::info!("records go to the recorder again");
        }
        self.state.send_if_modified(|state| {
            state.tree_size = size;
            if again {
                (state.connected, state.problem) = (true, String::new());
            }
            again
        });
        Ok(())
    }

    /// Now and then: are we both here, and is the newest head genuine?
    async fn keep_alive(&self, out: &mut WriteHalf<Box<dyn Stream>>, heard: Instant) -> Result<(), Break> {
        if heard.elapsed() > SILENCE {
            return Err(StreamError::Silent.into());
        }
        // Checking each acknowledgement's signature would cost as much as everything else here; a forged one is found by the
        // next check, and changes nothing in what this recorder is trusted with.
        if let (Some(head), Some(key)) = (&self.head, &self.key)
            && !head.verifies(key)
        {
            return Err(Break::Problem(
                "the recorder's tree head is not signed by its key".to_owned(),
            ));
        }
        timeout(SILENCE, write(out, &[Frame::KeepAlive]))
            .await
            .map_err(|_| StreamError::Silent)??;
        Ok(())
    }
}
