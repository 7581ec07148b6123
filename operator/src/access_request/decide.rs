//! What a request's status should say. No client, and no clock but the moment that is given.
//!
//! An end is an end: Denied, Expired, Withdrawn and Revoked stay once they were said. Approved follows the answers, and is
//! taken back when a changed policy no longer entitles those who gave it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sallyport_crds::access_request::{AccessRequestStatus, Answer, Requirement};
use sallyport_crds::{AccessRequest, ConditionType, Reason, condition};
use sallyport_policy::tally::{Question, Tally, is_entitled, tally};

use super::dereference::Found;
use super::requirements::requirements;
use crate::shared::conditions::{Finding, merge};

/// The ends of a request, in the order in which one counts over another.
const ENDS: [ConditionType; 4] = [
    ConditionType::Withdrawn,
    ConditionType::Denied,
    ConditionType::Revoked,
    ConditionType::Expired,
];

/// The status to write; None while the namespace cannot be seen, since nothing can be said then.
pub fn decide(request: &AccessRequest, found: &Found, now: Timestamp) -> Option<AccessRequestStatus> {
    if !found.seen {
        return None;
    }
    let before = request.status.clone().unwrap_or_default();
    let wanted = requirements(&request.spec, &found.policies);
    let settled = ends(&before.conditions).next().is_some();
    // What was decided is kept as it was decided.
    let standing = if settled {
        before.requirements.clone().unwrap_or_default()
    } else {
        wanted.clone().unwrap_or_default()
    };
    let question = Question {
        namespace: request.metadata.namespace.as_deref().unwrap_or_default(),
        uid: request.metadata.uid.as_deref().unwrap_or_default(),
        spec: &request.spec,
        settings: &found.settings,
    };
    let answers = answers(&question, &before, &standing);
    let tally = tally(&question, &standing, &answers);
    let findings = findings(request, &before, &tally, settled || wanted.is_some(), now);
    let mut conditions = merge(&before.conditions, &findings, request.metadata.generation, &Time(now));
    // The door's claim is the door's to write.
    conditions.extend(before.conditions.iter().filter(|one| !is_ours(one)).cloned());
    Some(AccessRequestStatus {
        state: Some(state(&conditions).to_owned()),
        progress: (!tally.approvals.is_empty()).then(|| tally.progress()),
        requirements: Some(standing),
        approvals: Some(answers),
        conditions,
        consumed: before.consumed,
    })
}

/// The findings that a status shows, for Events.
pub fn told(status: &AccessRequestStatus) -> Vec<Finding> {
    let shown = [
        (ConditionType::Approved, Reason::ApprovedByPeople),
        (ConditionType::Denied, Reason::DeniedByPerson),
        (ConditionType::Expired, Reason::TimedOut),
        (ConditionType::Withdrawn, Reason::WithdrawnByRequester),
        (ConditionType::Revoked, Reason::RevokedByPerson),
    ];
    let each = shown.into_iter().filter_map(|(kind, reason)| {
        let found = status
            .conditions
            .iter()
            .find(|one| one.type_ == kind.as_str() && one.status == "True")?;
        Some(Finding::yes(kind, reason, found.message.clone()))
    });
    each.collect()
}

/// The entries that stay. When requirements change, those go that are no longer entitled.
fn answers(question: &Question<'_>, before: &AccessRequestStatus, standing: &[Requirement]) -> Vec<Answer> {
    let all = before.approvals.clone().unwrap_or_default();
    if before.requirements.as_deref().is_none_or(|known| known == standing) {
        return all;
    }
    all.into_iter()
        .filter(|answer| is_entitled(question, standing, answer))
        .collect()
}

