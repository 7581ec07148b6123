use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::mask::testing::key;

/// The key of the samples; those of shorter ones begin it.
const KEY: [u8; 32] = [
    0x2B, 0x7E, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C, 0xEF, 0x43, 0x59,
    0xD8, 0xD5, 0x80, 0xAA, 0x4F, 0x7F, 0x03, 0x6D, 0x6F, 0x04, 0xFC, 0x6A, 0x94,
];

fn tokenizer(secret: &[u8], alphabet: Alphabet, keep: (usize, usize), tweak: &str) -> Tokenizer {
    let tokens = Tokens {
        key: key(),
        alphabet,
        keep_first: keep.0,
        keep_last: keep.1,
        tweak: tweak.to_owned(),
    };
    Tokenizer::new(&tokens, &TokenKey::new(secret).unwrap()).unwrap()
}

fn text(tokenizer: &Tokenizer, value: &str) -> Option<String> {
    let token = tokenizer.text(value.as_bytes());
    token.map(|token| String::from_utf8(token).unwrap())
}

/// <https://csrc.nist.gov/CSRC/media/Projects/Cryptographic-Standards-and-Guidelines/documents/examples/FF1samples.pdf>
#[test]
fn the_samples_of_nist() {
    use Alphabet::{AlphanumericLower, Digits};
    let (ten, nineteen) = ("0123456789", "0123456789abcdefghi");
    for (bytes, alphabet, tweak, value, want) in [
        (16, Digits, "", ten, "2433477484"),
        (16, Digits, "9876543210", ten, "6124200773"),
        (16, AlphanumericLower, "7777pqrs777", nineteen, "a9tv40mll9kdu509eum"),
        (24, Digits, "", ten, "2830668132"),
        (24, Digits, "9876543210", ten, "2496655549"),
        (24, AlphanumericLower, "7777pqrs777", nineteen, "xbj3kv35jrawxv32ysr"),
        (32, Digits, "", ten, "6657667009"),
        (32, Digits, "9876543210", ten, "1001623463"),
        (32, AlphanumericLower, "7777pqrs777", nineteen, "xs8a0azh2avyalyzuwd"),
    ] {
        let tokenizer = tokenizer(&KEY[..bytes], alphabet, (0, 0), tweak);
        assert_eq!(text(&tokenizer, value).as_deref(), Some(want), "AES-{}", bytes * 8);
    }
    // What is kept is the tweak, so that the second sample is this one, too.
    let kept = tokenizer(&KEY[..16], Digits, (10, 0), "");
    assert_eq!(
        text(&kept, "98765432100123456789").as_deref(),
        Some("98765432106124200773")
    );
    let ends = tokenizer(&KEY[..16], Digits, (5, 5), "");
    assert_eq!(
        text(&ends, "98765 0123456789 43210").as_deref(),
        Some("98765 6124200773 43210")
    );
}

#[test]
fn what_is_no_key_of_aes_is_none() {
    for length in 0..70 {
        let key = TokenKey::new(&vec![7; length]);
        assert_eq!(key.is_some(), TokenKey::BYTES.contains(&length), "{length}");
    }
    let key = TokenKey::new(&[7; 32]).unwrap();
    assert_eq!(key.id().len(), 16);
    assert_ne!(key.id(), TokenKey::new(&[8; 32]).unwrap().id());
    assert_eq!(format!("{key:?}"), "TokenKey(…)");
}

#[test]
fn separators_stay_and_nothing_else_does() {
    let card = tokenizer(&[7; 32], Alphabet::Digits, (6, 4), "");
    for (value, token) in [
        ("4111 1111 1111 1111", Some("4111 1109 6726 1111")),
        ("4111-1111-1111-1111", Some("4111-1109-6726-1111")),
        ("4111111111111111", Some("4111110967261111")),
        // A digit fewer leaves 100,000 cards.
        ("411111111111111", None),
        ("41111x1111111111", None),
        ("x111111111111111", None),
        ("4111111111111111\n", None),
        ("411111111111111\u{661}", None),
        ("4111", None),
        ("", None),
    ] {
        assert_eq!(text(&card, value).as_deref(), token, "{value:?}");
    }
    let iban = tokenizer(&[7; 32], Alphabet::AlphanumericUpper, (4, 0), "");
    assert_eq!(
        text(&iban, "DE89 3704 0044 0532 0130 00").as_deref(),
        Some("DE89 RTJ7 M5YR ZSKK MPE6 2O")
    );
    assert_eq!(text(&iban, "de89 3704 0044 0532 0130 00"), None);
    let mixed = tokenizer(&[7; 32], Alphabet::Alphanumeric, (0, 0), "");
    assert_eq!(
        (text(&mixed, "aB3x").as_deref(), text(&mixed, "aB3")),
        (Some("Os9j"), None)
    );
    let digits = tokenizer(&[7; 32], Alphabet::Digits, (0, 0), "");
    assert!(text(&digits, &"1".repeat(MAX_LENGTH)).is_some());
    assert_eq!(text(&digits, &"1".repeat(MAX_LENGTH + 1)), None);
}

