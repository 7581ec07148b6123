//! Payment card numbers (primary account numbers, ISO/IEC 7812).

use super::piece::{ahead, is_word};
use super::run::{Digits, Group};
use super::{Detector, Find, Kind, Run, Span};
use crate::mask::bytes::{at, cut};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::CreditCard,
    name: "CREDIT_CARD",
    aliases: &["CREDIT_CARD_NUMBER"],
    score: 100,
    words: &[],
    validates: "Luhn check digit, and an issuer's prefix with one of its lengths: Visa 4 (13, 16, 19), Mastercard \
                51-55 and 2221-2720 (16), American Express 34 and 37 (15), Discover 6011, 644-649, 65 (16-19), Diners \
                300-305, 3095, 36, 38-39 (14-19), JCB 3528-3589 (16-19), UnionPay 62 and 81 (16-19), Mir 2200-2204 \
                (16-19), Maestro 5018, 5020, 5038, 5893, 6304, 6759, 6761-6763 (12-19). Digits bare, or in groups \
                with the same separator (space, hyphen or dot) throughout, the first group of four or more. Not \
                within a UUID, a longer hexadecimal token (track 2 aside) or a decimal fraction.",
    min_bytes: 12,
    find: Find::Digits {
        lengths: u32::MAX << 4,
        least: 12,
        cell: 12,
        needs_word: false,
        find: card,
    },
};

fn card(run: &Run<'_>) -> Option<Span> {
    let groups = run.groups();
    let first = groups.first()?;
    if first.len < 4 {
        return None;
    }
    // The longest candidate first: `4111 1111 1111 1111 123` may be nineteen digits, or sixteen and a code.
    let uniform = uniform_prefix(groups);
    (1..=uniform).rev().find_map(|n| {
        let taken = groups.get(..n)?;
        let length = taken.iter().map(|g| g.len).sum();
        let end = taken.last()?.end;
        let valid = is_issued(run, length)
            && run
                .digits(length)
                .is_some_and(|digits| luhn(digits, length).is_multiple_of(10))
            && (!run.in_hex_token(end) || is_track(run, end));
        Span::new(run.start, end).filter(|_| valid && !(n == 1 && run.in_fraction(end)))
    })
}

/// Whether the digits up to `end` begin a track 2 as chips write it (ISO/IEC 7813 in EMV's tag 57): a D, year and month
/// of expiry and the service code go on, and the whole looks like a hash.
fn is_track(run: &Run<'_>, end: usize) -> bool {
    let expiry = end.saturating_add(1);
    let digits = ahead(run.text, expiry, 7, |b| b.is_ascii_digit());
    let month = cut(run.text, expiry.saturating_add(2), expiry.saturating_add(4));
    let joined = matches!(at(run.text, end), b'D' | b'd') && !is_word(run.before());
    joined && digits == 7 && matches!(month, [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2'])
}

/// How many groups from the first on are joined by one and the same separator.
fn uniform_prefix(groups: &[Group]) -> usize {
    let separator = groups.first().map_or(0, |g| g.separator);
    if !matches!(separator, b' ' | b'-' | b'.') {
        return 1;
    }
    let joined = groups.iter().take_while(|g| g.separator == separator).count();
    joined.saturating_add(1).min(groups.len())
}

fn is_issued(run: &Run<'_>, length: usize) -> bool {
    let four = run.number(0, 4);
    match four {
        4000..=4999 => matches!(length, 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => length == 16,
        3400..=3499 | 3700..=3799 => length == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => matches!(length, 14..=19),
        3528..=3589 | 2200..=2204 | 6011 | 6440..=6599 | 6200..=6299 | 8100..=8171 => matches!(length, 16..=19),
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 => matches!(length, 12..=19),
        _ => false,
    }
}

/// The sum of the Luhn check (ISO/IEC 7812-1, annex B) over the first `length` digits: a multiple of ten where they are valid.
///
/// Every second digit from the last but one back counts twice, and if that has two digits, their sum: up to a multiple of ten the
/// same as one more. Eight digits are summed at once, in a byte each; zeros add nothing.
pub(super) fn luhn(digits: Digits, length: usize) -> u64 {
    let twice: u64 = if length.is_multiple_of(2) {
        0x00FF_00FF_00FF_00FF
    } else {
        0xFF00_FF00_FF00_FF00
    };
    let sums = digits.words().map(|word| {
        let doubled = word & twice;
        let carried = (doubled.wrapping_add(EACH.wrapping_mul(0x7B)) >> 7) & EACH;
        let summed = word.wrapping_add(doubled).wrapping_add(carried);
        // No byte is above 19: their sum fits into the highest.
        summed.wrapping_mul(EACH) >> 56
    });
    sums.into_iter().fold(0, u64::wrapping_add)
}

/// One in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_check_is_that_of_digits_one_by_one(digits in prop::collection::vec(0..=9_u8, 0..20)) {
            let length = digits.len();
            let doubled = |d: u8| u32::from(d) * 2 - if d > 4 { 9 } else { 0 };
            let counted = digits.iter().rev().enumerate();
            let sum: u32 = counted.map(|(i, d)| if i % 2 == 0 { u32::from(*d) } else { doubled(*d) }).sum();
            let text: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
            prop_assert_eq!(luhn(Digits::of(text.as_bytes()), length) % 10, u64::from(sum % 10));
        }
    }
}
