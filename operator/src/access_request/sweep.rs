//! When a request goes. The audit log keeps what it said for ever.

use std::time::Duration;

use jiff::Timestamp;
use sallyport_crds::{AccessRequest, AccessRequestStatus, ConditionType, condition};

use super::decide::ends;
use super::dereference::Found;
use super::span::next_step;

/// What is over and nothing came of is kept for so long, in seconds: a loop that asks and takes back must not fill the cluster.
const KEEP_IN_VAIN: i64 = 600;

/// Whether the request is to be deleted: its Connection is gone, or it was over for long enough. A use of break-glass that
/// nobody has reviewed stays, or who may delete Connections could make it unseen.
pub fn is_due(request: &AccessRequest, found: &Found, keep_seconds: i64, now: Timestamp) -> bool {
    let orphaned = found.seen && found.connection.is_none() && !awaits_review(request);
    let keep_seconds = kept_for(request, keep_seconds);
    orphaned || over_since(request).is_some_and(|since| now.as_second() - since.as_second() >= keep_seconds)
}

/// When something may happen without a change of any object.
pub fn next_look(request: &AccessRequest, keep_seconds: i64, now: Timestamp) -> Duration {
    let at = match over_since(request) {
        Some(since) => since.as_second().saturating_add(kept_for(request, keep_seconds)),
        None => request.spec.expires_at.0.as_second().saturating_add(1),
    };
    let over = Duration::from_secs(u64::try_from(at - now.as_second()).unwrap_or(0).max(1));
    next_step(request, now).map_or(over, |step| step.min(over))
}

fn kept_for(request: &AccessRequest, keep_seconds: i64) -> i64 {
    let in_vain = request.status.as_ref().is_some_and(AccessRequestStatus::is_in_vain);
    match in_vain && !request.spec.break_glass {
        true => keep_seconds.min(KEEP_IN_VAIN),
        false => keep_seconds,
    }
}

fn awaits_review(request: &AccessRequest) -> bool {
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
    request.spec.break_glass && !condition::is_true(conditions.unwrap_or_default(), ConditionType::Reviewed)
}

/// Since when nothing can happen to the request any more: it ended, or its grant was spent; a use of break-glass stays
/// until somebody has reviewed it.
fn over_since(request: &AccessRequest) -> Option<Timestamp> {
    let conditions = &request.status.as_ref()?.conditions;
    if awaits_review(request) {
        return None;
    }
    let spent = conditions
        .iter()
        .filter(|one| one.status == "True" && one.type_ == ConditionType::Consumed.as_str());
    // When it claimed is a door's word. It lies within the life of the request, or that would go at once, or never.
    let made = request.metadata.creation_timestamp.as_ref().map(|made| made.0);
    let claimed = |time: Timestamp| {
        let time = time.min(request.spec.expires_at.0);
        made.map_or(time, |made| time.max(made))
    };
    let ended = ends(conditions).map(|one| one.last_transition_time.0);
    ended.chain(spent.map(|one| claimed(one.last_transition_time.0))).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_door_does_not_say_how_long_a_request_is_kept() {
        for (claimed, since) in [
            ("2026-11-24T10:30:00Z", "2026-11-24T10:30:00Z"),
            ("2000-01-01T00:00:00Z", "2026-11-24T10:00:00Z"),
            ("9999-01-01T00:00:00Z", "2026-11-24T11:00:00Z"),
        ] {
            let request: AccessRequest = serde_json::from_value(json!({
                "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
                "metadata": { "name": "bank-1", "creationTimestamp": "2026-11-24T10:00:00Z" },
                "spec": {
                    "connection": { "name": "bank", "uid": "u" }, "requester": { "username": "oidc:alice" },
                    "scope": "Command", "expiresAt": "2026-11-24T11:00:00Z",
                },
                "status": { "conditions": [{
                    "type": "Consumed", "status": "True", "reason": "ClaimedByProxy", "message": "", "lastTransitionTime": claimed,
                }] },
            }))
            .unwrap();
            assert_eq!(over_since(&request), Some(since.parse().unwrap()), "{claimed}");
        }
    }
}
