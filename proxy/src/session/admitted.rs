//! A person who was let in: the proof, the permit to dial, and the session that follows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use sallyport_audit::Time;
use sallyport_audit::record::{Batch, Closed, Encoding, EndCause, Event, Param, Person, RequestRef, SessionId};
use sallyport_policy::Subject;
use sallyport_policy::sql::without_secrets;
use tokio::sync::watch;

use super::grants::{Grant, Grants, Revoked};
use super::news::News;
use super::{End, Target, Turned};
use crate::command::{Asked, Ledger};
use crate::door::{Door, Identity, Open, Rules, Secret, Slot};
use crate::metrics;

/// A person who may have a session. Only `admit` makes one.
pub struct Admitted {
    session: Session,
    permit: Permit,
}

/// The right to dial one target, once. Not `Clone`; only an [`Admitted`] gives it up.
pub struct Permit {
    target: Target,
}

/// A session: who, under which rules, and its running numbers.
pub struct Session {
    door: Door,
    rules: watch::Receiver<Rules>,
    /// When they change.
    news: News,
    grants: Grants,
    open: Arc<Open>,
    /// The person of `identity`, as records share it.
    person: Arc<Person>,
    identity: Identity,
    token: Arc<Secret>,
    slot: Slot,
    end: End,
    subject: Subject,
    /// Host and port of the target that it was let in to; what the Connection says may change under it.
    target: String,
    ledger: Ledger,
    units: u64,
    transactions: u64,
    /// The oldest rules by which something of it is still under way.
    under_way: Option<u64>,
}

/// Why a session may not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The person lost their right.
    Revoked,
    /// The door shut, in words.
    Shut(String),
    /// A grant by which something of it ran was taken back.
    Grant(Revoked),
}

/// Something that a session has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stir {
    /// The rules changed.
    Rules,
    /// A grant in use was taken back.
    Revoked(Revoked),
}

/// The person as the rules know them.
pub(super) fn subject(identity: &Identity) -> Subject {
    let agents = identity.agents.iter().map(|agent| sallyport_policy::subject::Agent {
        username: agent.name().to_owned(),
        issuer: agent.issuer.clone().unwrap_or_default(),
        subject: agent.subject.clone(),
        groups: Vec::new(),
    });
    let (token, username) = (&identity.token, &identity.person.username);
    let at = sallyport_policy::subject::login(username, token.auth_time, token.issued);
    Subject {
        username: identity.person.username.clone(),
        groups: identity.groups.clone(),
        issuer: identity.person.issuer.clone(),
        subject: identity.person.subject.clone(),
        email: identity.email.clone(),
        agents: agents.collect(),
        authenticated_at: at.map(|time| time.unix_micros().div_euclid(1_000_000)),
        source: None,
    }
}

// === impl Admitted ===

impl Admitted {
    pub(super) fn new(
        door: Door,
        open: Arc<Open>,
        identity: Identity,
        token: Secret,
        slot: Slot,
        end: End,
        target: Target,
    ) -> Self {
        let rules = door.rules.clone();
        let ledger = Ledger::new(door.evidence.clone(), end.session().clone());
        let subject = Subject {
            source: slot.source().map(|address| address.to_string()),
            ..subject(&identity)
        };
        let session = Session {
            door,
            news: News::of(rules.clone()),
            grants: Grants::default(),
            rules,
            open,
            person: Arc::new(identity.person.clone()),
            identity,
            token: Arc::new(token),
            slot,
            end,
            subject,
            target: format!("{}:{}", target.host, target.port),
            ledger,
            units: 0,
            transactions: 0,
            under_way: None,
        };
        Self {
            session,
            permit: Permit { target },
        }
    }

    pub(super) fn into_parts(self) -> (Session, Permit) {
        (self.session, self.permit)
    }
}

// === impl Permit ===

impl Permit {
    /// The target that may be dialled with it.
    #[must_use]
    pub fn into_target(self) -> Target {
        self.target
    }
}

// === impl Session ===

