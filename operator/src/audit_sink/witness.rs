//! The operator as a witness: asks each recorder for its newest checkpoint, believes it only where it is consistent with
//! every one before, and lets a recorder that starts write only then. By the same way it says whose tokens count, which
//! recorders check by themselves.

mod ask;
mod judge;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube::Resource;
use sallyport_audit::checkpoint::origin;
use sallyport_audit::record::ObjectRef;
use sallyport_crds::AuditSink;
use sallyport_crds::audit_sink;
use sallyport_policy::issuer::Issuers;
use sallyport_runtime::workload::Credential;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::ledger::{Entry, Ledger, LedgerError};
use crate::context::{Context, Error};
use crate::world::Guarded;
pub use ask::{Answer, AskError, Recorder};
use judge::{judge, permit, untold};

/// Each recorder is asked this often: how far the proof lags behind the log, and how long a recorder waits that starts.
const PERIOD: Duration = Duration::from_secs(2);
/// Recorders that are asked at one time.
const AT_ONCE: usize = 16;

/// What a recorder last showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    /// What the checks came to.
    pub outcome: Outcome,
    /// The log's origin.
    pub origin: Option<String>,
    /// The log's verifier key, as it was at first sight.
    pub verifier_key: Option<String>,
    /// The latest checkpoint that was consistent with all before it.
    pub checkpoint: Option<audit_sink::Checkpoint>,
    /// Which recorder may write.
    pub writes: Option<Writes>,
}

/// The start of a recorder that was let write last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// The start.
    pub boot: String,
    /// The permit's number: one more for each start.
    pub epoch: u64,
}

/// What the checks came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The log only grew.
    Consistent,
    /// It did not: records were removed or changed, or somebody else signs.
    Inconsistent(String),
    /// The log only grew, and takes no more for now: a full volume.
    TakesNothing(String),
    /// The recorder cannot be asked.
    Unavailable(String),
}

/// What all recorders last showed, by the sink's uid.
#[derive(Default)]
pub struct Sights(Mutex<HashMap<String, Sight>>);

/// Asks recorders until `end`.
pub async fn run(context: Arc<Context>, credential: Credential, mut ledger: Ledger, end: CancellationToken) {
    for (uid, entry) in ledger.entries() {
        context.sights.set(uid, entry.sight());
    }
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = ticks.tick() => round(&context, &credential, &mut ledger).await,
        }
    }
}

/// A recorder that was asked, and what it answered.
struct Asked {
    sink: ObjectRef,
    before: Sight,
    recorder: Result<Recorder, AskError>,
    answer: Result<Answer, AskError>,
}

async fn round(context: &Context, credential: &Credential, ledger: &mut Ledger) {
    mend(context, ledger).await;
    let sinks = context.world.audit_sinks.state();
    let references: Vec<ObjectRef> = sinks.iter().filter_map(|sink| reference(sink)).collect();
    // Recorders that are away cost their time once, not one after the other.
    let mut looks = Vec::new();
    for guarded in &sinks {
        let Some(sink) = reference(guarded).filter(|sink| context.world.is_enabled(&sink.namespace)) else {
            continue;
        };
        match seen(context, ledger, guarded, &sink) {
            Ok(Some(before)) => looks.push(ask(credential, sink, before).boxed()),
            // Whether its log was seen before cannot be known, so it is not taken for a new one.
            Ok(None) => tracing::debug!(
                sink.namespace,
                sink.name,
                "an AuditSink that cannot be read is passed over"
            ),
            Err(why) => refuse(context, &sink, why),
        }
    }
    let mut asked = futures::stream::iter(looks).buffer_unordered(AT_ONCE);
    while let Some(asked) = asked.next().await {
        look(context, ledger, asked).await;
    }
    let present = references.iter().map(|sink| sink.uid.clone()).collect();
    if let Err(error) = ledger.ended(&context.client, &present, context.now()).await {
        tracing::warn!(%error, "the ends of logs could not be noted");
    }
}