fn findings(
    request: &AccessRequest,
    before: &AccessRequestStatus,
    tally: &Tally,
    in_force: bool,
    now: Timestamp,
) -> Vec<Finding> {
    let was_approved = condition::is_true(&before.conditions, ConditionType::Approved);
    let stood = |kind: ConditionType| {
        before
            .conditions
            .iter()
            .find(|one| one.type_ == kind.as_str() && one.status == "True")
    };
    let mut ends = Vec::new();
    for kind in ENDS {
        if let Some(old) = stood(kind) {
            ends.push(Finding::yes(kind, end_reason(kind), old.message.clone()));
        }
    }
    // Once it has ended, nothing that comes later changes how; a revocation alone still follows an approval.
    if ends.is_empty() {
        ends.extend(new_end(request, tally, was_approved, now));
    }
    let over = !ends.is_empty();
    let mut findings = vec![approved(tally, over, in_force)];
    findings.extend(ends);
    findings
}

fn new_end(request: &AccessRequest, tally: &Tally, was_approved: bool, now: Timestamp) -> Option<Finding> {
    let by = |who: &String, what: &str| format!("{what} by {who}");
    if let Some(who) = &tally.withdrawn {
        return Some(Finding::yes(
            ConditionType::Withdrawn,
            Reason::WithdrawnByRequester,
            by(who, "withdrawn"),
        ));
    }
    if let Some(who) = &tally.denied {
        return Some(Finding::yes(
            ConditionType::Denied,
            Reason::DeniedByPerson,
            by(who, "denied"),
        ));
    }
    if let Some(who) = &tally.revoked {
        return Some(Finding::yes(
            ConditionType::Revoked,
            Reason::RevokedByPerson,
            by(who, "revoked"),
        ));
    }
    // Only what the operator saw before the end of time counts, whatever time an entry states.
    let expired = now >= request.spec.expires_at.0 && !(was_approved && tally.is_approved());
    expired.then(|| Finding::yes(ConditionType::Expired, Reason::TimedOut, "nobody decided in time"))
}

fn approved(tally: &Tally, over: bool, in_force: bool) -> Finding {
    const KIND: ConditionType = ConditionType::Approved;
    if over {
        return Finding::no(KIND, Reason::WaitingForApproval, "the request is over");
    }
    if !in_force {
        let message = "no policy in force asks for this any more; run the command again";
        return Finding::no(KIND, Reason::RequiredRuleMissing, message);
    }
    if tally.is_approved() {
        return Finding::yes(
            KIND,
            Reason::ApprovedByPeople,
            format!("approved by {}", tally.approvers.join(", ")),
        );
    }
    Finding::no(
        KIND,
        Reason::WaitingForApproval,
        format!("{} approvals", tally.progress()),
    )
}

fn end_reason(kind: ConditionType) -> Reason {
    match kind {
        ConditionType::Withdrawn => Reason::WithdrawnByRequester,
        ConditionType::Denied => Reason::DeniedByPerson,
        ConditionType::Revoked => Reason::RevokedByPerson,
        _ => Reason::TimedOut,
    }
}

/// The ends that were said.
pub fn ends(conditions: &[Condition]) -> impl Iterator<Item = &Condition> {
    conditions
        .iter()
        .filter(|one| one.status == "True" && ENDS.iter().any(|kind| kind.as_str() == one.type_))
}

fn is_ours(condition: &Condition) -> bool {
    condition.type_ == ConditionType::Approved.as_str() || ENDS.iter().any(|kind| kind.as_str() == condition.type_)
}

/// The condition that counts, in one word.
fn state(conditions: &[Condition]) -> &str {
    let holds = |kind: ConditionType| condition::is_true(conditions, kind);
    let order = [
        ConditionType::Consumed,
        ConditionType::AdmissionChanged,
        ConditionType::Withdrawn,
        ConditionType::Denied,
        ConditionType::Revoked,
        ConditionType::Expired,
        ConditionType::Approved,
    ];
    order
        .into_iter()
        .find(|&kind| holds(kind))
        .map_or("Pending", ConditionType::as_str)
}

#[cfg(test)]
mod tests;
