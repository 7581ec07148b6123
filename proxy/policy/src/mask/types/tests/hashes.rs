//! Hashes: what they join, and that they stay.

use super::*;

#[test]
fn hashes_are_stable_and_join() {
    let masker = masker(vec![rule(Action::Hash { key: key(), length: 32 })]);
    let hash = |oid: u32, format, value: &[u8]| mask(&masker, column(oid, format, protected()), value).unwrap();
    let text = hash(25, Format::Text, b"536904399");
    assert_eq!(text.len(), 32);
    assert_eq!(hash(1043, Format::Text, b"536904399"), text);
    assert_eq!(hash(1042, Format::Text, b"536904399   "), text);
    assert_ne!(hash(25, Format::Text, b"536904398"), text);
    let number = hash(20, Format::Text, b"536904399");
    assert_eq!(hash(1700, Format::Text, b"536904399.00"), number);
    assert!(String::from_utf8(number).unwrap().parse::<i64>().unwrap() >= 0);
    // numeric(10,2) cannot hold it.
    let mut info = column(1700, Format::Text, protected());
    info.type_modifier = ((10 << 16) | 2) + 4;
    assert_eq!(mask(&masker, info, b"1.00"), None);
}

/// A later version that made others would tell people apart who are one, and rows that joined would not.
#[test]
fn hashes_are_those_of_the_first_version() {
    let masker = masker(vec![rule(Action::Hash { key: key(), length: 32 })]);
    for (oid, value, hash) in [
        (25, "536904399", "a6e737313f02f1da48c5259cbdd4f829"),
        (20, "536904399", "2803269977711505882"),
        (
            2950,
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "f79a70e3-55b1-87db-8b3b-117989fae8c5",
        ),
        (17, "\\x3533362d39302d34333939", "\\x32faa30d41cb879cc1833d0649af7d6d"),
        (3802, "{\"a\": 1}", "\"d7a272140c7d82f25fbd0427bb5c74fa\""),
    ] {
        let shown = mask(&masker, column(oid, Format::Text, protected()), value.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), hash, "{oid}");
    }
}
