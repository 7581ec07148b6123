//! Records on their way: their order, their numbers, who waits for them, and what a broken stream leaves to be sent again.
//! Pure: no IO, no clock.

use std::collections::{BTreeSet, VecDeque};

use sallyport_audit::record::{Batch, Draft, Instance, Kind, Origin, RecordError, Seal, SessionId};
use sallyport_audit::wire::batch_room;
use tokio::sync::oneshot;

use super::EvidenceError;

/// The room that a record's source takes, for sizing batches.
const SOURCE: usize = 2048;

/// Number of the first record, and the records.
pub(super) type Numbered = (u64, Vec<Vec<u8>>);

pub(super) type Reply = oneshot::Sender<Result<(), EvidenceError>>;

/// What left the queue, for whoever counts its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Released {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Released {
    fn add(&mut self, draft: &Draft) {
        self.records += 1;
        self.bytes += draft.len() as u64;
    }
}

/// The queue of one instance.
pub(super) struct Queue {
    origin: Origin,
    seal: Seal,
    /// Number of the newest acknowledged record.
    acked: u64,
    /// Records after `acked`, in order; the first `sent` are on the stream.
    drafts: VecDeque<Draft>,
    sent: usize,
    /// Last record's number of each batch on the stream.
    flights: VecDeque<u64>,
    /// Who waits until which number is acknowledged, in order.
    waiting: VecDeque<(u64, Reply)>,
    sessions: BTreeSet<SessionId>,
}

impl Queue {
    pub(super) fn new(origin: Origin) -> Result<Self, RecordError> {
        let seal = Seal::new(&origin)?;
        let (drafts, flights, waiting) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Ok(Self {
            origin,
            seal,
            acked: 0,
            drafts,
            sent: 0,
            flights,
            waiting,
            sessions: BTreeSet::new(),
        })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.drafts.len()
    }

    fn last(&self) -> u64 {
        self.acked + self.drafts.len() as u64
    }

    /// Takes a batch; one that speaks of a session which is over is refused whole.
    pub(super) fn push(&mut self, batch: Batch, reply: Option<Reply>) -> Released {
        let mut released = Released::default();
        // Which drafts open or end a session is looked at on a copy, since a batch is taken whole or not at all; nearly every
        // batch does neither and needs none.
        let changes = batch
            .drafts()
            .iter()
            .any(|draft| matches!(draft.kind(), Kind::SESSION_START | Kind::SESSION_END));
        let mut after = changes.then(|| self.sessions.clone());
        let sessions = after.as_mut().unwrap_or(&mut self.sessions);
        if batch.drafts().iter().any(|draft| !admit(sessions, draft)) {
            batch.drafts().iter().for_each(|draft| released.add(draft));
            answer(reply, Err(EvidenceError::SessionOver));
            return released;
        }
        if let Some(after) = after {
            self.sessions = after;
        }
        self.drafts.extend(batch.into_drafts());
        match reply {
            Some(reply) if self.is_empty() => answer(Some(reply), Ok(())),
            Some(reply) => self.waiting.push_back((self.last(), reply)),
            None => {}
        }
        released
    }

    /// The next batch for the stream, as first number and records; `None` when everything is on it.
    pub(super) fn next_batch(&mut self) -> Result<Option<Numbered>, RecordError> {
        let first = self.acked + self.sent as u64 + 1;
        let unsent = self.drafts.range(self.sent..);
        let count = batch_room(unsent.clone().map(|draft| draft.len() + SOURCE));
        let records: Vec<_> = (first..)
            .zip(unsent.take(count))
            .map(|(seq, draft)| self.seal.seal(draft, seq))
            .collect::<Result<_, _>>()?;
        if records.is_empty() {
            return Ok(None);
        }
        self.sent += records.len();
        self.flights.push_back(self.acked + self.sent as u64);
        Ok(Some((first, records)))
    }

    /// Everything up to this number is on disk. `None` when the recorder claims what was never sent.
    pub(super) fn ack(&mut self, up_to: u64) -> Option<Released> {
        let count = usize::try_from(up_to.checked_sub(self.acked)?)
            .ok()
            .filter(|count| *count <= self.sent)?;
        let mut released = Released::default();
        self.drafts.drain(..count).for_each(|draft| released.add(&draft));
        self.acked = up_to;
        self.sent -= count;
        while self.flights.front().is_some_and(|last| *last <= up_to) {
            self.flights.pop_front();
        }
        while self.waiting.front().is_some_and(|(number, _)| *number <= up_to) {
            answer(self.waiting.pop_front().map(|(_, reply)| reply), Ok(()));
        }
        Some(released)
    }

    /// A new stream is up: the recorder has everything up to `acked`; the rest is sent again. `None` when that cannot be.
    pub(super) fn resume(&mut self, acked: u64) -> Option<Released> {
        // What an earlier stream carried may have arrived although its answer did not.
        self.sent = self.drafts.len();
        let released = self.ack(acked)?;
        self.sent = 0;
        self.flights.clear();
        Some(released)
    }

    /// This instance was declared over: what speaks of ended sessions is refused, what came of earlier commands goes on under a
    /// new instance.
    pub(super) fn renew(&mut self, instance: Instance) -> Result<Released, RecordError> {
        self.origin.instance = instance;
        self.seal = Seal::new(&self.origin)?;
        self.sessions.clear();
        self.fail(|| EvidenceError::SessionOver);
        let mut released = Released::default();
        let mut none = BTreeSet::new();
        self.drafts.retain(|draft| {
            // A start that the recorder never saw cannot start now either: its session was told that it failed.
            let keep = draft.kind() != Kind::SESSION_START && admit(&mut none, draft);
            if !keep {
                released.add(draft);
            }
            keep
        });
        (self.acked, self.sent) = (0, 0);
        self.flights.clear();
        Ok(released)
    }

    /// Whoever waits is told; the records stay.
    pub(super) fn fail(&mut self, error: impl Fn() -> EvidenceError) {
        for (_, reply) in self.waiting.drain(..) {
            answer(Some(reply), Err(error()));
        }
    }
}

/// Follows a draft's effect on the open sessions; `false` when it speaks of one that is not open.
fn admit(sessions: &mut BTreeSet<SessionId>, draft: &Draft) -> bool {
    let Some(session) = draft.session() else { return true };
    match draft.kind() {
        Kind::SESSION_START => sessions.insert(session.clone()),
        Kind::SESSION_END => sessions.remove(session),
        Kind::OUTCOME | Kind::TRANSACTION_END => true,
        _ => sessions.contains(session),
    }
}

fn answer(reply: Option<Reply>, result: Result<(), EvidenceError>) {
    // Whoever asked may have stopped waiting.
    reply.map(|reply| reply.send(result));
}
