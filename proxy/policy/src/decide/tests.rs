//! Verdicts of rules and policies.

use std::collections::BTreeMap;

use sallyport_crds::ApprovalPolicySpec;
use sallyport_crds::approval_policy::{GrantScope, OnHold, RuleAction};
use sallyport_crds::connection::AlwaysDenied;
use serde_json::{Value, json};

use super::judge::Bench;
use super::*;
use crate::carrier::{CarriedRule, ClusterSettings};
use crate::sql::parse;
use crate::subject::Subject;

mod alone;
mod cascades;
mod catalogs;
mod hidden;
mod known;
mod resolved;

fn carried(name: &str, spec: Value) -> CarriedRule<ApprovalPolicySpec> {
    let mut all = json!({ "connectionSelector": { "matchLabels": { "a": "b" } } });
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    CarriedRule {
        name: name.into(),
        uid: format!("uid-{name}"),
        generation: 7,
        spec: serde_json::from_value(all).unwrap(),
    }
}

fn policy(name: &str, spec: Value) -> ApprovalPolicy {
    compile(&carried(name, spec)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn alice() -> Subject {
    Subject {
        username: "oidc:alice".into(),
        groups: vec!["oidc:engineers".into()],
        authenticated_at: Some(1_000),
        ..Subject::default()
    }
}

fn command(sql: &str) -> Command {
    let script = parse(sql).unwrap();
    Command {
        at: 1_100,
        ..Command::of(&script.statements[0], sql)
    }
}

fn judge(policies: &[ApprovalPolicy], subject: &Subject, command: &Command) -> Decision {
    let connection = ConnectionFacts {
        name: "bank".into(),
        namespace: "doors".into(),
        labels: BTreeMap::new(),
    };
    decide(
        Bench {
            policies,
            open: &[],
            connection: &connection,
            settings: &ClusterSettings::default(),
        },
        subject,
        command,
    )
}

fn say(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::Allow(allowed) => {
            let by: Vec<String> = allowed
                .by
                .iter()
                .map(|rule| format!("{}/{}", rule.policy, rule.rule))
                .collect();
            format!(
                "allow {}{}",
                by.join(","),
                if allowed.read_only { " read-only" } else { "" }
            )
        }
        Verdict::Hold(hold) => {
            let by: Vec<String> = hold
                .asked_by()
                .iter()
                .map(|rule| format!("{}/{}", rule.policy, rule.rule))
                .collect();
            format!("hold {}", by.join(","))
        }
        Verdict::Deny(denial) => format!("deny by {}", denial.by),
    }
}

fn approval() -> Value {
    json!({ "approvers": [{ "kind": "Group", "name": "oidc:dba" }] })
}

fn everyday() -> ApprovalPolicy {
    policy(
        "everyday",
        json!({ "rules": [
            { "name": "no-drop", "match": { "cel": "'drop' in command.verbs" }, "action": "Deny", "message": "tables stay" },
            { "name": "ask-delete", "match": { "cel": "'delete' in command.verbs" }, "action": "RequireApproval", "approval": approval() },
            { "name": "ask-risky", "match": { "riskAtLeast": 60 }, "action": "RequireApproval", "approval": approval() },
            { "name": "reads", "match": { "cel": "command.read_only" }, "action": "Allow" },
        ] }),
    )
}

#[test]
fn the_first_rule_that_matches_speaks() {
    let policies = [everyday()];
    let cases = [
        ("select 1", "allow everyday/reads"),
        ("delete from t where id = 1", "hold everyday/ask-delete"),
        (
            "with d as (delete from t where a = 1 returning *) select * from d",
            "hold everyday/ask-delete",
        ),
        ("explain analyze delete from t", "hold everyday/ask-delete"),
        ("drop table t", "deny by rule everyday/no-drop"),
        ("truncate t", "hold everyday/ask-risky"),
        ("update t set a = 1", "hold everyday/ask-risky"),
        ("insert into t values (1)", "deny by no rule"),
        ("select leak()", "deny by no rule"),
        ("alter role x superuser", "deny by the door (Roles)"),
        ("set role x", "deny by the door (SessionAuthorization)"),
    ];
    for (sql, expected) in cases {
        assert_eq!(say(&judge(&policies, &alice(), &command(sql))), expected, "{sql}");
    }
    let decision = judge(&policies, &alice(), &command("drop table t"));
    assert!(matches!(&decision.verdict, Verdict::Deny(denial) if denial.reason == "tables stay"));
}

#[test]
fn the_most_restrictive_policy_holds() {
    let any = |name: &str, action: &str| {
        let mut rule = json!({ "name": "any", "match": { "any": true }, "action": action });
        if action == "RequireApproval" {
            rule["approval"] = approval();
        }
        policy(name, json!({ "rules": [rule] }))
    };
    let silent = || {
        policy(
            "silent",
            json!({ "rules": [{ "name": "none", "match": { "cel": "false" }, "action": "Deny" }] }),
        )
    };
    let cases: [(Vec<ApprovalPolicy>, &str); 8] = [
        (vec![], "deny by no rule"),
        (vec![silent()], "deny by no rule"),
        (vec![any("a", "Allow"), silent()], "allow a/any"),
        (vec![any("a", "Allow"), any("b", "Allow")], "allow a/any,b/any"),
        (vec![any("a", "Allow"), any("b", "RequireApproval")], "hold b/any"),
        (
            vec![any("a", "RequireApproval"), any("b", "RequireApproval")],
            "hold a/any,b/any",
        ),
        (
            vec![any("a", "RequireApproval"), any("b", "Deny"), any("c", "Allow")],
            "deny by rule b/any",
        ),
        (vec![any("a", "Allow"), any("b", "Deny")], "deny by rule b/any"),
    ];
    for (policies, expected) in cases {
        assert_eq!(say(&judge(&policies, &alice(), &command("select 1"))), expected);
    }
}

#[test]
fn subjects_limit_whom_a_policy_is_about() {
    let policies = [
        policy(
            "dba",
            json!({ "subjects": [{ "kind": "Group", "name": "oidc:dba" }],
                    "rules": [{ "name": "all", "match": { "any": true }, "action": "Allow" }] }),
        ),
        everyday(),
    ];
    let bob = Subject {
        username: "oidc:bob".into(),
        groups: vec!["oidc:dba".into()],
        ..Subject::default()
    };
    assert_eq!(
        say(&judge(&policies, &alice(), &command("insert into t values (1)"))),
        "deny by no rule"
    );
    assert_eq!(
        say(&judge(&policies, &bob, &command("insert into t values (1)"))),
        "allow dba/all"
    );
    // Another policy's Deny still holds for bob.
    assert_eq!(
        say(&judge(&policies, &bob, &command("drop table t"))),
        "deny by rule everyday/no-drop"
    );
}

#[test]
fn observing_changes_nothing_and_says_what_it_would_do() {
    let observing = policy(
        "watch",
        json!({ "mode": "Observe", "rules": [{ "name": "never", "match": { "any": true }, "action": "Deny", "message": "no" }] }),
    );
    let decision = judge(&[everyday(), observing], &alice(), &command("select 1"));
    assert_eq!(say(&decision), "allow everyday/reads");
    let [note] = decision.notes.as_slice() else {
        panic!("{:?}", decision.notes)
    };
    assert_eq!(
        (note.rule.policy.as_str(), note.would, note.message.as_deref()),
        ("watch", RuleAction::Deny, Some("no"))
    );
    // Alone it opens nothing either.
    let observing = policy(
        "watch",
        json!({ "mode": "Observe", "rules": [{ "name": "all", "match": { "any": true }, "action": "Allow" }] }),
    );
    assert_eq!(
        say(&judge(&[observing], &alice(), &command("select 1"))),
        "deny by no rule"
    );
}

#[test]
fn a_rule_that_fails_denies() {
    let fails = |action: &str| {
        policy(
            "p",
            json!({ "rules": [
            { "name": "odd", "match": { "cel": "connection.labels['team'] == 'x'" }, "action": action },
            { "name": "rest", "match": { "any": true }, "action": "Allow" },
        ] }),
        )
    };
    for action in ["Allow", "Deny"] {
        let decision = judge(&[fails(action)], &alice(), &command("select 1"));
        assert_eq!(say(&decision), "deny by rule p/odd", "{action}");
        assert!(matches!(&decision.verdict, Verdict::Deny(denial) if denial.reason.contains("could not be evaluated")));
    }
}

#[test]
fn a_stale_login_is_sent_back() {
    let policies = [policy(
        "p",
        json!({ "rules": [
        { "name": "fresh", "match": { "any": true }, "action": "Allow", "maxLoginAge": "2m", "readOnly": true },
    ] }),
    )];
    let mut asked = command("select 1");
    assert_eq!(say(&judge(&policies, &alice(), &asked)), "allow p/fresh read-only");
    asked.at = 1_121;
    assert_eq!(say(&judge(&policies, &alice(), &asked)), "deny by rule p/fresh");
    let unknown = Subject {
        authenticated_at: None,
        ..alice()
    };
    assert_eq!(
        say(&judge(&policies, &unknown, &command("select 1"))),
        "deny by rule p/fresh"
    );
}

#[test]
fn a_hold_carries_what_every_policy_asks_for() {
    let one = policy(
        "one",
        json!({ "rules": [{ "name": "a", "match": { "any": true }, "action": "RequireApproval",
        "approval": { "approvers": [{ "kind": "Group", "name": "oidc:dba" }], "required": 2, "holdFor": "5m",
                      "expiresAfter": "2h", "grant": { "scope": "Session", "validFor": "1h" } } }] }),
    );
    let two = policy(
        "two",
        json!({ "rules": [{ "name": "b", "match": { "any": true }, "action": "RequireApproval",
        "approval": { "approvers": [{ "kind": "User", "name": "oidc:carol" }], "onHold": "Refuse", "reasonRequired": true,
                      "maxHoldInTransaction": "20s", "grant": { "scope": "Fingerprint", "validFor": "10m" } } }] }),
    );
    let decision = judge(&[one, two], &alice(), &command("delete from t"));
    let Verdict::Hold(hold) = &decision.verdict else {
        panic!("{decision:?}")
    };
    assert_eq!(
        hold.requirements.iter().map(|one| one.required).collect::<Vec<_>>(),
        [2, 1]
    );
    assert_eq!(hold.requirements[0].asked_by.generation, 7);
    assert_eq!(hold.requirements[0].asked_by.uid, "uid-one");
    assert_eq!(
        (hold.scope(), hold.on_hold()),
        (GrantScope::Fingerprint, OnHold::Refuse)
    );
    let seconds = |duration: std::time::Duration| duration.as_secs();
    assert_eq!(hold.valid_for().map(seconds), Some(600));
    assert_eq!((seconds(hold.wait(false)), seconds(hold.wait(true))), (300, 20));
    assert_eq!(seconds(hold.expires_after()), 3_600);
    assert!(hold.requirements[1].reason_required);
    assert_eq!(decision.risk, 80);
}

#[test]
fn glass_is_broken_only_where_every_asking_policy_permits_it() {
    let asking = |name: &str, glass: Option<&str>| {
        let mut spec = json!({ "rules": [{ "name": "a", "match": { "any": true }, "action": "RequireApproval", "approval": approval() }] });
        if let Some(group) = glass {
            spec["breakGlass"] = json!({ "subjects": [{ "kind": "Group", "name": group }],
                "reviewers": [{ "kind": "Group", "name": "oidc:audit" }], "maxDuration": "1h", "maxLoginAge": "5m" });
        }
        policy(name, spec)
    };
    let glass = |policies: &[ApprovalPolicy], at: i64| {
        let decision = judge(
            policies,
            &alice(),
            &Command {
                at,
                ..command("delete from t")
            },
        );
        match decision.verdict {
            Verdict::Hold(hold) => hold.break_glass.map(|glass| glass.policies.join(",")),
            other => panic!("{other:?}"),
        }
    };
    let may = Some("oidc:engineers");
    assert_eq!(glass(&[asking("a", may)], 1_100).as_deref(), Some("a"));
    assert_eq!(
        glass(&[asking("a", may), asking("b", may)], 1_100).as_deref(),
        Some("a,b")
    );
    assert_eq!(glass(&[asking("a", may), asking("b", None)], 1_100), None);
    assert_eq!(glass(&[asking("a", Some("oidc:dba"))], 1_100), None);
    assert_eq!(glass(&[asking("a", may)], 1_301), None);
}

#[test]
fn what_cannot_be_shown_whole_cannot_be_held() {
    let policies = [everyday()];
    let long = format!("delete from t where a = '{}'", "x".repeat(MAX_HELD));
    assert_eq!(
        say(&judge(&policies, &alice(), &command(&long))),
        "deny by the door's limits"
    );
    let mut bound = command("delete from t where a = $1");
    bound.parameter_bytes = MAX_HELD;
    assert_eq!(say(&judge(&policies, &alice(), &bound)), "deny by the door's limits");
    let mut many = command("delete from t where a = $1");
    many.parameters = MAX_SHOWN + 1;
    assert_eq!(say(&judge(&policies, &alice(), &many)), "deny by the door's limits");
    let read = format!("select '{}'", "x".repeat(MAX_HELD));
    assert_eq!(
        say(&judge(&policies, &alice(), &command(&read))),
        "allow everyday/reads"
    );
}

#[test]
fn what_is_always_denied_can_be_opened_and_is_then_judged() {
    let connection = ConnectionFacts::default();
    let policies = [everyday()];
    let asked = command("alter role x password 'y'");
    let with = |open: &[AlwaysDenied]| {
        decide(
            Bench {
                policies: &policies,
                open,
                connection: &connection,
                settings: &ClusterSettings::default(),
            },
            &alice(),
            &asked,
        )
    };
    assert_eq!(say(&with(&[])), "deny by the door (Roles)");
    assert_eq!(say(&with(&[AlwaysDenied::Load])), "deny by the door (Roles)");
    assert_eq!(say(&with(&[AlwaysDenied::Roles])), "hold everyday/ask-risky");
}

#[test]
fn the_risk_table() {
    let cases = [
        ("begin", 0),
        ("select 1", 5),
        ("select leak()", 20),
        ("copy t to stdout", 10),
        ("insert into t values (1)", 30),
        ("update t set a = 1 where b = 2", 40),
        ("update t set a = 1", 70),
        ("delete from t where b = 2", 50),
        ("delete from t where 1 = 1", 80),
        ("create table t (a int)", 40),
        ("alter table t add b int", 60),
        ("drop table t", 80),
        ("truncate t", 80),
        ("do 'x'", 75),
        ("grant select on t to u", 70),
        ("load 'x'", 100),
    ];
    for (sql, score) in cases {
        assert_eq!(risk(&command(sql)), score, "{sql}");
    }
    let delete = command("delete from t where b = 2");
    assert_eq!(
        risk(&Command {
            protected: true,
            rows: Some(5_000),
            ambiguous: true,
            ..delete.clone()
        }),
        80
    );
    assert_eq!(
        risk(&Command {
            rows: Some(999),
            ..delete
        }),
        50
    );
    assert_eq!(risk(&Command::default()), 50);
}

#[test]
fn execute_is_judged_as_what_it_names() {
    let mut execute = command("execute p");
    let text = "delete from t where id = 1";
    execute.absorb(&parse(text).unwrap().statements[0]);
    assert_eq!(
        say(&judge(&[everyday()], &alice(), &execute)),
        "hold everyday/ask-delete"
    );
    assert!(execute.has_where && !execute.read_only && execute.written == ["t"]);
    let mut execute = command("execute p");
    execute.absorb(&parse("select 1 from t").unwrap().statements[0]);
    assert!(execute.read_only && !execute.has_where);
}

#[test]
fn everything_wrong_with_a_policy_is_said_at_once() {
    let bad = carried(
        "p",
        json!({ "rules": [
        { "name": "a", "match": { "cel": "command.nope" }, "action": "Allow" },
        { "name": "a", "match": {}, "action": "Deny" },
        { "name": "b", "match": { "any": true }, "action": "RequireApproval" },
        { "name": "c", "match": { "any": true, "riskAtLeast": 5 }, "action": "Allow" },
        { "name": "d", "match": { "riskAtLeast": 101 }, "action": "Allow" },
        { "name": "e", "match": { "any": true }, "action": "Allow", "approval": approval() },
        { "name": "f", "match": { "any": false }, "action": "Allow" },
    ] }),
    );
    let fields: Vec<String> = compile(&bad)
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.field)
        .collect();
    assert_eq!(
        fields,
        [
            "spec.rules[0].match.cel",
            "spec.rules[1].match",
            "spec.rules[2].approval",
            "spec.rules[3].match",
            "spec.rules[4].match.riskAtLeast",
            "spec.rules[5].approval",
            "spec.rules[6].match",
        ]
    );
    let twice = carried(
        "p",
        json!({ "rules": [
        { "name": "a", "match": { "any": true }, "action": "Allow" },
        { "name": "a", "match": { "any": true }, "action": "Deny" },
    ] }),
    );
    assert_eq!(compile(&twice).unwrap_err()[0].field, "spec.rules[1].name");
}

#[test]
fn the_same_input_gives_the_same_verdict_on_every_thread() {
    let policies = [everyday()];
    let expected = judge(&policies, &alice(), &command("delete from t where id = 1"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert_eq!(
                    judge(&policies, &alice(), &command("delete from t where id = 1")),
                    expected
                )
            });
        }
    });
}
