//! International Bank Account Numbers (ISO 13616).

use super::piece::ends_with;
use super::{Detector, Find, Kind, Run, Span};
use crate::mask::bytes::{at, cut, tail};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::IbanCode,
    name: "IBAN_CODE",
    aliases: &[],
    score: 100,
    words: &[],
    validates: "A country of the SWIFT registry, that country's exact length, and the check digits (ISO 7064 mod \
                97-10). Upper or lower case; bare, or with single spaces, hyphens or dots between groups, and a space \
                behind the country where that is in capitals. No letter or digit but `IBAN` may stand directly before, \
                none after. Not within a UUID.",
    min_bytes: 15,
    find: Find::Digits {
        lengths: u32::MAX,
        least: 0,
        cell: 8,
        needs_word: false,
        find: iban,
    },
};

/// Country and length.
#[rustfmt::skip]
const REGISTRY: &[(&[u8; 2], u8)] = &[
    (b"AD", 24), (b"AE", 23), (b"AL", 28), (b"AT", 20), (b"AZ", 28), (b"BA", 20), (b"BE", 16), (b"BG", 22),
    (b"BH", 22), (b"BI", 27), (b"BR", 29), (b"BY", 28), (b"CH", 21), (b"CR", 22), (b"CY", 28), (b"CZ", 24),
    (b"DE", 22), (b"DJ", 27), (b"DK", 18), (b"DO", 28), (b"EE", 20), (b"EG", 29), (b"ES", 24), (b"FI", 18),
    (b"FK", 18), (b"FO", 18), (b"FR", 27), (b"GB", 22), (b"GE", 22), (b"GI", 23), (b"GL", 18), (b"GR", 27),
    (b"GT", 28), (b"HN", 28), (b"HR", 21), (b"HU", 28), (b"IE", 22), (b"IL", 23), (b"IQ", 23), (b"IS", 26),
    (b"IT", 27), (b"JO", 30), (b"KW", 30), (b"KZ", 20), (b"LB", 28), (b"LC", 32), (b"LI", 21), (b"LT", 20),
    (b"LU", 20), (b"LV", 21), (b"LY", 25), (b"MC", 27), (b"MD", 24), (b"ME", 22), (b"MK", 19), (b"MN", 20),
    (b"MR", 27), (b"MT", 31), (b"MU", 30), (b"NI", 28), (b"NL", 18), (b"NO", 15), (b"OM", 23), (b"PK", 24),
    (b"PL", 28), (b"PS", 29), (b"PT", 25), (b"QA", 29), (b"RO", 24), (b"RS", 22), (b"RU", 33), (b"SA", 24),
    (b"SC", 31), (b"SD", 18), (b"SE", 24), (b"SI", 19), (b"SK", 24), (b"SM", 27), (b"SO", 23), (b"ST", 25),
    (b"SV", 28), (b"TL", 23), (b"TN", 24), (b"TR", 26), (b"UA", 29), (b"VA", 22), (b"VG", 24), (b"XK", 20),
    (b"YE", 30),
];

/// The length by the letters of the country, 26 for each first one; 0 for what is no country.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const LENGTHS: [u8; 26 * 26] = {
    let mut table = [0; 26 * 26];
    let mut i = 0;
    while i < REGISTRY.len() {
        let ([one, two], length) = REGISTRY[i];
        table[(*one - b'A') as usize * 26 + (*two - b'A') as usize] = length;
        i += 1;
    }
    table
};

/// What a letter or digit counts in the number that is divided; [`NONE`] for others.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const VALUES: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            d @ b'0'..=b'9' => d - b'0',
            c @ (b'A'..=b'Z' | b'a'..=b'z') => c.to_ascii_uppercase() - b'A' + 10,
            _ => NONE,
        };
        b += 1;
    }
    table
};

const NONE: u8 = u8::MAX;

#[inline]
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
fn value_of(b: u8) -> u8 {
    VALUES[usize::from(b)]
}

/// Tried at the check digits: the two letters of the country stand before them, some part them by a space.
fn iban(run: &Run<'_>) -> Option<Span> {
    let capitals = |start: usize| {
        cut(run.text, start, start.saturating_add(2))
            .iter()
            .all(u8::is_ascii_uppercase)
    };
    let start = match run.before() {
        b' ' => run.start.checked_sub(3).filter(|start| capitals(*start))?,
        before => run.start.checked_sub(2).filter(|_| before.is_ascii_alphabetic())?,
    };
    let length = length_in([at(run.text, start), at(run.text, start.saturating_add(1))])?;
    let stuck = start
        .checked_sub(1)
        .is_some_and(|i| at(run.text, i).is_ascii_alphanumeric());
    if stuck && !ends_with(run.text, start, b"iban") {
        return None;
    }
    let (remainder, end) = walk(run.text, start, length)?;
    let alone = !at(run.text, end).is_ascii_alphanumeric();
    Span::new(start, end).filter(|_| remainder == 1 && alone && !run.in_uuid(end))
}

