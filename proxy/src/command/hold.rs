//! Asking a second person.
//!
//! Reading order: [`hold`] finds what was granted before, breaks glass where that is asked for, or asks; `wait` waits for
//! the answer; `question` is what they are asked; `desk` is what a protocol supplies.

mod desk;
mod glass;
mod question;
mod wait;

use sallyport_audit::record::{self, Claimed, Event, RequestRef};
use sallyport_crds::approval_policy::OnHold;
use sallyport_recorder::client::Durable;

use self::question::{Question, is_about_commands, question, request};
use super::asked::binding;
use super::{Decided, Kind, Recorded, Refused, Stopped, append, append_after, decided, record};
use crate::door::{ApprovalsError, Claim, GrantSought, Held, HoldState, all_asked};
use crate::session::{Grant, Session};

pub use desk::{Desk, Gone, Waiting, WentAhead};

/// Asks, or finds what was granted before.
pub(super) async fn hold<D: Desk>(
    session: &mut Session,
    mut unit: Decided,
    first: usize,
    desk: &mut D,
) -> Result<Recorded, Stopped> {
    let hold = unit.hold();
    let from = unit.from(first);
    if is_about_commands(hold.scope()) {
        unit.circumstances = desk.circumstances(session).await.map_err(Stopped::Gone)?;
        if unit.circumstances.is_none() {
            return record(session, unit, Vec::new(), Some((from, unknowable()))).await;
        }
    }
    let mut question = question(session, &mut unit, hold, from, desk.on_hold());
    let known = session.door().approvals.find(session.identity(), &question.sought);
    let mut waiting = None;
    for held in known.into_iter().filter(is_open) {
        if !is_approved(&held) {
            // What another session waits for is taken back with that one's patience, and is no question to join.
            if held.on_hold == OnHold::Refuse {
                waiting.get_or_insert(held);
            }
            continue;
        }
        intend(session, &mut unit, &held.request).await?;
        // One that cannot be used any more stands in nobody's way.
        if let Ok(claim) = claim(session, &question.sought, &held.request).await {
            return granted(session, unit, &question, claim, held, desk).await;
        }
    }
    if let Some(reason) = desk.break_glass() {
        match glass::possible(session, &question, &reason) {
            Ok(plan) => return glass::go_ahead(session, unit, question, plan, desk).await,
            Err(note) => question.notes.push(note),
        }
    }
    ask(session, unit, question, desk, waiting).await
}

