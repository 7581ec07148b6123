//! What a cell holds at all, found in one pass without branches.

use crate::mask::bytes::tail;

/// Enough to decide which scanners a cell needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) digits: usize,
    /// `@`, or a percent sign that may write it.
    pub(super) at: bool,
    pub(super) backslash: bool,
    pub(super) non_ascii: bool,
    signs: Signs,
}

/// Which of the signs that detectors ask for are there, often enough for a hit: a bit for each group of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs(u8);

/// No group: such a sign may always be there.
const UNTOLD: u8 = 1 << 7;

/// Hyphens of the shortest hit that is found by them.
const HYPHENS: usize = 5;

/// What one byte adds to a sum of eight counters of eight bits: digits, `@` and `%`, backslashes, bytes outside of ASCII, dots,
/// colons and equals signs, signs that are rare, hyphens. Cells are short, and there one addition per byte beats a vector that
/// has to be filled and folded.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASSES: [u64; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'0'..=b'9' => 1,
            b'@' | b'%' => 1 << 8,
            b'\\' => 1 << 16,
            0x80.. => 1 << 24,
            b'.' => 1 << 32,
            b':' | b'=' => 1 << 40,
            b'_' | b'I' | b'J' | b'~' => 1 << 48,
            b'-' => 1 << 56,
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
        let (mut dot, mut colon, mut rare, mut hyphen_count) = (false, false, false, 0_usize);
        // Fewer than 256, so that no counter overflows into the next.
        for chunk in text.chunks(252) {
            let (pairs, rest) = chunk.as_chunks::<2>();
            let (mut even, mut odd) = (0u64, 0u64);
            for [a, b] in pairs {
                even = even.wrapping_add(class(*a));
                odd = odd.wrapping_add(class(*b));
            }
            let sum = rest
                .iter()
                .fold(even.wrapping_add(odd), |sum, b| sum.wrapping_add(class(*b)));
            let [digits, at, backslash, high, dots, colons, rares, hyphens] = sum.to_le_bytes();
            all.digits = all.digits.saturating_add(usize::from(digits));
            all.at |= at != 0;
            all.backslash |= backslash != 0;
            all.non_ascii |= high != 0;
            dot |= dots != 0;
            colon |= colons != 0;
            rare |= rares != 0;
            hyphen_count = hyphen_count.saturating_add(usize::from(hyphens));
        }
        let there = [dot, colon, rare, hyphen_count > 0, hyphen_count >= HYPHENS];
        let bits = there
            .iter()
            .rev()
            .fold(0_u8, |bits, there| (bits << 1) | u8::from(*there));
        all.signs = Signs(UNTOLD | bits);
        all
    }

    /// Whether a sign of these groups may be there.
    pub(super) fn may_hold(&self, signs: Signs) -> bool {
        self.signs.0 & signs.0 != 0
    }
}

// === impl Signs ===

impl Signs {
    /// The group of a sign, as [`CLASSES`] counts them.
    pub(super) fn of(sign: u8) -> Self {
        Self(match sign {
            b'.' => 1,
            b':' | b'=' => 1 << 1,
            b'_' | b'I' | b'J' | b'~' => 1 << 2,
            // Whoever looks for these looks for a hyphen soon after: most texts have none.
            b'x' | b'X' => 1 << 3,
            b'-' => 1 << 4,
            _ => UNTOLD,
        })
    }
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
fn class(b: u8) -> u64 {
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
