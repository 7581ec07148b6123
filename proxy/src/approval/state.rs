//! What the conditions of a request mean to the session that waits for it.

use sallyport_audit::Time;
use sallyport_audit::record::Approver;
use sallyport_crds::access_request::{AccessRequest, AccessRequestStatus, Answer, Decision};
use sallyport_crds::condition::{ConditionType, is_true};

use crate::door::HoldState;
use crate::identity::visible;

/// How the request stands. What ends it comes before what grants it, and what grants it is `sealed` by the operator: else whoever is
/// past admission for a moment would have it used before the operator has closed it.
pub(super) fn of(request: &AccessRequest, sealed: bool) -> HoldState {
    let Some(status) = &request.status else {
        return waiting(None);
    };
    let is = |kind| is_true(&status.conditions, kind);
    if is(ConditionType::Denied) {
        return HoldState::Denied {
            deniers: people(status, Decision::Deny),
        };
    }
    if is(ConditionType::AdmissionChanged) {
        return HoldState::Revoked("the cluster's admission changed since the request was made".to_owned());
    }
    if is(ConditionType::Revoked) {
        return HoldState::Revoked(revoked(status));
    }
    if is(ConditionType::Withdrawn) {
        return HoldState::Closed("the request was withdrawn".to_owned());
    }
    if status.consumed.is_some() || is(ConditionType::Consumed) {
        return HoldState::Closed("the grant was used".to_owned());
    }
    if is(ConditionType::Expired) {
        return HoldState::Expired;
    }
    if is(ConditionType::Approved) && sealed {
        return HoldState::Approved {
            approvers: people(status, Decision::Approve),
        };
    }
    waiting(status.progress.as_deref())
}

/// Whether nothing can come of the request any more.
pub(super) fn is_over(state: &HoldState) -> bool {
    !matches!(state, HoldState::Waiting { .. } | HoldState::Approved { .. })
}

/// Everybody who gave this answer, as records name them.
pub(super) fn people(status: &AccessRequestStatus, decision: Decision) -> Vec<Approver> {
    let answers = status.approvals.iter().flatten();
    answers
        .filter(|answer| answer.decision == decision)
        .map(person)
        .collect()
}

pub(super) fn person(answer: &Answer) -> Approver {
    Approver {
        audit_id: answer.audit_id.clone(),
        reason: answer.reason.clone(),
        time: answer
            .time
            .as_ref()
            .map(|time| Time::from_unix_micros(time.0.as_microsecond())),
        uid: answer.subject.clone(),
        username: answer.user.clone(),
    }
}

fn revoked(status: &AccessRequestStatus) -> String {
    match people(status, Decision::Revoke).first() {
        Some(by) => match &by.reason {
            Some(reason) => format!(
                "the grant was revoked by {}: {}",
                visible(&by.username),
                visible(reason)
            ),
            None => format!("the grant was revoked by {}", visible(&by.username)),
        },
        None => "the grant was revoked".to_owned(),
    }
}

fn waiting(progress: Option<&str>) -> HoldState {
    HoldState::Waiting {
        progress: progress.unwrap_or_default().to_owned(),
    }
}
