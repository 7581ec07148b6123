use std::sync::Arc;

use proptest::prelude::*;
use sallyport_crds::masking_rule::{Alphabet, DatePart};
use sallyport_crds::reference::SecretKeyReference;

use super::*;
use crate::mask::action::{Action, Partial};
use crate::mask::detect::Kind;
use crate::mask::rule::{Profile, Rule, RuleId};
use crate::mask::testing::{column, detecting, key, mask, masker, redacting, rule, tokenize};
use crate::mask::{HashKey, Keys, MaskSet};

fn row(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        match field {
            None => body.extend_from_slice(&(-1i32).to_be_bytes()),
            Some(bytes) => {
                body.extend_from_slice(&i32::try_from(bytes.len()).unwrap().to_be_bytes());
                body.extend_from_slice(bytes);
            }
        }
    }
    body
}

fn text_plan(masker: &Arc<Masker>, sources: &[Source]) -> RowPlan {
    let columns: Vec<ColumnInfo> = sources
        .iter()
        .map(|source| column(25, Format::Text, source.clone()))
        .collect();
    masker.plan(&columns)
}

fn run(plan: &RowPlan, body: &[u8]) -> (Result<RowOutcome, RowError>, Vec<u8>, Counts) {
    let (mut out, mut counts) = (b"before".to_vec(), plan.counts());
    let outcome = plan.row(body, &mut out, &mut counts);
    (outcome, out.strip_prefix(b"before").unwrap().to_vec(), counts)
}

#[test]
fn a_row_is_rewritten_where_it_has_to_be() {
    let plan = text_plan(
        &masker(vec![detecting(Action::Redact, &[Kind::UsSsn])]),
        &[
            Source::Plain,
            Source::Column(RuleSet::one(0)),
            Source::Plain,
            Source::Plain,
        ],
    );
    let (outcome, out, counts) = run(
        &plan,
        &row(&[Some(b"Ada"), Some(b"secret"), None, Some(b"x 536-90-4399")]),
    );
    assert_eq!(outcome, Ok(RowOutcome::Written));
    assert_eq!(
        out,
        row(&[Some(b"Ada"), Some(b"[REDACTED]"), None, Some(b"x [REDACTED]")])
    );
    let counted: Vec<(String, u64)> = counts.iter().map(|(label, n)| (label.kind.clone(), n)).collect();
    assert_eq!(counted, [("column".into(), 1), ("US_SSN".into(), 1)]);
    assert_eq!(counts.masked(), 2);
}

#[test]
fn each_field_has_its_own_length_whatever_became_of_it_and_of_those_before_it() {
    let rules = vec![
        detecting(Action::Redact, &[Kind::UsSsn]),
        detecting(Action::Null, &[Kind::CreditCard]),
        Rule {
            observe: true,
            ..detecting(Action::Redact, &[Kind::EmailAddress])
        },
    ];
    let (secret, card): (&[u8], &[u8]) = (
        b"536-90-4399 of Ada, 219-09-9999",
        b"card 4111 1111 1111 1111, 536-90-4399",
    );
    let fields = [
        Some(b"ada@example.org".as_slice()),
        Some(secret),
        Some(card),
        Some(b"-"),
        Some(secret),
        None,
    ];
    let plan = text_plan(&masker(rules), &[const { Source::Plain }; 6]);
    let (outcome, out, _) = run(&plan, &row(&fields));
    let masked = Some(b"[REDACTED] of Ada, [REDACTED]".as_slice());
    assert_eq!(outcome, Ok(RowOutcome::Written));
    assert_eq!(out, row(&[fields[0], masked, None, fields[3], masked, None]));
}

#[test]
fn a_row_without_hits_is_not_copied() {
    let plan = text_plan(&redacting(), &[Source::Plain, Source::Unknown]);
    let (outcome, out, counts) = run(&plan, &row(&[Some(b"Ada"), Some(b"536-90")]));
    assert_eq!(
        (outcome, out.len(), counts.is_zero()),
        (Ok(RowOutcome::Unchanged), 0, true)
    );
}

