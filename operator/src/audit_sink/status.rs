//! Status of an AuditSink. No client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sallyport_crds::audit_sink::AuditSinkStatus;
use sallyport_crds::{AuditSinkSpec, ConditionType, Reason};

use super::build::address;
use super::dereference::Found;
use super::validate::Validated;
use super::volume::Faults;
use super::witness::{Outcome, Sight};
use crate::shared::conditions::{Finding, held, merge, ready};

/// What to write, and what to tell by Events.
pub struct Written {
    /// The status.
    pub status: AuditSinkStatus,
    /// Its findings.
    pub findings: Vec<Finding>,
}

/// The status of a sink.
pub fn status(
    found: &Found,
    validated: &Validated,
    before: Option<&AuditSinkStatus>,
    volume: Faults,
    now: &Time,
) -> Written {
    let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut findings = vec![validated.accepted.clone()];
    // Consistency is part of Ready and not a condition of its own; its reason stands there.
    let mut parts = findings.clone();
    if validated.plan.is_some() {
        let programmed = programmed(found, old);
        findings.push(programmed.clone());
        let log = consistent(found.sight.as_ref());
        // A recorder whose log is not believed gets no permit, and so is never ready: what is wrong is the log.
        match log.reason == Reason::Inconsistent {
            true => parts.extend([log, programmed]),
            false => parts.extend([programmed, log]),
        }
    }
    let mut sum = ready(&parts);
    if sum.truth != crate::shared::conditions::Truth::True && sum.message.is_empty() {
        sum.message = "not ready".to_owned();
    }
    findings.push(sum);
    let Faults { stuck, reclaimed } = volume;
    findings.extend(stuck.map(|why| Finding::yes(ConditionType::Degraded, Reason::VolumeNotGrown, why)));
    findings.extend(advisory(found.spec.as_ref().ok(), reclaimed));
    let sight = found.sight.as_ref();
    let status = AuditSinkStatus {
        observed_generation: found.generation,
        conditions: merge(old, &findings, found.generation, now),
        connections: i32::try_from(found.connections).unwrap_or(i32::MAX),
        address: match &validated.plan {
            Some(plan) => Some(address(plan)),
            // The recorder goes on, and doors go on sending to it.
            None => before
                .filter(|_| found.schema.is_some())
                .and_then(|before| before.address.clone()),
        },
        origin: sight
            .and_then(|sight| sight.origin.clone())
            .or_else(|| before?.origin.clone()),
        verifier_key: sight
            .and_then(|sight| sight.verifier_key.clone())
            .or_else(|| before?.verifier_key.clone()),
        witness_key: found.sight.as_ref().map(|_| found.witness_key.clone()),
        checkpoint: sight
            .and_then(|sight| sight.checkpoint.clone())
            .or_else(|| before?.checkpoint.clone()),
    };
    Written { status, findings }
}

/// What stops nothing and should be known, the gravest first: how the log can be lost, and what the sink asks for and no door
/// of this version can give it.
fn advisory(spec: Option<&AuditSinkSpec>, reclaimed: Option<String>) -> Option<Finding> {
    let mut said: Vec<(Reason, String)> = Vec::new();
    said.extend(reclaimed.map(|why| (Reason::VolumeReclaimedByDelete, why)));
    said.extend(spec.and_then(unrecorded).map(|why| (Reason::NotImplemented, why)));
    let reason = said.first()?.0;
    let messages: Vec<String> = said.into_iter().map(|(_, message)| message).collect();
    Some(Finding::yes(ConditionType::Advisory, reason, messages.join("; ")))
}

fn unrecorded(spec: &AuditSinkSpec) -> Option<String> {
    let wanted = spec.recording.as_ref().is_some_and(|recording| recording.terminal);
    wanted.then(|| "spec.recording: no protocol of this version has terminals: none are recorded".to_owned())
}

fn programmed(found: &Found, old: &[Condition]) -> Finding {
    const KIND: ConditionType = ConditionType::Programmed;
    if let Some(words) = &found.refused {
        let message = format!("a part of the recorder cannot be made as it should be: {words}");
        return Finding::no(KIND, Reason::ChildRefused, message);
    }
    // What the cluster shows is then what an earlier generation asked for.
    if found.unwritten && !held(old, KIND, found.generation) {
        return Finding::no(
            KIND,
            Reason::Progressing,
            "not every part of the recorder is written yet",
        );
    }
    let stateful_set = found.stateful_set.as_deref();
    let Some((set, status)) = stateful_set.and_then(|found| Some((found, found.status.as_ref()?))) else {
        return Finding::no(KIND, Reason::Progressing, "the StatefulSet is being made");
    };
    let seen = status.observed_generation.unwrap_or_default() >= set.metadata.generation.unwrap_or_default();
    if seen && status.ready_replicas.unwrap_or_default() >= 1 {
        Finding::yes(KIND, Reason::Available, "the recorder is ready")
    } else {
        let why = found.hindrance.as_ref().map(|words| format!("; {words}"));
        let message = format!("the recorder is not ready yet{}", why.unwrap_or_default());
        Finding::no(KIND, Reason::Progressing, message)
    }
}

/// What the recorder last showed, held against what was seen before.
fn consistent(sight: Option<&Sight>) -> Finding {
    const KIND: ConditionType = ConditionType::Ready;
    match sight.map(|sight| &sight.outcome) {
        Some(Outcome::Consistent) => Finding::yes(
            KIND,
            Reason::Consistent,
            "the latest checkpoint is consistent with all before it",
        ),
        Some(Outcome::Inconsistent(why)) => Finding::no(KIND, Reason::Inconsistent, why.clone()),
        Some(Outcome::TakesNothing(why)) => Finding::no(
            KIND,
            Reason::RecorderUnavailable,
            format!("the recorder takes no records: {why}"),
        ),
        Some(Outcome::Unavailable(why)) => Finding::no(KIND, Reason::RecorderUnavailable, why.clone()),
        None => Finding::unknown(KIND, Reason::Pending, "the recorder has not been asked yet"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_recording_that_nobody_makes_is_said() {
        let spec = |recording: serde_json::Value| -> AuditSinkSpec {
            let mut spec = json!({"namespaces": ["doors"], "storage": {"size": "1Gi"}});
            spec["recording"] = recording;
            serde_json::from_value(spec).unwrap()
        };
        let finding = advisory(Some(&spec(json!({"terminal": true}))), None).unwrap();
        assert_eq!(
            (finding.kind, finding.reason),
            (ConditionType::Advisory, Reason::NotImplemented)
        );
        assert!(advisory(Some(&spec(json!({"terminal": false}))), None).is_none());
        assert!(advisory(Some(&spec(json!(null))), None).is_none());
        let both = advisory(
            Some(&spec(json!({"terminal": true}))),
            Some("it goes with its claim".to_owned()),
        )
        .unwrap();
        assert_eq!(both.reason, Reason::VolumeReclaimedByDelete);
        assert!(both.message.contains("its claim; spec.recording"), "{}", both.message);
    }
}
