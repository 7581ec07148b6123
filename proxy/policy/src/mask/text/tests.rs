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
fn of_two_actions_of_one_kind_the_stronger_counts_whatever_the_order_of_the_rules() {
    let replace = |with: &str| Action::Replace { with: with.into() };
    let keep = |keep_last| {
        Action::Partial(Partial {
            keep_first: 0,
            keep_last,
            mask: '*',
        })
    };
    for (strong, weak, want) in [(keep(2), keep(4), "***-**-**99"), (replace("A"), replace("B"), "A")] {
        for actions in [[&strong, &weak], [&weak, &strong]] {
            let rules = |kinds: &[Kind]| actions.map(|action| detecting(action.clone(), kinds)).to_vec();
            assert_eq!(free(rules(&[Kind::UsSsn]), "536-90-4399"), want);
            let own = actions.map(|action| pattern("p", "[0-9]{3}-[0-9]{2}-[0-9]{4}", action.clone()));
            assert_eq!(free(own.to_vec(), "536-90-4399"), want);
        }
    }
}

#[test]
fn a_text_that_a_pattern_would_take_too_long_for_is_hidden_whole() {
    let digits = |observe, action| Rule {
        observe,
        ..pattern("digits", "[0-9]+X|[0-9]", action)
    };
    let partial = Action::Partial(Partial {
        keep_first: 0,
        keep_last: 4,
        mask: '*',
    });
    let text = format!("{} ssn 536-90-4399", "7".repeat(1 << 16));
    assert_eq!(free(vec![digits(false, Action::Redact)], &text), "[REDACTED]");
    assert_eq!(free(vec![digits(false, partial.clone())], &text), "[REDACTED]");
    let own = Action::Replace { with: "N".into() };
    assert_eq!(free(vec![digits(false, own.clone())], &text), "N");
    // What only observes hides nothing, and other rules act as ever.
    let both = vec![digits(true, own), detecting(Action::Redact, &[Kind::UsSsn])];
    assert_eq!(free(both, &text), text.replace("536-90-4399", "[REDACTED]"));
    assert_eq!(free(vec![digits(false, partial)], "77"), "**");
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
