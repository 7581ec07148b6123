use serde_json::{Value, json};

use super::*;

const IDP: &str = "https://idp";

struct Case {
    spec: AccessRequestSpec,
    settings: ClusterSettings,
    requirements: Vec<Requirement>,
    logins: Vec<Login>,
}

fn case(approvers: Value, required: i32) -> Case {
    let spec = json!({
        "connection": { "name": "bank", "uid": "c" },
        "requester": { "username": "oidc:alice", "issuer": IDP, "subject": "sub-alice" },
        "agents": [{ "username": "oidc:bot", "issuer": IDP, "subject": "sub-bot" }],
        "scope": "Command",
        "command": { "text": "DELETE", "summary": "DELETE", "digest": "d".repeat(64), "risk": 80 },
        "expiresAt": "2030-01-01T00:00:00Z",
    });
    let requirement = json!({
        "askedBy": { "policy": "writes", "uid": "p", "generation": 1, "rule": "delete" },
        "approvers": approvers,
        "required": required,
    });
    Case {
        spec: serde_json::from_value(spec).unwrap(),
        settings: ClusterSettings {
            known_issuers: vec![IDP.into()],
            ..ClusterSettings::default()
        },
        requirements: vec![serde_json::from_value(requirement).unwrap()],
        logins: Vec::new(),
    }
}

fn group() -> Value {
    json!([{ "kind": "Group", "name": "oidc:dba" }])
}

fn answer(user: &str, subject: &str, decision: &str) -> Answer {
    serde_json::from_value(json!({
        "user": user, "decision": decision, "requestUID": "r", "digest": "d".repeat(64),
        "issuer": IDP, "subject": subject, "groups": ["oidc:dba", "system:authenticated"],
    }))
    .unwrap()
}

impl Case {
    fn question(&self) -> Question<'_> {
        Question {
            namespace: "doors",
            uid: "r",
            spec: &self.spec,
            settings: &self.settings,
            logins: &self.logins,
        }
    }

    fn tally(&self, answers: &[Answer]) -> Tally {
        tally(&self.question(), &self.requirements, answers)
    }
}

#[test]
fn one_approver_of_the_group_is_enough_where_one_is_wanted() {
    let tally = case(group(), 1).tally(&[answer("oidc:bob", "sub-bob", "Approve")]);
    assert!(tally.is_approved());
    assert_eq!(
        (tally.progress().as_str(), tally.approvers),
        ("1/1", vec!["oidc:bob".to_owned()])
    );
}

#[test]
fn two_people_are_two_people() {
    let case = case(group(), 2);
    let bob = answer("oidc:bob", "sub-bob", "Approve");
    let bob_by_another_name = answer("oidc:robert", "sub-bob", "Approve");
    let carol = answer("oidc:carol", "sub-carol", "Approve");
    assert!(!case.tally(&[bob.clone(), bob_by_another_name.clone()]).is_approved());
    assert_eq!(case.tally(&[bob.clone(), bob_by_another_name]).progress(), "1/2");
    assert!(case.tally(&[bob, carol]).is_approved());
}

#[test]
fn what_does_not_count() {
    type Change = fn(&mut Answer);
    let cases: [(&str, Change); 9] = [
        ("the asker", |a| a.subject = Some("sub-alice".into())),
        ("the asker by name alone", |a| a.user = "oidc:alice".into()),
        ("the asker's agent", |a| a.subject = Some("sub-bot".into())),
        ("another request of the same name", |a| a.request_uid = "r0".into()),
        ("another command", |a| a.digest = Some("e".repeat(64))),
        ("no command at all", |a| a.digest = None),
        ("outside the group", |a| a.groups = vec!["oidc:engineers".into()]),
        ("an issuer of their own", |a| a.issuer = Some("https://rogue".into())),
        ("nobody vouches", |a| (a.issuer, a.subject) = (None, None)),
    ];
    for (what, change) in cases {
        let mut changed = answer("oidc:bob", "sub-bob", "Approve");
        change(&mut changed);
        assert!(!case(group(), 1).tally(&[changed]).is_approved(), "{what}");
    }
}

#[test]
fn a_name_without_a_person_counts_where_the_policy_names_it() {
    let mut certificate = answer("bob-by-certificate", "", "Approve");
    (certificate.issuer, certificate.subject) = (None, None);
    let named = case(json!([{ "kind": "User", "name": "bob-by-certificate" }]), 1);
    assert!(named.tally(&[certificate.clone()]).is_approved());
    assert!(!case(group(), 1).tally(&[certificate]).is_approved());
}