fn reference(sink: &Guarded<AuditSink>) -> Option<ObjectRef> {
    let meta = sink.meta();
    Some(ObjectRef {
        namespace: meta.namespace.clone()?,
        name: meta.name.clone()?,
        uid: meta.uid.clone()?,
    })
}

/// Reads the ledger again while an entry cannot be read: somebody may have mended it.
async fn mend(context: &Context, ledger: &mut Ledger) {
    if ledger.unreadable().is_empty() {
        return;
    }
    match ledger.open_again(&context.client).await {
        Ok(mended) => {
            for uid in mended {
                // Where the entry is gone, what the sink's status says counts.
                match ledger.entry(&uid) {
                    Some(entry) => context.sights.set(&uid, entry.sight()),
                    None => context.sights.forget(&uid),
                }
            }
        }
        Err(error) => tracing::warn!(%error, "the ledger of logs could not be read again"),
    }
}

/// What was seen of a log so far: by this operator, by those before it as the ledger tells, or, where the ledger holds
/// nothing, as the sink's own status tells. None where the sink cannot be read; the error says why nothing is believed.
fn seen(
    context: &Context,
    ledger: &Ledger,
    guarded: &Guarded<AuditSink>,
    sink: &ObjectRef,
) -> Result<Option<Sight>, String> {
    if let Some(why) = ledger.fault(&sink.uid) {
        return Err(why);
    }
    if let Some(sight) = context.sights.get(&sink.uid) {
        return Ok(Some(sight));
    }
    let Ok(known) = &guarded.0 else { return Ok(None) };
    let Some(status) = known.status.as_ref().filter(|status| status.checkpoint.is_some()) else {
        return Ok(Some(Sight::default()));
    };
    tracing::warn!(
        namespace = sink.namespace,
        sink = sink.name,
        "the ledger holds nothing of the log: the checkpoint in the sink's status counts"
    );
    context.metrics.checkpoints.with_label_values(&["seeded"]).inc();
    Ok(Some(Sight {
        outcome: Outcome::default(),
        origin: status.origin.clone(),
        verifier_key: status.verifier_key.clone(),
        checkpoint: status.checkpoint.clone(),
        writes: None,
    }))
}

/// Says why nothing is believed of a log. Its recorder is not asked and gets no permit.
fn refuse(context: &Context, sink: &ObjectRef, why: String) {
    context.metrics.checkpoints.with_label_values(&["inconsistent"]).inc();
    let sight = context.sights.get(&sink.uid);
    let outcome = Outcome::Inconsistent(why);
    if sight.as_ref().is_some_and(|sight| sight.outcome == outcome) {
        return;
    }
    tracing::error!(
        namespace = sink.namespace,
        sink = sink.name,
        outcome = outcome.label(),
        "nothing is believed of the log"
    );
    context.sights.set(
        &sink.uid,
        Sight {
            outcome,
            ..sight.unwrap_or_default()
        },
    );
    context.queues.audit_sink(&sink.namespace, &sink.name);
}

async fn ask(credential: &Credential, sink: ObjectRef, before: Sight) -> Asked {
    let recorder = Recorder::of(&sink, credential);
    let answer = match &recorder {
        Ok(recorder) => recorder.ask(before.size()).await,
        Err(_) => Err(AskError::Unreachable),
    };
    Asked {
        sink,
        before,
        recorder,
        answer,
    }
}

