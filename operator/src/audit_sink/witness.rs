//! The operator as a witness: asks each recorder for its newest checkpoint, and believes it only where it is consistent with
//! every one before.

mod ask;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::Resource;
use sallyport_audit::checkpoint::{Checkpoint, origin};
use sallyport_audit::merkle::verify_consistency;
use sallyport_audit::note::{Note, VerifierKey};
use sallyport_audit::record::ObjectRef;
use sallyport_crds::AuditSink;
use sallyport_crds::audit_sink;
use sallyport_runtime::workload::Credential;
use tokio_util::sync::CancellationToken;

use super::ledger::{Entry, Ledger};
use crate::context::Context;
use crate::keys::Witness;
use crate::world::Guarded;
pub use ask::{Answer, AskError};

/// Each recorder is asked this often.
const PERIOD: Duration = Duration::from_secs(5);

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
}

/// What the checks came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The log only grew.
    Consistent,
    /// It did not: records were removed or changed, or somebody else signs.
    Inconsistent(String),
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

async fn round(context: &Context, credential: &Credential, ledger: &mut Ledger) {
    let sinks = context.world.audit_sinks.state();
    let mut present = BTreeSet::new();
    for sink in &sinks {
        let Some(uid) = sink.meta().uid.clone() else { continue };
        if context
            .world
            .is_enabled(sink.meta().namespace.as_deref().unwrap_or_default())
        {
            look(context, credential, ledger, sink, &uid).await;
        }
        present.insert(uid);
    }
    if let Err(error) = ledger.ended(&context.client, &present, context.now()).await {
        tracing::warn!(%error, "the ends of logs could not be noted");
    }
}

async fn look(context: &Context, credential: &Credential, ledger: &mut Ledger, sink: &Guarded<AuditSink>, uid: &str) {
    let meta = sink.meta();
    let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else {
        return;
    };
    let before = context.sights.get(uid).unwrap_or_default();
    let size = before
        .checkpoint
        .as_ref()
        .and_then(|checkpoint| u64::try_from(checkpoint.size).ok())
        .unwrap_or(0);
    let asked = ask::ask(credential, namespace, name, uid, size).await;
    let reference = ObjectRef {
        namespace: namespace.clone(),
        name: name.clone(),
        uid: uid.to_owned(),
    };
    let now = context.now();
    let sight = judge(&before, asked, &origin(&reference), &context.keys.witness, now);
    context
        .metrics
        .checkpoints
        .with_label_values(&[sight.outcome.label()])
        .inc();
    if sight == before {
        return;
    }
    if sight.outcome.label() != before.outcome.label() {
        tracing::info!(
            namespace,
            sink = name,
            outcome = sight.outcome.label(),
            "checkpoint looked at"
        );
    }
    // What the ledger does not hold, nobody is told: it is the ledger that remembers after a restart.
    if let Err(error) = ledger
        .note(&context.client, uid, Entry::new(&reference, &sight, now))
        .await
    {
        tracing::warn!(%error, "a checkpoint could not be noted");
        return;
    }
    context.sights.set(uid, sight);
    context.queues.audit_sink(namespace, name);
}

/// Holds an answer against what was seen before. No client.
pub fn judge(
    before: &Sight,
    asked: Result<Answer, AskError>,
    origin: &str,
    witness: &Witness,
    now: jiff::Timestamp,
) -> Sight {
    let answer = match asked {
        Ok(answer) => answer,
        Err(AskError::Shorter) => {
            let why = "the log is shorter than it was: records were removed".to_owned();
            return Sight {
                outcome: Outcome::Inconsistent(why),
                ..before.clone()
            };
        }
        Err(error) => {
            return Sight {
                outcome: Outcome::Unavailable(error.to_string()),
                ..before.clone()
            };
        }
    };
    match consistent(before, &answer, origin) {
        Ok(checkpoint) => {
            let known = before
                .checkpoint
                .as_ref()
                .filter(|known| u64::try_from(known.size) == Ok(checkpoint.size));
            Sight {
                outcome: Outcome::Consistent,
                origin: Some(origin.to_owned()),
                verifier_key: Some(answer.vkey.clone()),
                checkpoint: known
                    .cloned()
                    .or_else(|| Some(cosigned(&checkpoint, &answer.checkpoint, witness, now))),
            }
        }
        Err(why) => Sight {
            outcome: Outcome::Inconsistent(why),
            ..before.clone()
        },
    }
}

fn consistent(before: &Sight, answer: &Answer, origin: &str) -> Result<Checkpoint, String> {
    if before.verifier_key.as_ref().is_some_and(|known| *known != answer.vkey) {
        return Err("the log is signed by another key than at first".to_owned());
    }
    let key: VerifierKey = answer
        .vkey
        .parse()
        .map_err(|error| format!("the log's key cannot be read: {error}"))?;
    let checkpoint = Checkpoint::open(&answer.checkpoint, &key).map_err(|error| format!("the checkpoint: {error}"))?;
    if checkpoint.origin != origin {
        return Err("the checkpoint speaks of another log".to_owned());
    }
    let Some(known) = &before.checkpoint else {
        return Ok(checkpoint);
    };
    let known_size = u64::try_from(known.size).unwrap_or(0);
    let known_root = STANDARD
        .decode(&known.root)
        .ok()
        .and_then(|root| root.try_into().ok())
        .map(sallyport_audit::Digest::from_bytes);
    let known_root = known_root.ok_or("the checkpoint of before cannot be read")?;
    let proof = answer.proof()?;
    verify_consistency(known_size, &known_root, checkpoint.size, &checkpoint.root, &proof)
        .map_err(|_| format!("records before number {known_size} were changed, removed or moved"))?;
    Ok(checkpoint)
}

fn cosigned(checkpoint: &Checkpoint, note: &str, witness: &Witness, now: jiff::Timestamp) -> audit_sink::Checkpoint {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let line = Note::parse(note)
        .map(|note| witness.cosign(note.text(), seconds))
        .unwrap_or_default();
    audit_sink::Checkpoint {
        size: i64::try_from(checkpoint.size).unwrap_or(i64::MAX),
        root: STANDARD.encode(checkpoint.root.as_bytes()),
        note: format!("{note}{line}"),
        time: now.to_string(),
    }
}

// === impl Sights ===

impl Sights {
    /// What a sink's recorder last showed.
    pub fn get(&self, uid: &str) -> Option<Sight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
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
