//! Digits found eight bytes at a time. No sum is near overflow: all are places in a text, or a few bytes behind its end.

use crate::mask::bytes::tail;

/// The highest bit of each byte.
const HIGH: u64 = 0x8080_8080_8080_8080;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Eight bytes of text as a number, the first of them the lowest.
#[derive(Clone, Copy)]
pub(super) struct Word(u64);

// === impl Word ===

impl Word {
    /// The bytes from `from` on; 0, which is no digit, behind the end.
    #[inline]
    pub(super) fn at(text: &[u8], from: usize) -> Self {
        let rest = tail(text, from);
        if let Some(bytes) = rest.first_chunk() {
            return Self(u64::from_le_bytes(*bytes));
        }
        Self(match text.last_chunk() {
            // The last eight, of which some stand before.
            Some(bytes) => {
                let before = (8_usize.wrapping_sub(rest.len())).wrapping_mul(8);
                let before = u32::try_from(before).unwrap_or(u32::MAX);
                u64::from_le_bytes(*bytes).checked_shr(before).unwrap_or(0)
            }
            None => rest.iter().rev().fold(0, |word, b| (word << 8) | u64::from(*b)),
        })
    }

    /// The highest bit of each byte that is no digit.
    #[inline]
    fn others(self) -> u64 {
        // Digits are those that are below ten then. The sums stay within their bytes.
        let word = self.0 ^ ZEROS;
        ((word & !HIGH).wrapping_add(0x7676_7676_7676_7676) | word) & HIGH
    }

    /// How many digits stand at the start.
    #[inline]
    pub(super) fn digits(self) -> usize {
        (self.others().trailing_zeros() / 8) as usize
    }

    /// Where the first digit stands.
    #[inline]
    fn first_digit(self) -> Option<usize> {
        let digits = self.others() ^ HIGH;
        (digits != 0).then(|| (digits.trailing_zeros() / 8) as usize)
    }

    /// The first `count` bytes as numbers 0 to 9, if they are digits; the others are 0.
    #[inline]
    pub(super) fn numbers(self, count: usize) -> [u8; 8] {
        let bits = u32::try_from(count.wrapping_mul(8)).unwrap_or(u32::MAX);
        let taken = !u64::MAX.checked_shl(bits).unwrap_or(0);
        ((self.0 ^ ZEROS) & taken).to_le_bytes()
    }
}

/// How many digits stand at `from`, as far as `most` of them and a few more.
#[inline]
pub(super) fn count(text: &[u8], from: usize, most: usize) -> usize {
    let mut count = 0_usize;
    loop {
        let digits = Word::at(text, from.wrapping_add(count)).digits();
        count = count.wrapping_add(digits);
        if digits < 8 || count > most {
            return count;
        }
    }
}

/// Where the next digit stands, from `from` on.
#[inline]
pub(super) fn next(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < text.len() {
        if let Some(skip) = Word::at(text, at).first_digit() {
            return Some(at.wrapping_add(skip));
        }
        at = at.wrapping_add(8);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_counted_and_found_as_one_by_one(text in "[/0-9:\u{0}a\u{e9}\u{39}]{0,40}", from in 0..45_usize) {
            let text = text.as_bytes();
            let rest = tail(text, from);
            prop_assert_eq!(count(text, from, usize::MAX), rest.iter().take_while(|b| b.is_ascii_digit()).count());
            prop_assert_eq!(next(text, from), rest.iter().position(u8::is_ascii_digit).map(|skip| from + skip));
        }

        #[test]
        fn numbers_are_those_of_the_digits(digits in "[0-9]{1,8}", after in "[a-z0-9]{0,8}") {
            let text = format!("{digits}{after}");
            let numbers = Word::at(text.as_bytes(), 0).numbers(digits.len());
            let mut expected = [0; 8];
            for (slot, b) in expected.iter_mut().zip(digits.bytes()) {
                *slot = b - b'0';
            }
            prop_assert_eq!(numbers, expected);
        }
    }
}