#[test]
fn a_name_that_nobody_vouches_for_is_no_second_person_beside_its_namesake() {
    let certificate = |user: &str| {
        let mut answer = answer(user, "", "Approve");
        (answer.issuer, answer.subject) = (None, None);
        answer
    };
    let approvers = json!([
        { "kind": "Group", "name": "oidc:dba" }, { "kind": "User", "name": "bob" }, { "kind": "User", "name": "corp:bob" },
        { "kind": "User", "name": "alice" }, { "kind": "ServiceAccount", "name": "bob", "namespace": "ci" },
    ]);
    let case = case(approvers, 2);
    let bob = answer("oidc:bob", "sub-bob", "Approve");
    let count = |answers: &[Answer]| case.tally(answers).approvals[0].0;
    assert_eq!(count(&[bob.clone(), certificate("bob")]), 1, "in either order");
    assert_eq!(count(&[certificate("bob"), bob.clone()]), 1, "in either order");
    assert_eq!(
        count(&[certificate("bob"), certificate("corp:bob")]),
        1,
        "two names of nobody's"
    );
    assert_eq!(count(&[certificate("alice")]), 0, "the asker's own");
    let carol = answer("oidc:carol", "sub-carol", "Approve");
    assert_eq!(count(&[certificate("bob"), carol]), 2);
    let account = certificate("system:serviceaccount:ci:bob");
    assert_eq!(count(&[bob, account]), 2, "an account is no person of that name");
}

#[test]
fn a_name_that_nobody_vouches_for_is_its_namesake_in_every_spelling() {
    let spelled = |user: &str, issuer: Option<&str>| {
        let mut answer = answer(user, "", "Approve");
        (answer.issuer, answer.subject) = (issuer.map(str::to_owned), None);
        answer
    };
    let names = |name: &str| -> Vec<String> {
        let capitals = name.to_ascii_uppercase();
        vec![
            format!("{name}@bank.example"),
            format!("https://idp#{name}"),
            format!("corp/{name}"),
            format!("CORP\\{capitals}"),
            format!("corp|{name}@bank.example"),
            capitals,
        ]
    };
    let all: Vec<Value> = [names("bob"), names("alice")]
        .concat()
        .iter()
        .map(|name| json!({ "kind": "User", "name": name }))
        .chain([json!({ "kind": "Group", "name": "oidc:dba" })])
        .collect();
    let case = case(Value::Array(all), 2);
    let count = |answers: &[Answer]| case.tally(answers).approvals[0].0;
    let bob = answer("oidc:bob", "sub-bob", "Approve");
    // An issuer without a subject vouches for nobody.
    for issuer in [None, Some(IDP)] {
        for name in names("bob") {
            assert_eq!(count(&[bob.clone(), spelled(&name, issuer)]), 1, "{name}");
            assert_eq!(count(&[spelled("BOB", None), spelled(&name, issuer)]), 1, "{name}");
        }
        for name in names("alice") {
            assert_eq!(count(&[spelled(&name, issuer)]), 0, "the asker's own: {name}");
        }
    }
    let carol = answer("oidc:carol", "sub-carol", "Approve");
    assert_eq!(count(&[spelled("BOB", None), carol]), 2);
}

#[test]
fn whom_an_issuer_vouches_for_is_no_account() {
    let account = "system:serviceaccount:ci:robot";
    let case = case(
        json!([{ "kind": "ServiceAccount", "name": "robot", "namespace": "ci" }]),
        1,
    );
    let mut robot = answer(account, "sub-mallory", "Approve");
    assert!(!case.tally(std::slice::from_ref(&robot)).is_approved());
    (robot.issuer, robot.subject) = (None, None);
    assert!(case.tally(&[robot]).is_approved());
}

#[test]
fn an_account_that_acts_for_the_asker_does_not_count() {
    const ROBOT: &str = "system:serviceaccount:ci:robot";
    let mut robot = answer(ROBOT, "", "Approve");
    (robot.issuer, robot.subject) = (None, None);
    let mut case = case(
        json!([{ "kind": "ServiceAccount", "name": "robot", "namespace": "ci" }]),
        1,
    );
    assert!(case.tally(&[robot.clone()]).is_approved());
    (case.spec.agents[0].username, case.spec.agents[0].subject) = (ROBOT.into(), ROBOT.into());
    assert!(!case.tally(&[robot]).is_approved());
}

#[test]
fn a_declared_name_is_the_person_it_stands_for() {
    let mut alice = answer("alice-by-certificate", "", "Approve");
    (alice.issuer, alice.subject) = (None, None);
    let mut case = case(json!([{ "kind": "User", "name": "alice-by-certificate" }]), 1);
    assert!(
        case.tally(&[alice.clone()]).is_approved(),
        "without a mapping nobody knows that it is her"
    );
    case.settings.approver_mappings = vec![crate::issuer::ApproverMapping {
        username: "alice-by-certificate".into(),
        issuer: IDP.into(),
        subject: "sub-alice".into(),
        groups: vec![],
    }];
    assert!(!case.tally(&[alice]).is_approved());
}

