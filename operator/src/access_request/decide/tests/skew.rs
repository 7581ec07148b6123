//! Doors and identity providers whose clocks are a minute off the operator's.

use super::*;
use crate::access_request::sweep::is_due;

/// What bob approved at second 100 and a door used at once, whose clock is ahead by so much.
fn claimed(by: i64) -> AccessRequest {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(100));
    let mut status = serde_json::to_value(request.status.unwrap()).unwrap();
    let time = at(100 + by).to_string();
    status["consumed"] = json!({ "nonce": "0123456789abcdef", "pod": "door-bank-0", "time": time });
    let conditions = status["conditions"].as_array_mut().unwrap();
    conditions.push(json!({
        "type": "Consumed", "status": "True", "reason": "ClaimedByProxy", "message": "", "lastTransitionTime": time,
    }));
    super::request(status)
}

#[test]
fn what_a_door_claimed_is_spent_whatever_its_clock_said() {
    for by in [-60, 0, 60] {
        let mut request = claimed(by);
        for now in [100, 101, EXPIRES - 1, EXPIRES, EXPIRES + 60] {
            assert_eq!(state_of(&request, &found(1), now).0, "Consumed", "{by} at {now}");
        }
        request.status = decide(&request, &found(1), at(101));
        let unseen = Found {
            seen: false,
            ..found(1)
        };
        // It is kept for as long, give or take that minute.
        assert!(!is_due(&request, &unseen, 3_600, at(100 + by + 3_599)), "{by}");
        assert!(is_due(&request, &unseen, 3_600, at(100 + by + 3_600)), "{by}");
    }
}

#[test]
fn what_a_door_asked_ends_by_the_operators_clock() {
    // Asked at second 100 for 90 seconds, by a clock that is behind, right, and ahead.
    for (by, ends) in [(-60, 130), (0, 190), (60, 250)] {
        let mut request = request(Value::Null);
        request.spec.expires_at = Time(at(100 + by + 90));
        request.status = decide(&request, &found(1), at(101));
        let mut approved = request.clone();
        let bob = serde_json::from_value(answer("bob", "Approve")).unwrap();
        approved.status.as_mut().unwrap().approvals = Some(vec![bob]);
        assert_eq!(state_of(&request, &found(1), ends - 1).0, "Pending", "{by}");
        assert_eq!(state_of(&approved, &found(1), ends - 1).0, "Approved", "{by}");
        assert_eq!(state_of(&approved, &found(1), ends).0, "Expired", "{by}");
    }
}

#[test]
fn a_door_that_is_a_minute_behind_asks_for_less_than_a_minute_in_vain() {
    let mut request = request(Value::Null);
    request.spec.expires_at = Time(at(100 - 60 + 59));
    request.status = decide(&request, &found(1), at(100));
    let bob = serde_json::from_value(answer("bob", "Approve")).unwrap();
    request.status.as_mut().unwrap().approvals = Some(vec![bob]);
    assert_eq!(state_of(&request, &found(1), 101).0, "Expired");
}
