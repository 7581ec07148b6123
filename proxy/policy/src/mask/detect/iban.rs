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
                97-10). Upper or lower case; bare, or with single spaces or hyphens between groups, and a space behind \
                the country where that is in capitals. No letter or digit but `IBAN` may stand directly before, none \
                after. Not within a UUID.",
    min_bytes: 15,
    find: Find::Digits {
        lengths: u32::MAX,
        least: 0,
        cell: 8,
        needs_word: false,
        find: iban,
    },
};

/// Country and length, sorted by country.
#[rustfmt::skip]
const LENGTHS: &[(&[u8; 2], usize)] = &[
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
    let country = [
        at(run.text, start).to_ascii_uppercase(),
        at(run.text, start.saturating_add(1)).to_ascii_uppercase(),
    ];
    let stuck = start
        .checked_sub(1)
        .is_some_and(|i| at(run.text, i).is_ascii_alphanumeric());
    if stuck && !ends_with(run.text, start, b"iban") {
        return None;
    }
    let index = LENGTHS.binary_search_by_key(&&country, |(country, _)| country).ok()?;
    let length = LENGTHS.get(index)?.1;
    let (remainder, end) = walk(run.text, start, length)?;
    let alone = !at(run.text, end).is_ascii_alphanumeric();
    (remainder == 1 && alone && !run.in_uuid(end)).then_some(Span { start, end })
}

/// Reads `length` letters and digits from `start`, across single spaces and hyphens; the number that they form with the
/// first four moved to the end, modulo 97, and where the last one ends.
fn walk(text: &[u8], start: usize, length: usize) -> Option<(u64, usize)> {
    let (mut number, mut head, mut seen) = (0_u64, 0_u64, 0_usize);
    let mut bytes = tail(text, start);
    while seen < length {
        let (b, rest) = bytes.split_first()?;
        bytes = rest;
        let value = u64::from(value_of(*b));
        // Dividing is the slow part: only where the next step might overflow.
        number = match value {
            0..=9 => number.wrapping_mul(10).wrapping_add(value),
            10..=35 if !(2..=3).contains(&seen) => number.wrapping_mul(100).wrapping_add(value),
            _ if matches!(b, b' ' | b'-') && seen > 1 && value_of(*rest.first()?) != NONE => continue,
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