#[test]
fn nothing_to_do_is_known_beforehand() {
    let plan = text_plan(&masker(vec![]), &[Source::Plain, Source::Unknown]);
    assert!(plan.passes_all());
    let plan = redacting().plan(&[
        column(23, Format::Binary, Source::Plain),
        column(16, Format::Text, Source::Unknown),
    ]);
    assert!(plan.passes_all());
    assert!(!text_plan(&redacting(), &[Source::Plain]).passes_all());
}

#[test]
fn hostile_rows_are_refused_and_leave_nothing() {
    let plan = text_plan(
        &masker(vec![rule(Action::Redact)]),
        &[Source::Column(RuleSet::one(0)), Source::Plain],
    );
    let good = row(&[Some(b"secret"), Some(b"x")]);
    let mut cases: Vec<(Vec<u8>, RowError)> = (2..good.len())
        .map(|n| (good[..n].to_vec(), RowError::Malformed))
        .collect();
    cases.push((Vec::new(), RowError::Malformed));
    cases.push(([good.as_slice(), b"x"].concat(), RowError::Malformed));
    cases.push((row(&[Some(b"x")]), RowError::Columns { got: 1, planned: 2 }));
    cases.push((row(&[None, None, None]), RowError::Columns { got: 3, planned: 2 }));
    for length in [-2, i32::MIN, i32::MAX, 7, 100] {
        let mut body = good.clone();
        body[2..6].copy_from_slice(&length.to_be_bytes());
        cases.push((body, RowError::Malformed));
    }
    for (body, error) in cases {
        let (outcome, out, _) = run(&plan, &body);
        assert_eq!((outcome, out.len()), (Err(error), 0), "{body:?}");
    }
}

#[test]
fn the_stronger_of_two_rules_counts_and_both_are_counted() {
    let rules = vec![
        Rule {
            name: "weak".into(),
            ..rule(Action::Partial(Partial {
                keep_first: 0,
                keep_last: 4,
                mask: '*',
            }))
        },
        Rule {
            name: "strong".into(),
            ..rule(Action::Null)
        },
    ];
    let both: RuleSet = [1, 0].into_iter().collect();
    let plan = text_plan(&masker(rules.clone()), &[Source::Column(both.clone())]);
    let (_, out, counts) = run(&plan, &row(&[Some(b"secret")]));
    assert_eq!(out, row(&[None]));
    assert_eq!(
        counts.iter().map(|(label, _)| label.rule.as_str()).collect::<Vec<_>>(),
        ["weak", "strong"]
    );

    let exempt = MaskSet::new(rules, Keys::default()).masker(&RuleSet::one(1));
    let (_, out, _) = run(&text_plan(&exempt, &[Source::Column(both)]), &row(&[Some(b"secret")]));
    assert_eq!(out, row(&[Some(b"**cret")]));
}

#[test]
fn of_two_actions_of_one_kind_the_stronger_counts_whatever_the_order_of_the_rules() {
    let keep = |keep_last| {
        Action::Partial(Partial {
            keep_first: 0,
            keep_last,
            mask: '*',
        })
    };
    let hash = |length| Action::Hash { key: key(), length };
    let replace = |with: &str| Action::Replace { with: with.into() };
    let (month, year) = (Action::Generalize(DatePart::Month), Action::Generalize(DatePart::Year));
    let (text, date) = (25, 1082);
    for (oid, value, strong, weak) in [
        (text, "536-90-4399", keep(4), keep(8)),
        (text, "536-90-4399", hash(16), hash(32)),
        (text, "536-90-4399", replace("A"), replace("B")),
        (date, "1980-05-17", year, month),
    ] {
        let both: RuleSet = [0, 1].into_iter().collect();
        let shown = |actions: Vec<&Action>| {
            let rules = actions.into_iter().map(|action| rule(action.clone())).collect();
            mask(
                &masker(rules),
                column(oid, Format::Text, Source::Column(both.clone())),
                value.as_bytes(),
            )
        };
        let want = shown(vec![&strong, &strong]);
        assert_ne!(want, shown(vec![&weak, &weak]), "{value}");
        assert_eq!(want, shown(vec![&strong, &weak]), "{value}");
        assert_eq!(want, shown(vec![&weak, &strong]), "{value}");
    }
}

