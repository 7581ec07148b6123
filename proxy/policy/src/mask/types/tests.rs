mod detectors;
mod hashes;

use proptest::prelude::*;
use sallyport_crds::masking_rule::{Alphabet, DatePart};

use super::*;
use crate::mask::action::{Action, Partial};
use crate::mask::plan::{Format, Source};
use crate::mask::rule::RuleSet;
use crate::mask::testing::{column, key, mask, masker, redacting, rule, tokenize};

fn protected() -> Source {
    Source::Column(RuleSet::one(0))
}

fn hex(text: &str) -> Vec<u8> {
    bytea::from_hex(format!("\\x{}", text.replace(' ', "")).as_bytes()).unwrap()
}

/// Type OID, a value in text form, the same in binary.
fn values() -> Vec<(u32, &'static str, Vec<u8>)> {
    let same = |oid, text: &'static str| (oid, text, text.as_bytes().to_vec());
    vec![
        same(25, "536-90-4399"),
        same(1043, "Ada"),
        same(1042, "Ada  "),
        same(19, "ada"),
        same(114, "{\"a\": 1}"),
        (3802, "{\"a\": 1}", b"\x01{\"a\": 1}".to_vec()),
        same(142, "<a/>"),
        same(18, "x"),
        (21, "7", 7i16.to_be_bytes().to_vec()),
        (23, "-7", (-7i32).to_be_bytes().to_vec()),
        (20, "536904399", 536_904_399i64.to_be_bytes().to_vec()),
        (700, "1.5", 1.5f32.to_be_bytes().to_vec()),
        (701, "1.5", 1.5f64.to_be_bytes().to_vec()),
        (1700, "4111111111111111", numeric::encode("4111111111111111").unwrap()),
        (16, "t", vec![1]),
        (1082, "1980-01-02", (-7304i32).to_be_bytes().to_vec()),
        (1114, "2000-01-01 00:00:01", 1_000_000i64.to_be_bytes().to_vec()),
        (1184, "2000-01-01 00:00:01+00", 1_000_000i64.to_be_bytes().to_vec()),
        (
            2950,
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            hex("a0eebc999c0b4ef8bb6d6bb9bd380a11"),
        ),
        (869, "10.1.2.3", vec![2, 32, 0, 4, 10, 1, 2, 3]),
        (17, "\\x3533362d39302d34333939", b"536-90-4399".to_vec()),
        (
            1009,
            "{x,\"5 3\",NULL}",
            hex("00000001 00000001 00000019 00000003 00000001 00000001 78 00000003 352033 ffffffff"),
        ),
        (
            1007,
            "{1,2}",
            hex("00000001 00000000 00000017 00000002 00000001 00000004 00000001 00000004 00000002"),
        ),
        (
            2249,
            "(1,Ada)",
            hex("00000002 00000017 00000004 00000001 00000019 00000003 416461"),
        ),
        (3904, "[1,2)", hex("02 00000004 00000001 00000004 00000002")),
        (
            2277,
            "{x}",
            hex("00000001 00000000 00000019 00000001 00000001 00000001 78"),
        ),
        (600, "(1,2)", [1f64.to_be_bytes(), 2f64.to_be_bytes()].concat()),
        (99_999, "whatever", b"whatever".to_vec()),
    ]
}

/// A masked value in text form, whichever form it came in: `None` is NULL.
fn shown(oid: u32, format: Format, value: Option<Vec<u8>>) -> Option<String> {
    let value = value?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    if format == Format::Text {
        return Some(text(&value));
    }
    Some(match oid {
        21 => i16::from_be_bytes(value.try_into().unwrap()).to_string(),
        23 => i32::from_be_bytes(value.try_into().unwrap()).to_string(),
        20 => i64::from_be_bytes(value.try_into().unwrap()).to_string(),
        700 => f32::from_be_bytes(value.try_into().unwrap()).to_string(),
        701 => f64::from_be_bytes(value.try_into().unwrap()).to_string(),
        1700 => numeric::decode(&value).unwrap(),
        16 => if value == [1] { "t" } else { "f" }.to_owned(),
        1082 => format!("{}d", i32::from_be_bytes(value.try_into().unwrap())),
        1114 | 1184 => format!("{}us", i64::from_be_bytes(value.try_into().unwrap())),
        2950 => {
            let mut out = Vec::new();
            constant::put_uuid(&value.try_into().unwrap(), &mut out);
            text(&out)
        }
        869 => format!("{value:?}"),
        17 => text(&bytea::encode(&value, Format::Text)),
        3802 => text(value.strip_prefix(&[1]).unwrap()),
        1009 | 1007 => format!("{value:02x?}"),
        _ => text(&value),
    })
}

