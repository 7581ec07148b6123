//! What an answer is worth: whether the log only grew, who may write it, and what its recorder has to be told. No client.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sallyport_audit::Digest;
use sallyport_audit::checkpoint::Checkpoint;
use sallyport_audit::merkle::verify_consistency;
use sallyport_audit::note::{Note, VerifierKey};
use sallyport_audit::permit::Permit;
use sallyport_audit::record::Instance;
use sallyport_crds::audit_sink;
use sallyport_policy::issuer::{Issuers, Trusted};

use super::{Answer, AskError, Outcome, Sight};
use crate::keys::Witness;

/// Where permits go on for a log whose permits were forgotten.
const FORGOTTEN: u64 = 1 << 32;

/// What a recorder is to be told of whose tokens count; none where it knows, or checks no tokens.
pub(super) fn untold(answer: &Answer, issuers: &Issuers) -> Option<String> {
    let told = answer.issuers.as_ref()?;
    let trusted = serde_json::to_string(&Trusted::from(issuers)).ok()?;
    (*told != Digest::of(trusted.as_bytes()).to_string()).then_some(trusted)
}

/// The permit that a fenced recorder gets if its log is consistent.
///
/// The same start asks with the same number again; every other start gets the next one, which ends the right of the one
/// before it.
pub(super) fn permit(before: &Sight, answer: &Answer, origin: &str) -> Option<Permit> {
    if !answer.fenced {
        return None;
    }
    let boot = Instance::parse(&answer.boot)?;
    let key: VerifierKey = answer.vkey.parse().ok()?;
    let checkpoint = Checkpoint::open(&answer.checkpoint, &key).ok()?;
    let epoch = match &before.writes {
        Some(writes) if writes.boot == answer.boot => writes.epoch,
        Some(writes) => writes.epoch.checked_add(1)?,
        // Doors may know permits of a log that nobody else remembers: the next one has to come after all of them.
        None if before.checkpoint.is_some() => FORGOTTEN.checked_add(before.size())?,
        None => 1,
    };
    Some(Permit {
        origin: origin.to_owned(),
        size: checkpoint.size,
        root: checkpoint.root,
        boot,
        epoch,
    })
}

/// Holds an answer against what was seen before.
pub(super) fn judge(
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
            let outcome = answer
                .problem
                .clone()
                .map_or(Outcome::Consistent, Outcome::TakesNothing);
            let known = before
                .checkpoint
                .as_ref()
                .filter(|known| u64::try_from(known.size) == Ok(checkpoint.size));
            Sight {
                outcome,
                origin: Some(origin.to_owned()),
                verifier_key: Some(answer.vkey.clone()),
                checkpoint: known
                    .cloned()
                    .or_else(|| Some(cosigned(&checkpoint, &answer.checkpoint, witness, now))),
                writes: before.writes.clone(),
            }
        }
        Err(why) => Sight {
            outcome: Outcome::Inconsistent(why),
            ..before.clone()
        },
    }
}

fn consistent(before: &Sight, answer: &Answer, origin: &str) -> Result<Checkpoint, String> {
    // A log has one writer: the one that was let write last.
    let permitted = before.writes.as_ref().is_none_or(|writes| writes.boot == answer.boot);
    if !permitted && !answer.fenced {
        return Err("a recorder writes that was not permitted to, or not any more".to_owned());
    }
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
        .map(Digest::from_bytes);
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
