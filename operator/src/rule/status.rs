//! Status of a rule: its own `Accepted`, its own `Enforced`, their sum, and how many Connections it selects. No client.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::ResourceExt;
use sallyport_crds::{ConditionType, Reason, RuleStatus};
use sallyport_policy::selector::{Selecting, selects};

use super::Rule;
use super::dereference::{Door, Found};
use crate::enforce::sought;
use crate::shared::conditions::{Finding, merge, ready};

/// As many columns of primary keys as a warning names.
const NAMED_KEYS: usize = 5;

/// What to write, and what to tell by Events.
pub struct Written {
    /// The status.
    pub status: RuleStatus,
    /// Its findings.
    pub findings: Vec<Finding>,
}

/// The status of a rule whose present specification was found to be `accepted` or not.
pub fn status<R: Rule>(
    found: &Found<R>,
    accepted: Finding,
    before: Option<&RuleStatus>,
    generation: Option<i64>,
    now: &Time,
) -> Written {
    let doors = selected(found);
    let in_force = found.in_force.as_ref().map(|kept| kept.generation);
    let (enforced, known) = match enforced(found, &accepted, &doors, generation) {
        Some(finding) => (finding, true),
        None => (
            Finding::unknown(
                ConditionType::Enforced,
                Reason::Pending,
                "the operator has just begun to listen",
            ),
            false,
        ),
    };
    let mut findings = vec![accepted, enforced];
    findings.push(ready(&findings));
    let past = in_force.filter(|_| {
        !findings
            .iter()
            .any(|finding| finding.kind == ConditionType::Accepted && finding.holds())
    });
    if let Some(past) = past {
        let message = format!("generation {past} stays in force until the present one is accepted");
        findings.push(Finding::yes(ConditionType::Degraded, Reason::RuleNotAccepted, message));
    }
    let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let rule = found.rule.as_ref().ok();
    let advice = [
        absent_columns(found, &doors, generation),
        masked_keys(found, &doors),
        rule.and_then(|rule| R::advice(rule.spec(), &found.people)),
    ];
    findings.extend(together(advice));
    let mut conditions = merge(old, &findings, generation, now);
    if !known {
        // What stood there is the better answer for the first seconds, if it is about this generation.
        for condition in &mut conditions {
            let stood = old
                .iter()
                .find(|old| old.type_ == condition.type_ && old.observed_generation == generation);
            if let Some(stood) = stood.filter(|_| condition.status == "Unknown") {
                *condition = stood.clone();
            }
        }
    }
    let status = RuleStatus {
        observed_generation: generation,
        conditions,
        connections: i32::try_from(doors.len()).unwrap_or(i32::MAX),
        enforced_generation: past,
    };
    Written { status, findings }
}

/// The Connections that the rule selects, by what is in force or else by what it says at present.
fn selected<R: Rule>(found: &Found<R>) -> Vec<&Door> {
    let present = || found.rule.as_ref().ok().map(|rule| rule.spec().selector());
    let Some(selector) = found
        .in_force
        .as_ref()
        .map(|kept| kept.spec.selector())
        .or_else(present)
    else {
        return Vec::new();
    };
    found.doors.iter().filter(|door| is_selected(selector, door)).collect()
}

fn is_selected(selector: &LabelSelector, door: &Door) -> bool {
    selects(selector, door.connection.labels())
}

fn uid<R: Rule>(found: &Found<R>) -> String {
    let rule = found.rule.as_ref().ok();
    rule.and_then(|rule| rule.meta().uid.clone()).unwrap_or_default()
}

/// One condition of several, the gravest of which comes first.
fn together(advice: impl IntoIterator<Item = Option<Finding>>) -> Option<Finding> {
    advice.into_iter().flatten().reduce(|first, more| Finding {
        message: format!("{}; {}", first.message, more.message),
        ..first
    })
}