fn unknowable() -> Refused {
    Refused::new(
        Kind::Denied,
        "this needs an approval, and what it would do cannot be known in the middle of a pipeline or of a failed transaction, \
         or while the target's catalog cannot be read",
    )
    .hint("End the transaction or send Sync, then send it again.")
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

async fn claim(session: &Session, sought: &GrantSought, request: &RequestRef) -> Result<Claim, ApprovalsError> {
    session
        .door()
        .approvals
        .claim(session.identity(), sought, request)
        .await
}

/// Records the intent to run by a grant, before the grant is spent: a door that dies in between leaves no grant that is spent
/// for nothing on record.
async fn intend(session: &Session, unit: &mut Decided, request: &RequestRef) -> Result<(), Stopped> {
    if unit.intent.is_some() {
        return Ok(());
    }
    for judged in &mut unit.commands {
        if judged.binding.is_some() {
            judged.request = Some(request.clone());
        }
    }
    unit.intent = Some(append(session, unit.events(session)).await?);
    Ok(())
}

/// The unit runs by a grant that was given before it was asked.
async fn granted<D: Desk>(
    session: &mut Session,
    unit: Decided,
    question: &Question,
    claim: Claim,
    held: Held,
    desk: &mut D,
) -> Result<Recorded, Stopped> {
    session.lean_on(Grant::new(&claim.request, question.sought.scope, held.state));
    let events = unit.held_numbers().map(|number| claimed(number, &claim)).collect();
    let durable = append_after(session, &unit, events).await?;
    look_again(session, unit, question, &claim.request, durable, desk).await
}

/// The last look before a unit runs by a grant: while that was claimed and recorded, others had time to give its names
/// another meaning, and a rule that asks for more to come. What has changed does not run, though the grant is spent.
async fn look_again<D: Desk>(
    session: &mut Session,
    mut unit: Decided,
    question: &Question,
    request: &RequestRef,
    durable: Durable,
    desk: &mut D,
) -> Result<Recorded, Stopped> {
    let misfit = misfit(session, &mut unit, question, request, desk, true).await?;
    // What stood before the question was judged with it, and is no more fit to run.
    let refused = misfit.map(|refused| (0, refused));
    Ok(Recorded::new(session, unit, refused, durable))
}

/// Why the unit, understood and judged once more, may not run by what was granted; `None` where it may. `last`: nothing but
/// running it follows.
async fn misfit<D: Desk>(
    session: &mut Session,
    unit: &mut Decided,
    question: &Question,
    request: &RequestRef,
    desk: &mut D,
    last: bool,
) -> Result<Option<Refused>, Stopped> {
    if last {
        desk.ready(session).await;
    }
    if question.is_about_commands() {
        unit.circumstances = desk.circumstances(session).await.map_err(Stopped::Gone)?;
    }
    // The catalog comes last, just before the unit runs.
    let fresh = match last {
        true => desk.finally(session).await,
        false => desk.again(session).await,
    };
    let fresh = fresh.map_err(Stopped::Gone)?;
    let allowed = decided::again(session, unit, fresh);
    let known = unit.circumstances.is_some() || !question.is_about_commands();
    let circumstances = unit.circumstances.as_deref().unwrap_or_default();
    let digest = binding(
        session,
        question.sought.scope,
        &unit.asked(),
        circumstances,
        Some(&question.hold),
    );
    if !allowed || !known || digest != question.sought.digest {
        return Ok(Some(changed(request)));
    }
    // The digest of a command says nothing of rules, and who answered was asked by those of then.
    let asked = all_asked(&unit.hold().asked_by(), &question.sought.asked_by);
    Ok((!asked).then(|| another_asks(request)))
}

/// How a question that cannot be asked, or a grant that cannot be used, is refused.
fn kind(error: &ApprovalsError) -> Kind {
    match error {
        ApprovalsError::Unavailable(_) => Kind::Unavailable,
        // Nothing of this passes by itself: people have to answer or change something first.
        ApprovalsError::NoCluster
        | ApprovalsError::Refused(_)
        | ApprovalsError::TooMany { .. }
        | ApprovalsError::TooOften { .. }
        | ApprovalsError::Crowded { .. }
        | ApprovalsError::TooMuch { .. }
        | ApprovalsError::Gone(_) => Kind::NotApproved,
    }
}

fn changed(request: &RequestRef) -> Refused {
    Refused::new(
        Kind::Denied,
        "what the command means has changed while it waited: the approval is not for this",
    )
    .detail(format!("AccessRequest {} was approved and not used.", request.name))
}

fn another_asks(request: &RequestRef) -> Refused {
    Refused::new(
        Kind::Denied,
        "another rule asks for an approval since this one was asked for: send it again",
    )
    .detail(format!("AccessRequest {} was approved and not used.", request.name))
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
    mut unit: Decided,
    question: Question,
    desk: &mut D,
    open: Option<Held>,
) -> Result<Recorded, Stopped> {
    let held = match open {
        Some(held) => Ok(held),
        None => {
            session
                .door()
                .approvals
                .ask(request(session, &unit, &question, None))
                .await
        }
    };
    let held = match held {
        Ok(held) => held,
        Err(error) => {
            let refused = Refused::new(kind(&error), format!("this needs an approval, and {error}"));
            return record(session, unit, Vec::new(), Some((question.from, refused))).await;
        }
    };
    let waits = question.mode == OnHold::Wait;
    let events = unit.held_numbers().map(|command| {
        Event::Hold(record::Hold {
            command,
            expires: held.expires,
            request: held.request.clone(),
            waits,
        })
    });
    let events: Vec<Event> = events.collect();
    if !waits {
        let refused = come_again(&held.request, &question);
        return record(session, unit, events, Some((question.from, refused))).await;
    }
    let mut all = unit.events(session);
    all.extend(events);
    let recorded = match unit.intent {
        Some(_) => append_after(session, &unit, all).await,
        None => append(session, all).await,
    };
    match recorded {
        Ok(durable) => unit.intent = Some(durable),
        Err(error) => {
            give_up(session, &held, "the question could not be recorded");
            return Err(error.into());
        }
    }
    wait::wait(session, unit, question, held, desk).await
}

/// Takes back what only this session waits for; `false`: the asker comes again for it, and it stays open.
fn give_up(session: &Session, held: &Held, reason: &str) -> bool {
    let own = held.on_hold == OnHold::Wait;
    if own {
        session.door().approvals.withdraw(&held.request, reason);
    }
    own
}

fn come_again(request: &RequestRef, question: &Question) -> Refused {
    let message = question
        .reasons()
        .into_iter()
        .next()
        .unwrap_or_else(|| "this needs an approval".to_owned());
    let mut detail = format!(
        "AccessRequest {} in namespace {} asks for it.",
        request.name, request.namespace
    );
    for note in &question.notes {
        detail.push('\n');
        detail.push_str(note);
    }
    Refused::new(Kind::Pending, message).detail(detail).hint(format!(
        "Try again once it is approved: kubectl sallyport approve {} -n {}",
        request.name, request.namespace
    ))
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
