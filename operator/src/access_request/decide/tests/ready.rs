//! `Ready` and the generation: what `kubectl wait` and GitOps go by.

use super::glass::{found_glass, glass};
use super::*;

/// Status and reason of `Ready`.
fn ready(status: &AccessRequestStatus) -> (String, String) {
    let found: Vec<_> = status.conditions.iter().filter(|one| one.type_ == "Ready").collect();
    assert_eq!(found.len(), 1, "{:?}", status.conditions);
    (found[0].status.clone(), found[0].reason.clone())
}

fn is(truth: &str, reason: &str) -> (String, String) {
    (truth.to_owned(), reason.to_owned())
}

#[test]
fn it_is_true_while_the_grant_may_be_used() {
    let cases = [
        (vec![], is("False", "WaitingForApproval")),
        (vec![answer("alice", "Approve")], is("False", "WaitingForApproval")),
        (vec![answer("bob", "Approve")], is("True", "Ready")),
        (vec![answer("bob", "Deny")], is("False", "DeniedByPerson")),
        (vec![answer("alice", "Withdraw")], is("False", "WithdrawnByRequester")),
    ];
    for (answers, wanted) in cases {
        let request = answered(1, &answers);
        assert_eq!(
            ready(&decide(&request, &found(1), at(2)).unwrap()),
            wanted,
            "{answers:?}"
        );
    }
}

#[test]
fn it_ends_with_the_grant() {
    let mut approved = answered(1, &[answer("bob", "Approve")]);
    approved.status = decide(&approved, &found(1), at(2));
    let mut revoked = approved.clone();
    let answers = revoked.status.as_mut().unwrap().approvals.as_mut().unwrap();
    answers.push(serde_json::from_value(answer("carol", "Revoke")).unwrap());
    let revoked = decide(&revoked, &found(1), at(3)).unwrap();
    assert_eq!(ready(&revoked), is("False", "RevokedByPerson"));
    let expired = decide(&approved, &found(1), at(EXPIRES)).unwrap();
    assert_eq!(ready(&expired), is("False", "TimedOut"));
    let unruled = Found {
        policies: vec![],
        ..found(1)
    };
    let unruled = decide(&approved, &unruled, at(3)).unwrap();
    assert_eq!(ready(&unruled), is("False", "RequiredRuleMissing"));
    let claim = json!({
        "type": "Consumed", "status": "True", "reason": "ClaimedByProxy", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let mut used = approved;
    let conditions = &mut used.status.as_mut().unwrap().conditions;
    conditions.push(serde_json::from_value(claim).unwrap());
    used.status = decide(&used, &found(1), at(3));
    assert_eq!(ready(used.status.as_ref().unwrap()), is("False", "ClaimedByProxy"));
    assert_eq!(
        decide(&used, &found(1), at(4)),
        used.status,
        "looking twice changes nothing"
    );
}

#[test]
fn of_a_use_of_break_glass_it_is_the_review() {
    let (found, mut request) = (found_glass(), glass());
    for seconds in [1, 400] {
        request.status = decide(&request, &found, at(seconds));
        let status = request.status.as_ref().unwrap();
        assert_eq!(ready(status), is("False", "AwaitingReview"), "{seconds} s");
    }
    let answers = vec![serde_json::from_value(answer("bob", "Review")).unwrap()];
    request.status.as_mut().unwrap().approvals = Some(answers);
    let reviewed = decide(&request, &found, at(401)).unwrap();
    assert!(condition::is_true(&reviewed.conditions, ConditionType::Expired));
    assert_eq!(ready(&reviewed), is("True", "Ready"));
}

#[test]
fn all_of_it_says_of_which_generation_it_speaks() {
    let mut request = answered(1, &[answer("bob", "Deny")]);
    request.metadata.generation = Some(7);
    let status = decide(&request, &found(1), at(2)).unwrap();
    assert_eq!(status.observed_generation, Some(7));
    assert_eq!(status.conditions.len(), 3, "{:?}", status.conditions);
    assert!(status.conditions.iter().all(|one| one.observed_generation == Some(7)));
}

#[test]
fn it_is_no_news_of_its_own() {
    let mut request = answered(1, &[answer("bob", "Approve")]);
    request.status = decide(&request, &found(1), at(2));
    let told = told(&request, request.status.as_ref().unwrap());
    assert!(told.iter().all(|one| one.kind != ConditionType::Ready), "{told:?}");
}