impl Session {
    /// Its name in records.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        self.end.session()
    }

    /// When it began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.end.started()
    }

    /// The person, as every record of theirs states them.
    #[must_use]
    pub fn person(&self) -> &Arc<Person> {
        &self.person
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The person as the rules know them.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Host and port of its target.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Where outcomes go.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A command's text as it is recorded: exact but for credentials; or, where a sink asks for that, with detector hits and
    /// what stands against protected columns masked.
    #[must_use]
    pub fn recorded_text(&self, asked: &Asked) -> String {
        if !self.open.mask_command_text {
            return without_secrets(asked.text()).into_owned();
        }
        self.masked(&without_secrets(asked.covered()))
    }

    /// The parameters as they are recorded, by the same rule. Values in binary form are read by nobody here, and a hash of
    /// what is masked would be a dictionary: neither is kept.
    #[must_use]
    pub fn recorded_params(&self, asked: &Asked) -> Vec<Param> {
        if !self.open.mask_command_text {
            return asked.params.clone();
        }
        let each = asked
            .params
            .iter()
            .enumerate()
            .map(|(index, param)| match param.encoding {
                Encoding::Null => param.clone(),
                Encoding::Text if !asked.cover.hides(index + 1) => Param {
                    digest: None,
                    value: self.masked(&param.value),
                    ..param.clone()
                },
                Encoding::Text | Encoding::Hex | Encoding::Hidden => Param {
                    bytes: param.bytes,
                    ..Param::hidden(0)
                },
            });
        each.collect()
    }

    /// Nobody is exempt here: the record is read by others.
    fn masked(&self, text: &str) -> String {
        let masker = self.open.policy.records();
        masker.free_text(text, &mut masker.counts()).into_owned()
    }

    /// The token it came with, for those that have to be checked again while it lasts.
    #[must_use]
    pub fn token(&self) -> &Arc<Secret> {
        &self.token
    }

    /// The door it came through.
    #[must_use]
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// The rules that judge its next unit; see [`Session::refresh`].
    #[must_use]
    pub fn open(&self) -> &Arc<Open> {
        &self.open
    }

    /// Takes up the present rules: before every unit, and when they change. `Ok(true)` if they are new.
    ///
    /// # Errors
    /// When the session may not go on under them.
    pub fn refresh(&mut self) -> Result<bool, Ended> {
        // A sender that is gone leaves its last word standing, seen or not; the control plane says Shut before it goes.
        if matches!(self.rules.has_changed(), Ok(false)) {
            return Ok(false);
        }
        let open = match &*self.rules.borrow_and_update() {
            Rules::Open(open) => Arc::clone(open),
            Rules::Shut(why) => return Err(Ended::Shut(why.clone())),
        };
        if !open.policy.admits(&self.subject) {
            return Err(Ended::Revoked);
        }
        let new = open.revision != self.open.revision;
        self.open = open;
        self.slot.enforces(self.enforced());
        Ok(new)
    }

    /// States the oldest rules by which something that began between units may still give rows; `None` where nothing is open.
    pub fn under_way(&mut self, revision: Option<u64>) {
        if self.under_way != revision {
            self.under_way = revision;
            self.slot.enforces(self.enforced());
        }
    }

    fn enforced(&self) -> u64 {
        let newest = self.open.revision;
        self.under_way.map_or(newest, |oldest| oldest.min(newest))
    }

    /// Waits until the rules change or a grant in use is taken back. May be cancelled.
    pub async fn stirred(&mut self) -> Stir {
        let Self {
            rules, news, grants, ..
        } = self;
        // What was heard of while something ran may not have been taken up.
        let changed = async {
            if !matches!(rules.has_changed(), Ok(true)) {
                news.heard().await;
            }
        };
        tokio::select! {
            biased;
            revoked = grants.revoked() => Stir::Revoked(revoked),
            () = changed => Stir::Rules,
        }
    }

    /// Waits, while something runs, until it may not: the person lost their right, the door shut, a grant in use was taken
    /// back. What the rules say otherwise counts from the next unit on. May be cancelled.
    pub async fn forbidden(&mut self) -> Ended {
        let Self {
            rules,
            news,
            grants,
            subject,
            ..
        } = self;
        let lost = async {
            loop {
                news.heard().await;
                match &*rules.borrow() {
                    Rules::Shut(why) => return Ended::Shut(why.clone()),
                    Rules::Open(open) if !open.policy.admits(subject) => return Ended::Revoked,
                    Rules::Open(_) => {}
                }
            }
        };
        tokio::select! {
            biased;
            revoked = grants.revoked() => Ended::Grant(revoked),
            ended = lost => ended,
        }
    }

    /// Something runs by this grant from now on.
    pub fn lean_on(&mut self, grant: Grant) {
        self.grants.lean_on(grant);
    }

    /// Whether its client hears of this use of break-glass for the first time; from now on it has.
    pub fn is_news(&mut self, glass: &RequestRef) -> bool {
        self.grants.is_news(glass)
    }

    /// Nothing runs and no transaction is open.
    pub fn settle_grants(&mut self) {
        self.grants.settle();
    }

    /// Records that a grant in use was taken back, and what follows: the session ends.
    pub fn lost_grant(&self, revoked: &Revoked) {
        metrics::get().grant_revoked();
        self.ledger.closed_grant(Closed {
            command: self.end.commands,
            reason: revoked.words.clone(),
            request: revoked.request.clone(),
        });
    }

    /// Number of the next unit, from 1.
    pub fn next_unit(&mut self) -> u64 {
        self.units += 1;
        self.units
    }

    /// Number of the next command, from 1.
    pub fn next_command(&mut self) -> u64 {
        self.end.commands += 1;
        self.end.commands
    }

    /// Number of the next transaction, from 1.
    pub fn next_transaction(&mut self) -> u64 {
        self.transactions += 1;
        self.transactions
    }

    pub(super) fn refused(&self, peer: SocketAddr, turned: &Turned) {
        metrics::get().refused(turned.reason);
        let event = Event::LoginRefused(Box::new(turned.record(peer)));
        let sent = Batch::of(Time::now(), Some(self.id()), event).map_err(|error| error.to_string());
        if let Err(error) = sent.and_then(|batch| self.door.evidence.send(batch).map_err(|error| error.to_string())) {
            metrics::get().evidence_failed();
            tracing::warn!(session = %self.id(), %error, "a refused login could not be recorded");
        }
    }

    pub(super) fn close(self, cause: EndCause) {
        self.end.close(cause);
    }
}
