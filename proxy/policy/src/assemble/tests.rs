use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::issuer::ClaimSource;

/// A Connection `bank` with one rule of each kind, a sink and an issuer.
pub(crate) fn objects() -> Objects<'static> {
    Objects {
        connection: CarriedConnection {
            namespace: "doors".into(),
            name: "bank".into(),
            uid: "uid-bank".into(),
            generation: 3,
            labels: BTreeMap::from([("data".to_owned(), "pii".to_owned())]),
            spec: read(json!({
                "protocol": "PostgreSQL",
                "target": { "host": "postgres.bank.svc", "port": 5432, "tls": { "mode": "VerifyFull" } },
                "credentialsRef": { "name": "bank-credentials" },
                "subjects": [{ "kind": "Group", "name": "oidc:engineers" }],
                "requires": { "maskingRules": ["pii"], "approvalPolicies": ["writes"] },
                "sinks": [{ "name": "evidence", "namespace": "evidence" }],
                "identity": { "issuers": [{ "name": "keycloak" }] },
            })),
        },
        masking_rules: vec![rule("pii", masking())],
        approval_policies: vec![rule("writes", policy())],
        sinks: vec![SinkCandidate {
            namespace: "evidence".into(),
            name: "evidence".into(),
            uid: "uid-sink".into(),
            address: Some("recorder-evidence.evidence.svc:7443".into()),
            spec: read(json!({ "namespaces": ["doors"], "storage": { "size": "1Gi" } })),
        }],
        issuers: Box::leak(Box::new(issuers())),
        denied_cidrs: vec!["169.254.0.0/16".into()],
        standing: None,
    }
}

