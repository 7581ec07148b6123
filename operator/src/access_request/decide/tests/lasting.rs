//! How long a grant lasts: what approvers read of it, and what they give.

use sallyport_crds::access_request::RuleIdentity;
use sallyport_crds::approval_policy::GrantScope;

use super::*;

/// What the requirements of a request say of its time.
fn read(request: &AccessRequest) -> Vec<Option<String>> {
    let status = request.status.as_ref().unwrap();
    let all = status.requirements.as_ref().unwrap().iter();
    all.map(|one| one.valid_for.map(|time| time.to_string())).collect()
}

#[test]
fn an_approval_gives_as_long_as_approvers_read() {
    let mut both = found(1);
    let mut shorter = policy("reads", 1);
    for (policy, grant) in [
        (&mut both.policies[0], json!({ "scope": "Window", "validFor": "1h" })),
        (&mut shorter, json!({ "scope": "Session", "validFor": "10m" })),
    ] {
        policy.spec.rules[0].approval.as_mut().unwrap().grant = serde_json::from_value(grant).unwrap();
    }
    both.policies.push(shorter);
    let mut asked = request(Value::Null);
    asked.spec.scope = GrantScope::Session;
    asked.spec.asked_by.push(RuleIdentity {
        policy: "reads".into(),
        uid: "uid-reads".into(),
        generation: 1,
        rule: "delete".into(),
    });
    asked.status = decide(&asked, &both, at(1));
    assert_eq!(read(&asked), [Some("1h".to_owned()), Some("10m".to_owned())]);
    let bob = serde_json::from_value(answer("bob", "Approve")).unwrap();
    asked.status.as_mut().unwrap().approvals = Some(vec![bob]);
    let given = decide(&asked, &both, at(2)).unwrap().granted_until;
    assert_eq!(given.map(|time| time.0), Some(at(602)), "the shorter of both");
}

#[test]
fn a_single_use_has_no_time() {
    let mut asked = request(Value::Null);
    asked.status = decide(&asked, &found(1), at(1));
    assert_eq!(read(&asked), [None]);
}
