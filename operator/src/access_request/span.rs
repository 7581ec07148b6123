//! Times of a request: when a grant that lasts ends, and how long still, as people read it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sallyport_crds::access_request::Requirement;
use sallyport_crds::approval_policy::GrantScope;
use sallyport_crds::{AccessRequest, ConditionType, condition};

use super::decide::ends;

/// What is left, in steps: each is written once, so that a thousand requests do not mean a thousand writes a minute.
const STEPS: [(i64, &str); 8] = [
    (60, "<1m"),
    (5 * 60, "<5m"),
    (15 * 60, "<15m"),
    (3_600, "<1h"),
    (6 * 3_600, "<6h"),
    (24 * 3_600, "<1d"),
    (3 * 24 * 3_600, "<3d"),
    (i64::MAX, "<7d"),
];

/// When a use of break-glass ends.
pub fn glass_until(request: &AccessRequest) -> Option<Timestamp> {
    let began = request.metadata.creation_timestamp.as_ref()?;
    let window = request.spec.window.as_ref().filter(|_| request.spec.break_glass)?;
    began.0.checked_add(window.duration.get()).ok()
}

/// When a grant that lasts ends: its time counts from the approval, and is the shortest that approvers read in `standing` and in
/// the window that is asked for.
pub fn granted_until(request: &AccessRequest, conditions: &[Condition], standing: &[Requirement]) -> Option<Timestamp> {
    if request.spec.break_glass {
        return glass_until(request);
    }
    if request.spec.scope == GrantScope::Command {
        return None;
    }
    let approved = conditions
        .iter()
        .find(|one| one.type_ == ConditionType::Approved.as_str() && one.status == "True")?;
    let window = request.spec.window.as_ref().map(|window| window.duration);
    let given = standing.iter().filter_map(|one| one.valid_for);
    let span = given.chain(window).min()?;
    approved.last_transition_time.0.checked_add(span.get()).ok()
}

/// Until when something may still happen; None once nothing can.
fn until(request: &AccessRequest, conditions: &[Condition], granted_until: Option<Timestamp>) -> Option<Timestamp> {
    let spent = condition::is_true(conditions, ConditionType::Consumed);
    if spent || ends(conditions).next().is_some() {
        return None;
    }
    Some(granted_until.unwrap_or(request.spec.expires_at.0))
}

/// How long still, for `kubectl get`.
pub fn left(
    request: &AccessRequest,
    conditions: &[Condition],
    granted_until: Option<Timestamp>,
    now: Timestamp,
) -> Option<&'static str> {
    let left = until(request, conditions, granted_until)?.as_second() - now.as_second();
    STEPS.iter().find(|(step, _)| left <= *step).map(|(_, words)| *words)
}

/// When [`left`] says something else, or the time is over.
pub fn next_step(request: &AccessRequest, now: Timestamp) -> Option<Duration> {
    let status = request.status.as_ref()?;
    let granted = status.granted_until.as_ref().map(|time| time.0);
    let left = until(request, &status.conditions, granted)?.as_second() - now.as_second();
    let step = STEPS
        .iter()
        .rev()
        .find(|(step, _)| *step < left)
        .map_or(0, |(step, _)| *step);
    Some(Duration::from_secs(u64::try_from(left - step).unwrap_or(0).max(1)))
}
