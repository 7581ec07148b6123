//! A session under way: both sockets, what is owed, what is known.

mod alarm;
mod beside;
mod copying;
mod desk;
mod exchange;
mod idle;
mod learn;
mod over;
mod pin;
mod token;
mod units;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_audit::record::EndCause;
use sallyport_crds::approval_policy::OnHold;
use sallyport_policy::catalog::SearchPath;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;

use alarm::Alarm;
use over::Over;

use super::cancel::Cancellable;
use super::catalog::{Catalogs, Near};
use super::dial::Reached;
use super::errors::sqlstate;
use super::frame;
use super::relay::State;
use super::room::Place;
use super::startup::CancelKey;
use super::stream::TargetStream;
use super::unit::Collector;
use super::wire::Wire;
use crate::command::{Gone, Recorded};
use crate::drain::Drain;
use crate::session::{Session, Target};

/// Bytes that are read ahead of a client while its unit is under way.
const AHEAD: usize = 64 * 1024;
/// How long one waits for others' large messages to leave.
const ROOM_WITHIN: Duration = Duration::from_secs(10);
/// How long the end of a session may take.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long the answer to a command is still awaited when nobody is left to read it: its outcome is evidence.
const LINGER: Duration = Duration::from_secs(30);

/// Settings of users beyond which nothing is asked of a second person any more: what a statement does may hang on each.
const MAX_SETTINGS: usize = 256;

/// A session under way.
pub struct Conversation {
    client: Wire<TlsStream<TcpStream>>,
    target: Wire<TargetStream>,
    state: State,
    collector: Collector,
    /// Room for the unit that arrives or is under way.
    sends: Place,
    /// Room for what is held of its answer.
    reads: Place,
    /// The client's key, and the cancels that came by it.
    cancellable: Cancellable,
    /// How many cancels had come when the unit began.
    cancels: u64,
    /// The backend's own key.
    backend: CancelKey,
    /// A cancel on its way to the target: it must have arrived before another command may run.
    cancelling: Option<JoinHandle<()>>,
    /// The door's own end.
    drain: Drain,
    dialled: Arc<Target>,
    database: String,
    catalogs: Catalogs,
    near: Near,
    /// How unqualified names are looked up, as far as it is known.
    path: Option<SearchPath>,
    /// The schemas that there were when it was asked for; see [`Known::schemas`](super::catalog::Known::schemas).
    schemas: Arc<str>,
    /// Relations that only this session sees; with all others, after its own uncommitted DDL.
    own: learn::OwnRelations,
    /// The unit under way, if it runs only where the target finds what was assumed to be so.
    assuming: Option<(units::Unit, Recorded)>,
    /// Whether the unit under way was judged again since the catalog moved while it was pinned.
    judged_again: bool,
    /// Revision of the rules that the masker in use was made by.
    masked_by: u64,
    on_hold: Option<OnHold>,
    break_glass: Option<String>,
    /// Settings of users that its statements changed, or may have.
    settings: BTreeSet<String>,
    /// Bytes of a CopyData of the client that are still to come.
    copy_rest: usize,
    /// The client is gone; what is under way is seen to its end.
    orphaned: Option<Instant>,
    /// Why the session ends, where that came up while a command waited.
    ending: Option<Over>,
    /// Whether the unit that comes continues one of which a part has run.
    partial: bool,
    began: tokio::time::Instant,
    deadline: tokio::time::Instant,
    /// Ends what is waited for between two units.
    idle_alarm: Alarm,
    /// Ends what is waited for within one.
    busy_alarm: Alarm,
    /// How often the token is checked again.
    verify_every: Option<Duration>,
    /// When a token that has to be checked again is checked next.
    verify_at: Option<tokio::time::Instant>,
}

/// What a conversation begins with.
pub struct Beginning {
    /// The client, let in.
    pub client: Wire<TlsStream<TcpStream>>,
    /// The target, ready.
    pub reached: Reached,
    /// The client's key.
    pub cancellable: Cancellable,
    /// Room for what it sends.
    pub sends: Place,
    /// Room for what it reads.
    pub reads: Place,
    /// The target, for cancels and catalogs.
    pub dialled: Target,
    /// The database.
    pub database: String,
    /// Catalogs of all databases.
    pub catalogs: Catalogs,
    /// What the client wants to happen at a hold.
    pub on_hold: Option<OnHold>,
    /// Why the client would go ahead without waiting for an approval.
    pub break_glass: Option<String>,
}