/// The carrier of objects without a problem.
pub(crate) fn carrier(objects: &Objects<'_>) -> Carrier {
    let (carrier, problems) = assemble(objects);
    assert_eq!(problems, []);
    carrier
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn masking() -> MaskingRuleSpec {
    read(json!({
        "connectionSelector": { "matchLabels": { "data": "pii" } },
        "match": { "detectors": ["US_SSN"] },
        "action": { "type": "Redact" },
    }))
}

fn policy() -> ApprovalPolicySpec {
    read(json!({
        "connectionSelector": { "matchLabels": { "data": "pii" } },
        "rules": [{ "name": "all", "match": { "any": true }, "action": "Allow" }],
    }))
}

fn rule<S: Selecting>(name: &str, spec: S) -> Candidate<S> {
    let present = Present {
        selector: spec.selector().clone(),
        mode: spec.mode(),
    };
    Candidate {
        name: name.into(),
        uid: format!("uid-{name}"),
        present: Some(present),
        accepted: Some((7, spec)),
    }
}

fn issuers() -> Issuers {
    let issuer = Issuer {
        name: "keycloak".into(),
        url: "https://idp/realms/bank".into(),
        discovery_url: None,
        certificate_authority: None,
        audiences: vec!["sallyport".into(), "sallyport-doors".into()],
        username: ClaimSource {
            claim: "email".into(),
            prefix: "oidc:".into(),
        },
        groups: None,
        required_claims: BTreeMap::new(),
        only_groups: vec![],
        human_clients: vec![],
    };
    Issuers {
        issuers: BTreeMap::from([("keycloak".to_owned(), issuer)]),
        ..Issuers::default()
    }
}

#[test]
fn all_that_applies_is_carried() {
    let carrier = carrier(&objects());
    assert_eq!(carrier.closed, None);
    assert_eq!(
        carrier.rules_in_force(),
        BTreeMap::from([("uid-pii".to_owned(), 7), ("uid-writes".to_owned(), 7)])
    );
    assert_eq!(carrier.sinks[0].address, "recorder-evidence.evidence.svc:7443");
    assert_eq!(carrier.settings.known_issuers, ["https://idp/realms/bank"]);
}

#[test]
fn whatever_is_lost_closes() {
    type Change = fn(&mut Objects<'static>);
    let cases: [(&str, Change, Reason); 12] = [
        ("rule deleted", |o| o.masking_rules.clear(), Reason::RequiredRuleMissing),
        (
            "policy deleted",
            |o| o.approval_policies.clear(),
            Reason::RequiredRuleMissing,
        ),
        (
            "rule never accepted",
            |o| o.masking_rules[0].accepted = None,
            Reason::RequiredRuleNotAccepted,
        ),
        (
            "label taken off",
            |o| o.connection.labels.clear(),
            Reason::RequiredRuleNotSelecting,
        ),
        (
            "rule only observes",
            |o| o.masking_rules[0].accepted.as_mut().unwrap().1.mode = Mode::Observe,
            Reason::RequiredRuleNotEnforcing,
        ),
        (
            "policy only observes",
            |o| o.approval_policies[0].accepted.as_mut().unwrap().1.mode = Mode::Observe,
            Reason::RequiredRuleNotEnforcing,
        ),
        ("sink deleted", |o| o.sinks.clear(), Reason::SinkNotAvailable),
        (
            "sink for others",
            |o| o.sinks[0].spec.namespaces = vec!["elsewhere".into()],
            Reason::SinkNotAvailable,
        ),
        (
            "sink not accepted",
            |o| o.sinks[0].address = None,
            Reason::SinkNotAvailable,
        ),
        (
            "sink in another namespace",
            |o| o.connection.spec.sinks[0].namespace = None,
            Reason::SinkNotAvailable,
        ),
        (
            "issuer unknown",
            |o| o.connection.spec.identity.issuers[0].name = "rogue".into(),
            Reason::UnknownIssuer,
        ),
        (
            "audience of one's own",
            |o| o.connection.spec.identity.issuers[0].audience = Some("kubernetes".into()),
            Reason::AudienceNotAllowed,
        ),
    ];
    for (what, change, reason) in cases {
        let mut objects = objects();
        change(&mut objects);
        let (carrier, problems) = assemble(&objects);
        assert_eq!(problems[0].reason, reason, "{what}");
        assert_eq!(carrier.closed.unwrap().reason, reason.as_str(), "{what}");
    }
}

#[test]
fn a_rule_that_was_never_accepted_closes_what_it_selects() {
    let with = |present: Option<Present>| {
        let mut objects = objects();
        objects.masking_rules.push(Candidate {
            name: "new".into(),
            uid: "uid-new".into(),
            present,
            accepted: None,
        });
        assemble(&objects)
            .1
            .iter()
            .map(|problem| problem.reason)
            .collect::<Vec<_>>()
    };
    let selecting = |labels: Value, mode| {
        Some(Present {
            selector: read(json!({ "matchLabels": labels })),
            mode,
        })
    };
    assert_eq!(
        with(selecting(json!({ "data": "pii" }), Mode::Enforce)),
        [Reason::RuleNotAccepted]
    );
    assert_eq!(with(selecting(json!({ "data": "other" }), Mode::Enforce)), []);
    assert_eq!(with(selecting(json!({ "data": "pii" }), Mode::Observe)), []);
    assert_eq!(
        with(None),
        [Reason::RuleNotAccepted],
        "nobody knows what an unreadable rule selects"
    );
}

#[test]
fn the_last_accepted_specification_holds_whatever_the_present_one_says() {
    let mut objects = objects();
    objects.masking_rules[0].present = Some(Present {
        selector: LabelSelector::default(),
        mode: Mode::Observe,
    });
    assert_eq!(carrier(&objects).masking_rules[0].spec, masking());
}

#[test]
fn a_connection_only_narrows_its_issuers() {
    let mut objects = objects();
    objects.connection.spec.identity.issuers[0].audience = Some("sallyport-doors".into());
    objects.connection.spec.identity.issuers[0].groups = vec!["oidc:dba".into()];
    let carrier = carrier(&objects);
    assert_eq!(carrier.issuers[0].audiences, ["sallyport-doors"]);
    assert_eq!(carrier.issuers[0].only_groups, ["oidc:dba"]);
}

/// What doors ran before the Connection lost its labels; nothing is required, both rules are found by selector alone.
fn deselected(standing: &Carrier) -> Objects<'_> {
    let mut objects = Objects {
        standing: Some(standing),
        ..objects()
    };
    objects.connection.spec.requires = read(json!({ "none": true }));
    objects.connection.labels.clear();
    objects
}

#[test]
fn taking_a_label_off_closes_and_stays_closed() {
    let before = carrier(&objects());
    let (closed, problems) = assemble(&deselected(&before));
    let reasons: Vec<Reason> = problems.iter().map(|problem| problem.reason).collect();
    assert_eq!(reasons, [Reason::RuleDeselected, Reason::RuleDeselected]);
    assert!(problems[0].to_string().contains("MaskingRule pii"), "{}", problems[0]);
    assert_eq!(closed.rules_in_force(), before.rules_in_force());
    let (again, _) = assemble(&deselected(&closed));
    assert_eq!(
        again.closed.unwrap().reason,
        "RuleDeselected",
        "the next look knows it too"
    );
    let back = Objects {
        standing: Some(&closed),
        ..objects()
    };
    assert_eq!(assemble(&back).1, [], "the labels are back");
}

#[test]
fn dropping_what_requires_a_rule_does_not_let_it_go() {
    let before = carrier(&objects());
    let mut required = deselected(&before);
    required.connection.spec.requires = objects().connection.spec.requires;
    let (closed, problems) = assemble(&required);
    assert_eq!(problems[0].reason, Reason::RequiredRuleNotSelecting);
    let (again, _) = assemble(&deselected(&closed));
    assert_eq!(again.closed.unwrap().reason, "RuleDeselected");
}

#[test]
fn a_rule_goes_by_an_act_of_its_own_author() {
    type Change = fn(&mut Objects<'_>);
    let acts: [(&str, Change); 3] = [
        ("deleted", |o| o.masking_rules.clear()),
        ("deleted and made again", |o| {
            o.masking_rules[0].uid = "uid-another".into();
        }),
        ("selects others", |o| {
            let (_, spec) = o.masking_rules[0].accepted.as_mut().unwrap();
            spec.connection_selector = read(json!({ "matchLabels": { "data": "other" } }));
        }),
    ];
    let before = carrier(&objects());
    for (what, act) in acts {
        let mut after = deselected(&before);
        after.approval_policies.clear();
        act(&mut after);
        let (carrier, problems) = assemble(&after);
        assert_eq!((carrier.masking_rules.len(), problems), (0, vec![]), "{what}");
    }
    let mut edited = deselected(&before);
    edited.masking_rules[0].accepted.as_mut().unwrap().0 += 1;
    assert!(
        !assemble(&edited).1.is_empty(),
        "a change of something else lets nothing go"
    );
}

#[test]
fn a_rule_that_observes_and_the_door_of_a_namesake_hold_nothing() {
    let mut before = carrier(&objects());
    let mut observing = deselected(&before);
    for rule in &mut observing.masking_rules {
        rule.accepted.as_mut().unwrap().1.mode = Mode::Observe;
    }
    observing.approval_policies.clear();
    assert_eq!(assemble(&observing).1, []);
    before.connection.uid = "uid-another".into();
    assert_eq!(assemble(&deselected(&before)).1, []);
}
