//! What is over and nothing came of.

use super::*;
use crate::access_request::sweep;

#[test]
fn what_is_asked_in_vain_does_not_pile_up() {
    let of = |kind: &str, reason: &str, session: Value| {
        let mut asked = window(7_200);
        asked.spec.session = serde_json::from_value(session).unwrap();
        let ended = json!({ "conditions": [{
            "type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": at(1_000).to_string(),
        }]});
        asked.status = serde_json::from_value(ended).unwrap();
        asked
    };
    let door = json!({"id": "s", "pod": "p", "podUid": "u", "onHold": "Wait"});
    let unseen = Found {
        seen: false,
        ..found(1)
    };
    for (kind, reason, session, kept) in [
        ("Expired", "QuotaExceeded", Value::Null, 600),
        ("Withdrawn", "WithdrawnByRequester", Value::Null, 600),
        ("Expired", "TimedOut", Value::Null, 600),
        ("Withdrawn", "WithdrawnByRequester", door.clone(), 600),
        ("Withdrawn", "AskerGone", door.clone(), 600),
        ("Expired", "TimedOut", door.clone(), 600),
        ("Expired", "NobodyElse", door.clone(), 600),
        ("Denied", "DeniedByPerson", Value::Null, 3_600),
        ("Denied", "DeniedByPerson", door, 3_600),
    ] {
        let asked = of(kind, reason, session);
        let due = |after: i64| sweep::is_due(&asked, &unseen, 3_600, at(1_000 + after));
        assert!(!due(kept - 1) && due(kept), "{kind} {reason}");
        let look = sweep::next_look(&asked, 3_600, at(1_000)).as_secs();
        assert_eq!(look, u64::try_from(kept).unwrap(), "{kind} {reason}");
    }
    // What the asker says of it makes it no less so; what somebody else said, or what was given and may have been used, stays.
    let until = json!({ "grantedUntil": at(2_000).to_string() });
    let claim = json!({ "consumed": { "nonce": "0123456789abcdef", "pod": "p", "time": at(950).to_string() } });
    for (more, kept) in [
        (json!({ "approvals": [answer("alice", "Withdraw")] }), 600),
        (json!({ "approvals": [answer("bob", "Approve")] }), 3_600),
        (until, 3_600),
        (claim, 3_600),
    ] {
        let mut asked = of("Withdrawn", "WithdrawnByRequester", Value::Null);
        let mut status = serde_json::to_value(asked.status).unwrap();
        status
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        asked.status = serde_json::from_value(status).unwrap();
        let due = |after: i64| sweep::is_due(&asked, &unseen, 3_600, at(1_000 + after));
        assert!(!due(kept - 1) && due(kept), "{more}");
    }
}

#[test]
fn a_window_of_more_rules_than_a_request_has_room_for_is_over_at_once() {
    for (rules, state) in [(16, "Pending"), (17, "Expired")] {
        let mut found = found_windows();
        let one = found.policies[0].spec.rules[0].clone();
        found.policies[0].spec.rules = (0..rules)
            .map(|number| {
                let mut rule = one.clone();
                rule.name = format!("rule-{number}");
                rule
            })
            .collect();
        let status = decide(&window(300), &found, at(1)).unwrap();
        assert_eq!(status.state.as_deref(), Some(state), "{rules}");
        assert!(status.requirements.unwrap().len() <= 16, "the API server takes no more");
        let ended = status.conditions.iter().find(|one| one.type_ == "Expired");
        assert_eq!(
            ended.is_some_and(|one| one.message.starts_with("17 rules")),
            rules == 17
        );
    }
}
