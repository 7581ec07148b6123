//! Target → client: every message has its place, every value passes through the mask.
//!
//! A message that is not owed, or not of a kind that the state allows, ends the session: what cannot be understood is not
//! passed. Values leave only by [`RowPlan`], [`CopyMasker`] and the masker's free text.
//!
//! [`RowPlan`]: sallyport_policy::mask::RowPlan
//! [`CopyMasker`]: sallyport_policy::mask::copy::CopyMasker

mod channels;
mod complete;
mod describe;
mod large;
mod late;
mod reported;
mod rows;
mod strictly;
mod transaction;
mod words;

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sallyport_policy::catalog::Oid;
use sallyport_policy::mask::action::REDACTED;
use sallyport_policy::mask::copy::CopyError;
use sallyport_policy::mask::{Counts, Masker, RowError};
use sallyport_policy::sql::is_utf8;

use super::after::Stale;
use super::ask::{AskError, Row};
use super::call;
use super::catalog::Known;
use super::copy::{CopyIn, CopyOut};
use super::errors::{self, Reader};
use super::expect::{Expect, Expected};
use super::frame::{self, Body, FrameError, Head, TARGET_CAP, stream_cap};
use super::message::{self, Transaction};
use super::names::Names;
use super::precondition::Precondition;
use super::rows::View;
use super::senders::Senders;
use crate::command::{Ledger, Running};

pub use channels::Channels;
pub use large::{LARGE, Large};
pub use reported::{Reported, Told};
pub use strictly::Doubt;

/// What a session is in the middle of, apart from its sockets.
pub struct State {
    /// What the target owes.
    pub expected: Expected,
    /// What names mean.
    pub names: Names,
    /// The person's masker.
    pub masker: Arc<Masker>,
    /// The catalog, as it was last read.
    pub known: Arc<Known>,
    /// What the door's knowledge may no longer be true of.
    pub stale: Stale,
    /// What statements of the open transaction may have changed: its end, or a savepoint's, may undo it.
    pub changed: Stale,
    /// Whether the open transaction may see what was so before this session's last one ended.
    pub imported: bool,
    /// As the last ReadyForQuery said, or was understood.
    pub transaction: Transaction,
    /// Number of the open transaction in the records.
    pub number: Option<u64>,
    /// Whether the target passes over everything up to the next Sync.
    pub skipping: bool,
    /// Messages were sent after the last ReadyForQuery that are not followed by a Sync yet.
    pub unsynced: bool,
    /// An Execute was sent since it was last made sure what the session's own backend knows.
    pub executed: bool,
    /// Whether the client called a function by the fast path, and is told the answer as to that.
    pub calling: bool,
    /// A COPY from the client is under way.
    pub copy_in: Option<CopyIn>,
    /// A COPY to the client is under way.
    pub copy_out: Option<CopyOut>,
    /// A message that is passed on as it arrives.
    pub large: Option<Large>,
    /// What was masked and is not yet on any command's account.
    pub counts: Counts,
    /// Commands that are complete within a transaction that nobody opened in so many words: it may still fail.
    pub done: Vec<Running>,
    /// Whether code may have ended that transaction before, either way.
    pub commits: bool,
    /// Whether an error came since the last ReadyForQuery.
    pub erred: bool,
    /// Where outcomes go.
    pub ledger: Ledger,
    /// Number that the next transaction gets.
    pub next_number: u64,
    /// The answer to a question of the door's own, once it is there.
    pub answered: Option<Result<Vec<Vec<Row>>, AskError>>,
    /// Whether the open transaction did something guarded: what it says at its end is, too.
    pub guarded: bool,
    /// Whether the catalog could not be read by which words would be judged that came late: they say nothing.
    pub muted: bool,
    /// Whether a RowDescription may name relations that no catalog holds.
    pub strangers: bool,
    /// Whether a statement is being pinned, of which the client hears nothing.
    pub pinning: bool,
    /// Whether the target did not take it.
    pub unpinned: bool,
    /// Whether something was pinned since the last ReadyForQuery: the target waits for what it is pinned for.
    pub pinned: bool,
    /// How that was understood.
    pub pins: Vec<Rc<View>>,
    /// Which command the target did not take that is pinned before it runs, and with which SQLSTATE.
    pub not_pinned: Option<(usize, String)>,
    /// When the catalog by which the answer is masked was last known to be fresh.
    pub fresh: Instant,
    /// Whether it was read again for the very message that is passed on next.
    pub looked: bool,
    /// Whether it was read again for something of this unit: the target keeps what it says in a pipeline until Sync, and what a command
    /// says that waited comes at once behind what Bind says.
    pub was_late: bool,
    /// Whether something of this unit turned out to have copied other values than it was judged by: what stands behind it reads them,
    /// however soon it is answered.
    pub astir: bool,
    /// Whether something was told of the answer under way, and so what it comes from is settled.
    pub told: bool,
    /// What was defined since the last ReadyForQuery, for a person under profile Strict.
    pub defined: HashSet<Oid>,
    /// What the client knows of its settings.
    pub reported: Reported,
    /// Channels that the client itself named.
    pub channels: Channels,
    /// Sessions whose notifications may hold anything.
    pub senders: Senders,
    /// The backend's process number.
    pub pid: i32,
    /// What the next unit may ask to be true before it runs.
    pub precondition: Precondition,
}