#[test]
fn an_action_gives_the_same_in_text_and_binary() {
    let actions = [
        Action::Null,
        Action::Redact,
        Action::Replace { with: "0".into() },
        Action::Replace {
            with: "x, \"y\"".into(),
        },
        tokenize(Alphabet::Digits),
        tokenize(Alphabet::AlphanumericLower),
        Action::Hash { key: key(), length: 32 },
        Action::Partial(Partial {
            keep_first: 0,
            keep_last: 2,
            mask: '*',
        }),
    ];
    for action in actions {
        let masker = masker(vec![rule(action.clone())]);
        for (oid, text, binary) in values() {
            let as_text = mask(&masker, column(oid, Format::Text, protected()), text.as_bytes());
            let as_binary = mask(&masker, column(oid, Format::Binary, protected()), &binary);
            assert_eq!(as_text.is_none(), as_binary.is_none(), "{action:?} of {oid}");
            assert_ne!(
                as_text.as_deref(),
                Some(text.as_bytes()),
                "{action:?} of {oid} shows the value"
            );
            // Arrays are compared below; times have one text form and are compared by their number there.
            if !matches!(oid, 1009 | 1007) {
                let (as_text, as_binary) = (shown(oid, Format::Text, as_text), shown(oid, Format::Binary, as_binary));
                assert_eq!(as_text, as_binary, "{action:?} of {oid}");
            }
        }
    }
}

#[test]
fn the_table_of_actions_and_types() {
    let replace = |with: &str| Action::Replace { with: with.into() };
    let hash = || Action::Hash { key: key(), length: 16 };
    let token = || tokenize(Alphabet::Digits);
    let cases: Vec<(Action, u32, &str, Option<&str>)> = vec![
        (Action::Redact, 25, "Ada", Some("[REDACTED]")),
        (Action::Redact, 3802, "{}", Some("\"[REDACTED]\"")),
        (Action::Redact, 142, "<a/>", Some("[REDACTED]")),
        (Action::Redact, 17, "\\x00", Some("\\x5b52454441435445445d")),
        (Action::Redact, 23, "7", None),
        (Action::Redact, 18, "x", None),
        (Action::Redact, 2249, "(1,2)", None),
        (Action::Redact, 99_999, "(1,2)", None),
        (
            Action::Redact,
            1009,
            "{x,\"5 3\",NULL}",
            Some("{[REDACTED],[REDACTED],NULL}"),
        ),
        (
            Action::Redact,
            1009,
            "[2:3]={{x},{y}}",
            Some("[2:3]={{[REDACTED]},{[REDACTED]}}"),
        ),
        (Action::Redact, 1007, "{1,NULL,2}", Some("{NULL,NULL,NULL}")),
        (Action::Redact, 1009, "{}", Some("{}")),
        (Action::Null, 25, "Ada", None),
        (replace("<b>"), 142, "x", Some("&lt;b&gt;")),
        (replace("a,b"), 1009, "{x}", Some("{\"a,b\"}")),
        (replace("a\"b"), 114, "1", Some("\"a\\\"b\"")),
        (replace("0"), 23, "7", Some("0")),
        (replace("0"), 21, "7", Some("0")),
        (replace("70000"), 21, "7", None),
        (replace("-0.50"), 1700, "7", Some("-0.50")),
        (replace("no"), 16, "t", Some("f")),
        (replace("1900-01-01"), 1082, "1980-01-02", Some("1900-01-01")),
        (replace("1900-01-01"), 1114, "x", Some("1900-01-01 00:00:00")),
        (
            replace("1900-01-01T01:02:03.5"),
            1184,
            "x",
            Some("1900-01-01 01:02:03.5+00"),
        ),
        (
            replace("00000000-0000-0000-0000-000000000000"),
            2950,
            "x",
            Some("00000000-0000-0000-0000-000000000000"),
        ),
        (replace("10.0.0.0/8"), 869, "x", Some("10.0.0.0/8")),
        (replace("10.0.0.0/33"), 869, "x", None),
        (replace("\\xff"), 17, "\\x00", Some("\\xff")),
        (replace("x"), 701, "7", None),
        (replace("inf"), 701, "7", None),
        (hash(), 23, "7", None),
        (hash(), 1082, "1980-01-02", None),
        (token(), 25, "536-90-4399", Some("806-03-2987")),
        (token(), 1043, "536904399", Some("806032987")),
        (token(), 1042, "536904399   ", Some("806032987   ")),
        (token(), 25, "Ada", Some("[REDACTED]")),
        (token(), 25, "12345", Some("[REDACTED]")),
        (
            token(),
            1009,
            "[2:4]={536-90-4399,NULL,x}",
            Some("[2:4]={806-03-2987,NULL,[REDACTED]}"),
        ),
        (token(), 1007, "{1234567,NULL,7}", Some("{3906498,NULL,NULL}")),
        (token(), 23, "536904399", Some("806032987")),
        (token(), 20, "536904399", Some("806032987")),
        (token(), 20, "-536904399", None),
        (token(), 20, "123456", None),
        (token(), 21, "12345", None),
        (token(), 1700, "4111111111111111", Some("5277876380163294")),
        (token(), 1700, "4111111111111111.00", Some("5277876380163294.00")),
        (token(), 1700, "4111111111111111.50", None),
        (token(), 1700, "NaN", None),
        (token(), 701, "536904399", None),
        (token(), 114, "\"536904399\"", Some("\"[REDACTED]\"")),
        (token(), 17, "\\x00", Some("\\x5b52454441435445445d")),
        (token(), 2950, "53690439-9000-4000-8000-000000000000", None),
        (tokenize(Alphabet::AlphanumericLower), 20, "536904399", None),
    ];
    for (action, oid, value, want) in cases {
        let masker = masker(vec![rule(action.clone())]);
        let got = mask(&masker, column(oid, Format::Text, protected()), value.as_bytes());
        assert_eq!(
            got.map(|bytes| String::from_utf8(bytes).unwrap()).as_deref(),
            want,
            "{action:?} of {oid}"
        );
    }
}