async fn look(context: &Context, ledger: &mut Ledger, asked: Asked) {
    let Asked {
        sink,
        before,
        recorder,
        answer,
    } = asked;
    let now = context.now();
    let answer = tell(&sink, &before, &context.issuers.load_full(), &recorder, answer).await;
    let permit = answer
        .as_ref()
        .ok()
        .and_then(|answer| permit(&before, answer, &origin(&sink)));
    let mut sight = judge(&before, answer, &origin(&sink), &context.keys.witness, now);
    context
        .metrics
        .checkpoints
        .with_label_values(&[sight.outcome.label()])
        .inc();
    // Only a recorder whose log was found consistent may write.
    let permit = permit.filter(|_| sight.outcome == Outcome::Consistent);
    if let Some(permit) = &permit {
        sight.writes = Some(Writes {
            boot: permit.boot.to_string(),
            epoch: permit.epoch,
        });
    }
    // What the ledger does not hold, nobody is told: it is the ledger that remembers after a restart. A sink of which no log was seen
    // yet takes no room there.
    if sight != before
        && sight.checkpoint.is_some()
        && let Err(error) = ledger
            .note(&context.client, &sink.uid, Entry::new(&sink, &sight, now))
            .await
    {
        unkept(context, &sink, before, error);
        return;
    }
    if let (Some(permit), Ok(recorder)) = (permit, recorder) {
        match recorder.permit(context.keys.witness.permit(&permit)).await {
            Ok(()) => tracing::info!(
                namespace = sink.namespace,
                sink = sink.name,
                epoch = permit.epoch,
                "the recorder may write"
            ),
            Err(error) => sight.outcome = Outcome::Unavailable(format!("it did not take its permit to write: {error}")),
        }
    }
    if sight == before {
        return;
    }
    if sight.outcome.label() != before.outcome.label() {
        tracing::info!(
            namespace = sink.namespace,
            sink = sink.name,
            outcome = sight.outcome.label(),
            "checkpoint looked at"
        );
    }
    context.sights.set(&sink.uid, sight);
    context.queues.audit_sink(&sink.namespace, &sink.name);
}

/// What was seen could not be noted. Where that is final people have to know: what stands in the status would vouch for a log that
/// nobody looks after.
fn unkept(context: &Context, sink: &ObjectRef, before: Sight, error: LedgerError) {
    tracing::warn!(namespace = sink.namespace, sink = sink.name, %error, "a checkpoint could not be noted");
    let words = match error {
        LedgerError::Api(error) => Error::from(error).refusal(),
        full @ LedgerError::Full(_) => Some(full.to_string()),
    };
    let Some(words) = words else { return };
    let outcome = Outcome::Unavailable(format!("what is seen of the log cannot be kept: {words}"));
    if before.outcome != outcome {
        context.sights.set(&sink.uid, Sight { outcome, ..before });
        context.queues.audit_sink(&sink.namespace, &sink.name);
    }
}

/// Says whose tokens count where the recorder does not know. One that cannot be told is not available, nor is one that then
/// states something else: it gets no permit, since it could confirm nobody, or others.
async fn tell(
    sink: &ObjectRef,
    before: &Sight,
    issuers: &Issuers,
    recorder: &Result<Recorder, AskError>,
    answer: Result<Answer, AskError>,
) -> Result<Answer, AskError> {
    let mut answer = answer?;
    if let (Some(trusted), Ok(recorder)) = (untold(&answer, issuers), recorder) {
        recorder.trust(trusted).await?;
        answer = recorder.ask(before.size()).await?;
        if untold(&answer, issuers).is_some() {
            return Err(AskError::Untold);
        }
        tracing::info!(
            namespace = sink.namespace,
            sink = sink.name,
            issuers = issuers.issuers.len(),
            "the recorder knows whose tokens count"
        );
    }
    Ok(answer)
}

// === impl Sight ===

impl Sight {
    /// Records that were seen so far.
    fn size(&self) -> u64 {
        let size = self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        u64::try_from(size).unwrap_or(0)
    }
}

// === impl Sights ===

impl Sights {
    /// What a sink's recorder last showed.
    pub fn get(&self, uid: &str) -> Option<Sight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// Forgets a sink's recorder.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Remembers what a sink's recorder showed.
    pub fn set(&self, uid: &str, sight: Sight) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid.to_owned(), sight);
    }
}

// === impl Outcome ===

impl Outcome {
    /// For metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::Inconsistent(_) => "inconsistent",
            Self::TakesNothing(_) => "takesNothing",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Unavailable("the recorder has not been asked yet".to_owned())
    }
}

#[cfg(test)]
mod tests;
