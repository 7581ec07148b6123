//! Whom doors let in: the recorder checks each session's token by itself, so that no door can invent people.
//!
//! A door presents the token before the session's start record, so that statements of other sessions wait for nobody's
//! identity provider. What is found is remembered for a moment (`presented`), held against the start record when it comes, and
//! written right after it. Whose tokens count is the operator's word (`trusted`), never a door's; what a Connection narrows is
//! the door's to ask.

mod presented;
#[cfg(test)]
mod tests;
mod trusted;

use std::sync::Arc;

use sallyport_audit::record::{Agent, Attested, Event, Finding, HeaderError, Kind, Person, Record, Refusal};
use sallyport_audit::wire::{Present, RefuseCode, Unvouched, Vouched};
use sallyport_audit::{Digest, Time};
use sallyport_identity::{Identity, Pace, Reviewer, Shares, Trusted};
use tokio::runtime::Handle;

use crate::log::{Checked, Log, LogError};
use crate::server::Door;
use presented::{Found, Presented, Remembered};
use trusted::Issuers;

/// Tokens that are checked at one time, over all doors: one that takes all it gets leaves half of them to others.
const AT_ONCE: usize = 512;
/// As much of a name that only a door states.
const NAME: usize = 256;

/// Who says whom a door lets in.
#[derive(Clone, Default)]
pub enum People {
    /// The door alone, and nothing is told of it: there is no operator who could say whose tokens count.
    #[default]
    Door,
    /// The door alone, whose process this is.
    SameProcess,
    /// Both: the door, and the recorder by the token.
    Checked(Arc<Attestor>),
}

/// Checks tokens.
pub struct Attestor {
    issuers: Issuers,
    presented: Presented,
    room: Arc<Shares<Door>>,
    /// Nobody comes in unproved.
    required: bool,
}

// === impl People ===

impl People {
    /// Whether tokens are wanted of doors.
    #[must_use]
    pub fn wants_tokens(&self) -> bool {
        matches!(self, Self::Checked(_))
    }

    /// A door's record, with what the recorder found beside it where it lets somebody in. Whom the token does not prove is not
    /// taken, and that is told in `log`.
    pub(crate) fn judge(&self, record: Checked, door: &Door, log: &Log) -> Result<Checked, LogError> {
        let header = record.header();
        if header.kind.is_recorders_own() {
            return Err(LogError::new(
                RefuseCode::Identity,
                "what the recorder finds, and what becomes of its log, is not for a door to say",
            ));
        }
        match (self, header.kind.as_str()) {
            (Self::Checked(attestor), Kind::SESSION_START) => {
                let attested = attestor.judge(&record, door, log)?;
                Ok(record.with(attested))
            }
            (Self::SameProcess, Kind::SESSION_START) => Ok(record.with(Attested::new(Finding::SameProcess))),
            _ => Ok(record),
        }
    }
}

// === impl Attestor ===

impl Attestor {
    /// Knows nobody until [`Self::trust`]. Issuers are asked on `runtime`; without a `reviewer` tokens of ServiceAccounts
    /// prove nobody.
    #[must_use]
    pub fn new(runtime: Handle, reviewer: Option<Arc<dyn Reviewer>>, pace: Pace) -> Self {
        Self {
            issuers: Issuers::new(runtime, reviewer, pace),
            presented: Presented::default(),
            room: Shares::new(AT_ONCE),
            required: false,
        }
    }

    /// Takes no session that is not proved, if so (AuditSink `spec.unconfirmed`).
    #[must_use]
    pub fn requiring(self, required: bool) -> Self {
        Self { required, ..self }
    }

    /// The operator says whose tokens count from now on.
    pub fn trust(&self, trusted: &Trusted, digest: Digest) {
        self.issuers.apply(trusted, digest);
    }

    /// SHA-256 of what the operator said last.
    #[must_use]
    pub fn trusts(&self) -> Option<Digest> {
        self.issuers.digest()
    }

    /// Whether the token proves whom the door takes it for. Answers within the time that issuers are given.
    pub(crate) async fn check(&self, present: Present, door: &Door, log: &Log) -> Vouched {
        let session = present.session.clone();
        let no = |later, reason: String| Vouched {
            refused: Some(Unvouched { later, reason }),
            session: session.clone(),
        };
        let Some(_place) = self.room.take(door) else {
            return no(
                true,
                "the recorder checks as many tokens as it can; try again".to_owned(),
            );
        };
        let (attested, later) = match self.find(&present, door).await {
            Ok(attested) => (attested, false),
            Err(Unproved { attested, later }) => (attested, later),
        };
        let refused = (attested.finding == Finding::Refused).then(|| attested.detail.clone().unwrap_or_default());
        let who = who(&present.person, &present.agents);
        match self.presented.remember(door, &session, who, &attested) {
            Remembered::New => {}
            // A door that shows it again and again gets one record.
            Remembered::Refused => return no(true, "the session was refused before; log in again".to_owned()),
            Remembered::TooMany => {
                return no(
                    true,
                    "the recorder remembers as many tokens as it can; try again".to_owned(),
                );
            }
        }
        match refused {
            None => Vouched { refused: None, session },
            Some(reason) => {
                tracing::warn!(connection = %door.connection.name, %reason, "a door's token does not prove whom it states");
                log.attest(door.connection.clone(), attested);
                no(later, reason)
            }
        }
    }