#[test]
fn replaced_times_are_the_same_moment_in_binary() {
    let masker = masker(vec![rule(Action::Replace {
        with: "1999-12-31".into(),
    })]);
    let get = |oid| mask(&masker, column(oid, Format::Binary, protected()), b"x").unwrap();
    assert_eq!(get(1082), (-1i32).to_be_bytes());
    assert_eq!(get(1114), (-86_400_000_000i64).to_be_bytes());
    assert_eq!(get(1184), (-86_400_000_000i64).to_be_bytes());
}

#[test]
fn coarser_dates_are_the_same_day_in_text_and_binary() {
    let months = masker(vec![rule(Action::Generalize(DatePart::Month))]);
    let years = masker(vec![rule(Action::Generalize(DatePart::Year))]);
    let text = |masker, oid, value: &str| {
        let got = mask(masker, column(oid, Format::Text, protected()), value.as_bytes());
        got.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    for (oid, value, month, year) in [
        (1082, "1980-02-29", Some("1980-02-01"), Some("1980-01-01")),
        (
            1114,
            "1980-02-29 10:11:12.5",
            Some("1980-02-01 00:00:00"),
            Some("1980-01-01 00:00:00"),
        ),
        (
            1184,
            "1980-01-01 00:30:00+02",
            Some("1979-12-01 00:00:00+00"),
            Some("1979-01-01 00:00:00+00"),
        ),
        (
            1182,
            "{1980-02-29,NULL}",
            Some("{1980-02-01,NULL}"),
            Some("{1980-01-01,NULL}"),
        ),
        (1082, "infinity", None, None),
        (1082, "0044-03-15 BC", None, None),
        (1114, "0044-03-15 10:00:00 BC", None, None),
        (1082, "29.02.1980", None, None),
        (25, "1980-02-29", None, None),
        (20, "19800229", None, None),
    ] {
        assert_eq!(text(&months, oid, value).as_deref(), month, "{oid} {value}");
        assert_eq!(text(&years, oid, value).as_deref(), year, "{oid} {value}");
    }
    let binary = |oid, value: &[u8]| mask(&months, column(oid, Format::Binary, protected()), value);
    // The last of December 1999, and a second before it became 2000.
    assert_eq!(binary(1082, &(-1i32).to_be_bytes()).unwrap(), (-31i32).to_be_bytes());
    for oid in [1114, 1184] {
        let first = (-31 * 86_400_000_000i64).to_be_bytes();
        assert_eq!(binary(oid, &(-1_000_000i64).to_be_bytes()).unwrap(), first, "{oid}");
    }
    for infinite in [i32::MAX, i32::MIN] {
        assert_eq!(binary(1082, &infinite.to_be_bytes()), None);
    }
    for infinite in [i64::MAX, i64::MIN] {
        assert_eq!(binary(1184, &infinite.to_be_bytes()), None);
    }
    // What is made from a date could be led through all of them.
    let made = column(1082, Format::Text, Source::Tainted(RuleSet::one(0)));
    assert_eq!(mask(&months, made, b"1980-02-29"), None);
}

#[test]
fn types_of_the_catalog_count_within_values() {
    let types = Types::from([
        (20_000, Class::Text),
        (20_001, Class::Array(20_000)),
        (20_002, Class::Label),
    ]);
    let types = std::sync::Arc::new(types);
    let get = |masker: &std::sync::Arc<crate::mask::Masker>, oid, format, source, value: &[u8]| {
        let plan = masker.plan_with(&[column(oid, format, source)], &types);
        let mut out = Vec::new();
        match plan.field(0, value, &mut out, &mut plan.counts()).unwrap() {
            crate::mask::Outcome::Unchanged => Some(value.to_vec()),
            crate::mask::Outcome::Written => Some(out),
            crate::mask::Outcome::Null => None,
        }
    };
    let citexts = "00000001 00000000 00004e20 00000001 00000001 0000000b 3533362d39302d34333939";
    let masked = "00000001 00000000 00004e20 00000001 00000001 0000000a 5b52454441435445445d";
    assert_eq!(
        get(&redacting(), 20_001, Format::Binary, Source::Unknown, &hex(citexts)),
        Some(hex(masked))
    );
    let whole = masker(vec![rule(Action::Redact)]);
    assert_eq!(
        get(&whole, 20_001, Format::Binary, protected(), &hex(citexts)),
        Some(hex(masked))
    );
    assert_eq!(
        get(&whole, 20_001, Format::Text, protected(), b"{a,NULL}"),
        Some(b"{[REDACTED],NULL}".to_vec())
    );
    // No other text is a label.
    assert_eq!(get(&whole, 20_002, Format::Text, protected(), b"gold"), None);
    assert_eq!(
        get(&redacting(), 20_002, Format::Text, Source::Plain, b"gold"),
        Some(b"gold".to_vec())
    );
}

proptest! {
    #[test]
    fn numeric_text_survives_binary(text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?") {
        let canonical = numeric::canonical(&text).unwrap();
        prop_assert_eq!(numeric::decode(&numeric::encode(&text).unwrap()), Some(canonical));
    }

    #[test]
    fn json_stays_json(name in "\\PC{0,8}", text in "\\PC{0,20}", number: i32) {
        let value = serde_json::json!({"id": number, name: [text.clone(), "536-90-4399", {"card": 4111111111111111i64}]});
        let masked = mask(&redacting(), column(114, Format::Text, Source::Plain), value.to_string().as_bytes()).unwrap();
        let masked: serde_json::Value = serde_json::from_slice(&masked).unwrap();
        prop_assert!(!masked.to_string().contains("536-90-4399"));
        prop_assert_eq!(&masked["id"], &value["id"]);
    }

    #[test]
    fn text_arrays_stay_arrays(words in proptest::collection::vec("[a-z{}\", \\\\]{0,6}", 0..6)) {
        let quote = |word: &String| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""));
        let value = format!("{{{}}}", words.iter().map(quote).chain(["536-90-4399".into()]).collect::<Vec<_>>().join(","));
        let masked = mask(&redacting(), column(1009, Format::Text, Source::Plain), value.as_bytes()).unwrap();
        prop_assert_eq!(String::from_utf8(masked).unwrap(), value.replace("536-90-4399", "[REDACTED]"));
    }

    #[test]
    fn any_bytes_of_any_type_are_taken(
        oid in prop_oneof![Just(25u32), Just(114), Just(3802), Just(17), Just(1700), Just(20), Just(1009), Just(2249),
            Just(3906), Just(4532), Just(2950), Just(142), Just(99_999)],
        binary: bool,
        unknown: bool,
        value in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let format = if binary { Format::Binary } else { Format::Text };
        let source = if unknown { Source::Unknown } else { Source::Plain };
        mask(&redacting(), column(oid, format, source), &value);
        for action in [Action::Hash { key: key(), length: 32 }, tokenize(Alphabet::Alphanumeric)] {
            let masked = mask(&masker(vec![rule(action)]), column(oid, format, protected()), &value);
            if let Some(masked) = masked && value.len() > 8 && !matches!(oid, 1009) {
                prop_assert!(!masked.windows(value.len()).any(|w| w == value));
            }
        }
    }
}
