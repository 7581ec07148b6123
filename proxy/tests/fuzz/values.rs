//! Rows, COPY, and values of every type that has a decoder.

use std::sync::Arc;

use sallyport_crds::reference::SecretKeyReference;
use sallyport_policy::mask::copy::{CopyFormat, CopyMasker};
use sallyport_policy::mask::detect::DETECTORS;
use sallyport_policy::mask::{
    ColumnInfo, Format, HashKey, Masker, Outcome, RowOutcome, RowPlan, RuleSet, Source, TokenKey,
};
use sallyport_policy::{Policy, Subject};
use sallyport_proxy::postgres::frame::Body;
use serde_json::{Value, json};

use super::answers::shows_canary;
use super::common::door::Given;
use super::dice::Dice;
use super::{ROUNDS, corpus, fuzz};

/// All detectors, and every action on a column.
fn maskers() -> Vec<Arc<Masker>> {
    let (redact, null, partial) = (
        json!({"type": "Redact"}),
        json!({"type": "Null"}),
        json!({"type": "Partial", "partial": {"keepLast": 4}}),
    );
    let key: SecretKeyReference = serde_json::from_value(json!({"name": "keys", "key": "key"})).unwrap();
    let masker = |column: &Value, found: &Value| {
        let columns = json!({"columns": ["public.customers.ssn"]});
        let detectors: Vec<_> = DETECTORS.iter().map(|detector| detector.name).collect();
        let mut given = Given::open()
            .mask("columns", json!({"match": columns, "action": column}))
            .mask("detectors", json!({"match": {"detectors": detectors}, "action": found}));
        given.keys.hash.insert(key.clone(), HashKey::new(&[1; 32]).unwrap());
        given.keys.token.insert(key.clone(), TokenKey::new(&[2; 32]).unwrap());
        let policy = Policy::with_keys(&given.carrier(1, 1), given.keys).unwrap();
        policy.masker(&Subject::default())
    };
    let others = [
        json!({"type": "Replace", "replace": {"with": "7"}}),
        json!({"type": "Hash", "hash": {"keySecretRef": key}}),
        json!({"type": "Tokenize", "tokenize": {"keySecretRef": key}}),
        json!({"type": "Generalize", "generalize": {"datesTo": "Month"}}),
    ];
    let same = [&redact, &null, &partial].map(|action| masker(action, action));
    let others = others.iter().map(|action| masker(action, &redact));
    same.into_iter().chain(others).collect()
}

/// Types with a decoder of their own, and some without.
const TYPES: [u32; 34] = [
    16, 17, 18, 19, 20, 21, 23, 25, 114, 142, 700, 701, 869, 1000, 1007, 1009, 1016, 1042, 1043, 1082, 1114, 1184,
    1231, 1700, 2249, 2287, 2950, 3802, 3807, 3904, 3906, 4451, 600, 99_999,
];

/// Wherever a value may come from.
fn sources() -> [Source; 4] {
    [
        Source::Plain,
        Source::Unknown,
        Source::Column(RuleSet::one(0)),
        Source::Tainted(RuleSet::one(0)),
    ]
}

/// Where protected values come through expressions: nothing of them is shown, whatever the action.
fn hidden() -> [Source; 1] {
    [Source::Tainted(RuleSet::one(0))]
}

fn plan(masker: &Arc<Masker>, count: usize, dice: &mut Dice, format: Option<Format>, sources: &[Source]) -> RowPlan {
    let mut column = |number: usize| ColumnInfo {
        name: format!("c{number}"),
        type_oid: *dice.pick(&TYPES),
        type_modifier: -1,
        format: format.unwrap_or(*dice.pick(&[Format::Text, Format::Binary])),
        source: dice.pick(sources).clone(),
        class: None,
    };
    let columns: Vec<_> = (0..count).map(&mut column).collect();
    masker.plan(&columns)
}

