//! Records on their way: their order, their numbers, who waits for them, and what a broken stream leaves to be sent again.
//! Pure: no IO, no clock.

use std::collections::{BTreeSet, VecDeque};

use sallyport_audit::record::{Batch, Draft, Instance, Kind, Origin, RecordError, Seal, SessionId};
use sallyport_audit::wire::batch_room;
use tokio::sync::oneshot;

use super::EvidenceError;
use crate::log::Checked;

/// The room that a record's source takes, for sizing batches.
const SOURCE: usize = 2048;

/// So many records make a batch worth its own fdatasync although nobody waits for them.
const MANY: usize = 256;

/// Number of the first record, and the records.
pub(super) type Numbered<T> = (u64, Vec<T>);

pub(super) type Reply = oneshot::Sender<Result<(), EvidenceError>>;

/// Somebody who waits until records are on disk.
struct Waiter {
    first: u64,
    last: u64,
    reply: Reply,
}

/// What left the queue, for whoever counts its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Released {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Whether there was anything that a full volume would not take.
    pub(super) anew: bool,
}

impl Released {
    fn add(&mut self, draft: &Draft) {
        self.records += 1;
        self.bytes += draft.len() as u64;
        self.anew |= !draft.closes();
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
    /// Who waits, in order.
    waiting: VecDeque<Waiter>,
    /// Numbers of records that will not be sent again (see [`Queue::abandon`]).
    abandoned: BTreeSet<u64>,
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
            abandoned: BTreeSet::new(),
            sessions: BTreeSet::new(),
        })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The sessions that have begun and not ended.
    pub(super) fn sessions(&self) -> &BTreeSet<SessionId> {
        &self.sessions
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

    /// Number of the newest acknowledged record.
    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// Whether what is not on the stream should go now: somebody waits for it, or it is a lot.
    pub(super) fn is_urgent(&self) -> bool {
        let sent = self.acked + self.sent as u64;
        let unsent = self.drafts.len() - self.sent;
        unsent > 0 && (unsent >= MANY || self.waiting.back().is_some_and(|waiter| waiter.last > sent))
    }

    /// Number of the newest record.
    pub(super) fn last(&self) -> u64 {
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
        let first = self.last() + 1;
        self.drafts.extend(batch.into_drafts());
        let last = self.last();
        match reply {
            Some(reply) if self.is_empty() => answer(Some(reply), Ok(())),
            Some(reply) => self.waiting.push_back(Waiter { first, last, reply }),
            None => {}
        }
        released
    }

    /// The next batch for the stream, as first number and records; `None` when everything is on it.
    pub(super) fn next_batch(&mut self) -> Result<Option<Numbered<Vec<u8>>>, RecordError> {
        self.next(|sealed, _, _| sealed)
    }

    /// The next batch for a log in this process, which need not be told what the records are.
    pub(super) fn next_checked(&mut self) -> Result<Option<Numbered<Checked>>, RecordError> {
        let origin = self.origin.clone();
        self.next(|sealed, draft, seq| Checked::sealed(sealed, draft.header(&origin, seq)))
    }

    fn next<T>(&mut self, make: impl Fn(Vec<u8>, &Draft, u64) -> T) -> Result<Option<Numbered<T>>, RecordError> {
        let first = self.acked + self.sent as u64 + 1;
        let unsent = self.drafts.range(self.sent..);
        let count = batch_room(unsent.clone().map(|draft| draft.len() + SOURCE));
        let records: Vec<_> = (first..)
            .zip(unsent.take(count))
            .map(|(seq, draft)| Ok(make(self.seal.seal(draft, seq)?, draft, seq)))
            .collect::<Result<_, RecordError>>()?;
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
        while self.waiting.front().is_some_and(|waiter| waiter.last <= up_to) {
            answer(self.waiting.pop_front().map(|waiter| waiter.reply), Ok(()));
        }
        Some(released)
    }

    /// A new stream is up: the recorder has everything up to `acked`; the rest is sent again. `None` when that cannot be.
    pub(super) fn resume(&mut self, acked: u64) -> Option<Released> {
        // What an earlier stream carried may have arrived although its answer did not.
        self.sent = self.drafts.len();
        let mut released = self.ack(acked)?;
        self.drop_abandoned(&mut released);
        self.sent = 0;
        self.flights.clear();
        Some(released)
    }

    /// This instance was declared over: what speaks of ended sessions is refused, what came of earlier commands goes on under a
    /// new instance.
    pub(super) fn renew(&mut self, instance: Instance) -> Result<Released, RecordError> {
        let mut released = Released::default();
        self.drop_abandoned(&mut released);
        self.origin.instance = instance;
        self.seal = Seal::new(&self.origin)?;
        self.sessions.clear();
        self.fail(|| EvidenceError::SessionOver);
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
        for waiter in self.waiting.drain(..) {
            answer(Some(waiter.reply), Err(error()));
        }
    }

    /// Whoever waits is told, and what they asked for is not sent again: it was refused and does not run, and what came of
    /// earlier commands must not wait behind it. Refused logins go too. What nobody waits for may have run, and stays.
    pub(super) fn abandon(&mut self, error: impl Fn() -> EvidenceError) {
        self.abandoned
            .extend(self.waiting.iter().flat_map(|waiter| waiter.first..=waiter.last));
        let logins = (self.acked + 1..).zip(&self.drafts);
        let logins = logins.filter(|(_, draft)| draft.kind() == Kind::LOGIN_REFUSED);
        self.abandoned.extend(logins.map(|(number, _)| number));
        self.fail(error);
    }

    /// Starts that were not acknowledged are not sent again: they may be what was refused, and the recorder of the next stream may
    /// have started anew, and then was shown no token of theirs. Whoever waits for one is told, and comes again. What nobody waits for goes on: it may be
    /// lost otherwise, and the log tells that nobody confirmed it.
    pub(super) fn abandon_starts(&mut self) {
        let waiting = &self.waiting;
        let waited = |number: u64| {
            waiting
                .iter()
                .any(|waiter| (waiter.first..=waiter.last).contains(&number))
        };
        let starts = (self.acked + 1..)
            .zip(&self.drafts)
            .filter(|(number, draft)| draft.kind() == Kind::SESSION_START && waited(*number));
        self.abandoned.extend(starts.map(|(number, _)| number));
    }

    /// The recorder will never take this session: its start is not sent again, or nothing of any other session would come after
    /// it. Gives whether the session still goes on.
    pub(super) fn abandon_session(&mut self, session: &SessionId) -> bool {
        let mut numbered = (self.acked + 1..).zip(&self.drafts);
        let start = numbered.find(|(_, draft)| draft.kind() == Kind::SESSION_START && draft.session() == Some(session));
        self.abandoned.extend(start.map(|(number, _)| number));
        start.is_some() && self.sessions.contains(session)
    }

    /// Takes abandoned records out, before the rest is sent with numbers that follow each other. Only while nothing is on a
    /// stream, and the recorder has said how far it came.
    fn drop_abandoned(&mut self, released: &mut Released) {
        let abandoned = std::mem::take(&mut self.abandoned);
        if abandoned.range(self.acked + 1..).next().is_none() {
            return;
        }
        let mut never_began = BTreeSet::new();
        let mut gone = Vec::new();
        let drafts = std::mem::take(&mut self.drafts);
        for (number, draft) in (self.acked + 1..).zip(drafts) {
            let session = draft.session();
            // What came of something that ran is taken without its session, too.
            let came_of = matches!(draft.kind(), Kind::OUTCOME | Kind::TRANSACTION_END);
            let unheard = !came_of && session.is_some_and(|session| never_began.contains(session));
            if !unheard && !abandoned.contains(&number) {
                self.drafts.push_back(draft);
                continue;
            }
            if let (Kind::SESSION_START, Some(session)) = (draft.kind(), session) {
                never_began.insert(session.clone());
                self.sessions.remove(session);
            }
            released.add(&draft);
            gone.push(number);
        }
        let before = |number: u64| gone.partition_point(|gone| *gone < number) as u64;
        for mut waiter in std::mem::take(&mut self.waiting) {
            if gone.binary_search(&waiter.last).is_ok() {
                answer(Some(waiter.reply), Err(EvidenceError::SessionOver));
                continue;
            }
            waiter.first -= before(waiter.first);
            waiter.last -= before(waiter.last);
            self.waiting.push_back(waiter);
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