#[test]
fn a_declared_name_counts_by_the_groups_that_are_declared_with_it() {
    let mut certificate = answer("bob-by-certificate", "", "Approve");
    (certificate.issuer, certificate.subject) = (None, None);
    certificate.groups.clear();
    let mut case = case(group(), 2);
    for (declared, counts) in [("oidc:seniors", 0), ("oidc:dba", 1)] {
        case.settings.approver_mappings = vec![crate::issuer::ApproverMapping {
            username: "bob-by-certificate".into(),
            issuer: IDP.into(),
            subject: "sub-bob".into(),
            groups: vec![declared.into()],
        }];
        let tally = case.tally(std::slice::from_ref(&certificate));
        assert_eq!(tally.approvals, [(counts, 2)], "{declared}");
    }
    let bob = answer("oidc:bob", "sub-bob", "Approve");
    assert_eq!(
        case.tally(&[certificate, bob]).approvals,
        [(1, 2)],
        "one person counts once"
    );
}

#[test]
fn a_reason_that_is_asked_for_must_be_given() {
    let mut case = case(group(), 1);
    case.requirements[0].reason_required = true;
    let mut bob = answer("oidc:bob", "sub-bob", "Approve");
    for (reason, counts) in [(None, false), (Some("  "), false), (Some("ticket 7"), true)] {
        bob.reason = reason.map(str::to_owned);
        assert_eq!(
            case.tally(std::slice::from_ref(&bob)).is_approved(),
            counts,
            "{reason:?}"
        );
    }
}

#[test]
fn a_login_that_is_asked_for_was_recent_when_the_approval_was_first_seen() {
    const SEEN: i64 = 1_764_000_600;
    let mut case = case(group(), 1);
    case.requirements[0].max_login_age = Some("10m".parse().unwrap());
    let login = |user: &str, too_old: bool| -> Vec<Login> {
        let seen = jiff::Timestamp::from_second(SEEN).unwrap().to_string();
        serde_json::from_value(json!([{ "user": user, "seen": seen, "tooOld": too_old }])).unwrap()
    };
    let cases = [
        ("recent", Some(SEEN - 600), login("oidc:bob", false), true),
        ("a second too old", Some(SEEN - 601), login("oidc:bob", false), false),
        (
            "a provider's clock that is ahead",
            Some(SEEN + 30),
            login("oidc:bob", false),
            true,
        ),
        ("not known", None, login("oidc:bob", false), false),
        ("not seen by the operator yet", Some(SEEN), Vec::new(), false),
        ("seen of somebody else", Some(SEEN), login("oidc:carol", false), false),
        ("found too old", Some(SEEN), login("oidc:bob", true), false),
    ];
    for (what, logged_in, logins, counts) in cases {
        case.logins = logins;
        let mut bob = answer("oidc:bob", "sub-bob", "Approve");
        bob.auth_time = logged_in;
        let late = is_late(&case.question(), &case.requirements, &bob);
        assert_eq!((case.tally(&[bob]).is_approved(), late), (counts, !counts), "{what}");
    }
    // Whoever says no need not log in again for it.
    let deny = answer("oidc:bob", "sub-bob", "Deny");
    assert!(!is_late(&case.question(), &case.requirements, &deny));
    assert!(case.tally(&[deny]).denied.is_some());
}

#[test]
fn every_requirement_is_needed_and_none_is_not_enough() {
    let mut case = case(group(), 1);
    case.requirements.push(Requirement {
        approvers: vec![Subject {
            kind: SubjectKind::User,
            name: "oidc:carol".into(),
            namespace: None,
        }],
        ..case.requirements[0].clone()
    });
    let bob = answer("oidc:bob", "sub-bob", "Approve");
    let carol = answer("oidc:carol", "sub-carol", "Approve");
    assert_eq!(case.tally(std::slice::from_ref(&bob)).approvals, [(1, 1), (0, 1)]);
    assert!(!case.tally(std::slice::from_ref(&bob)).is_approved());
    assert!(case.tally(&[bob.clone(), carol]).is_approved());
    case.requirements.clear();
    assert!(!case.tally(&[bob]).is_approved());
}

#[test]
fn denials_withdrawals_and_revocations_need_the_right_author() {
    let case = case(group(), 1);
    assert_eq!(
        case.tally(&[answer("oidc:bob", "sub-bob", "Deny")]).denied.as_deref(),
        Some("oidc:bob")
    );
    assert_eq!(case.tally(&[answer("oidc:alice", "sub-alice", "Deny")]).denied, None);
    assert_eq!(
        case.tally(&[answer("oidc:bob", "sub-bob", "Revoke")])
            .revoked
            .as_deref(),
        Some("oidc:bob")
    );
    assert_eq!(case.tally(&[answer("oidc:bob", "sub-bob", "Withdraw")]).withdrawn, None);
    assert_eq!(
        case.tally(&[answer("oidc:alice", "sub-alice", "Withdraw")])
            .withdrawn
            .as_deref(),
        Some("oidc:alice")
    );
    let door = "system:serviceaccount:doors:door-bank";
    assert_eq!(
        case.tally(&[answer(door, "", "Withdraw")]).withdrawn.as_deref(),
        Some(door)
    );
    assert_eq!(
        case.tally(&[answer("system:serviceaccount:doors:door-other", "", "Withdraw")])
            .withdrawn,
        None
    );
}