/// How long numbers of a country are, whose letters are of either case.
fn length_in(country: [u8; 2]) -> Option<usize> {
    let [one, two] = country.map(|b| usize::from(b.to_ascii_uppercase().wrapping_sub(b'A')));
    // A second byte that is no letter would be another country's.
    let known = LENGTHS
        .get(one.wrapping_mul(26).wrapping_add(two))
        .filter(|_| two < 26)?;
    (*known > 0).then_some(usize::from(*known))
}

/// Reads `length` letters and digits from `start`, across single spaces, hyphens and dots; the number that they form with the
/// first four moved to the end, modulo 97, and where the last one ends.
fn walk(text: &[u8], start: usize, length: usize) -> Option<(u64, usize)> {
    let (mut number, mut head, mut seen) = (0_u64, 0_u64, 0_usize);
    let mut bytes = tail(text, start);
    while seen < length {
        // Most stand in fours of digits, with one sign between them or none.
        let next = match bytes {
            [b' ' | b'-' | b'.', next @ ..] => next,
            _ => bytes,
        };
        if seen >= 4
            && length.wrapping_sub(seen) >= 4
            && let Some((four, rest)) = next.split_first_chunk()
            && let Some(value) = four_digits(*four)
        {
            (number, bytes) = ((number % 97).wrapping_mul(10_000).wrapping_add(value), rest);
            seen = seen.wrapping_add(4);
            continue;
        }
        let (b, rest) = bytes.split_first()?;
        bytes = rest;
        let value = u64::from(value_of(*b));
        // Dividing is the slow part: only where the next step might overflow.
        number = match value {
            0..=9 => number.wrapping_mul(10).wrapping_add(value),
            10..=35 if !(2..=3).contains(&seen) => number.wrapping_mul(100).wrapping_add(value),
            _ if matches!(b, b' ' | b'-' | b'.') && seen > 1 && value_of(*rest.first()?) != NONE => continue,
            _ => return None,
        };
        if number > u64::MAX / 1000 {
            number %= 97;
        }
        seen = seen.wrapping_add(1);
        if seen == 4 {
            (head, number) = (number, 0);
        }
    }
    // Two letters and two digits make six decimal digits, whichever they are.
    let moved = (number % 97).wrapping_mul(1_000_000).wrapping_add(head);
    Some((moved % 97, text.len().wrapping_sub(bytes.len())))
}

/// The number that four digits form, computed in the bytes of one word: first of two digits each, then of all.
fn four_digits(digits: [u8; 4]) -> Option<u64> {
    let digits = u32::from_le_bytes(digits) ^ 0x3030_3030;
    // A byte above 9 carries into its highest bit, or has that already.
    let others = (digits.wrapping_add(0x7676_7676) | digits) & 0x8080_8080;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let number = (pairs & 0xFF).wrapping_mul(100).wrapping_add(pairs >> 16 & 0xFF);
    (others == 0).then_some(u64::from(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_country_of_the_registry_has_its_length_and_no_other_has_one() {
        for (country, length) in REGISTRY {
            assert_eq!(
                length_in(country.map(|b| b.to_ascii_lowercase())),
                Some(usize::from(*length))
            );
        }
        let every = (0..=u8::MAX).flat_map(|one| (0..=u8::MAX).map(move |two| [one, two]));
        let known = every.filter(|country| length_in(*country).is_some());
        // Each letter in either case.
        assert_eq!(known.count(), REGISTRY.len() * 4);
    }

    proptest! {
        #[test]
        fn four_digits_are_one_number(text in "[0-9]{4}|[/0-9:A-Zé \u{0}]{4,8}") {
            let four = *text.as_bytes().first_chunk().unwrap();
            let number = four.iter().all(u8::is_ascii_digit).then(|| text.split_at(4).0.parse().unwrap());
            prop_assert_eq!(four_digits(four), number);
        }

        #[test]
        fn the_remainder_is_that_of_digits_one_by_one(text in "[A-Z]{2}[0-9]{2}([0-9]{4} |[0-9A-Z]{1,4}[ -]?){0,7}", length in 15..34_usize) {
            let expanded = |text: &str| -> String {
                text.chars().map(|c| c.to_digit(36).unwrap().to_string()).collect()
            };
            let bare: String = text.chars().filter(char::is_ascii_alphanumeric).take(length).collect();
            if bare.len() == length {
                let (head, rest) = bare.split_at(4);
                let moved = expanded(rest) + &expanded(head);
                let remainder = moved.bytes().fold(0, |n, b| (n * 10 + u64::from(b - b'0')) % 97);
                prop_assert_eq!(walk(text.as_bytes(), 0, length).map(|(remainder, _)| remainder), Some(remainder));
            }
        }
    }
}
