//! Asking a second person, and waiting for the answer.

use std::time::{Duration, Instant};

use sallyport_audit::Time;
use sallyport_audit::record::{self, Approver, Claimed, Closed, Event, RequestRef};
use sallyport_crds::approval_policy::{GrantScope, OnHold};
use sallyport_policy::decide::Hold;

use super::asked::{binding, view};
use super::{Asked, Decided, Kind, Recorded, Refused, Stopped, append, decided, record};
use crate::door::{ApprovalsError, Ask, Claim, Held, HoldState};
use crate::metrics;
use crate::session::Session;

/// How often a waiting person is told how long is left.
const REMINDER: Duration = Duration::from_secs(60);

/// What a protocol supplies to a hold: words on the client's screen, and notice of a client that leaves.
pub trait Desk {
    /// What the client itself asked for at a hold.
    fn on_hold(&self) -> Option<OnHold>;

    /// Whether the session has a transaction open, whose locks stop others while it waits.
    fn in_transaction(&self) -> bool;

    /// Puts lines on the client's screen: they are sent while [`Desk::gone`] waits.
    fn tell(&mut self, lines: &Waiting);

    /// Waits until the client cancels or leaves, or the target does. May be cancelled.
    fn gone(&mut self) -> impl Future<Output = Gone>;

    /// Understands the unit once more, with fresh knowledge: what a name means may have changed while it waited.
    fn again(&mut self, session: &mut Session) -> impl Future<Output = Result<Vec<Asked>, Gone>>;
}

/// Why nothing is waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The client took the command back; the session goes on.
    Cancelled,
    /// The client is gone.
    Client,
    /// The client broke the protocol.
    ClientBroke,
    /// The target is gone.
    Target,
    /// The session's time is over.
    Expired,
    /// The session may not go on under the present rules.
    Revoked,
    /// The door shuts down.
    Shutdown,
    /// Evidence cannot be written any more.
    Evidence,
}

/// What is said to a person who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Namespace of the request.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Approvals so far of approvals needed; empty at first.
    pub progress: String,
    /// Why a second person is asked: the rules' own messages.
    pub reasons: Vec<String>,
    /// How long the command still waits.
    pub left: Duration,
    /// Whether this is the first word.
    pub first: bool,
}

/// Asks, or finds what was granted before.
pub(super) async fn hold<D: Desk>(
    session: &mut Session,
    mut unit: Decided,
    first: usize,
    desk: &mut D,
) -> Result<Recorded, Stopped> {
    let hold = unit.hold();
    let digest = binding(session, hold.scope(), &unit.asked(), Some(&hold));
    for judged in &mut unit.commands {
        if judged.binding.is_some() {
            judged.binding = Some(digest.clone());
        }
    }
    let mode = desk.on_hold().unwrap_or_else(|| hold.on_hold());
    let from = unit.from(first);
    let known = session
        .door()
        .approvals
        .find(session.identity(), &digest)
        .filter(is_open);
    let question = Question {
        hold,
        digest,
        mode,
        from,
    };
    match known {
        Some(held) if is_approved(&held) => match claim(session, &question, &held.request).await {
            Ok(claim) => Ok(granted(session, unit, claim).await?),
            Err(_) => ask(session, unit, question, desk, None).await,
        },
        open => ask(session, unit, question, desk, open).await,
    }
}

/// One question to second people.
struct Question {
    hold: Hold,
    digest: String,
    mode: OnHold,
    /// From which command on the unit is refused if they say no.
    from: usize,
}

/// A question that was answered with no, or closed, may be asked again.
fn is_open(held: &Held) -> bool {
    matches!(
        *held.state.borrow(),
        HoldState::Approved { .. } | HoldState::Waiting { .. }
    )
}

fn is_approved(held: &Held) -> bool {
    matches!(*held.state.borrow(), HoldState::Approved { .. })
}

async fn claim(session: &Session, question: &Question, request: &RequestRef) -> Result<Claim, ApprovalsError> {
    session
        .door()
        .approvals
        .claim(session.identity(), &question.digest, request)
        .await
}

/// The unit runs by a grant that was given before it was asked.
async fn granted(session: &mut Session, mut unit: Decided, claim: Claim) -> Result<Recorded, Stopped> {
    let mut events = Vec::new();
    for judged in &mut unit.commands {
        if judged.binding.is_some() {
            judged.request = Some(claim.request.clone());
            events.push(claimed(judged.number, &claim));
        }
    }
    record(session, unit, events, None).await
}

fn claimed(command: u64, claim: &Claim) -> Event {
    Event::Claimed(Claimed {
        approvers: claim.approvers.clone(),
        command,
        nonce: claim.nonce.clone(),
        request: claim.request.clone(),
    })
}

