//! Status of a Connection. No client.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sallyport_crds::connection::{ConnectionStatus, ServiceType, TlsMode};
use sallyport_crds::{ConditionType, ConnectionSpec, Reason, names};
use sallyport_policy::carrier::FORMAT;

use super::certificate;
use super::dereference::Found;
use super::plan::{Place, Plan};
use super::validate::Validated;
use crate::audit_sink::witness::{Outcome, Sights};
use crate::context::Context;
use crate::enforce::programs::Program;
use crate::enforce::sought;
use crate::guards;
use crate::shared::conditions::{Finding, held, merge, ready};

/// What to write, and what to tell by Events.
pub struct Written {
    /// The status.
    pub status: ConnectionStatus,
    /// Its findings.
    pub findings: Vec<Finding>,
    /// Whether everything was known; an operator that has just begun to listen looks again soon.
    pub known: bool,
}

/// The status of a Connection.
pub fn status(
    found: &Found,
    validated: &Validated,
    before: Option<&ConnectionStatus>,
    context: &Context,
    now: &Time,
) -> Written {
    let program = context.programs.get(&found.uid);
    let (revision, ruled) = (
        program.as_ref().map(|program| program.revision),
        program.as_ref().map(|program| program.ruled),
    );
    let replicas = found.spec.as_ref().map_or(0, |spec| spec.proxy.replicas);
    let enforced = enforced(found, validated, program.as_ref(), replicas);
    let known = enforced.is_some();
    let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut findings = vec![validated.accepted.clone()];
    if validated.door.is_some() {
        findings.push(programmed(found, old, replicas));
    }
    findings.push(enforced.unwrap_or_else(|| stood(old, found.generation)));
    // That commands can be recorded is part of Ready and not a condition of its own, as at the sink; its reason stands there. So does
    // that the target lets the door in, as far as that was tried.
    let mut parts = findings.clone();
    parts.extend(unrecorded(found, &context.sights));
    parts.extend(turned_away(found));
    findings.push(ready(&parts));
    findings.extend(advisory(found, program.as_ref(), context));
    let plan = validated.door.as_ref().map(|door| &door.plan);
    let status = ConnectionStatus {
        observed_generation: found.generation,
        conditions: merge(old, &findings, found.generation, now),
        address: plan.and_then(|plan| address(&found.place, &plan.spec, plan, found.service.as_deref())),
        ca_bundle: plan
            .filter(|plan| plan.spec.certificate.secret_ref.is_none())
            .map(|_| context.settings.door_bundle.clone()),
        rules: Some(validated.rules.clone()),
        revision: revision.and_then(|revision| i64::try_from(revision).ok()),
        proxies: ruled.map(|revision| found.crew.counts(revision)),
    };
    Written {
        status,
        findings,
        known,
    }
}

/// What stood there, where it is about this generation: the better answer for the first seconds of an operator.
fn stood(old: &[Condition], generation: Option<i64>) -> Finding {
    if held(old, ConditionType::Enforced, generation) {
        Finding::yes(
            ConditionType::Enforced,
            Reason::Enforced,
            "as of the operator before this one",
        )
    } else {
        Finding::unknown(
            ConditionType::Enforced,
            Reason::Pending,
            "the operator has just begun to listen",
        )
    }
}

/// Whether all processes run the present revision. What is not accepted is not enforced, though its doors be closed.
fn enforced(found: &Found, validated: &Validated, program: Option<&Program>, replicas: i32) -> Option<Finding> {
    const KIND: ConditionType = ConditionType::Enforced;
    let accepted = &validated.accepted;
    if !accepted.holds() {
        let message = if accepted.reason == Reason::SchemaMismatch && validated.door.is_some() {
            "what was accepted before still holds"
        } else if validated.door.is_some() {
            "the door admits nobody"
        } else {
            "there is no door"
        };
        return Some(Finding::no(KIND, accepted.reason, message));
    }
    match program {
        Some(program) => held_back(found, program).or_else(|| found.crew.enforced(program.ruled, replicas)),
        None => Some(Finding::no(KIND, Reason::Pending, "no policy was written yet")),
    }
}

