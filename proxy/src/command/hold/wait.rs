//! Waiting for an answer, and what follows from it.

use std::time::Duration;

use sallyport_audit::record::{self, Approver, Closed, Event};
use tokio::time::Instant;

use super::desk::{Desk, Gone, Waiting};
use super::{Question, claim, claimed, give_up, kind, look_again, misfit};
use crate::command::{Decided, Kind, Recorded, Refused, Stopped, append_after, record};
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
    /// The question's own time is over.
    Expired,
    Closed(String),
    /// The asker's patience is.
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
    let answer = match patience(session, &question, desk).await {
        Ok(patience) => {
            let first = first(&question, &held, patience);
            answer(first, &mut held, desk, async || may_not_go_on(session).await).await
        }
        Err(gone) => Answer::Gone(gone),
    };
    drop(holding);
    let request = held.request.clone();
    let close = |command, reason: &str| Closed {
        command,
        reason: reason.to_owned(),
        request: request.clone(),
    };
    match answer {
        Answer::Approved(approvers) => {
            let waited_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            run_approved(session, unit, question, held, approvers, waited_us, desk).await
        }
        Answer::Denied(deniers) => refuse_denied(session, unit, &held, &deniers).await,
        Answer::Expired => {
            let refused = in_vain().detail(format!("AccessRequest {} has expired.", request.name));
            refuse(session, unit, refused, |command| {
                Event::Expired(close(command, "nobody answered in time"))
            })
            .await
        }
        Answer::Closed(reason) => {
            let refused = Refused::new(Kind::NotApproved, format!("the request is closed: {reason}"))
                .detail(format!("AccessRequest {} is closed.", request.name));
            refuse(session, unit, refused, |command| {
                Event::Withdrawn(close(command, &reason))
            })
            .await
        }
        Answer::TimeUp => {
            leave(
                session,
                unit,
                &held,
                in_vain(),
                "nobody answered in time",
                Event::Expired,
            )
            .await
        }
        Answer::Gone(gone) => {
            let refused = Refused::new(Kind::Withdrawn, "canceling statement due to user request");
            let left = leave(session, unit, &held, refused, gone.words(), Event::Withdrawn).await;
            match gone {
                Gone::Cancelled => left,
                gone => Err(Stopped::Gone(gone)),
            }
        }
    }
}

fn in_vain() -> Refused {
    Refused::new(Kind::NotApproved, "nobody approved it in time")
}

/// The asker waits no longer. A question of their own ends with that; one for which somebody comes again is none of this
/// session's to end, and nothing became of it.
async fn leave(
    session: &mut Session,
    unit: Decided,
    held: &Held,
    refused: Refused,
    reason: &str,
    ended: fn(Closed) -> Event,
) -> Result<Recorded, Stopped> {
    let name = &held.request.name;
    if !give_up(session, held, reason) {
        let refused = refused.detail(format!(
            "AccessRequest {name} stays open: it is asked for who comes again."
        ));
        return record(session, unit, Vec::new(), Some((0, refused))).await;
    }
    let refused = refused.detail(format!("AccessRequest {name} was withdrawn."));
    refuse(session, unit, refused, |command| {
        ended(Closed {
            command,
            reason: reason.to_owned(),
            request: held.request.clone(),
        })
    })
    .await
}

async fn refuse_denied(
    session: &Session,
    unit: Decided,
    held: &Held,
    deniers: &[Approver],
) -> Result<Recorded, Stopped> {
    let words = deniers
        .first()
        .map_or_else(|| "the request was denied".to_owned(), denied_words);
    let refused =
        Refused::new(Kind::NotApproved, words).detail(format!("AccessRequest {} was denied.", held.request.name));
    refuse(session, unit, refused, |command| {
        Event::Denied(record::Denied {
            command,
            deniers: deniers.to_vec(),
            request: held.request.clone(),
        })
    })
    .await
}

fn denied_words(denier: &Approver) -> String {
    // The API server looks at no letter of a name that it is told.
    let who = visible(&denier.username);
    match &denier.reason {
        Some(reason) => format!("{who} denied it: {}", visible(reason)),
        None => format!("{who} denied it"),
    }
}

/// The first word to the asker.
fn first(question: &Question, held: &Held, patience: Duration) -> Waiting {
    Waiting {
        namespace: held.request.namespace.clone(),
        name: held.request.name.clone(),
        progress: String::new(),
        reasons: question.reasons(),
        needs: question.needs(),
        left: patience,
        first: true,
    }
}

/// How long the asker may wait: as the policy says, and no longer than the target lets the session wait.
async fn patience<D: Desk>(session: &mut Session, question: &Question, desk: &mut D) -> Result<Duration, Gone> {
    let ours = question.hold.wait(desk.in_transaction());
    let target = desk.target_waits(session).await?;
    Ok(target.map_or(ours, |theirs| ours.min(theirs)))
}

/// Waits until the session has to look at something; why it may not go on, if it may not.
async fn may_not_go_on(session: &mut Session) -> Option<Gone> {
    match session.stirred().await {
        Stir::Rules => session.refresh().is_err().then_some(Gone::Revoked),
        Stir::Revoked(_) => Some(Gone::GrantRevoked),
    }
}

/// Waits for one of: an answer, the end of patience, a client that leaves, rules under which the session may not go on. The asker
/// is told at once, whenever the question stands otherwise, and each [`REMINDER`] how long is left.
async fn answer<D: Desk>(
    first: Waiting,
    held: &mut Held,
    desk: &mut D,
    mut may_not_go_on: impl AsyncFnMut() -> Option<Gone>,
) -> Answer {
    let (began, patience) = (Instant::now(), first.left);
    let mut lines = first;
    loop {
        let state = held.state.borrow_and_update().clone();
        lines.progress = match state {
            HoldState::Waiting { progress } => progress,
            HoldState::Approved { approvers } => return Answer::Approved(approvers),
            HoldState::Denied { deniers } => return Answer::Denied(deniers),
            HoldState::Expired => return Answer::Expired,
            HoldState::Closed(why) | HoldState::Revoked(why) | HoldState::Unavailable(why) => {
                return Answer::Closed(why);
            }
        };
        lines.left = patience.saturating_sub(began.elapsed());
        if lines.left.is_zero() {
            return Answer::TimeUp;
        }
        desk.tell(&lines);
        lines.first = false;
        tokio::select! {
            biased;
            gone = desk.gone() => return Answer::Gone(gone),
            changed = held.state.changed() => if changed.is_err() {
                return Answer::Closed("the door can no longer see the request".to_owned());
            },
            () = tokio::time::sleep(lines.left.min(REMINDER)) => {}
            gone = may_not_go_on() => if let Some(gone) = gone {
                return Answer::Gone(gone);
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

#[cfg(test)]
mod tests;
