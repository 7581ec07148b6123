use sallyport_crds::masking_rule::Alphabet;
use serde_json::json;

use super::*;

fn spec(matches: serde_json::Value, action: serde_json::Value) -> MaskingRuleSpec {
    let mut spec = json!({"connectionSelector": {"matchLabels": {"a": "b"}}, "profile": "Standard"});
    spec["match"] = matches;
    spec["action"] = action;
    serde_json::from_value(spec).unwrap()
}

fn problems(spec: &MaskingRuleSpec) -> Vec<(String, ProblemKind)> {
    let problems = compile("r", "u", 1, spec).unwrap_err();
    problems
        .into_iter()
        .map(|problem| (problem.field, problem.kind))
        .collect()
}

#[test]
fn a_whole_rule() {
    let spec = spec(
        json!({
            "detectors": ["US_SSN", "US_SOCIAL_SECURITY_NUMBER", "CREDIT_CARD_NUMBER"],
            "patterns": [{"name": "employee", "regex": "EMP-\\d{6}", "maxLength": 10}],
            "columns": ["public.customers.ssn", "public.*.card*"],
            "integers": true,
        }),
        json!({"type": "Partial", "partial": {"keepLast": 4}}),
    );
    let rule = compile("r", "u", 7, &spec).unwrap();
    assert_eq!(rule.detectors, [Kind::UsSsn, Kind::CreditCard]);
    assert_eq!(
        (rule.columns.len(), rule.patterns.len(), rule.generation, rule.integers),
        (2, 1, 7, true)
    );
    assert_eq!(
        rule.action,
        Action::Partial(Partial {
            keep_first: 0,
            keep_last: 4,
            mask: '*'
        })
    );
    assert_eq!((rule.profile, rule.observe), (Profile::Standard, false));
}

#[test]
fn tokens_as_a_rule_says() {
    let tokenize = json!({"keySecretRef": {"name": "k", "key": "k"}, "keepFirst": 6, "keepLast": 4, "tweak": "cards"});
    let action = json!({"type": "Tokenize", "tokenize": tokenize});
    let rule = compile("r", "u", 1, &spec(json!({"columns": ["a.b.c"]}), action)).unwrap();
    let Action::Tokenize(tokens) = rule.action else {
        panic!("{:?}", rule.action)
    };
    assert_eq!(
        (
            tokens.keep_first,
            tokens.keep_last,
            tokens.alphabet,
            tokens.tweak.as_str()
        ),
        (6, 4, Alphabet::Digits, "cards")
    );
}

#[test]
fn every_fault_is_named_with_its_field() {
    let spec = spec(
        json!({
            "detectors": ["US_SSN", "SHOE_SIZE"],
            "patterns": [
                {"name": "a", "regex": "(", "maxLength": 10},
                {"name": "b", "regex": "a*", "maxLength": 10},
                {"name": "c", "regex": "a", "maxLength": 0},
            ],
            "columns": ["customers.ssn"],
        }),
        json!({"type": "Replace"}),
    );
    let fields: Vec<String> = problems(&spec).into_iter().map(|(field, _)| field).collect();
    assert_eq!(
        fields,
        [
            "action.replace",
            "match.detectors[1]",
            "match.patterns[0].regex",
            "match.patterns[1].regex",
            "match.patterns[2].maxLength",
            "match.columns[0]",
        ]
    );
}

#[test]
fn what_is_still_to_come_is_said_to_be() {
    let columns = json!({"columns": ["a.b.c"]});
    let mut strict = spec(columns.clone(), json!({"type": "Redact"}));
    strict.profile = None;
    assert!(compile("hide", "uid", 1, &strict).is_ok(), "Strict by default");
    strict.allow_equality = true;
    assert_eq!(problems(&strict), [("allowEquality".into(), ProblemKind::Invalid)]);
    let hash = json!({"type": "Hash", "hash": {"keySecretRef": {"name": "k", "key": "k"}, "length": 32}});
    let mut hashed = spec(columns.clone(), hash);
    (hashed.profile, hashed.allow_equality) = (None, true);
    assert!(compile("hide", "uid", 1, &hashed).is_ok_and(|rule| rule.allow_equality));
    hashed.allow_writes = true;
    assert_eq!(problems(&hashed), [("allowWrites".into(), ProblemKind::Invalid)]);
    let generalize = json!({"type": "Generalize", "generalize": {"datesTo": "Year"}});
    assert!(compile("hide", "uid", 1, &spec(columns, generalize)).is_ok());
    let resources = json!({"resources": [{"resource": "secrets", "jsonPaths": [".data.*"]}]});
    let resources = spec(resources, json!({"type": "Redact"}));
    assert_eq!(
        problems(&resources),
        [("match.resources".into(), ProblemKind::NotImplemented)]
    );
}

#[test]
fn masks_that_show_too_much_are_refused() {
    let ssn = json!({"detectors": ["US_SSN"]});
    for partial in [
        json!({"keepFirst": 6, "keepLast": 5}),
        json!({"keepFirst": -1}),
        json!({"keepLast": 11}),
        json!({"keepLast": 4, "maskCharacter": ""}),
        json!({"keepLast": 4, "maskCharacter": "**"}),
        json!({"keepLast": 4, "maskCharacter": "\n"}),
    ] {
        let spec = spec(ssn.clone(), json!({"type": "Partial", "partial": partial}));
        assert!(compile("r", "u", 1, &spec).is_err(), "{partial}");
    }
    for tokenize in [
        json!({"keepFirst": 6, "keepLast": 5}),
        json!({"keepFirst": -1}),
        json!({"tweak": "a\nb"}),
        json!({"tweak": "x".repeat(65)}),
    ] {
        let mut action = json!({"type": "Tokenize", "tokenize": tokenize});
        action["tokenize"]["keySecretRef"] = json!({"name": "k", "key": "k"});
        let spec = spec(ssn.clone(), action.clone());
        assert!(compile("r", "u", 1, &spec).is_err(), "{action}");
    }
    let nul = json!({"type": "Replace", "replace": {"with": "a\u{0}"}});
    assert_eq!(
        problems(&spec(ssn.clone(), nul)),
        [("action.replace.with".into(), ProblemKind::Invalid)]
    );
    let short = json!({"type": "Hash", "hash": {"keySecretRef": {"name": "k", "key": "k"}, "length": 8}});
    assert_eq!(
        problems(&spec(ssn, short)),
        [("action.hash.length".into(), ProblemKind::Invalid)]
    );
    assert_eq!(
        problems(&spec(json!({}), json!({"type": "Null"}))),
        [("match".into(), ProblemKind::Invalid)]
    );
}