/// Which processes keep policies from being enforced as they are written, since a carrier that they can read cannot say all.
fn held_back(found: &Found, program: &Program) -> Option<Finding> {
    let carrier = &program.carrier;
    let policies = carrier.approval_policies.iter();
    let stricter = policies.filter(|policy| carrier.stricter.contains(&policy.uid));
    let names: Vec<&str> = stricter.map(|policy| policy.name.as_str()).take(5).collect();
    let older = found.crew.older_than(FORMAT);
    if names.is_empty() || older.is_empty() {
        return None;
    }
    let message = format!(
        "these processes are of an older version or have not spoken yet: {}; until all read policies as this version does, what \
         grant.parameters of ApprovalPolicy {} would let vary is asked about each time",
        older.get(..5).unwrap_or(&older).join(", "),
        names.join(", "),
    );
    Some(Finding::no(ConditionType::Enforced, Reason::WaitingForProxies, message))
}

/// That commands are refused for want of a record, as doors say of recorders that take none of theirs and as a recorder says
/// itself: a door whose last record just found room knows nothing of a volume that is full since.
fn unrecorded(found: &Found, sights: &Sights) -> Option<Finding> {
    const REASON: Reason = Reason::RecorderUnavailable;
    let told = found.problems.iter().filter(|(reason, _)| *reason == REASON.as_str());
    let told = told.map(|(_, message)| message.clone());
    let full = found
        .sinks
        .iter()
        .filter_map(|sink| match sights.get(&sink.uid)?.outcome {
            Outcome::TakesNothing(why) => Some(format!(
                "AuditSink {}/{} takes no records: {why}",
                sink.namespace, sink.name
            )),
            _ => None,
        });
    let messages: Vec<String> = told.chain(full).take(5).collect();
    (!messages.is_empty()).then(|| Finding::no(ConditionType::Ready, REASON, messages.join("; ")))
}

/// That nobody gets in, since the target refuses who the door is: at the last login that was tried.
fn turned_away(found: &Found) -> Option<Finding> {
    const REASON: Reason = Reason::TargetRefused;
    let told = found.problems.iter().filter(|(reason, _)| *reason == REASON.as_str());
    let messages: Vec<&str> = told.map(|(_, message)| message.as_str()).take(5).collect();
    (!messages.is_empty()).then(|| Finding::no(ConditionType::Ready, REASON, messages.join("; ")))
}

/// Whether the children are as they should be, and the Deployment's Pods there.
fn programmed(found: &Found, old: &[Condition], replicas: i32) -> Finding {
    const KIND: ConditionType = ConditionType::Programmed;
    if let Some(words) = &found.refused {
        let message = format!("a part of the door cannot be made as it should be: {words}");
        return Finding::no(KIND, Reason::ChildRefused, message);
    }
    // What the cluster shows is then what an earlier generation asked for.
    if found.unwritten && !held(old, KIND, found.generation) {
        return Finding::no(KIND, Reason::Progressing, "not every part of the door is written yet");
    }
    if replicas == 0 {
        return Finding::yes(KIND, Reason::ScaledToZero, "no replicas are asked for");
    }
    let deployment = found.deployment.as_deref();
    let Some((deployment, status)) = deployment.and_then(|found| Some((found, found.status.as_ref()?))) else {
        return Finding::no(KIND, Reason::Progressing, "the Deployment is being made");
    };
    let seen = status.observed_generation.unwrap_or_default() >= deployment.metadata.generation.unwrap_or_default();
    let (updated, available) = (
        status.updated_replicas.unwrap_or_default(),
        status.available_replicas.unwrap_or_default(),
    );
    if seen && updated >= replicas && available >= replicas {
        return Finding::yes(
            KIND,
            Reason::Available,
            format!("{available} of {replicas} Pods are available"),
        );
    }
    let why = found.hindrance.as_ref().map(|words| format!("; {words}"));
    let message = format!(
        "{available} of {replicas} Pods are available, {updated} are up to date{}",
        why.unwrap_or_default()
    );
    Finding::no(KIND, Reason::Progressing, message)
}