#[test]
fn exempt_from_all_rules_sees_everything() {
    let set = MaskSet::new(vec![detecting(Action::Redact, &[Kind::UsSsn])], Keys::default());
    let exempt = set.masker(&RuleSet::one(0));
    assert!(text_plan(&exempt, &[Source::Tainted(RuleSet::one(0)), Source::Unknown]).passes_all());
    assert!(!exempt.protects(&RuleSet::one(0)) && !exempt.has_detectors());
    assert!(set.masker(&RuleSet::default()).protects(&RuleSet::one(0)));
}

#[test]
fn values_are_compared_where_their_hashes_are_shown_under_one_key() {
    let hashed = |key, allow_equality| Rule {
        allow_equality,
        ..rule(Action::Hash { key, length: 32 })
    };
    let elsewhere = SecretKeyReference {
        name: "keys".into(),
        key: "another".into(),
    };
    let rules = vec![
        hashed(key(), true),
        hashed(key(), true),
        hashed(key(), false),
        hashed(elsewhere.clone(), true),
        rule(Action::Null),
    ];
    let known = |reference| (reference, HashKey::new(&[7; 32]).unwrap());
    let keys = Keys {
        hash: [known(key()), known(elsewhere)].into(),
        ..Keys::default()
    };
    let set = MaskSet::new(rules.clone(), keys);
    let masker = set.masker(&RuleSet::default());
    let of = |ids: &[RuleId]| ids.iter().copied().collect::<RuleSet>();
    let cases: [(&[RuleId], &[RuleId], bool); 7] = [
        (&[0], &[0], true),
        (&[0], &[1], true),
        (&[0], &[2], false),
        (&[0], &[3], false),
        (&[0, 4], &[0], false),
        // Guesses stand in columns that nobody protects.
        (&[0], &[], false),
        (&[], &[0], false),
    ];
    for (one, other, allowed) in cases {
        assert_eq!(masker.compares(&of(one), &of(other)), allowed, "{one:?} {other:?}");
    }
    let without_keys = MaskSet::new(rules, Keys::default()).masker(&RuleSet::default());
    assert!(!without_keys.compares(&of(&[0]), &of(&[0])));
}

#[test]
fn observed_rules_count_and_change_nothing() {
    let observed = Rule {
        observe: true,
        ..detecting(Action::Null, &[Kind::UsSsn])
    };
    let plan = text_plan(
        &masker(vec![observed]),
        &[Source::Column(RuleSet::one(0)), Source::Plain],
    );
    let (outcome, _, counts) = run(&plan, &row(&[Some(b"secret"), Some(b"536-90-4399")]));
    assert_eq!(outcome, Ok(RowOutcome::Unchanged));
    assert_eq!((counts.iter().count(), counts.masked()), (2, 0));
    assert!(counts.iter().all(|(label, _)| label.observed));
}

#[test]
fn what_is_not_the_stored_column_is_not_hashed_or_half_shown() {
    let actions = [
        tokenize(Alphabet::Digits),
        Action::Hash {
            key: crate::mask::testing::key(),
            length: 32,
        },
        Action::Partial(Partial {
            keep_first: 0,
            keep_last: 4,
            mask: '*',
        }),
    ];
    for action in actions {
        let plan = text_plan(&masker(vec![rule(action)]), &[Source::Tainted(RuleSet::one(0))]);
        let (_, out, _) = run(&plan, &row(&[Some(b"536904399")]));
        assert_eq!(out, row(&[Some(b"[REDACTED]")]));
    }
}