/// What the rule names and no door found in any database of its Connections: a name that one of them fits is no mistake.
fn absent_columns<R: Rule>(found: &Found<R>, doors: &[&Door], generation: Option<i64>) -> Option<Finding> {
    let in_force = found.in_force.as_ref().map(|kept| kept.generation);
    let told = doors.iter().flat_map(|door| &door.sought);
    let sought = sought::together(told, &uid(found), in_force.or(generation)?)?;
    let message = sought::told("match.columns", "doors have", &sought)?;
    Some(Finding::yes(ConditionType::Advisory, Reason::ColumnNotFound, message))
}

/// What doors found the rule to mask that is part of a primary key, as their carriers tell it.
fn masked_keys<R: Rule>(found: &Found<R>, doors: &[&Door]) -> Option<Finding> {
    let uid = uid(found);
    let mut keys = BTreeSet::new();
    for program in doors.iter().filter_map(|door| door.program.as_ref()) {
        for (database, rules) in &program.carrier.columns {
            for key in rules.get(&uid).into_iter().flat_map(|columns| &columns.keys) {
                let column = key.column.as_deref().unwrap_or("*");
                let name = format!("{}.{}.{column} in database {database}", key.schema, key.relation);
                // A target's own words, which steer no terminal.
                keys.insert(name.escape_default().to_string());
            }
        }
    }
    let named: Vec<&str> = keys.iter().take(NAMED_KEYS).map(String::as_str).collect();
    let more = if keys.len() > named.len() { ", and others" } else { "" };
    (!named.is_empty()).then(|| {
        let message = format!(
            "the rule masks what is part of a primary key ({}{more}): programs that find rows by it and write them back, as ORMs \
             do, will not find them; name other columns, or exempt the programs' subjects",
            named.join(", ")
        );
        Finding::yes(ConditionType::Advisory, Reason::PrimaryKeyMasked, message)
    })
}

/// Whether every process of every selected Connection enforces this generation of this rule. None: too early to say.
fn enforced<R: Rule>(
    found: &Found<R>,
    accepted: &Finding,
    doors: &[&Door],
    generation: Option<i64>,
) -> Option<Finding> {
    const KIND: ConditionType = ConditionType::Enforced;
    if !accepted.holds() {
        return Some(Finding::no(
            KIND,
            accepted.reason,
            "the present generation is not accepted, so it is enforced nowhere",
        ));
    }
    if doors.is_empty() {
        return Some(Finding::no(
            KIND,
            Reason::NoProxies,
            "no Connection of this namespace carries the labels that the rule selects",
        ));
    }
    let uid = uid(found);
    let mut unknown = false;
    for door in doors {
        let name = door.connection.name_any();
        if door.program.is_none() && door.is_about_to_be_known() {
            unknown = true;
            continue;
        }
        let mut carriers = door.program.iter().map(|program| &program.carrier);
        if carriers.any(|carrier| carrier.stricter.contains(&uid)) {
            let message = format!(
                "Connection {name} is stricter than this generation while processes of an older version run: see its Enforced"
            );
            return Some(Finding::no(KIND, Reason::WaitingForProxies, message));
        }
        let since = door.program.as_ref().and_then(|program| program.since.get(&uid));
        let Some(since) = since.filter(|since| Some(since.generation) == generation) else {
            let message = format!("Connection {name} has not taken this generation yet");
            return Some(Finding::no(KIND, Reason::WaitingForProxies, message));
        };
        match door.crew.enforced(since.revision, door.connection.spec.proxy.replicas) {
            Some(finding) if finding.holds() => {}
            Some(finding) => {
                return Some(Finding {
                    message: format!("Connection {name}: {}", finding.message),
                    ..finding
                });
            }
            None => unknown = true,
        }
    }
    let all = || {
        Finding::yes(
            KIND,
            Reason::Enforced,
            format!("enforced by every process of {} Connections", doors.len()),
        )
    };
    (!unknown).then(all)
}