/// What crosses the network in clear can be read and changed past every rule of the door.
fn in_clear(spec: &ConnectionSpec) -> Option<String> {
    let tls = spec.target.tls.as_ref().filter(|tls| tls.mode == TlsMode::Disable)?;
    let why = tls.insecure_reason.as_deref().unwrap_or("no reason is given");
    Some(format!(
        "the way to the target is not encrypted ({why}): whoever is on it reads and changes what passes"
    ))
}

/// Reasons that have a name in `Advisory`, the gravest first.
const ADVICE: [Reason; 11] = [
    Reason::TargetRoleTooStrong,
    Reason::AdmissionNotTrusted,
    Reason::AgentsNotMarked,
    Reason::ConnectionsPastDoors,
    Reason::ColumnNotFound,
    Reason::NameShared,
    Reason::TargetNotEncrypted,
    Reason::TargetRefused,
    Reason::RecorderUnavailable,
    Reason::ApiServerUnavailable,
    Reason::IssuerUnavailable,
];

/// What doors want said, such as a role at the target that makes masks advisory; who is there past all doors; who has a name of this
/// door; what crosses the network in clear; what becomes wrong by itself; whose names are only as good as the provider's checks; whose
/// agents could approve; what admission no longer guards; and which columns that rules name are not there.
fn advisory(found: &Found, program: Option<&Program>, context: &Context) -> Option<Finding> {
    let known = |told: &str| ADVICE.into_iter().find(|reason| reason.as_str() == told);
    let problems = found.problems.iter();
    let mut doors: Vec<(Reason, &String)> = problems
        .map(|(reason, message)| (known(reason).unwrap_or(Reason::NotReady), message))
        .collect();
    let rank = |reason: Reason| ADVICE.iter().position(|one| *one == reason);
    doors.sort_by_key(|(reason, _)| rank(*reason).unwrap_or(ADVICE.len()));
    let mut said: Vec<(Reason, String)> = doors
        .iter()
        .take(5)
        .map(|(reason, message)| (*reason, (*message).clone()))
        .collect();
    said.extend(past_doors(found).map(|message| (Reason::ConnectionsPastDoors, message)));
    said.extend(shared_names(found).map(|message| (Reason::NameShared, message)));
    let clear = found.spec.as_ref().ok().and_then(in_clear);
    said.extend(clear.map(|message| (Reason::TargetNotEncrypted, message)));
    said.extend(expire_soon(found).map(|message| (Reason::CertificateExpiresSoon, message)));
    said.extend(editable_names(found).map(|message| (Reason::EditableName, message)));
    said.extend(unmarked_agents(found).map(|message| (Reason::AgentsNotMarked, message)));
    said.extend(unguarded(context).map(|message| (Reason::AdmissionNotTrusted, message)));
    let absent = program
        .map(|program| absent_columns(found, program))
        .unwrap_or_default();
    said.extend(absent.into_iter().map(|message| (Reason::ColumnNotFound, message)));
    let first = said.first()?.0;
    let told = |grave: &Reason| {
        let (doors, said) = (
            doors.iter().map(|(reason, _)| reason),
            said.iter().map(|(reason, _)| reason),
        );
        doors.chain(said).any(|reason| reason == grave)
    };
    let reason = ADVICE.into_iter().find(told).unwrap_or(first);
    let messages: Vec<String> = said.into_iter().map(|(_, message)| message).collect();
    Some(Finding::yes(ConditionType::Advisory, reason, messages.join("; ")))
}

