//! Validate: whether a Connection can be served, and what its doors are to run. No client.
//!
//! With a problem the door is not taken away: it is closed, with the reason in its carrier. So what opens again opens at
//! once, and what is closed can say why.

mod certificates;
mod secrets;

use sallyport_crds::connection::{Protocol, RuleCounts};
use sallyport_crds::{ConditionType, ConnectionSpec, Reason};
use sallyport_policy::assemble::{Objects, assemble, close};
use sallyport_policy::carrier::{CarriedConnection, Carrier, MAX_BYTES};
use sallyport_policy::columns::target as target_name;
use sallyport_policy::problem::{ObjectKind, Problem};

use super::dereference::{Found, ca_config_map};
use super::plan::Plan;
use crate::rule::validate::{namespace, schema};
use crate::settings::Settings;
use crate::shared::conditions::Finding;
use secrets::{key_secrets, rule_keys};

/// Names of children must be DNS labels of at most 63 characters: `door-`, the name, and what a Pod's name adds.
const MAX_NAME: usize = 46;
/// Room for the words that close a carrier, in bytes: one that is just small enough must be one that can be closed.
const WORDS: usize = 8 * 1024;

/// What validation came to.
pub struct Validated {
    /// The condition `Accepted`.
    pub accepted: Finding,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The door to build; None where there can be none.
    pub door: Option<Door>,
    /// How many rules apply.
    pub rules: RuleCounts,
}

/// A door that can be built.
pub struct Door {
    /// Its children.
    pub plan: Plan,
    /// What it is to run, its revision apart.
    pub carrier: Carrier,
}

/// One thing that is looked at.
type Check = fn(&Found, &ConnectionSpec) -> Option<Problem>;

/// Checks of what the carrier itself does not tell. All are made, so that people see everything at once.
const CHECKS: [Check; 6] = [
    secrets::credentials,
    certificates::shown_to_target,
    secrets::host_permitted,
    certificates::own,
    certificates::own_holds,
    target_authorities,
];

/// Validates what was found.
pub fn validate(found: &Found, settings: &Settings) -> Validated {
    if let Some(accepted) = namespace(found.access).or_else(|| deleted(found)) {
        return Validated {
            accepted,
            problems: Vec::new(),
            door: None,
            rules: RuleCounts::default(),
        };
    }
    if let Some(accepted) = schema(found.schema.as_deref()) {
        return held(found, accepted);
    }
    let spec = match servable(found) {
        Ok(spec) => spec,
        Err(problem) => return unservable(found, problem),
    };
    let (mut carrier, problems) = assemble(&objects(found, spec, settings));
    let mut all: Vec<Problem> = CHECKS.iter().filter_map(|check| check(found, spec)).collect();
    all.extend(certificates::names_of_others(found, spec, &settings.cluster_domain));
    all.extend(problems);
    all.extend(rule_keys(found, &carrier));
    all.extend(columns(found, &mut carrier));
    if let Err(compiled) = sallyport_policy::Policy::compile(&carrier) {
        all.extend(compiled);
    }
    if !fits(&carrier) {
        all.push(problem(
            found,
            "",
            Reason::TooLarge,
            "the compiled policy does not fit into its carrier: use fewer or shorter rules",
        ));
        // What the doors ran fitted, and has to be remembered: labels may change meanwhile.
        match &found.program {
            Some(program) => {
                carrier = program.carrier.clone();
                carrier.closed = None;
            }
            None => {
                carrier.columns.clear();
                carrier.masking_rules.clear();
                carrier.approval_policies.clear();
            }
        }
    }
    if let Some(first) = all.first() {
        close(&mut carrier, first);
    }
    let plan = Plan::new(&found.place, &found.uid, spec, key_secrets(&carrier));
    Validated {
        accepted: accepted(&all),
        rules: counts(&carrier),
        door: Some(Door { plan, carrier }),
        problems: all,
    }
}

/// Until a finalizer lets go of it the garbage collector leaves its children alone, and nobody would look after its door.
fn deleted(found: &Found) -> Option<Finding> {
    found.deleting.then(|| {
        let message = "it is being deleted: there is no door, whatever finalizer still holds the object";
        Finding::no(ConditionType::Accepted, Reason::Deleted, message)
    })
}

/// Whether a door of this version can stand for the protocol.
pub fn is_implemented(protocol: Protocol) -> bool {
    protocol == Protocol::PostgreSQL
}

// === impl Validated ===

impl Validated {
    /// Whether something is missing that no watch tells of.
    pub fn is_missing_something(&self) -> bool {
        self.problems.iter().any(|problem| {
            matches!(
                problem.reason,
                Reason::SecretMissing | Reason::HostNotPermitted | Reason::ColumnsNotKnown | Reason::CertificateExpired
            )
        })
    }
}

/// The specification, if a door can be made for it at all.
fn servable(found: &Found) -> Result<&ConnectionSpec, Problem> {
    let spec = found.spec.as_ref().map_err(|error| {
        problem(
            found,
            "",
            Reason::Invalid,
            format!("the object cannot be read: {error}"),
        )
    })?;
    let name = &found.place.name;
    if name.len() > MAX_NAME || name.contains('.') {
        let message =
            format!("the name must be at most {MAX_NAME} characters without dots, since children are named after it");
        return Err(problem(found, "metadata.name", Reason::Invalid, message));
    }
    if !is_implemented(spec.protocol) {
        let message = format!("protocol {:?} is not implemented by this version", spec.protocol);
        return Err(problem(found, "spec.protocol", Reason::NotImplemented, message));
    }
    Ok(spec)
}

