//! Detectors look into values of every form.

use super::*;
use crate::mask::detect::Kind;
use crate::mask::testing::detecting;

#[test]
fn detectors_look_into_every_form() {
    let masker = redacting();
    let array = "00000001 00000000 00000019 00000002 00000001 00000001 78 0000000b 3533362d39302d34333939";
    let masked = "00000001 00000000 00000019 00000002 00000001 00000001 78 0000000a 5b52454441435445445d";
    let record = "00000002 00000017 00000004 00000001 00000019 0000000b 3533362d39302d34333939";
    let masked_record = "00000002 00000017 00000004 00000001 00000019 0000000a 5b52454441435445445d";
    let card = numeric::encode("4111111111111111").unwrap();
    let range = [&[2, 0, 0, 0, 16][..], &card, &[0, 0, 0, 16], &card].concat();
    type Case = (u32, Format, Vec<u8>, Option<Vec<u8>>);
    let cases: Vec<Case> = vec![
        (
            25,
            Format::Text,
            b"ssn: 536-90-4399!".to_vec(),
            Some(b"ssn: [REDACTED]!".to_vec()),
        ),
        (
            114,
            Format::Text,
            br#"{"a": ["536-90-4399", 5]}"#.to_vec(),
            Some(br#"{"a": ["[REDACTED]", 5]}"#.to_vec()),
        ),
        (
            114,
            Format::Text,
            br#"{"a":"536\u002d90-4399\n"}"#.to_vec(),
            Some(br#"{"a":"[REDACTED]\n"}"#.to_vec()),
        ),
        (
            114,
            Format::Text,
            br#"{"a@b.cd": 1}"#.to_vec(),
            Some(br#"{"[REDACTED]": 1}"#.to_vec()),
        ),
        (
            114,
            Format::Text,
            br#"{"x": 4111111111111111}"#.to_vec(),
            Some(br#"{"x": "[REDACTED]"}"#.to_vec()),
        ),
        (
            114,
            Format::Text,
            br#"{"ssn": 536904399}"#.to_vec(),
            Some(br#"{"ssn": "[REDACTED]"}"#.to_vec()),
        ),
        (
            114,
            Format::Text,
            br#"{"order": 536904399}"#.to_vec(),
            Some(br#"{"order": 536904399}"#.to_vec()),
        ),
        (
            3802,
            Format::Binary,
            b"\x01{\"ssn\": \"536-90-4399\"}".to_vec(),
            Some(b"\x01{\"ssn\": \"[REDACTED]\"}".to_vec()),
        ),
        (3802, Format::Binary, b"\x02{\"ssn\": \"536-90-4399\"}".to_vec(), None),
        (
            17,
            Format::Text,
            b"\\x3533362d39302d34333939".to_vec(),
            Some(b"\\x5b52454441435445445d".to_vec()),
        ),
        (
            17,
            Format::Binary,
            b"536-90-4399".to_vec(),
            Some(b"[REDACTED]".to_vec()),
        ),
        (
            17,
            Format::Text,
            b"\\000536-90-4399".to_vec(),
            Some(b"\\x005b52454441435445445d".to_vec()),
        ),
        (
            1009,
            Format::Text,
            b"{x,536-90-4399}".to_vec(),
            Some(b"{x,[REDACTED]}".to_vec()),
        ),
        (
            1009,
            Format::Text,
            br#"{{"a \" b","4111 1111 1111 1111"}}"#.to_vec(),
            Some(br#"{{"a \" b",[REDACTED]}}"#.to_vec()),
        ),
        (1009, Format::Binary, hex(array), Some(hex(masked))),
        (2249, Format::Binary, hex(record), Some(hex(masked_record))),
        (
            2249,
            Format::Text,
            b"(1,Ada,536-90-4399,)".to_vec(),
            Some(b"(1,Ada,[REDACTED],)".to_vec()),
        ),
        (1700, Format::Text, b"4111111111111111".to_vec(), None),
        (1700, Format::Text, b"4111111111111111.00".to_vec(), None),
        (1700, Format::Binary, card, None),
        (1700, Format::Text, b"536904399".to_vec(), Some(b"536904399".to_vec())),
        (3906, Format::Text, b"[4111111111111111,5)".to_vec(), None),
        (3906, Format::Binary, range, None),
        (20, Format::Text, b"536904399".to_vec(), Some(b"536904399".to_vec())),
        (
            99_999,
            Format::Text,
            b"\"a\"=>\"536-90-4399\"".to_vec(),
            Some(b"\"a\"=>\"[REDACTED]\"".to_vec()),
        ),
        (
            194,
            Format::Text,
            b"{CONST :constvalue 15 [ 60 0 0 0 53 51 54 45 57 48 45 52 51 57 57 ]}".to_vec(),
            Some(b"{CONST :constvalue 15 [ [REDACTED] ]}".to_vec()),
        ),
        (
            194,
            Format::Binary,
            b"{CONST :constvalue 15 [ 60 0 0 0 53 51 54 45 57 48 45 52 51 57 57 ]}".to_vec(),
            None,
        ),
        (
            194,
            Format::Text,
            b"{CONST :constvalue 4 [ 7 0 0 0 0 0 0 0 ]}".to_vec(),
            Some(b"{CONST :constvalue 4 [ 7 0 0 0 0 0 0 0 ]}".to_vec()),
        ),
        (99_999, Format::Binary, b"\x00\x01536-90-4399".to_vec(), None),
        (
            99_999,
            Format::Binary,
            b"\x00\x01536-90".to_vec(),
            Some(b"\x00\x01536-90".to_vec()),
        ),
        (1009, Format::Binary, b"\x00\x00\x00\x01 broken".to_vec(), None),
    ];
    for (oid, format, value, want) in cases {
        let got = mask(&masker, column(oid, format, Source::Plain), &value);
        assert_eq!(got, want, "{oid} {format:?} {}", String::from_utf8_lossy(&value));
    }
}

#[test]
fn integers_are_looked_at_when_told() {
    let told = crate::mask::Rule {
        integers: true,
        ..detecting(Action::Redact, &[Kind::UsSsn])
    };
    let masker = masker(vec![told]);
    let get = |oid, format, value: &[u8]| mask(&masker, column(oid, format, Source::Plain), value);
    assert_eq!(get(20, Format::Text, b"536904399"), None);
    assert_eq!(get(20, Format::Binary, &536_904_399i64.to_be_bytes()), None);
    assert_eq!(get(23, Format::Binary, &536_904_399i32.to_be_bytes()), None);
    assert_eq!(get(1700, Format::Text, b"536904399"), None);
    assert!(get(20, Format::Text, b"12").is_some());
    assert_eq!(get(1007, Format::Text, b"{1,536904399}"), Some(b"{1,NULL}".to_vec()));
}

#[test]
fn unknown_binary_types() {
    let masker = redacting();
    let unknown = |source| mask(&masker, column(99_999, Format::Binary, source), b"harmless");
    assert!(unknown(Source::Plain).is_some());
    assert_eq!(unknown(Source::Unknown), None);
    // The catalog knows better: citext.
    let mut citext = column(99_999, Format::Binary, Source::Unknown);
    citext.class = Some(Class::Text);
    assert_eq!(mask(&masker, citext, b"a@b.cd"), Some(b"[REDACTED]".to_vec()));
}

#[test]
fn numbers_out_of_opaque_code_are_looked_at() {
    let masker = redacting();
    let get = |oid, format, source, value: &[u8]| mask(&masker, column(oid, format, source), value);
    let number = 536_904_399i64;
    let cases: Vec<(u32, Format, Vec<u8>)> = vec![
        (20, Format::Text, b"536904399".to_vec()),
        (20, Format::Binary, number.to_be_bytes().to_vec()),
        (23, Format::Binary, 536_904_399i32.to_be_bytes().to_vec()),
        (1700, Format::Text, b"536904399.0".to_vec()),
        (701, Format::Text, b"536904399".to_vec()),
        (701, Format::Binary, 536_904_399f64.to_be_bytes().to_vec()),
        (3926, Format::Text, b"[536904399,536904400)".to_vec()),
        (99_999, Format::Text, b"536904399".to_vec()),
    ];
    for (oid, format, value) in cases {
        assert!(
            get(oid, format, Source::Plain, &value).is_some(),
            "{oid}: a stored integer is left alone"
        );
        let got = get(oid, format, Source::Unknown, &value);
        assert!(got.is_none_or(|got| got == b"[REDACTED]"), "{oid}");
    }
    let rows = get(2249, Format::Text, Source::Unknown, b"(7,536904399,\"a, \"\"b\"\"\")");
    assert_eq!(rows, Some(b"(7,[REDACTED],\"a, \"\"b\"\"\")".to_vec()));
    assert_eq!(
        get(114, Format::Text, Source::Unknown, b"{\"a\":536904399}"),
        Some(b"{\"a\":\"[REDACTED]\"}".to_vec())
    );
    assert!(get(20, Format::Text, Source::Unknown, b"1234").is_some());
}

#[test]
fn statistics_show_arrays_of_anything() {
    let masker = redacting();
    let get = |format, value: &[u8]| mask(&masker, column(2277, format, Source::Unknown), value);
    assert_eq!(
        get(Format::Text, b"{536-90-4399,536904399,x}"),
        Some(b"{[REDACTED],[REDACTED],x}".to_vec())
    );
    let longs = hex("00000001 00000000 00000014 00000001 00000001 00000008 00000000200081cf");
    assert_eq!(
        get(Format::Binary, &longs).map(|got| got[3..8].to_vec()),
        Some(vec![1, 0, 0, 0, 1]),
        "has a NULL now"
    );
}
