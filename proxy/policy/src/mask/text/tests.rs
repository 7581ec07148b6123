use sallyport_crds::masking_rule::Alphabet;

use super::*;
use crate::mask::Rule;
use crate::mask::detect::Kind;
use crate::mask::detect::pattern::Pattern;
use crate::mask::testing::{detecting, masker, redacting, rule, tokenize};

fn free(rules: Vec<Rule>, text: &str) -> String {
    let masker = masker(rules);
    masker.free_text(text, &mut masker.counts()).into_owned()
}

#[test]
fn messages_keep_what_is_not_recognised() {
    let masker = redacting();
    let mut counts = masker.counts();
    let text = "Key (ssn)=(536-90-4399) already exists.";
    assert_eq!(
        masker.free_text(text, &mut counts),
        "Key (ssn)=([REDACTED]) already exists."
    );
    assert_eq!(masker.free_text("nothing here", &mut counts), "nothing here");
    assert_eq!(masker.free_text("536-90-4399", &mut counts), "[REDACTED]");
    assert_eq!(
        counts
            .iter()
            .map(|(label, n)| (label.kind.as_str(), n))
            .collect::<Vec<_>>(),
        [("US_SSN", 2)]
    );
}

#[test]
fn a_message_has_no_null() {
    assert_eq!(
        free(vec![detecting(Action::Null, &[Kind::UsSsn])], "a 536-90-4399 b"),
        "a [REDACTED] b"
    );
}

#[test]
fn each_action_on_a_part() {
    let ssn = &[Kind::UsSsn];
    let key = crate::mask::testing::key();
    for (action, want) in [
        (Action::Redact, "x [REDACTED] y"),
        (Action::Replace { with: "***".into() }, "x *** y"),
        (Action::Hash { key, length: 16 }, "x [REDACTED] y"),
        (tokenize(Alphabet::Digits), "x [REDACTED] y"),
        (
            Action::Partial(Partial {
                keep_first: 0,
                keep_last: 4,
                mask: '#',
            }),
            "x ###-##-4399 y",
        ),
    ] {
        assert_eq!(free(vec![detecting(action, ssn)], "x 536-90-4399 y"), want);
    }
}

fn pattern(name: &str, regex: &str, action: Action) -> Rule {
    Rule {
        name: name.into(),
        patterns: vec![Pattern::compile(name, regex, 64).unwrap()],
        ..rule(action)
    }
}

#[test]
fn overlapping_hits_are_one_under_the_stronger_action() {
    let replace = |with: &str| Action::Replace { with: with.into() };
    let rules = || {
        vec![
            pattern("a", "EMP-[0-9]+", replace("A")),
            pattern("b", "123-456", Action::Redact),
        ]
    };
    assert_eq!(free(rules(), "x EMP-123-456 y EMP-9"), "x [REDACTED] y A");
    // Two detectors on the same number.
    let rules = vec![
        detecting(
            Action::Partial(Partial {
                keep_first: 0,
                keep_last: 4,
                mask: '*',
            }),
            &[Kind::UsSsn],
        ),
        detecting(replace("N"), &[Kind::UsSsn]),
    ];
    assert_eq!(free(rules, "536-90-4399"), "N");
}

#[test]
fn several_patterns_are_all_found() {
    let rules = (0..20)
        .map(|i| pattern(&format!("p{i}"), &format!("K{i}-[a-z]+"), Action::Redact))
        .collect();
    assert_eq!(free(rules, "K3-abc K19-z K20-z"), "[REDACTED] [REDACTED] K20-z");
}

#[test]
fn text_cut_within_a_character_is_never_shown() {
    let masker = redacting();
    let bytes = b"\xFF 536-90-4399 \xC3";
    assert_eq!(
        *masker.free_bytes(bytes, &mut masker.counts()),
        *b"\xFF [REDACTED] \xC3"
    );
}