/// Why nothing more is relayed.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The target broke the protocol.
    #[error("the target broke the protocol: {0}")]
    Target(#[from] FrameError),
    /// A message that is not owed.
    #[error("the target sent message type 0x{0:02x} that nobody asked for")]
    Unasked(u8),
    /// A row that cannot be passed.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A COPY that cannot be passed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Rows of a plan that no longer hides all that it has to.
    #[error("protected values were copied into what this reads while its rows came: ask again")]
    Meanwhile,
    /// What is answered by what its names have come to mean, which profile Strict does not let through.
    #[error(
        "what this reads was changed by others while it waited, and profile Strict tells nothing of what came of it: ask again"
    )]
    Another,
    /// A COPY whose options are not understood, or that is answered as another.
    #[error("this COPY has options that the door does not understand, or the target answers another one")]
    CopyOptions,
    /// A message that has to be held whole and is too large for that.
    #[error(
        "the target sent a row of more than {} MiB whose columns have to be looked at: select fewer columns, or parts of them",
        TARGET_CAP / 1024 / 1024
    )]
    TooLarge,
    /// What was begun ended, while the target waited for the rest of it: what was sent meanwhile runs by itself.
    #[error(
        "the target ended what was begun while it waited for more, as statement_timeout has it: whether the rest ran is not known"
    )]
    Overtaken,
    /// Another encoding than UTF8.
    #[error("the target changed client_encoding: the session cannot be masked any more")]
    Encoding,
    /// The answer to a question of the door's own.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// How far what has arrived was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// So many bytes are done with, at least one.
    Done(usize),
    /// More has to arrive.
    Dry,
    /// The catalog may be another than the one by which the next message would be masked: read it again, then go on.
    Fresh(Awaiting),
}

/// What waits for a fresh catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaiting {
    /// How rows are masked, or where protection goes on.
    Plan,
    /// A notice, which can be kept back.
    Notice,
    /// An error, which can, too. What failed has copied nothing.
    Error,
}

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is done with.
    Taken,
    /// It names a relation that the catalog does not hold, or comes so late that the catalog may be another: read it again,
    /// then try again.
    Fresh(Awaiting),
}