#[test]
fn rows_of_every_type() {
    let maskers = maskers();
    let (sources, hidden) = (sources(), hidden());
    fuzz("rows", ROUNDS, &corpus::of("rows"), |bytes, dice| {
        let masker = dice.pick(&maskers);
        let mut masked = Vec::new();
        let protected = plan(masker, 3, dice, None, &hidden);
        let sent: &[u8] = match protected.row(bytes, &mut masked, &mut protected.counts()) {
            Ok(RowOutcome::Written) => &masked,
            Ok(RowOutcome::Unchanged) => bytes,
            Err(_) => &[],
        };
        assert!(!shows_canary(sent), "it is hidden whole");
        let plan = plan(masker, 3, dice, None, &sources);
        let mut counts = plan.counts();
        let mut out = b"before".to_vec();
        let written = plan.row(bytes, &mut out, &mut counts);
        assert!(out.starts_with(b"before"), "what stood there stays");
        if !matches!(written, Ok(RowOutcome::Written)) {
            assert_eq!(out, b"before");
            return;
        }
        // What is sent is a row of as many columns.
        let mut body = Body::new(&out[6..]);
        assert_eq!(body.count(), Ok(3));
        for _ in 0..3 {
            body.value().unwrap();
        }
        body.end().unwrap();
    });
}

/// An input is a type's OID, `b` or `t` for its format, and a value.
#[test]
fn values_of_their_types() {
    let maskers = maskers();
    let sources = sources();
    fuzz("values", ROUNDS, &corpus::of("values"), |bytes, dice| {
        let Some(([a, b, c, d, form], value)) = bytes.split_first_chunk::<5>() else {
            return;
        };
        let masker = dice.pick(&maskers);
        for source in &sources {
            let column = ColumnInfo {
                name: "c".to_owned(),
                type_oid: u32::from_be_bytes([*a, *b, *c, *d]),
                type_modifier: -1,
                format: if *form == b'b' { Format::Binary } else { Format::Text },
                source: source.clone(),
                class: None,
            };
            let plan = masker.plan(&[column]);
            let (mut out, mut counts) = (b"before".to_vec(), plan.counts());
            let outcome = plan.field(0, value, &mut out, &mut counts).unwrap();
            assert!(out.starts_with(b"before"), "what stood there stays");
            assert!(outcome == Outcome::Written || out.len() == 6, "nothing else is written");
            if matches!(source, Source::Tainted(_)) {
                assert!(
                    outcome != Outcome::Unchanged && !shows_canary(&out),
                    "it is hidden whole"
                );
            }
        }
    });
}

#[test]
fn copy_streams() {
    let maskers = maskers();
    let formats = [
        CopyFormat::text(),
        CopyFormat::csv(),
        CopyFormat::Binary,
        CopyFormat::Csv {
            delimiter: b';',
            quote: b'6',
            escape: b'\\',
            null: b"NULL".to_vec(),
            header: true,
        },
        CopyFormat::Text {
            delimiter: b'|',
            null: b"-".to_vec(),
            header: true,
        },
    ];
    let (sources, hidden) = (sources(), hidden());
    fuzz("copy", ROUNDS, &corpus::of("copy"), |bytes, dice| {
        let masker = dice.pick(&maskers);
        let format = dice.pick(&formats).clone();
        let form = if format == CopyFormat::Binary {
            Format::Binary
        } else {
            Format::Text
        };
        let run = |plan: &RowPlan, dice: &mut Dice| {
            let mut counts = plan.counts();
            let mut copy = CopyMasker::new(plan.clone(), format.clone(), 64);
            let (mut out, mut rest, mut taken) = (Vec::new(), bytes, true);
            while taken && !rest.is_empty() {
                let n = 1 + dice.below(rest.len());
                taken = copy.push(&rest[..n], &mut out, &mut counts).is_ok();
                rest = &rest[n..];
            }
            let whole = taken && copy.finish(&mut out, &mut counts).is_ok();
            (out, whole)
        };
        // Names of columns are no values. What goes ahead of an error is sent, too.
        let headed = matches!(
            format,
            CopyFormat::Csv { header: true, .. } | CopyFormat::Text { header: true, .. }
        );
        let (sent, _) = run(&plan(masker, 3, dice, Some(form), &hidden), dice);
        assert!(headed || !shows_canary(&sent), "it is hidden whole");
        let plan = plan(masker, 3, dice, Some(form), &sources);
        let whole = |(out, whole): (Vec<u8>, bool)| whole.then_some(out);
        assert_eq!(
            whole(run(&plan, dice)),
            whole(run(&plan, dice)),
            "where messages end means nothing"
        );
    });
}