// === impl Conversation ===

impl Conversation {
    /// Begins.
    #[must_use]
    pub fn new(session: &Session, beginning: Beginning) -> Self {
        let Beginning {
            client,
            reached,
            cancellable,
            sends,
            reads,
            dialled,
            database,
            catalogs,
            on_hold,
            break_glass,
        } = beginning;
        let masker = session.open().policy.masker(session.subject());
        let lasts = Duration::from(session.open().spec.limits.max_duration);
        let verify_every = session.door().verifier.again(session.identity());
        let now = tokio::time::Instant::now();
        let mut state = State::new(masker, session.ledger().clone());
        state.pid = reached.pid;
        state.senders = catalogs.senders().clone();
        state.senders.enter(reached.pid);
        Self {
            client,
            target: reached.wire,
            state,
            collector: Collector::default(),
            sends,
            reads,
            cancellable,
            cancels: 0,
            backend: CancelKey {
                pid: reached.pid,
                secret: reached.secret,
            },
            cancelling: None,
            drain: session.door().drain.of_session(),
            dialled: Arc::new(dialled),
            database,
            catalogs,
            near: Near::default(),
            path: None,
            schemas: Arc::default(),
            own: learn::OwnRelations::default(),
            assuming: None,
            judged_again: false,
            masked_by: session.open().revision,
            on_hold,
            break_glass,
            settings: BTreeSet::new(),
            copy_rest: 0,
            orphaned: None,
            ending: None,
            partial: false,
            began: now,
            deadline: now + lasts,
            idle_alarm: Alarm::new(now + lasts),
            busy_alarm: Alarm::new(now + lasts),
            verify_every,
            verify_at: verify_every.map(|every| now + every),
        }
    }

    /// Serves until the session ends.
    pub async fn serve(mut self, session: &mut Session) -> EndCause {
        let over = loop {
            match self.unit(session).await {
                Ok(()) => {}
                Err(over) => break over,
            }
            if self.state.ledger.is_broken() {
                break Over::saying(
                    EndCause::EvidenceLost,
                    sqlstate::NO_EVIDENCE,
                    "evidence cannot be written any more",
                );
            }
        };
        let running = !self.state.expected.is_empty();
        self.state.abandon(over.cause == EndCause::TargetLost);
        // Within a row that is half sent, words would be taken for values: then the end of the stream has to say it.
        if let Some(said) = over.said.as_ref().filter(|_| self.state.large.is_none()) {
            said.put(&mut self.client.out);
        }
        // What was not sent yet may not run any more. Within a message that is half sent, a goodbye would be taken for the rest of it.
        if self.target.withdraw() {
            frame::put(&mut self.target.out, b'X', |_| {});
        }
        let heard = over.cause == EndCause::ProtocolViolation;
        let goodbye = async {
            if heard {
                self.client.dismiss(over.announced, GOODBYE).await;
            } else {
                self.client.close(GOODBYE).await;
            }
        };
        let leaving = exchange::leave(self.target, &self.dialled, &self.backend, running);
        tokio::join!(goodbye, leaving);
        over.cause
    }

    /// Keeps why the session ends, and gives what of it can be said of a command that waits.
    fn ends(&mut self, over: Over) -> Gone {
        let gone = over.gone();
        self.ending = Some(over);
        gone
    }

    /// Takes up the present rules. A new revision may mask more, from the next answer on.
    fn take_up_rules(&mut self, session: &mut Session) -> Result<(), Over> {
        if session.refresh().is_err() {
            return Err(Over::saying(
                EndCause::Revoked,
                sqlstate::SHUTDOWN,
                "this session may not go on under the present rules of the connection",
            ));
        }
        // Compared by what is in use: the session may have taken them up before, while a command waited.
        let revision = session.open().revision;
        if self.masked_by != revision {
            self.state.masker = session.open().policy.masker(session.subject());
            self.state.counts = self.state.masker.counts();
            self.masked_by = revision;
            self.deadline = self.began + Duration::from(session.open().spec.limits.max_duration);
        }
        Ok(())
    }
}
