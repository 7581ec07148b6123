//! Going ahead without waiting: allowed by policy to named people, loud, and reviewed by another person afterwards.
//!
//! The AccessRequest that stands for the use is made before anything runs: where the API server is away, nobody would hear
//! of it, and so nothing runs. Until somebody has reviewed a use that is over, the same person cannot begin another.

use std::time::Duration;

use sallyport_audit::Time;
use sallyport_audit::record::{self, Event};
use sallyport_crds::approval_policy::GrantScope;
use sallyport_crds::subject::some_of;

use super::desk::{Desk, WentAhead};
use super::{Question, kind, request};
use crate::command::{Decided, Recorded, Refused, Stopped, record};
use crate::door::{Glass, Held};
use crate::metrics;
use crate::session::{Grant, Session};

/// A use that policy permits.
pub(super) struct Plan {
    reason: String,
    lasts: Duration,
    /// Who reviews it, in words.
    reviewers: String,
    /// The use that is under way already.
    open: Option<Held>,
}

/// Whether the person may go ahead; why not, in words.
pub(super) fn possible(session: &Session, question: &Question, reason: &str) -> Result<Plan, String> {
    let Some(leave) = &question.hold.break_glass else {
        return Err("Break-glass is not open to you for this, or your login is not recent enough.".to_owned());
    };
    let open = match session
        .door()
        .approvals
        .glass(session.identity(), &question.sought.asked_by)
    {
        Glass::Whole => None,
        Glass::Broken(held) => Some(held),
        Glass::Locked(request) => {
            return Err(format!(
                "Break-glass is locked for you until AccessRequest {} in namespace {} is reviewed.",
                request.name, request.namespace
            ));
        }
        Glass::Unseen(why) => return Err(format!("Glass cannot be broken now: {why}.")),
    };
    Ok(Plan {
        reason: reason.to_owned(),
        lasts: leave.max_duration,
        reviewers: some_of(1, &leave.reviewers),
        open,
    })
}

/// Runs the unit, after what stands for the use was made and recorded, and its person told of it.
pub(super) async fn go_ahead<D: Desk>(
    session: &mut Session,
    mut unit: Decided,
    question: Question,
    plan: Plan,
    desk: &mut D,
) -> Result<Recorded, Stopped> {
    let Plan {
        reason,
        lasts,
        reviewers,
        open,
    } = plan;
    let first = open.is_none();
    let held = match open {
        Some(held) => Ok(held),
        None => {
            let ask = request(session, &unit, &question, Some((reason.clone(), lasts)));
            session.door().approvals.ask(ask).await
        }
    };
    let held = match held {
        Ok(held) => held,
        Err(error) => {
            let refused = Refused::new(kind(&error), format!("glass cannot be broken: {error}"));
            return record(session, unit, Vec::new(), Some((question.from, refused))).await;
        }
    };
    metrics::get().broke_glass(first);
    let lasts = i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX);
    let until = first.then(|| Time::from_unix_micros(Time::now().unix_micros().saturating_add(lasts)));
    let mut events = Vec::new();
    for judged in &mut unit.commands {
        if judged.binding.is_some() {
            judged.request = Some(held.request.clone());
            events.push(Event::BreakGlass(record::BreakGlass {
                command: judged.number,
                reason: reason.clone(),
                request: held.request.clone(),
                until,
            }));
        }
    }
    session.lean_on(Grant::new(&held.request, GrantScope::Window, held.state));
    let recorded = record(session, unit, events, None).await?;
    if session.is_news(&held.request) {
        desk.went_ahead(&WentAhead {
            namespace: held.request.namespace,
            name: held.request.name,
            until: until.or(held.expires),
            reviewers,
        });
    }
    Ok(recorded)
}