/// Passes on the first message of what has arrived from the target, or what is there of one that is too large to be held.
///
/// # Errors
/// When the session has to end.
pub fn pass(state: &mut State, arrived: &[u8], out: &mut Vec<u8>) -> Result<Passed, Broken> {
    let done = |n: usize| if n == 0 { Passed::Dry } else { Passed::Done(n) };
    if state.large.is_some() {
        return large::go_on(state, arrived, out).map(done);
    }
    let Some(head) = frame::head(arrived, stream_cap)? else {
        return Ok(Passed::Dry);
    };
    let taken = |step| match step {
        Step::Taken => Passed::Done(head.len),
        Step::Fresh(awaiting) => Passed::Fresh(awaiting),
    };
    let message = arrived.get(..head.len);
    if (message.is_some() || head.len > LARGE)
        && let Some(awaiting) = state.awaits(head.tag)
    {
        return Ok(Passed::Fresh(awaiting));
    }
    if matches!(head.tag, b'D' | b'd') && state.masker.acts() && !state.hides_enough() {
        return Err(Broken::Meanwhile);
    }
    match message {
        Some(bytes) if state.calling => {
            let mut said = Vec::new();
            let step = relay(state, head, bytes, &mut said)?;
            state.calling = !call::answer(&said, out);
            Ok(taken(step))
        }
        Some(bytes) => {
            let step = relay(state, head, bytes, out)?;
            if step == Step::Taken {
                state.tells(head.tag);
            }
            Ok(taken(step))
        }
        None if head.len <= LARGE => Ok(Passed::Dry),
        None if state.calling && head.len > TARGET_CAP => Err(Broken::TooLarge),
        None if state.calling => Ok(Passed::Dry),
        None => large::begin(state, head, arrived, out).map(|begun| done(begun.unwrap_or_default())),
    }
}

/// Passes on one message of the target: `bytes` is the whole frame.
fn relay(state: &mut State, head: Head, bytes: &[u8], out: &mut Vec<u8>) -> Result<Step, Broken> {
    let body = Body::of(bytes);
    if let Some(Expect::Own(_)) = state.expected.front() {
        return own(state, head.tag, body, bytes, out);
    }
    match head.tag {
        b'N' | b'S' | b'A' => aside(state, head.tag, body, out),
        b'E' => complete::error(state, body, out),
        b'Z' => complete::ready(state, body, bytes, out),
        b'1' | b'2' | b'3' => complete::simple(state, head.tag, bytes, out),
        b't' | b'T' | b'n' => return describe::describe(state, head.tag, body, bytes, out),
        b'D' => rows::data_row(state, body, bytes, out),
        b'H' | b'd' | b'c' => rows::copy_out(state, head.tag, body, bytes, out),
        b'G' => rows::copy_in(state, body, bytes, out),
        b'C' | b'I' | b's' => complete::command(state, head.tag, body, bytes, out),
        tag => Err(Broken::Unasked(tag)),
    }
    .map(|()| Step::Taken)
}

/// The answer to a question of the door's own: the client does not see it, but what the target says aside it does.
fn own(state: &mut State, tag: u8, body: Body<'_>, bytes: &[u8], out: &mut Vec<u8>) -> Result<Step, Broken> {
    if matches!(tag, b'N' | b'S' | b'A') {
        return aside(state, tag, body, out).map(|()| Step::Taken);
    }
    let Some(Expect::Own(answer)) = state.expected.front() else {
        return Err(Broken::Unasked(tag));
    };
    if answer.take(tag, body)? {
        state.transaction = message::ready(Body::of(bytes))?;
        state.pinned = false;
        state.pins.clear();
        if let Some(Expect::Own(answer)) = state.expected.pop() {
            state.answered = Some(answer.finish());
        }
    }
    Ok(Step::Taken)
}

/// Notices, parameters and notifications, which may come at any time.
fn aside(state: &mut State, tag: u8, body: Body<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
    match tag {
        b'N' => {
            let fields = errors::fields(body)?;
            let guarded = state.is_guarded();
            let reader = Reader {
                masker: &state.masker,
                catalog: &state.known.snapshot,
                guarded,
                text: None,
                names: None,
            };
            reader.put(b'N', &fields, out, &mut state.counts);
        }
        b'S' => {
            let (name, value) = message::parameter_status(body)?;
            if name == "client_encoding" && !is_utf8(value) {
                return Err(Broken::Encoding);
            }
            let guarded = state.is_guarded();
            let value = match state.reported.tells(name, value, guarded) {
                Told::Whole => value,
                Told::Name => REDACTED,
                Told::Nothing => return Ok(()),
            };
            let (name, value) = (
                state.masker.free_text(name, &mut state.counts),
                state.masker.free_text(value, &mut state.counts),
            );
            frame::put(out, b'S', |out| {
                frame::put_cstr(out, &name);
                frame::put_cstr(out, &value);
            });
        }
        _ => {
            let (pid, channel, payload) = message::notification(body)?;
            let hides = state.masker.acts() && state.senders.is_noted(pid);
            let tells = !hides || state.channels.knows(channel);
            let channel = if tells { channel } else { REDACTED };
            let payload = if hides { REDACTED } else { payload };
            let channel = state.masker.free_text(channel, &mut state.counts);
            let payload = state.masker.free_text(payload, &mut state.counts);
            frame::put(out, b'A', |out| {
                out.extend_from_slice(&pid.to_be_bytes());
                frame::put_cstr(out, &channel);
                frame::put_cstr(out, &payload);
            });
        }
    }
    Ok(())
}