/// What rules name and no database of the Connection has, as far as its doors have looked.
fn absent_columns(found: &Found, program: &Program) -> Vec<String> {
    let absent = program.carrier.masking_rules.iter().filter_map(|rule| {
        let sought = sought::together(&found.sought, &rule.uid, rule.generation)?;
        sought::told(&format!("MaskingRule {}", rule.name), "the door has", &sought)
    });
    absent.take(5).collect()
}

/// Connections at the target that no door holds: what they do is neither judged nor recorded.
fn past_doors(found: &Found) -> Option<String> {
    let count: usize = found.past.values().sum();
    let roles: Vec<&str> = found.past.keys().take(5).map(String::as_str).collect();
    (count > 0).then(|| {
        format!(
            "{count} connections at the target did not come through a door (roles: {}): let only doors in there, \
             as config/samples/target-network-policy.yaml does",
            roles.join(", ")
        )
    })
}

/// Which namespace has them, too, is not for this one to ask.
fn shared_names(found: &Found) -> Option<String> {
    let names: Vec<&str> = found.shared_names.iter().take(5).map(String::as_str).collect();
    (!names.is_empty()).then(|| {
        format!(
            "a Connection of another namespace has {} in its certificate, too: whoever may read Secrets there can pass for this door; \
             give each door names of its own",
            names.join(", ")
        )
    })
}

/// A certificate of one's own is for its owner to renew: the door's, and the one that it shows to the target.
fn expire_soon(found: &Found) -> impl Iterator<Item = String> {
    let own = found.spec.iter();
    let named = own.flat_map(|spec| spec.certificate.secret_ref.iter().chain([&spec.credentials_ref]));
    named.filter_map(move |reference| expires_soon(found, &reference.name))
}

fn expires_soon(found: &Found, name: &str) -> Option<String> {
    let end = certificate::end(&found.secrets.get(name)?.data.as_ref()?.get("tls.crt")?.0)?;
    let left = end.as_second() - found.now.as_second();
    (0..certificate::RENEW_BEFORE)
        .contains(&left)
        .then(|| format!("the certificate in Secret {name} expires at {end}: the door closes then"))
}

/// The issuers that the Connection names whose names people can often change.
fn editable_names(found: &Found) -> impl Iterator<Item = String> {
    let named = found.spec.iter().flat_map(|spec| &spec.identity.issuers);
    named.filter_map(|named| found.issuers.issuers.get(&named.name)?.warning())
}

/// The issuers that the Connection names of which the API server does not tell agents from people.
fn unmarked_agents(found: &Found) -> impl Iterator<Item = String> {
    let named = found.spec.iter().flat_map(|spec| &spec.identity.issuers);
    named.filter_map(|named| found.issuers.agents_unmarked.get(&named.name).cloned())
}

/// The admission objects that are not as they ship.
fn unguarded(context: &Context) -> Option<String> {
    guards::words(context.admission.load()?.guards.faults.iter())
}

/// What a client dials.
fn address(place: &Place, spec: &ConnectionSpec, plan: &Plan, service: Option<&Service>) -> Option<String> {
    let inside = || {
        Some(format!(
            "{}.{}.svc:{}",
            names::door(&place.name),
            place.namespace,
            plan.port()
        ))
    };
    match spec.proxy.service.kind {
        ServiceType::ClusterIP => inside(),
        ServiceType::NodePort => {
            let port = service?.spec.as_ref()?.ports.as_ref()?.first()?.node_port?;
            Some(format!("<any node>:{port}"))
        }
        ServiceType::LoadBalancer => {
            let ingress = service.and_then(|service| {
                service
                    .status
                    .as_ref()?
                    .load_balancer
                    .as_ref()?
                    .ingress
                    .as_ref()?
                    .first()
                    .cloned()
            });
            match ingress.and_then(|ingress| ingress.hostname.or(ingress.ip)) {
                Some(host) => Some(format!("{host}:{}", plan.port())),
                None => inside(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
