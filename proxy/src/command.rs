//! What happens to every command, whatever the protocol: decide → hold → record the intent → run → record the outcome.
//!
//! Each step takes what only the step before it can make: [`decide`] makes [`Decided`] from what is [`Asked`]; [`settle`]
//! makes of it either a [`Recorded`], which proves that the intent is durable and without which a protocol forwards
//! nothing, or words for the client. A [`Recorded`] gives up one [`Running`] for each command that may run; it owes the
//! record of its outcome and pays it even when dropped.

mod asked;
mod decided;
mod hold;
mod recorded;
mod running;

use std::time::Instant;

use sallyport_audit::Time;
use sallyport_audit::record::{Action, Batch, Event, NotRun};
use sallyport_recorder::client::{Durable, EvidenceError};

use crate::metrics;
use crate::session::Session;

pub use asked::{Asked, Reach, Rejection};
pub use decided::{Decided, decide};
pub use hold::{Desk, Gone, Waiting, WentAhead};
pub use recorded::{Kind, Recorded, Refused};
pub use running::{Ledger, Running};

use decided::Gate;

/// What became of a unit before anything of it ran.
pub enum Settled {
    /// Its intent is durable: what is not refused may run.
    Run(Recorded),
    /// All of it is refused, and no intent could be made durable.
    Refuse(Refused),
    /// The session is over.
    Over(Gone),
}

/// Takes a decided unit to the point where it may run: asks second people where rules say so, and records the intent.
pub async fn settle<D: Desk>(session: &mut Session, decided: Decided, desk: &mut D) -> Settled {
    let result = match decided.gate() {
        Gate::Open => record(session, decided, Vec::new(), None).await,
        Gate::Shut(from, refused) => record(session, decided, Vec::new(), Some((from, refused))).await,
        Gate::Ask(first) => hold::hold(session, decided, first, desk).await,
    };
    match result {
        Ok(recorded) => Settled::Run(recorded),
        Err(Stopped::Gone(gone)) => Settled::Over(gone),
        Err(Stopped::Evidence(error)) => without_evidence(error),
    }
}

/// Makes the intent of a unit durable ahead of [`settle`], while something is still asked that may have it judged again. Of a
/// unit of which not all may run, nothing is recorded yet.
///
/// # Errors
/// With what [`settle`] would have made of it: the unit does not run.
pub async fn intend(session: &Session, decided: &mut Decided) -> Result<(), Settled> {
    if !matches!(decided.gate(), Gate::Open) {
        return Ok(());
    }
    let events = decided.events(session);
    decided.intent = Some(append(session, events).await.map_err(without_evidence)?);
    Ok(())
}

/// What was judged by is no longer so: where the intent is on record already, so is that nothing of it ran.
pub fn take_back(session: &Session, decided: &Decided) {
    if decided.intent.is_some() {
        for number in decided.intended() {
            Running::new(session, number, false).not_run(NotRun::JudgedAgain);
        }
    }
}

/// Why a unit did not come to run.
enum Stopped {
    Gone(Gone),
    Evidence(EvidenceError),
}

impl From<EvidenceError> for Stopped {
    fn from(error: EvidenceError) -> Self {
        Self::Evidence(error)
    }
}

/// Makes the intent durable, with what else has to be known before it runs.
async fn record(
    session: &mut Session,
    mut decided: Decided,
    events: Vec<Event>,
    refused: Option<(usize, Refused)>,
) -> Result<Recorded, Stopped> {
    let mut all = decided.events(session);
    all.extend(events);
    let durable = match decided.intent.take() {
        Some(durable) if all.is_empty() => durable,
        Some(_) => append_after(session, &decided, all).await?,
        None => append(session, all).await?,
    };
    Ok(Recorded::new(session, decided, refused, durable))
}

/// One batch about a unit whose intent is on record. Where it is not accepted, the unit does not run, and its log has to say
/// so.
async fn append_after(session: &Session, decided: &Decided, events: Vec<Event>) -> Result<Durable, EvidenceError> {
    let result = append(session, events).await;
    if result.is_err() {
        for number in decided.intended() {
            Running::new(session, number, false).not_run(NotRun::NotRecordedInTime);
        }
    }
    result
}

/// One batch: accepted together or not at all.
async fn append(session: &Session, events: Vec<Event>) -> Result<Durable, EvidenceError> {
    let began = Instant::now();
    let mut batch = Batch::new();
    let now = Time::now();
    let mut intents = Vec::new();
    for event in events {
        if let Event::Command(command) = &event
            && command.verdict.action != Action::Deny
        {
            intents.push(command.command);
        }
        batch.push(now, Some(session.id()), event)?;
    }
    let result = session.door().evidence.append(batch).await;
    if let Err(error) = &result {
        metrics::get().evidence_failed();
        if matches!(error, EvidenceError::Unavailable { .. }) {
            // The records may still arrive: what is refused now must not look as if it had run.
            let unrun = intents.into_iter().map(|command| Running::new(session, command, false));
            unrun.for_each(|running| running.not_run(NotRun::NotRecordedInTime));
        }
    }
    let durable = result?;
    metrics::get().recorded(began.elapsed());
    Ok(durable)
}

fn without_evidence(error: EvidenceError) -> Settled {
    match error {
        EvidenceError::SessionOver | EvidenceError::Closed | EvidenceError::Setup(_) => Settled::Over(Gone::Evidence),
        EvidenceError::Unavailable { .. }
        | EvidenceError::Full { .. }
        | EvidenceError::Lagging { .. }
        | EvidenceError::Refused(_)
        // Said of sessions that start, not of commands.
        | EvidenceError::Unvouched { .. }
        | EvidenceError::Record(_) => Settled::Refuse(Refused::new(
            Kind::NoEvidence,
            format!("nothing runs that cannot be recorded: {error}"),
        )),
    }
}