    async fn find(&self, present: &Present, door: &Door) -> Result<Attested, Unproved> {
        let Some(issuers) = self.issuers.current() else {
            let detail = "the operator has not told the recorder whose tokens count";
            if self.required {
                return Err(Unproved {
                    attested: Attested::saying(Finding::Refused, detail),
                    later: true,
                });
            }
            return Ok(Attested::saying(Finding::NotChecked, detail));
        };
        let mut first = None;
        for identities in issuers.iter() {
            let (namespace, name) = (&door.connection.namespace, &door.connection.name);
            let verified = identities.verify_at(namespace, name, present.token.expose(), Time::now());
            let unproved = match verified.await {
                Ok(identity) if is_stated(&identity, present) => {
                    return Ok(Attested {
                        person: Some(identity.person),
                        ..Attested::new(Finding::Proved)
                    });
                }
                Ok(identity) => Unproved::other(&present.person, identity.person),
                Err(refused) => Unproved {
                    later: matches!(refused.reason, Refusal::IssuerUnavailable | Refusal::Limit),
                    attested: Attested {
                        person: refused.person,
                        ..Attested::saying(Finding::Refused, refused.detail)
                    },
                },
            };
            // Every issuer is in the first set: its word is the one that helps.
            first.get_or_insert(unproved);
        }
        Err(first.unwrap_or_else(|| Unproved {
            attested: Attested::saying(Finding::Refused, "no issuer is known to the recorder"),
            later: true,
        }))
    }

    /// What was found of the session that this record starts.
    fn judge(&self, record: &Checked, door: &Door, log: &Log) -> Result<Attested, LogError> {
        let header = record.header();
        let Some(session) = &header.session else {
            // The log refuses it.
            return Ok(Attested::new(Finding::NotPresented));
        };
        let stated = match Record::parse(record.bytes()).map(|record| record.event) {
            Ok(Event::SessionStart(start)) => who(&start.person, &start.agents),
            Err(HeaderError::Version(version)) => {
                let detail = format!("the start is a record of version {version}, which this recorder cannot read");
                return match self.required {
                    true => Err(LogError::new(RefuseCode::Identity, detail).of(session)),
                    false => Ok(Attested::saying(Finding::NotChecked, detail)),
                };
            }
            Ok(_) | Err(HeaderError::Json(_)) => {
                return Err(LogError::new(
                    RefuseCode::Record,
                    "a session's start that cannot be read",
                ));
            }
        };
        let untold = match self.presented.found(door, session, &stated) {
            Found::Taken(attested) => return Ok(attested),
            Found::Nothing if !self.required => return Ok(Attested::new(Finding::NotPresented)),
            Found::Nothing => {
                let attested = Attested::saying(Finding::Refused, "no token was presented to the recorder");
                let first = self.presented.remember(door, session, stated, &attested);
                (first == Remembered::New).then_some(attested)
            }
            Found::Refused(untold) => untold,
        };
        let reason = "the door starts a session of somebody whom no token proves";
        tracing::error!(connection = %door.connection.name, pod = %door.pod.name, %session, "{reason}");
        if let Some(attested) = untold {
            log.attest(door.connection.clone(), attested);
        }
        Err(LogError::new(RefuseCode::Identity, reason).of(session))
    }
}

/// Why a token proves nothing.
struct Unproved {
    attested: Attested,
    /// Nobody could be asked.
    later: bool,
}

// === impl Unproved ===

impl Unproved {
    fn other(stated: &Person, proved: Person) -> Self {
        let stated: String = stated.username.chars().take(NAME).collect();
        let detail = format!(
            "the token proves {}, or another agent, and not {} as the door states",
            proved.username,
            sallyport_identity::visible(&stated)
        );
        Self {
            attested: Attested {
                person: Some(proved),
                ..Attested::saying(Finding::Refused, detail)
            },
            later: false,
        }
    }
}

/// The same person and the same agents in their order, under the same names.
fn is_stated(identity: &Identity, present: &Present) -> bool {
    identity.person == present.person && identity.agents == present.agents
}

/// Whom a door states, as one value to compare: names of a door's making have no bounds.
fn who(person: &Person, agents: &[Agent]) -> Digest {
    // Strings alone: this serialisation cannot fail.
    Digest::of(&serde_json::to_vec(&(person, agents)).unwrap_or_default())
}
