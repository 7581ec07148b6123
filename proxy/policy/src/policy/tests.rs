//! A carrier, compiled.

use serde_json::json;

use super::*;
use crate::assemble::tests::{carrier, objects};
use crate::decide::Verdict;
use crate::sql::parse;

fn person(username: &str, group: &str) -> Subject {
    Subject {
        username: username.into(),
        groups: vec![group.into()],
        ..Subject::default()
    }
}

#[test]
fn a_carrier_compiles_and_decides() {
    let mut carrier = carrier(&objects());
    carrier.revision = 9;
    let policy = Policy::compile(&carrier).unwrap();
    assert_eq!(policy.revision(), 9);
    let (alice, mallory) = (
        person("oidc:alice", "oidc:engineers"),
        person("oidc:mallory", "oidc:none"),
    );
    assert!(policy.admits(&alice) && !policy.admits(&mallory));
    let script = parse("select 1").unwrap();
    let command = Command::of(&script.statements[0], "select 1");
    assert!(matches!(policy.decide(&alice, &command).verdict, Verdict::Allow(_)));
    let [explanation] = &policy.explain(&alice, &command)[..] else {
        panic!("one policy")
    };
    assert_eq!(explanation.tried, [("all".to_owned(), Ok(true))]);
}

#[test]
fn every_problem_is_named_with_its_object() {
    let mut carrier = carrier(&objects());
    carrier.masking_rules[0].spec.matches.detectors = vec!["NO_SUCH_THING".into()];
    carrier.approval_policies[0].spec.rules[0].matches.any = None;
    let problems = Policy::compile(&carrier).unwrap_err();
    let named: Vec<(ObjectKind, &str)> = problems.iter().map(|one| (one.kind, one.name.as_str())).collect();
    assert_eq!(
        named,
        [(ObjectKind::MaskingRule, "pii"), (ObjectKind::ApprovalPolicy, "writes")]
    );
    assert_eq!(problems[1].field, "spec.rules[0].match");
}

#[test]
fn exempt_people_and_writes() {
    let mut carrier = carrier(&objects());
    carrier.masking_rules[0].spec.exempt_subjects =
        vec![serde_json::from_value(json!({ "kind": "Group", "name": "oidc:dba" })).unwrap()];
    let (alice, bob) = (person("oidc:alice", "oidc:engineers"), person("oidc:bob", "oidc:dba"));
    let protecting = RuleSet::one(0);
    let policy = Policy::compile(&carrier).unwrap();
    assert!(policy.exempt(&alice).is_empty() && policy.exempt(&bob).contains(0));
    assert_eq!(policy.forbids_writes(&alice, &protecting), Some("pii"));
    assert_eq!(policy.forbids_writes(&bob, &protecting), None);
    assert_eq!(policy.forbids_writes(&alice, &RuleSet::default()), None);
    carrier.masking_rules[0].spec.allow_writes = true;
    assert_eq!(
        Policy::compile(&carrier).unwrap().forbids_writes(&alice, &protecting),
        None
    );
    carrier.masking_rules[0].spec.allow_writes = false;
    carrier.masking_rules[0].spec.mode = sallyport_crds::Mode::Observe;
    assert_eq!(
        Policy::compile(&carrier).unwrap().forbids_writes(&alice, &protecting),
        None
    );
}

#[test]
fn what_a_person_is_shown_in_the_place_of_a_value_is_known() {
    let mut carrier = carrier(&objects());
    carrier.masking_rules[0].spec.exempt_subjects =
        vec![serde_json::from_value(json!({ "kind": "Group", "name": "oidc:dba" })).unwrap()];
    let (alice, bob) = (person("oidc:alice", "oidc:engineers"), person("oidc:bob", "oidc:dba"));
    let policy = Policy::compile(&carrier).unwrap();
    assert_eq!(policy.shown_to(&alice), [("pii", "[REDACTED]")]);
    assert!(policy.shown_to(&bob).is_empty());
    for (action, shown) in [
        (
            json!({"type": "Replace", "replace": {"with": "###-##-####"}}),
            Some("###-##-####"),
        ),
        // It stands in many a value.
        (json!({"type": "Replace", "replace": {"with": "#"}}), None),
        (json!({"type": "Null"}), None),
    ] {
        carrier.masking_rules[0].spec.action = serde_json::from_value(action).unwrap();
        let policy = Policy::compile(&carrier).unwrap();
        let texts: Vec<_> = policy.shown_to(&alice).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, Vec::from_iter(shown));
    }
    carrier.masking_rules[0].spec.action = serde_json::from_value(json!({"type": "Redact"})).unwrap();
    carrier.masking_rules[0].spec.mode = sallyport_crds::Mode::Observe;
    assert!(Policy::compile(&carrier).unwrap().shown_to(&alice).is_empty());
}

#[test]
fn agents_act_only_where_the_connection_says_so() {
    let mut carrier = carrier(&objects());
    carrier.connection.spec.agents = vec![
        serde_json::from_value(json!({
            "agent": { "kind": "User", "name": "oidc:robot" },
            "actsFor": [{ "kind": "Group", "name": "oidc:engineers" }],
        }))
        .unwrap(),
    ];
    let policy = Policy::compile(&carrier).unwrap();
    let agent = |name: &str| Agent {
        username: name.into(),
        ..Agent::default()
    };
    assert!(policy.may_act_for(&agent("oidc:robot"), &person("oidc:alice", "oidc:engineers")));
    assert!(!policy.may_act_for(&agent("oidc:other"), &person("oidc:alice", "oidc:engineers")));
    assert!(!policy.may_act_for(&agent("oidc:robot"), &person("oidc:bob", "oidc:dba")));
}