async fn ask<D: Desk>(
    session: &mut Session,
    unit: Decided,
    question: Question,
    desk: &mut D,
    open: Option<Held>,
) -> Result<Recorded, Stopped> {
    let held = match open {
        Some(held) => Ok(held),
        None => session.door().approvals.ask(request(session, &unit, &question)).await,
    };
    let held = match held {
        Ok(held) => held,
        Err(error) => {
            let refused = Refused::new(Kind::Unavailable, format!("this needs an approval, and {error}"));
            return record(session, unit, Vec::new(), Some((question.from, refused))).await;
        }
    };
    let waits = question.mode == OnHold::Wait;
    let events = unit.held_numbers().map(|command| {
        Event::Hold(record::Hold {
            command,
            expires: None,
            request: held.request.clone(),
            waits,
        })
    });
    let events: Vec<Event> = events.collect();
    if !waits {
        return record(
            session,
            unit,
            events,
            Some((question.from, come_again(&held.request, &question.hold))),
        )
        .await;
    }
    let mut all = unit.events(session);
    all.extend(events);
    if let Err(error) = append(session, all).await {
        session
            .door()
            .approvals
            .withdraw(&held.request, "the question could not be recorded");
        return Err(error.into());
    }
    wait(session, unit, question, held, desk).await
}

fn request(session: &Session, unit: &Decided, question: &Question) -> Ask {
    let asked = unit.asked();
    let scope = match question.hold.scope() {
        // Without a normal form, only the exact bytes can be granted.
        GrantScope::Fingerprint if asked.iter().all(|one| one.fingerprint.is_none()) => GrantScope::Command,
        scope => scope,
    };
    let after = i64::try_from(question.hold.expires_after().as_micros()).unwrap_or(i64::MAX);
    Ask {
        identity: session.identity().clone(),
        session: session.id().clone(),
        scope,
        command: view(session, &asked, question.digest.clone(), unit.risk()),
        asked_by: question.hold.asked_by(),
        expires: Time::from_unix_micros(Time::now().unix_micros().saturating_add(after)),
        on_hold: question.mode,
    }
}

fn come_again(request: &RequestRef, hold: &Hold) -> Refused {
    let message = reasons(hold)
        .into_iter()
        .next()
        .unwrap_or_else(|| "this needs an approval".to_owned());
    Refused::new(Kind::Pending, message)
        .detail(format!(
            "AccessRequest {} in namespace {} asks for it.",
            request.name, request.namespace
        ))
        .hint(format!(
            "Try again once it is approved: kubectl sallyport approve {} -n {}",
            request.name, request.namespace
        ))
}

fn reasons(hold: &Hold) -> Vec<String> {
    hold.requirements
        .iter()
        .filter_map(|requirement| requirement.message.clone())
        .collect()
}

/// What ended a wait.
enum Answer {
    Approved(Vec<Approver>),
    Denied(Vec<Approver>),
    Closed(String),
    TimeUp,
    Gone(Gone),
}

async fn wait<D: Desk>(
    session: &mut Session,
    unit: Decided,
    question: Question,
    mut held: Held,
    desk: &mut D,
) -> Result<Recorded, Stopped> {
    let holding = metrics::get().holding();
    let began = Instant::now();
    let answer = answer(session, &question, &mut held, desk, began).await;
    drop(holding);
    let request = held.request;
    let close = |reason: &str| Closed {
        command: 0,
        reason: reason.to_owned(),
        request: request.clone(),
    };
    match answer {
        Answer::Approved(approvers) => {
            let waited_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            run_approved(session, unit, question, request, approvers, waited_us, desk).await
        }
        Answer::Denied(deniers) => {
            let words = deniers
                .first()
                .map_or_else(|| "the request was denied".to_owned(), denied_words);
            let refused =
                Refused::new(Kind::NotApproved, words).detail(format!("AccessRequest {} was denied.", request.name));
            let event = |command| {
                Event::Denied(record::Denied {
                    command,
                    deniers: deniers.clone(),
                    request: request.clone(),
                })
            };
            refuse(session, unit, question.from, refused, event).await
        }
        Answer::TimeUp => {
            session.door().approvals.withdraw(&request, "nobody answered in time");
            let refused = Refused::new(Kind::NotApproved, "nobody approved it in time")
                .detail(format!("AccessRequest {} was withdrawn.", request.name));
            refuse(session, unit, question.from, refused, |command| {
                Event::Expired(Closed {
                    command,
                    ..close("nobody answered in time")
                })
            })
            .await
        }
        Answer::Closed(reason) => {
            let refused = Refused::new(Kind::NotApproved, format!("the request is closed: {reason}"))
                .detail(format!("AccessRequest {} is closed.", request.name));
            refuse(session, unit, question.from, refused, |command| {
                Event::Withdrawn(Closed {
                    command,
                    ..close(&reason)
                })
            })
            .await
        }
        Answer::Gone(gone) => {
            let reason = gone.words();
            session.door().approvals.withdraw(&request, reason);
            let refused = Refused::new(Kind::Withdrawn, "canceling statement due to user request")
                .detail(format!("AccessRequest {} was withdrawn.", request.name));
            let event = |command| {
                Event::Withdrawn(Closed {
                    command,
                    ..close(reason)
                })
            };
            match (refuse(session, unit, question.from, refused, event).await, gone) {
                (result, Gone::Cancelled) => result,
                (_, gone) => Err(Stopped::Gone(gone)),
            }
        }
    }
}