#[test]
fn an_array_that_is_made_by_an_expression_shows_not_even_its_length() {
    const TEXTS: u32 = 1009;
    let masker = redacting();
    let value = row(&[Some(b"{a,b,c}")]);
    let plan = masker.plan(&[column(TEXTS, Format::Text, Source::Tainted(RuleSet::one(0)))]);
    assert_eq!(run(&plan, &value).1, row(&[None]));
    let plan = masker.plan(&[column(TEXTS, Format::Text, Source::Column(RuleSet::one(0)))]);
    assert_eq!(
        run(&plan, &value).1,
        row(&[Some(b"{[REDACTED],[REDACTED],[REDACTED]}")])
    );
}

#[test]
fn without_its_key_a_hash_redacts_and_so_does_a_token() {
    let hash = Action::Hash { key: key(), length: 32 };
    for action in [hash, tokenize(Alphabet::Digits)] {
        let set = MaskSet::new(vec![rule(action)], Keys::default());
        assert_eq!(set.missing_keys(), [&key()]);
        let plan = text_plan(&set.masker(&RuleSet::default()), &[Source::Column(RuleSet::one(0))]);
        assert_eq!(run(&plan, &row(&[Some(b"536904399")])).1, row(&[Some(b"[REDACTED]")]));
    }
}

#[test]
fn where_rules_meet_a_token_is_stronger_than_a_hash() {
    let hash = Action::Hash { key: key(), length: 32 };
    let both: RuleSet = [0, 1].into_iter().collect();
    let plan = text_plan(
        &masker(vec![rule(hash), rule(tokenize(Alphabet::Digits))]),
        &[Source::Column(both)],
    );
    assert_eq!(
        run(&plan, &row(&[Some(b"536-90-4399")])).1,
        row(&[Some(b"806-03-2987")])
    );
}

#[test]
fn strict_refuses_what_it_cannot_decode() {
    let globs = vec![crate::mask::ColumnGlob::parse("a.b.c").unwrap()];
    let strict = Rule {
        profile: Profile::Strict,
        columns: globs,
        ..rule(Action::Redact)
    };
    let masker = masker(vec![strict]);
    for source in [Source::Unknown, Source::Tainted(RuleSet::one(0))] {
        let plan = masker.plan(&[column(99_999, Format::Binary, source)]);
        assert_eq!(
            run(&plan, &row(&[Some(b"x")])).0,
            Err(RowError::Undecodable { column: 1 })
        );
    }
}

#[test]
fn debug_shows_no_values() {
    let text = format!(
        "{:?}",
        text_plan(
            &masker(vec![rule(Action::Replace { with: "x".into() })]),
            &[Source::Plain]
        )
    );
    assert_eq!(text, "RowPlan { columns: 1, .. }");
}

proptest! {
    #[test]
    fn any_body_is_taken(body in proptest::collection::vec(any::<u8>(), 0..80), columns in 0usize..4) {
        let sources = [Source::Plain, Source::Column(RuleSet::one(0)), Source::Unknown, Source::Plain];
        let plan = text_plan(&redacting(), &sources[..columns]);
        let (outcome, out, _) = run(&plan, &body);
        prop_assert_eq!(outcome == Ok(RowOutcome::Written), !out.is_empty());
    }

    #[test]
    fn a_rewritten_row_is_a_row(fields in proptest::collection::vec(proptest::option::of("[a-z0-9@. -]{0,30}"), 3)) {
        let plan = text_plan(&redacting(), &[Source::Plain, Source::Column(RuleSet::one(0)), Source::Plain]);
        let fields: Vec<Option<&[u8]>> = fields.iter().map(|f| f.as_deref().map(str::as_bytes)).collect();
        let (outcome, out, _) = run(&plan, &row(&fields));
        if outcome == Ok(RowOutcome::Written) {
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.u16(), Some(3));
            for field in &fields {
                prop_assert_eq!(reader.value().map(|v| v.is_none()), Some(field.is_none()));
            }
            prop_assert!(reader.is_empty());
        }
    }
}
