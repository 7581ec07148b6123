//! Doors whose clock is a minute ahead of, or behind, that by which the operator and the API server write times.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sallyport_crds::access_request::{AccessRequest, AccessRequestStatus};
use sallyport_crds::approval_policy::{BreakGlass, GrantScope};
use sallyport_crds::condition::ConditionType;
use sallyport_policy::carrier::Carrier;
use serde_json::json;

use super::board::Board;
use super::tests::{DIGEST, alice, keys, place, question, sealed};
use super::{claim, spec};
use crate::door::{Ask, Glass};
use crate::manifests::sample;

const MINUTE: sallyport_crds::Duration = sallyport_crds::Duration::from_secs(60);
/// How far a door's clock is off, in seconds; how long something was granted by the other clocks; whether it may still be used.
const AT_DOORS: [(i64, i64, bool); 7] = [
    (0, 0, true),
    (0, 59, true),
    (0, 61, false),
    // Ahead: a minute is over as it begins.
    (60, 1, false),
    // Behind: it lasts for as long more, unless the operator has said that it is over.
    (-60, 0, true),
    (-60, 119, true),
    (-60, 121, false),
];

/// When things begin, by the clocks of operator and API server.
fn begin() -> Timestamp {
    "2026-11-27T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    begin().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn said(kind: ConditionType) -> Condition {
    Condition {
        type_: kind.as_str().to_owned(),
        status: "True".into(),
        reason: "Because".into(),
        message: String::new(),
        last_transition_time: Time(begin()),
        observed_generation: None,
    }
}

/// As the API server has it: made when things begin.
fn made(ask: Ask, carrier: &Carrier, window: Option<sallyport_crds::Duration>) -> AccessRequest {
    let mut request = spec::request(ask, &place(carrier, "door-bank-0"), window);
    request.metadata.name = Some("bank-1".into());
    request.metadata.uid = Some("uid-1".into());
    request.metadata.creation_timestamp = Some(Time(begin()));
    request
}

/// What bob approved when things began; `over`: the operator has said that it is over.
fn approved(request: &AccessRequest, over: bool) -> AccessRequest {
    let mut request = request.clone();
    let digest = request.spec.command.as_ref().map(|command| &command.digest);
    let bob = json!({
        "user": "oidc:bob", "decision": "Approve", "requestUID": "uid-1", "digest": digest,
        "issuer": alice().person.issuer, "subject": "bob-sub", "groups": ["oidc:dba"],
    });
    let mut conditions = vec![said(ConditionType::Approved)];
    conditions.extend(over.then(|| said(ConditionType::Expired)));
    request.status = Some(AccessRequestStatus {
        approvals: Some(vec![serde_json::from_value(bob).unwrap()]),
        conditions,
        ..AccessRequestStatus::default()
    });
    sealed(request)
}

/// Whether a door whose clock shows `now` may use that.
fn may_use(request: &AccessRequest, carrier: &Carrier, over: bool, now: Timestamp) -> bool {
    claim::check(&approved(request, over), carrier, &keys(), now).is_ok()
}

#[test]
fn what_lasts_ends_by_the_operators_word_or_by_the_doors_clock() {
    let mut carrier = sample().0;
    let rules = &mut carrier.approval_policies[0].spec.rules;
    let rule = rules.iter_mut().find(|rule| rule.name == "delete-needs-a-dba").unwrap();
    rule.approval.as_mut().unwrap().grant.valid_for = Some(MINUTE);
    for scope in [GrantScope::Fingerprint, GrantScope::Session, GrantScope::Window] {
        let request = made(question(&carrier, DIGEST, scope), &carrier, Some(MINUTE));
        for (ahead, seconds, usable) in AT_DOORS {
            let now = after(seconds + ahead);
            let case = format!("{scope:?}, {seconds} s after the approval, at a door that is {ahead} s ahead");
            assert_eq!(may_use(&request, &carrier, false, now), usable, "{case}");
            assert!(!may_use(&request, &carrier, true, now), "over: {case}");
        }
    }
}

#[test]
fn what_was_granted_for_a_minute_is_no_longer_good_where_the_policy_gives_an_hour_by_now() {
    let mut carrier = sample().0;
    let rules = &mut carrier.approval_policies[0].spec.rules;
    let rule = rules.iter_mut().find(|rule| rule.name == "delete-needs-a-dba").unwrap();
    rule.approval.as_mut().unwrap().grant.valid_for = Some(sallyport_crds::Duration::from_secs(3_600));
    for scope in [GrantScope::Fingerprint, GrantScope::Session] {
        let mut request = approved(&made(question(&carrier, DIGEST, scope), &carrier, None), false);
        request.status.as_mut().unwrap().granted_until = Some(Time(after(60)));
        let request = sealed(request);
        assert!(
            claim::check(&request, &carrier, &keys(), after(59)).is_ok(),
            "{scope:?}"
        );
        assert!(
            claim::check(&request, &carrier, &keys(), after(61)).is_err(),
            "{scope:?}"
        );
    }
}

#[test]
fn one_use_ends_at_the_time_that_its_door_wrote() {
    let carrier = sample().0;
    // By which clock it was asked, for a minute; by which it is claimed: another replica's may be another.
    for (asked_by, claimed_by, seconds, usable) in [
        (60, 60, 59, true),
        (60, 60, 61, false),
        (-60, -60, 59, true),
        (-60, -60, 61, false),
        (60, -60, 179, true),
        (60, -60, 181, false),
        (-60, 60, 0, false),
    ] {
        let expires = sallyport_audit::Time::from_unix_micros(after(60 + asked_by).as_microsecond());
        let ask = Ask {
            expires,
            ..question(&carrier, DIGEST, GrantScope::Command)
        };
        let request = made(ask, &carrier, None);
        let now = after(seconds + claimed_by);
        let case = format!("asked {asked_by} s ahead, claimed {claimed_by} s ahead after {seconds} s");
        assert_eq!(may_use(&request, &carrier, false, now), usable, "{case}");
        assert!(!may_use(&request, &carrier, true, now), "over: {case}");
    }
}

#[test]
fn broken_glass_ends_by_the_operators_word_or_by_the_doors_clock_and_then_locks() {
    let mut carrier = sample().0;
    carrier.approval_policies[0].spec.break_glass = Some(BreakGlass {
        subjects: Vec::new(),
        reviewers: Vec::new(),
        max_duration: MINUTE,
        max_login_age: MINUTE,
    });
    let ask = Ask {
        break_glass: Some(("branch is down".into(), Duration::from_secs(60))),
        ..question(&carrier, DIGEST, GrantScope::Window)
    };
    let mut used = made(ask, &carrier, Some(MINUTE));
    let runs = |used: &AccessRequest, now: Timestamp| {
        let board = Board::new(carrier.connection.uid.clone(), keys());
        board.show(used.clone());
        let ends = |request: &AccessRequest| claim::glass_until(request, &carrier);
        match board.glass(|_| true, |_| true, ends, now) {
            Glass::Broken(_) => true,
            Glass::Locked(_) => false,
            other => panic!("{other:?}"),
        }
    };
    for (ahead, seconds, usable) in AT_DOORS {
        let now = after(seconds + ahead);
        let case = format!("{seconds} s after it broke, at a door that is {ahead} s ahead");
        assert_eq!(runs(&used, now), usable, "{case}");
    }
    used.status = Some(AccessRequestStatus {
        conditions: vec![said(ConditionType::Expired)],
        ..AccessRequestStatus::default()
    });
    assert!(!runs(&used, after(-60)), "the operator has said that it is over");
}