fn denied_words(denier: &Approver) -> String {
    match &denier.reason {
        Some(reason) => format!("{} denied it: {reason}", denier.username),
        None => format!("{} denied it", denier.username),
    }
}

/// Waits for one of: an answer, the end of patience, a client that leaves, rules under which the session may not go on.
async fn answer<D: Desk>(
    session: &mut Session,
    question: &Question,
    held: &mut Held,
    desk: &mut D,
    began: Instant,
) -> Answer {
    let patience = question.hold.wait(desk.in_transaction());
    let mut first = true;
    loop {
        let state = held.state.borrow_and_update().clone();
        let progress = match state {
            HoldState::Waiting { progress } => progress,
            HoldState::Approved { approvers } => return Answer::Approved(approvers),
            HoldState::Denied { deniers } => return Answer::Denied(deniers),
            HoldState::Expired => return Answer::TimeUp,
            HoldState::Closed(why) | HoldState::Unavailable(why) => return Answer::Closed(why),
        };
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Answer::TimeUp;
        }
        desk.tell(&Waiting {
            namespace: held.request.namespace.clone(),
            name: held.request.name.clone(),
            progress,
            reasons: reasons(&question.hold),
            left,
            first,
        });
        first = false;
        tokio::select! {
            biased;
            gone = desk.gone() => return Answer::Gone(gone),
            changed = held.state.changed() => if changed.is_err() {
                return Answer::Closed("the door can no longer see the request".to_owned());
            },
            () = tokio::time::sleep(left.min(REMINDER)) => {}
            () = session.changed() => if session.refresh().is_err() {
                return Answer::Gone(Gone::Revoked);
            },
        }
    }
}

/// Approved: everything that the grant is bound to is computed again, then the grant is spent, then it is recorded, then
/// the unit may run. In this order nothing runs by a grant that fits something else.
async fn run_approved<D: Desk>(
    session: &mut Session,
    mut unit: Decided,
    question: Question,
    request: RequestRef,
    approvers: Vec<Approver>,
    waited_us: u64,
    desk: &mut D,
) -> Result<Recorded, Stopped> {
    let from = question.from;
    let approved = |command| {
        Event::Approved(record::Approved {
            approvers: approvers.clone(),
            command,
            request: request.clone(),
            waited_us,
        })
    };
    let fresh = desk.again(session).await.map_err(Stopped::Gone)?;
    let allowed = decided::again(session, &mut unit, fresh);
    let same = binding(session, question.hold.scope(), &unit.asked(), Some(&question.hold)) == question.digest;
    if !allowed || !same {
        let refused = Refused::new(
            Kind::Denied,
            "what the command means has changed while it waited: the approval is not for this",
        )
        .detail(format!("AccessRequest {} was approved and not used.", request.name));
        return refuse(session, unit, from, refused, approved).await;
    }
    let claim = match claim(session, &question, &request).await {
        Ok(claim) => claim,
        Err(error) => {
            let refused = Refused::new(Kind::Unavailable, error.to_string())
                .detail(format!("AccessRequest {} was approved and not used.", request.name));
            return refuse(session, unit, from, refused, approved).await;
        }
    };
    let mut events = Vec::new();
    for number in unit.held_numbers() {
        events.push(approved(number));
        events.push(claimed(number, &claim));
    }
    let durable = append(session, events).await?;
    Ok(Recorded::new(session, unit, None, durable))
}

/// Records what became of the question; nothing of the unit from `from` on runs.
async fn refuse(
    session: &Session,
    unit: Decided,
    from: usize,
    refused: Refused,
    event: impl Fn(u64) -> Event,
) -> Result<Recorded, Stopped> {
    let events = unit.held_numbers().map(event).collect();
    let durable = append(session, events).await?;
    Ok(Recorded::new(session, unit, Some((from, refused)), durable))
}

// === impl Decided ===

impl Decided {
    /// Numbers of the commands that wait for people.
    fn held_numbers(&self) -> impl Iterator<Item = u64> {
        self.commands
            .iter()
            .filter(|judged| judged.binding.is_some())
            .map(|judged| judged.number)
    }
}

// === impl Gone ===

impl Gone {
    fn words(self) -> &'static str {
        match self {
            Self::Cancelled => "the asker cancelled the command",
            Self::Client | Self::ClientBroke => "the asker left",
            Self::Target => "the target closed the connection",
            Self::Expired => "the session's time is over",
            Self::Revoked => "the session may not go on under the present rules",
            Self::Shutdown => "the door shuts down",
            Self::Evidence => "evidence cannot be written",
        }
    }
}