// === impl State ===

impl State {
    /// A session that has just begun: nothing is owed, nothing is known.
    #[must_use]
    pub fn new(masker: Arc<Masker>, ledger: Ledger) -> Self {
        Self {
            expected: Expected::default(),
            names: Names::default(),
            counts: masker.counts(),
            masker,
            known: Arc::default(),
            stale: Stale {
                path: true,
                ..Stale::default()
            },
            changed: Stale::default(),
            imported: false,
            transaction: Transaction::Idle,
            number: None,
            skipping: false,
            unsynced: false,
            executed: false,
            calling: false,
            copy_in: None,
            copy_out: None,
            large: None,
            done: Vec::new(),
            commits: false,
            erred: false,
            ledger,
            next_number: 1,
            answered: None,
            guarded: false,
            muted: false,
            strangers: false,
            pinning: false,
            unpinned: false,
            pinned: false,
            pins: Vec::new(),
            not_pinned: None,
            fresh: Instant::now(),
            looked: false,
            was_late: false,
            astir: false,
            told: false,
            defined: HashSet::new(),
            reported: Reported::default(),
            channels: Channels::default(),
            senders: Senders::default(),
            pid: 0,
            precondition: Precondition::default(),
        }
    }

    /// Whether words about the answer that is under way, or the transaction, may hold protected values.
    fn is_guarded(&mut self) -> bool {
        self.guarded || self.has_guarded()
    }

    /// Notes what runs: from here on, words about the transaction may hold what it touched.
    fn guard(&mut self) {
        self.guarded |= self.view().is_some_and(|view| view.guarded);
    }

    /// Notes what is about to run: others may hear of it before its own session does.
    pub fn starts(&self, view: &View) {
        if view.guarded && view.runs {
            self.senders.note(self.pid);
        }
    }

    /// How the answer that is under way is masked.
    fn view(&mut self) -> Option<Rc<View>> {
        match self.expected.front()? {
            Expect::Query(query) => query.parts.front().map(|part| Rc::clone(&part.view)),
            Expect::DescribeStatement { view, .. } | Expect::Pin { view, .. } => Some(Rc::clone(view)),
            Expect::DescribePortal { portal, .. } | Expect::Execute { portal, .. } => Some(Rc::clone(&portal.view)),
            Expect::Bind(super::names::Change::Bind(_, portal)) => Some(Rc::clone(&portal.view)),
            // What Parse says is about a text that was screened, and may quote its literals, nothing stored: unless code of types is
            // run by these.
            Expect::Parse(_, view, _) => view.clone(),
            _ => None,
        }
    }

    /// Runs `account` on what owes the outcome of the answer that is under way.
    fn with_running(&mut self, account: impl FnOnce(&mut Running, &mut Counts)) {
        match self.expected.front() {
            Some(Expect::Query(query)) => {
                if let Some(running) = query.parts.front_mut().and_then(|part| part.running.as_mut()) {
                    account(running, &mut self.counts);
                }
            }
            Some(Expect::Execute { portal, .. }) => {
                if let Some(running) = portal.running.borrow_mut().as_mut() {
                    account(running, &mut self.counts);
                }
            }
            _ => {}
        }
    }
}
