//! Waiting for an answer, and what follows from it.

use std::time::{Duration, Instant};

use sallyport_audit::record::{self, Approver, Closed, Event};

use super::desk::{Desk, Gone, Waiting};
use super::{Question, claim, claimed, kind, look_again, misfit};
use crate::command::{Decided, Kind, Recorded, Refused, Stopped, append_after};
use crate::door::{Held, HoldState};
use crate::identity::visible;
use crate::metrics;
use crate::session::{Grant, Session, Stir};

/// How often a waiting person is told how long is left.
const REMINDER: Duration = Duration::from_secs(60);

/// What ended a wait.
enum Answer {
    Approved(Vec<Approver>),
    Denied(Vec<Approver>),
    Closed(String),
    TimeUp,
    Gone(Gone),
}

/// Waits in place; the unit runs, or is refused with what became of the question.
pub(super) async fn wait<D: Desk>(
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
    let Held {
        request,
        expires,
        state,
    } = held;
    let close = |reason: &str| Closed {
        command: 0,
        reason: reason.to_owned(),
        request: request.clone(),
    };
    match answer {
        Answer::Approved(approvers) => {
            let waited_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            let held = Held {
                request,
                expires,
                state,
            };
            run_approved(session, unit, question, held, approvers, waited_us, desk).await
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
            refuse(session, unit, refused, event).await
        }
        Answer::TimeUp => {
            session.door().approvals.withdraw(&request, "nobody answered in time");
            let refused = Refused::new(Kind::NotApproved, "nobody approved it in time")
                .detail(format!("AccessRequest {} was withdrawn.", request.name));
            refuse(session, unit, refused, |command| {
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
            refuse(session, unit, refused, |command| {
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
            match (refuse(session, unit, refused, event).await, gone) {
                (result, Gone::Cancelled) => result,
                (_, gone) => Err(Stopped::Gone(gone)),
            }
        }
    }
}

fn denied_words(denier: &Approver) -> String {
    match &denier.reason {
        Some(reason) => format!("{} denied it: {}", denier.username, visible(reason)),
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
    let patience = match desk.target_waits(session).await {
        Ok(waits) => waits.map_or(patience, |waits| patience.min(waits)),
        Err(gone) => return Answer::Gone(gone),
    };
    let mut first = true;
    loop {
        let state = held.state.borrow_and_update().clone();
        let progress = match state {
            HoldState::Waiting { progress } => progress,
            HoldState::Approved { approvers } => return Answer::Approved(approvers),
            HoldState::Denied { deniers } => return Answer::Denied(deniers),
            HoldState::Expired => return Answer::TimeUp,
            HoldState::Closed(why) | HoldState::Revoked(why) | HoldState::Unavailable(why) => {
                return Answer::Closed(why);
            }
        };
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Answer::TimeUp;
        }
        desk.tell(&Waiting {
            namespace: held.request.namespace.clone(),
            name: held.request.name.clone(),
            progress,
            reasons: question.reasons(),
            needs: question.needs(),
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
            stir = session.stirred() => match stir {
                Stir::Rules => if session.refresh().is_err() {
                    return Answer::Gone(Gone::Revoked);
                },
                Stir::Revoked(_) => return Answer::Gone(Gone::GrantRevoked),
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
    held: Held,
    approvers: Vec<Approver>,
    waited_us: u64,
    desk: &mut D,
) -> Result<Recorded, Stopped> {
    let request = held.request.clone();
    let approved = |command| {
        Event::Approved(record::Approved {
            approvers: approvers.clone(),
            command,
            request: request.clone(),
            waited_us,
        })
    };
    if let Some(refused) = misfit(session, &mut unit, &question, &request, desk, false).await? {
        return refuse(session, unit, refused, approved).await;
    }
    let claim = match claim(session, &question.sought, &request).await {
        Ok(claim) => claim,
        Err(error) => {
            let refused = Refused::new(kind(&error), error.to_string())
                .detail(format!("AccessRequest {} was approved and not used.", request.name));
            return refuse(session, unit, refused, approved).await;
        }
    };
    session.lean_on(Grant::new(&claim.request, question.hold.scope(), held.state));
    let mut events = Vec::new();
    for number in unit.held_numbers() {
        events.push(approved(number));
        events.push(claimed(number, &claim));
    }
    let durable = append_after(session, &unit, events).await?;
    look_again(session, unit, &question, &request, durable, desk).await
}

/// Records what became of the question. Nothing of the unit runs, nor what stood before the question: its verdict is as old
/// as the wait, under rules and names that may be others by now.
async fn refuse(
    session: &Session,
    unit: Decided,
    refused: Refused,
    event: impl Fn(u64) -> Event,
) -> Result<Recorded, Stopped> {
    let events = unit.held_numbers().map(event).collect();
    let durable = append_after(session, &unit, events).await?;
    Ok(Recorded::new(session, unit, Some((0, refused)), durable))
}
