//! What nobody but the asker could answer.

use super::*;
use crate::subject::Agent;

fn user(name: &str) -> Value {
    json!({ "kind": "User", "name": name })
}

fn asking(approvers: &Value, required: u32, reviewers: &Value) -> ApprovalPolicy {
    let mut approval = approval();
    approval["approvers"] = approvers.clone();
    approval["required"] = json!(required);
    policy(
        "a",
        json!({
            "rules": [{ "name": "r", "match": { "any": true }, "action": "RequireApproval", "approval": approval }],
            "breakGlass": {
                "subjects": [{ "kind": "Group", "name": "oidc:engineers" }], "reviewers": reviewers,
                "maxDuration": "1h", "maxLoginAge": "5m",
            },
        }),
    )
}

#[test]
fn what_too_few_others_could_approve_is_refused_at_once() {
    let robot = json!({ "kind": "ServiceAccount", "name": "robot", "namespace": "ci" });
    let mut through_robot = alice();
    through_robot.agents.push(Agent {
        username: "system:serviceaccount:ci:robot".into(),
        ..Agent::default()
    });
    let (nobody, held) = ("deny by rule a/r", "hold a/r");
    for (what, who, approvers, required, expected) in [
        ("alice alone", alice(), json!([user("oidc:alice")]), 1, nobody),
        (
            "alice by certificate",
            alice(),
            json!([user("oidc:alice"), user("alice")]),
            1,
            nobody,
        ),
        ("bob", alice(), json!([user("oidc:alice"), user("oidc:bob")]), 1, held),
        ("bob twice", alice(), json!([user("oidc:bob"), user("bob")]), 2, nobody),
        (
            "bob and carol",
            alice(),
            json!([user("oidc:bob"), user("oidc:carol")]),
            2,
            held,
        ),
        ("an account", alice(), json!([robot]), 1, held),
        (
            "the account that is the agent",
            through_robot,
            json!([robot]),
            1,
            nobody,
        ),
    ] {
        let policies = [asking(&approvers, required, &json!([user("oidc:bob")]))];
        assert_eq!(
            say(&judge(&policies, &who, &command("delete from t"))),
            expected,
            "{what}"
        );
    }
}

#[test]
fn glass_that_only_its_breaker_could_review_is_not_broken() {
    let approvers = json!([user("oidc:bob")]);
    for (what, reviewers, possible) in [
        ("alice", json!([user("oidc:alice"), user("alice")]), false),
        ("bob too", json!([user("oidc:alice"), user("oidc:bob")]), true),
        ("a group", json!([{ "kind": "Group", "name": "oidc:audit" }]), true),
    ] {
        let decision = judge(
            &[asking(&approvers, 1, &reviewers)],
            &alice(),
            &command("delete from t"),
        );
        let Verdict::Hold(hold) = decision.verdict else {
            panic!("{what}: {decision:?}")
        };
        assert_eq!(hold.break_glass.is_some(), possible, "{what}");
    }
}
