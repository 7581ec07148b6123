//! What a request's status should say. No client, and no clock but the moment that is given.
//!
//! An end is an end: Denied, Expired, Withdrawn, Revoked and AdmissionChanged stay once they were said. Approved follows
//! the answers, and is taken back when a changed policy no longer entitles those who gave it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sallyport_crds::access_request::{AccessRequestStatus, AdmissionIdentity, Answer, Decision, Requirement};
use sallyport_crds::{AccessRequest, ConditionType, condition};
use sallyport_policy::tally::{Question, is_entitled, tally};

use super::dereference::Found;
use super::findings::{Moment, findings};
use super::requirements::{MOST, requirements};
use super::{logins, span};
use crate::shared::conditions::{Finding, Truth, merge};

/// Conditions of the operator's own, apart from the ends and their sum.
const OWN: [ConditionType; 2] = [ConditionType::Approved, ConditionType::Reviewed];

/// The status to write; None while the namespace or the cluster's admission cannot be seen, since nothing can be said then.
pub fn decide(request: &AccessRequest, found: &Found, now: Timestamp) -> Option<AccessRequestStatus> {
    let admission = found.admission.as_ref().filter(|_| found.seen)?;
    let before = request.status.clone().unwrap_or_default();
    let wanted = requirements(&request.spec, &found.policies, &found.settings.approver_mappings);
    let settled = ends(&before.conditions).next().is_some();
    // What was decided is kept as it was decided, and so is who reviews what has happened.
    let kept = || before.requirements.clone().unwrap_or_default();
    let standing = match &wanted {
        _ if settled => kept(),
        None if request.spec.break_glass => kept(),
        wanted => wanted.clone().unwrap_or_default(),
    };
    // The API server takes no more of them, and would hold up the whole status.
    let asking = standing.len();
    let standing = if asking > MOST { Vec::new() } else { standing };
    let seen = logins::seen(&before, &standing, now);
    let question = Question {
        namespace: request.metadata.namespace.as_deref().unwrap_or_default(),
        uid: request.metadata.uid.as_deref().unwrap_or_default(),
        spec: &request.spec,
        settings: &found.settings,
        logins: &seen,
    };
    let mut heard = answers(&question, &before, &standing);
    // What was asked before admission changed can still be reviewed. So a review that came while it changed has to come again: by
    // whom it was cannot be known.
    if !condition::is_true(&before.conditions, ConditionType::Reviewed) && !admission.vouches(now) {
        heard.retain(|answer| answer.decision != Decision::Review);
    }
    let (answers, logins) = logins::take_out(&question, &standing, heard);
    let tally = tally(&question, &standing, &answers);
    let granted_until = before.granted_until.as_ref().map(|time| time.0);
    let target = found.connection.as_ref().map(|connection| {
        let target = &connection.spec.target;
        format!("{}:{}", target.host, target.port)
    });
    let moment = Moment {
        request,
        before: &before.conditions,
        standing: &standing,
        asking,
        settings: &found.settings,
        tally: &tally,
        logins: &logins,
        in_force: settled || wanted.is_some(),
        first: before.requirements.is_none(),
        may_grant: found.may_grant,
        open_before: found.open_before,
        allowed: found
            .connection
            .as_ref()
            .map(|connection| connection.spec.limits.max_open_requests_per_person),
        granted_until: granted_until.or_else(|| span::glass_until(request)),
        admission: (before.admission.as_ref(), admission),
        target: (before.target.as_deref(), target.as_deref()),
        asker_gone: found.asker_gone,
        now,
    };
    let findings = findings(&moment);
    let mut conditions = merge(&before.conditions, &findings, request.metadata.generation, &Time(now));
    // The door's claim is the door's to write.
    conditions.extend(before.conditions.iter().filter(|one| !is_ours(one)).cloned());
    let granted_until = granted_until.or_else(|| span::granted_until(request, &conditions, &standing));
    Some(AccessRequestStatus {
        observed_generation: request.metadata.generation,
        state: Some(state(request, &conditions).to_owned()),
        progress: (!tally.approvals.is_empty() && !request.spec.break_glass).then(|| tally.progress()),
        left: span::left(request, &conditions, granted_until, now).map(str::to_owned),
        granted_until: granted_until.map(Time),
        requirements: Some(standing),
        approvals: Some(answers),
        logins,
        conditions,
        admission: Some(before.admission.unwrap_or_else(|| AdmissionIdentity {
            digest: admission.digest.clone(),
        })),
        target: before.target.or(target),
        // Made anew where it does not cover what is said now.
        seal: before.seal,
        consumed: before.consumed,
    })
}

/// The findings that a status shows, for Events: what is asked, and what became of it.
pub fn told(request: &AccessRequest, status: &AccessRequestStatus) -> Vec<Finding> {
    let mut found = Vec::new();
    for condition in &status.conditions {
        let Some(kind) = ConditionType::ENDS
            .into_iter()
            .chain(OWN)
            .find(|kind| kind.as_str() == condition.type_)
        else {
            continue;
        };
        let Some(reason) = super::findings::reason(condition) else {
            continue;
        };
        let truth = if condition.status == "True" {
            Truth::True
        } else {
            Truth::False
        };
        // That it is over is told by what ended it.
        if kind == ConditionType::Approved && truth == Truth::False && ends(&status.conditions).next().is_some() {
            continue;
        }
        found.push(Finding {
            kind,
            truth,
            reason,
            message: format!("{}: {}", request.spec.requester.username, condition.message),
        });
    }
    found
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

/// The ends that were said.
pub fn ends(conditions: &[Condition]) -> impl Iterator<Item = &Condition> {
    conditions
        .iter()
        .filter(|one| one.status == "True" && ConditionType::ENDS.iter().any(|kind| kind.as_str() == one.type_))
}

fn is_ours(condition: &Condition) -> bool {
    let mut ours = OWN.iter().chain(&ConditionType::ENDS).chain(&[ConditionType::Ready]);
    ours.any(|kind| kind.as_str() == condition.type_)
}

/// The condition that counts, in one word.
fn state(request: &AccessRequest, conditions: &[Condition]) -> &'static str {
    let holds = |kind: ConditionType| condition::is_true(conditions, kind);
    if request.spec.break_glass {
        // Until somebody has looked at it, that is what counts, however it ended. What was stopped was more than looked at.
        return match (holds(ConditionType::Reviewed), holds(ConditionType::Revoked)) {
            (false, _) => "BreakGlass",
            (true, true) => ConditionType::Revoked.as_str(),
            (true, false) => ConditionType::Reviewed.as_str(),
        };
    }
    let order = [
        ConditionType::AdmissionChanged,
        ConditionType::Revoked,
        ConditionType::Consumed,
        ConditionType::Withdrawn,
        ConditionType::Denied,
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
