//! What a cell holds at all, found in one pass without branches.

use crate::mask::bytes::tail;

/// Enough to decide which scanners a cell needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) digits: usize,
    pub(super) at: bool,
    pub(super) backslash: bool,
    pub(super) non_ascii: bool,
}

/// What one byte adds to a sum of four counters of eight bits: digits, `@`, backslashes, bytes outside of ASCII. Cells are
/// short, and there one addition per byte beats a vector that has to be filled and folded.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASSES: [u32; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'0'..=b'9' => 1,
            b'@' => 1 << 8,
            b'\\' => 1 << 16,
            0x80.. => 1 << 24,
            _ => 0,
        };
        b += 1;
    }
    table
};

impl Summary {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        let mut all = Self::default();
        // Fewer than 256, so that no counter overflows into the next.
        for chunk in text.chunks(252) {
            let (pairs, rest) = chunk.as_chunks::<2>();
            let (mut even, mut odd) = (0u32, 0u32);
            for [a, b] in pairs {
                even = even.wrapping_add(class(*a));
                odd = odd.wrapping_add(class(*b));
            }
            let sum = rest
                .iter()
                .fold(even.wrapping_add(odd), |sum, b| sum.wrapping_add(class(*b)));
            let [digits, at, backslash, high] = sum.to_le_bytes();
            all.digits = all.digits.saturating_add(usize::from(digits));
            all.at |= at != 0;
            all.backslash |= backslash != 0;
            all.non_ascii |= high != 0;
        }
        all
    }
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
fn class(b: u8) -> u32 {
    CLASSES[usize::from(b)]
}

/// Where the next digit stands, from `from` on.
#[inline]
pub(super) fn next_digit(text: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut rest) = (from, tail(text, from));
    while let Some((block, after)) = rest.split_first_chunk::<16>() {
        if block.iter().fold(0u8, |any, b| any | u8::from(is_digit(*b))) != 0 {
            break;
        }
        at = at.saturating_add(16);
        rest = after;
    }
    rest.iter()
        .position(|b| is_digit(*b))
        .map(|skip| at.saturating_add(skip))
}

#[inline]
fn is_digit(b: u8) -> bool {
    b.wrapping_sub(b'0') < 10
}
