use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as MetaTime};
use sallyport_crds::approval_policy::GrantScope;

use super::super::tests::{DIGEST, alice, keys, once, place, question, sealed};
use super::*;
use crate::door::Ask;
use crate::manifests::sample;

#[test]
fn a_use_elsewhere_locks_once_it_is_over_and_until_it_is_reviewed() {
    let (carrier, now) = (sample().0, jiff::Timestamp::now());
    let board = Board::new(carrier.connection.uid.clone(), keys());
    let hour = sallyport_crds::Duration::from_secs(3_600);
    let ask = Ask {
        break_glass: Some(("branch is down".into(), hour.get())),
        ..question(&carrier, DIGEST, GrantScope::Window)
    };
    let mut used = spec::request(ask, &place(&carrier, "door-shop-0"), Some(hour));
    used.spec.connection.uid = "uid-shop".into();
    used.metadata.name = Some("shop-1".into());
    used.metadata.uid = Some("uid-shop-1".into());
    used.metadata.creation_timestamp = Some(MetaTime(now));
    let locked_after = |seconds: u64| {
        let at = now.checked_add(Duration::from_secs(seconds)).unwrap();
        let own = |request: &AccessRequest| spec::is_by(request, &alice());
        match board.glass(own, |_| true, |_| jiff::Timestamp::MAX, at) {
            Glass::Locked(request) => Some(request.name),
            _ => None,
        }
    };
    let mut becomes = |kind: ConditionType| {
        let condition = Condition {
            type_: kind.as_str().to_owned(),
            status: "True".into(),
            reason: "Because".into(),
            message: String::new(),
            last_transition_time: MetaTime(now),
            observed_generation: None,
        };
        used.status = Some(AccessRequestStatus {
            conditions: vec![condition],
            ..AccessRequestStatus::default()
        });
        board.show(used.clone());
        used.clone()
    };
    // A condition that says nothing of it.
    becomes(ConditionType::Ready);
    assert_eq!(
        locked_after(3_599),
        None,
        "it is under way, and another begins by itself"
    );
    assert_eq!(locked_after(3_600).as_deref(), Some("shop-1"));
    becomes(ConditionType::Revoked);
    assert_eq!(locked_after(1).as_deref(), Some("shop-1"));
    let reviewed = becomes(ConditionType::Reviewed);
    assert_eq!(
        locked_after(3_600).as_deref(),
        Some("shop-1"),
        "by somebody who has no seal"
    );
    board.show(sealed(reviewed));
    assert_eq!(locked_after(3_600), None);
}

#[test]
fn of_a_thousand_that_wait_the_one_that_is_approved_moves() {
    let (carrier, now) = (sample().0, jiff::Timestamp::now());
    let board = Board::new(carrier.connection.uid.clone(), keys());
    let waiting = |number: usize| {
        let mut request = spec::request(
            question(&carrier, DIGEST, GrantScope::Command),
            &place(&carrier, "door-bank-0"),
            None,
        );
        request.metadata.name = Some(format!("bank-{number}"));
        request.metadata.uid = Some(format!("uid-{number}"));
        request.metadata.resource_version = Some((number + 1).to_string());
        request
    };
    let held: Vec<Held> = (0..1_000).filter_map(|number| board.show(waiting(number))).collect();
    assert_eq!(held.len(), 1_000);
    let mut approved = waiting(417);
    approved.metadata.resource_version = Some("5000".into());
    approved.status = Some(AccessRequestStatus {
        conditions: vec![Condition {
            type_: ConditionType::Approved.as_str().to_owned(),
            status: "True".into(),
            reason: "Because".into(),
            message: String::new(),
            last_transition_time: MetaTime(now),
            observed_generation: None,
        }],
        ..AccessRequestStatus::default()
    });
    board.show(sealed(approved));
    let moved = held.iter().filter(|held| held.state.has_changed().unwrap());
    let names: Vec<&str> = moved.map(|held| held.request.name.as_str()).collect();
    assert_eq!(names, ["bank-417"]);
    let found = board.find(|request| spec::fits(request, &alice(), &once(DIGEST)));
    assert_eq!(found.len(), 1_000, "all of them fit");
    assert_eq!(found[0].request.name, "bank-417", "and what is approved comes first");
}