#[test]
fn equal_values_join_unless_a_tweak_sets_them_apart() {
    let of = |secret: &[u8], tweak: &str| {
        let tokenizer = tokenizer(secret, Alphabet::Digits, (0, 0), tweak);
        text(&tokenizer, "536-90-4399").unwrap()
    };
    assert_eq!(of(&[7; 32], ""), "806-03-2987");
    assert_eq!(of(&[7; 32], "people"), "493-37-6122");
    assert_ne!(of(&[8; 32], ""), of(&[7; 32], ""));
}

#[test]
fn numbers_stay_numbers_of_their_type() {
    const INT4: Option<u64> = Some(i32::MAX as u64);
    const INT8: Option<u64> = Some(i64::MAX as u64);
    let cases: [((usize, usize), &str, Option<u64>, Option<&str>); 12] = [
        ((0, 0), "536904399", INT8, Some("806032987")),
        ((0, 0), "1234567890", INT4, Some("1995968515")),
        ((0, 0), "9223372036854775807", INT8, Some("5050042490140846517")),
        ((0, 0), "4111111111111111", None, Some("5277876380163294")),
        ((0, 0), "1000000", INT4, Some("8523871")),
        // 900,000 numbers have six digits, a million have six behind the first.
        ((0, 0), "123456", None, None),
        ((1, 0), "1234567", INT4, Some("1426046")),
        // 483,648 numbers that begin so are int4.
        ((4, 0), "2147483640", INT4, None),
        ((4, 0), "2147483640", INT8, Some("2147635300")),
        ((0, 0), "-1234567", None, None),
        ((0, 0), "NaN", None, None),
        ((0, 0), "0", None, None),
    ];
    for (keep, number, max, token) in cases {
        let tokenizer = tokenizer(&[7; 32], Alphabet::Digits, keep, "");
        assert_eq!(tokenizer.number(number, max).as_deref(), token, "{number}");
    }
}

/// All that is counted is lawful, and nothing else: by trying each.
#[test]
fn lawful_numbers_are_counted_right() {
    for (keep, digits, max) in [
        ((0, 0), "1234", None),
        ((0, 0), "1234", Some(2147)),
        ((1, 0), "2134", Some(2147)),
        ((1, 1), "2134", Some(2147)),
        ((0, 2), "1234", Some(2133)),
        ((2, 0), "2134", Some(2147)),
        ((0, 0), "123", Some(2147)),
        ((0, 1), "123", Some(2147)),
    ] {
        let (first, last) = (digits.split_at(keep.0).0, digits.split_at(digits.len() - keep.1).1);
        let numbers = (0..10_000u64).filter(|n| {
            let text = n.to_string();
            text.len() == digits.len()
                && text.starts_with(first)
                && text.ends_with(last)
                && max.is_none_or(|max| *n <= max)
        });
        let counted = tokenizer(&[7; 32], Alphabet::Digits, keep, "").numbers(digits.as_bytes(), max);
        assert_eq!(counted, Some(numbers.count() as u128), "{keep:?} {digits} {max:?}");
    }
}

#[test]
fn no_two_values_have_one_token() {
    let card = tokenizer(&[7; 32], Alphabet::Digits, (6, 4), "");
    let tokens: BTreeSet<_> = (0..1_000)
        .map(|n| text(&card, &format!("411111{n:06}1111")).unwrap())
        .collect();
    assert_eq!(tokens.len(), 1_000);
    // Eight of nine are walked past, where the type ends: what is left is a permutation all the same.
    let number = tokenizer(&[7; 32], Alphabet::Digits, (0, 0), "");
    let tokens: BTreeSet<_> = (2_147_483_000..2_147_483_648u64)
        .map(|n| number.number(&n.to_string(), Some(2_147_483_647)).unwrap())
        .collect();
    assert_eq!(tokens.len(), 648);
}

proptest! {
    #[test]
    fn a_token_is_as_long_and_of_the_same_characters(
        value in "[0-9A-Za-z]{0,3}([0-9A-Za-z][-. /()]?){4,24}",
        first in 0usize..=3,
        last in 0usize..=3,
    ) {
        let tokenizer = tokenizer(&KEY, Alphabet::Alphanumeric, (first, last), "");
        let plain: Vec<char> = value.chars().filter(char::is_ascii_alphanumeric).collect();
        let token = text(&tokenizer, &value);
        prop_assert_eq!(token.is_some(), plain.len() >= first + last + 4);
        let Some(token) = token else { return Ok(()) };
        prop_assert_eq!(text(&tokenizer, &value), Some(token.clone()), "it is stable");
        let places = |text: &str| text.chars().map(|c| if c.is_ascii_alphanumeric() { 'x' } else { c }).collect::<String>();
        prop_assert_eq!(places(&token), places(&value));
        let shown: Vec<char> = token.chars().filter(char::is_ascii_alphanumeric).collect();
        prop_assert_eq!(&shown[..first], &plain[..first]);
        prop_assert_eq!(&shown[shown.len() - last..], &plain[plain.len() - last..]);
    }

    #[test]
    fn a_number_stays_in_its_type(number in 1_000_000i32..) {
        let tokenizer = tokenizer(&KEY, Alphabet::Digits, (0, 0), "");
        let token = tokenizer.number(&number.to_string(), Some(2_147_483_647)).unwrap();
        prop_assert_eq!(token.len(), number.to_string().len());
        prop_assert!(token.parse::<i32>().is_ok_and(|token| token >= 1_000_000));
    }
}
