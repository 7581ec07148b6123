//! Break-glass: who went ahead without an approval.

use super::*;

/// A use of break-glass, from second 1 on for five minutes.
pub(super) fn glass() -> AccessRequest {
    let mut request = request(Value::Null);
    request.spec.break_glass = true;
    request.spec.scope = sallyport_crds::approval_policy::GrantScope::Window;
    request.spec.window = Some(serde_json::from_value(json!({ "duration": "5m" })).unwrap());
    request.spec.reason = Some("branch is down".into());
    request.metadata.creation_timestamp = Some(Time(at(1)));
    request
}

/// The policy that permits it.
pub(super) fn found_glass() -> Found {
    let mut found = found(1);
    found.policies[0].spec.break_glass = Some(
        serde_json::from_value(json!({
            "subjects": [{ "kind": "User", "name": "oidc:alice" }], "reviewers": [{ "kind": "Group", "name": "oidc:dba" }],
            "maxDuration": "5m", "maxLoginAge": "5m",
        }))
        .unwrap(),
    );
    found
}

#[test]
fn a_use_that_nobody_else_is_named_to_review_says_so() {
    let told = |reviewers: Value| {
        let mut found = found_glass();
        let leave = found.policies[0].spec.break_glass.as_mut().unwrap();
        leave.reviewers = serde_json::from_value(reviewers).unwrap();
        let conditions = decide(&glass(), &found, at(1)).unwrap().conditions;
        assert!(
            conditions.iter().all(|one| one.type_ != "Expired"),
            "it stays to be reviewed"
        );
        let reviewed = conditions.into_iter().find(|one| one.type_ == "Reviewed").unwrap();
        reviewed.message.contains("whom ApprovalPolicy writes does not name")
    };
    let user = |name: &str| json!({ "kind": "User", "name": name });
    assert!(told(json!([user("oidc:alice"), user("alice")])));
    assert!(!told(json!([user("oidc:alice"), user("oidc:bob")])));
}

#[test]
fn a_review_that_came_while_admission_changed_has_to_come_again() {
    let found = found_glass();
    let mut used = glass();
    used.status = decide(&used, &found, at(1));
    let bob = serde_json::from_value(answer("bob", "Review")).unwrap();
    used.status.as_mut().unwrap().approvals = Some(vec![bob]);
    let under = |fault: Option<&str>, in_force: i64| Found {
        admission: Some(std::sync::Arc::new(crate::access_request::admission::Seen {
            digest: "one".into(),
            fault: fault.map(str::to_owned),
            in_force: Some(at(in_force)),
            ..Default::default()
        })),
        ..found_glass()
    };
    for (fault, in_force, counts) in [(None, 100, false), (None, 99, true), (Some("no binding"), 0, false)] {
        let status = decide(&used, &under(fault, in_force), at(100)).unwrap();
        let reviewed = condition::is_true(&status.conditions, ConditionType::Reviewed);
        let left = status.approvals.unwrap().len();
        assert_eq!((reviewed, left), (counts, usize::from(counts)), "{fault:?} {in_force}");
    }
    // What was reviewed before that stays so.
    used.status = decide(&used, &found, at(2));
    let status = decide(&used, &under(Some("no binding"), 100), at(100)).unwrap();
    assert!(condition::is_true(&status.conditions, ConditionType::Reviewed));
    assert_eq!(status.approvals.unwrap().len(), 1);
}

#[test]
fn a_use_of_break_glass_waits_for_its_review() {
    let mut found = found_glass();
    let mut request = glass();
    request.status = decide(&request, &found, at(1));
    let status = request.status.clone().unwrap();
    assert_eq!(
        (status.state.as_deref(), status.progress.as_deref()),
        (Some("BreakGlass"), None)
    );
    assert_eq!(status.requirements.as_ref().unwrap()[0].approvers[0].name, "oidc:dba");
    assert!(
        status.conditions[0].message.contains("branch is down"),
        "{:?}",
        status.conditions
    );
    // The time is over: still to be reviewed, and not collected.
    request.status = decide(&request, &found, at(400));
    let status = request.status.clone().unwrap();
    assert_eq!(status.state.as_deref(), Some("BreakGlass"));
    assert!(condition::is_true(&status.conditions, ConditionType::Expired));
    assert!(!crate::access_request::sweep::is_due(
        &request,
        &Found {
            seen: false,
            ..found_windows()
        },
        1,
        at(9_999)
    ));
    let orphaned = Found {
        seen: true,
        connection: None,
        ..found_windows()
    };
    assert!(
        !crate::access_request::sweep::is_due(&request, &orphaned, 1, at(9_999)),
        "deleting the Connection must not make its use unseen"
    );
    for (who, state) in [("alice", "BreakGlass"), ("bob", "Reviewed")] {
        let mut request = request.clone();
        let status = request.status.as_mut().unwrap();
        status.approvals = Some(vec![serde_json::from_value(answer(who, "Review")).unwrap()]);
        assert_eq!(state_of(&request, &found, 401).0, state, "{who}");
        request.status = decide(&request, &found, at(401));
        let swept = crate::access_request::sweep::is_due(&request, &orphaned, 1_000_000, at(402));
        assert_eq!(swept, who == "bob", "{who}");
    }
    // What somebody stopped says so, once it is reviewed; until then it is found by its waiting.
    let mut revoked = request.clone();
    let mut answers = Vec::new();
    for (decision, state) in [("Revoke", "BreakGlass"), ("Review", "Revoked")] {
        answers.push(serde_json::from_value(answer("bob", decision)).unwrap());
        revoked.status.as_mut().unwrap().approvals = Some(answers.clone());
        revoked.status = decide(&revoked, &found, at(401));
        let status = revoked.status.as_ref().unwrap();
        assert_eq!((status.state.as_deref(), &status.left), (Some(state), &None));
        let ready = status.conditions.iter().find(|one| one.type_ == "Ready").unwrap();
        let told = "revoked by oidc:bob; reviewed by oidc:bob";
        assert_eq!(ready.message == told, state == "Revoked", "{ready:?}");
    }
    // Who reviews stays, also when the policy is gone.
    found.policies.clear();
    assert_eq!(
        decide(&request, &found, at(402)).unwrap().requirements,
        status.requirements
    );
}