/// What was accepted last holds: a door that stands goes on as it is, and none is made.
fn held(found: &Found, accepted: Finding) -> Validated {
    let door = found.program.as_ref().map(|program| {
        let mut carrier = program.carrier.clone();
        // What is copied under what was accepted is protected under it.
        for problem in columns(found, &mut carrier) {
            close(&mut carrier, &problem);
        }
        Door {
            plan: Plan::new(
                &found.place,
                &found.uid,
                &carrier.connection.spec,
                key_secrets(&carrier),
            ),
            carrier,
        }
    });
    Validated {
        rules: door.as_ref().map(|door| counts(&door.carrier)).unwrap_or_default(),
        problems: Vec::new(),
        accepted,
        door,
    }
}

/// No door can be made. One that stands from before is closed, by what it was last told.
fn unservable(found: &Found, problem: Problem) -> Validated {
    let door = found.program.as_ref().map(|program| {
        let mut carrier = program.carrier.clone();
        carrier.closed = None;
        close(&mut carrier, &problem);
        Door {
            plan: Plan::new(&found.place, &found.uid, &carrier.connection.spec, []),
            carrier,
        }
    });
    Validated {
        accepted: accepted(std::slice::from_ref(&problem)),
        rules: RuleCounts::default(),
        problems: vec![problem],
        door,
    }
}

fn objects<'a>(found: &'a Found, spec: &ConnectionSpec, settings: &Settings) -> Objects<'a> {
    Objects {
        connection: CarriedConnection {
            namespace: found.place.namespace.clone(),
            name: found.place.name.clone(),
            uid: found.uid.clone(),
            generation: found.generation.unwrap_or_default(),
            labels: found.labels.clone(),
            spec: with_authorities(found, spec),
        },
        masking_rules: found.masking_rules.clone(),
        approval_policies: found.approval_policies.clone(),
        sinks: found.sinks.clone(),
        issuers: &found.issuers,
        denied_cidrs: settings.denied_cidrs.clone(),
        standing: found.program.as_ref().map(|program| &program.carrier),
    }
}

/// The specification with the target's CAs in place: a door may read no ConfigMap but its carrier.
fn with_authorities(found: &Found, spec: &ConnectionSpec) -> ConnectionSpec {
    let mut spec = spec.clone();
    let bundle = spec.target.tls.as_mut().and_then(|tls| tls.ca_bundle.as_mut());
    if let Some(bundle) = bundle
        && let Some(key) = bundle
            .config_map_key_ref
            .as_ref()
            .map(|reference| reference.key.clone())
        && let Some(text) = found
            .ca_bundle
            .as_ref()
            .and_then(|map| map.data.as_ref()?.get(&key).cloned())
    {
        bundle.inline = Some(text);
        bundle.config_map_key_ref = None;
    }
    spec
}

fn target_authorities(found: &Found, spec: &ConnectionSpec) -> Option<Problem> {
    let name = ca_config_map(spec)?;
    let resolved = with_authorities(found, spec);
    ca_config_map(&resolved)?;
    let message = format!("ConfigMap {name} does not exist or lacks the key");
    Some(problem(
        found,
        "spec.target.tls.caBundle.configMapKeyRef",
        Reason::SecretMissing,
        message,
    ))
}

/// Writes into a carrier what its rules keep protected at its target. What a rule keeps may be unknown, and then nobody may
/// be shown what it protects.
fn columns(found: &Found, carrier: &mut Carrier) -> Vec<Problem> {
    let target = &carrier.connection.spec.target;
    let target = target_name(&target.host, target.port);
    let mut problems = Vec::new();
    carrier.columns.clear();
    for rule in &carrier.masking_rules {
        match found.columns.get(&rule.uid) {
            Some(Ok(kept)) => {
                for (database, columns) in kept.at(&target) {
                    let columns = columns.under(rule.generation);
                    if !columns.is_empty() {
                        let databases = carrier.columns.entry(database.clone()).or_default();
                        databases.insert(rule.uid.clone(), columns);
                    }
                }
            }
            Some(Err(message)) => {
                let (kind, reason) = (ObjectKind::MaskingRule, Reason::ColumnsNotKnown);
                problems.push(Problem::new(kind, &rule.name, "", reason, message.clone()));
            }
            None => {}
        }
    }
    problems
}

fn problem(found: &Found, field: &str, reason: Reason, message: impl Into<String>) -> Problem {
    Problem::new(ObjectKind::Connection, &found.place.name, field, reason, message)
}

fn accepted(problems: &[Problem]) -> Finding {
    let Some(first) = problems.first() else {
        return Finding::yes(ConditionType::Accepted, Reason::Accepted, "the door runs exactly this");
    };
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Finding::no(ConditionType::Accepted, first.reason, messages.join("; "))
}

fn counts(carrier: &Carrier) -> RuleCounts {
    let (masks, policies) = (carrier.masking_rules.len(), carrier.approval_policies.len());
    let plural = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    RuleCounts {
        masking_rules: i32::try_from(masks).unwrap_or(i32::MAX),
        approval_policies: i32::try_from(policies).unwrap_or(i32::MAX),
        summary: format!(
            "{}, {}",
            plural(masks, "mask", "masks"),
            plural(policies, "policy", "policies")
        ),
    }
}

/// Whether a carrier fits with its signature, and will when it is closed.
pub fn fits(carrier: &Carrier) -> bool {
    carrier_size(carrier).saturating_add(WORDS) <= MAX_BYTES
}

/// The size of the signed carrier: base64 of the payload, and a little around it.
fn carrier_size(carrier: &Carrier) -> usize {
    serde_json::to_vec(carrier).map_or(usize::MAX, |payload| payload.len() / 3 * 4 + 512)
}

#[cfg(test)]
mod tests;
