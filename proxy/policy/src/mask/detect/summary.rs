//! What a cell holds at all, found in one pass.

use wide::u8x16;

use super::lane::{BLOCK, Lane, masks};
use crate::mask::bytes::{at, tail};

/// Enough to decide which scanners a cell needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// How many there are.
    pub(super) digits: usize,
    /// Which of the first bytes are digits.
    pub(super) first_digits: Masks,
    /// Which of the first bytes may be signs.
    pub(super) first_signs: Masks,
    seen: Signs,
}

/// Which bytes that detectors ask for are there: a bit for each class of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs(u16);

/// What is kept of a text's first blocks; nothing stands behind its end.
pub(super) type Masks = [u64; 4];

/// Hyphens of the shortest hit that is found by them.
const HYPHENS: u32 = 5;

/// The class of each sign that [`is_sign`] finds.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASSES: [Signs; 256] = {
    let mut table = [Signs(0); 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'@' => Signs::AT,
            b'%' => Signs::PERCENT,
            b'&' => Signs::AMPERSAND,
            b'\'' => Signs::QUOTE,
            b'+' => Signs::PLUS,
            b'\\' => Signs::BACKSLASH,
            0x80.. => Signs::NON_ASCII,
            b'.' => Signs::DOT,
            b':' | b'=' => Signs::COLON,
            b'_' | b'I' | b'J' | b'~' => Signs::MARK,
            b'-' => Signs::HYPHEN,
            _ => Signs(0),
        };
        b += 1;
    }
    table
};

/// All ones where a byte may be one that detectors ask for: it is none of those that texts are made of, digits, blanks and letters
/// but `I`, `J` and `X`.
#[inline]
pub(super) fn is_sign(lane: Lane) -> u8x16 {
    let letter = lane.lower().is_within(b'a', 25);
    let asked = lane.is_within(b'I', 1) | lane.lower().is(b'x');
    !((letter & !asked) | lane.is_digit() | lane.is(b' '))
}

// === impl Summary ===

impl Summary {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        Self::within(text, text)
    }

    /// The same of a text behind which more stands in `room`.
    #[inline]
    pub(super) fn within(text: &[u8], room: &[u8]) -> Self {
        let (mut digits, mut hyphens, mut seen) = (0, 0_u32, Signs::UNTOLD.0);
        // Filled where it stays: a copy of what was just written waits for that.
        let mut summary = Self {
            digits: 0,
            first_digits: Masks::default(),
            first_signs: Masks::default(),
            seen: Signs(0),
        };
        let (mut block, mut from) = (0_usize, 0_usize);
        while from < text.len() {
            // No sum is near overflow: places in a text, and counts of its bytes.
            let left = text.len().wrapping_sub(from);
            let [digit_mask, mut signs] = masks(tail(room, from), left, |lane| [lane.is_digit(), is_sign(lane)]);
            let firsts = (summary.first_digits.get_mut(block), summary.first_signs.get_mut(block));
            if let (Some(digits), Some(other)) = firsts {
                (*digits, *other) = (digit_mask, signs);
            }
            block = block.wrapping_add(1);
            digits = digit_mask.count_ones().wrapping_add(digits);
            while signs != 0 {
                let sign = at(text, from.wrapping_add(signs.trailing_zeros() as usize));
                signs &= signs.wrapping_sub(1);
                seen |= class(sign).0;
                hyphens = hyphens.wrapping_add(u32::from(sign == b'-'));
            }
            from = from.wrapping_add(BLOCK);
        }
        if hyphens >= HYPHENS {
            seen |= Signs::HYPHENS.0;
        }
        (summary.digits, summary.seen) = (digits as usize, Signs(seen));
        summary
    }

    /// Whether a sign of these classes may be there.
    #[inline]
    pub(super) fn may_hold(&self, signs: Signs) -> bool {
        self.seen.0 & signs.0 != 0
    }
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
fn class(b: u8) -> Signs {
    CLASSES[usize::from(b)]
}

// === impl Signs ===

impl Signs {
    pub(super) const AT: Self = Self(1);
    pub(super) const BACKSLASH: Self = Self(1 << 1);
    pub(super) const NON_ASCII: Self = Self(1 << 2);
    const DOT: Self = Self(1 << 3);
    pub(super) const COLON: Self = Self(1 << 4);
    const MARK: Self = Self(1 << 5);
    const HYPHEN: Self = Self(1 << 6);
    /// As many hyphens as a hit has.
    const HYPHENS: Self = Self(1 << 7);
    /// No class: such a sign may always be there.
    const UNTOLD: Self = Self(1 << 8);
    /// What is encoded, `@` perhaps, begins with one.
    pub(super) const PERCENT: Self = Self(1 << 9);
    /// A reference of HTML begins with one.
    pub(super) const AMPERSAND: Self = Self(1 << 10);
    /// Around what SQL takes as it is.
    const QUOTE: Self = Self(1 << 11);
    /// A blank of a form is written as one.
    pub(super) const PLUS: Self = Self(1 << 12);

    /// What begins an encoding of others, or reads like them.
    pub(super) const DISGUISES: Self =
        Self(Self::NON_ASCII.0 | Self::PERCENT.0 | Self::AMPERSAND.0 | Self::PLUS.0 | Self::BACKSLASH.0);

    /// In which texts a sign is looked for.
    pub(super) fn of(sign: u8) -> Self {
        match sign {
            // Whoever looks for these looks for a hyphen soon after: most texts have none.
            b'x' | b'X' => Self::HYPHEN,
            b'-' => Self::HYPHENS,
            _ if class(sign) != Self(0) => class(sign),
            _ => Self::UNTOLD,
        }
    }

    /// Either's.
    #[inline]
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::detect::lane::{mask, places};

    #[test]
    fn every_sign_that_a_detector_asks_for_is_found() {
        for sign in crate::mask::detect::DETECTORS.iter().flat_map(|one| one.find.signs()) {
            for length in [0, 15, 16, 63, 64, 130] {
                let mut text = vec![b'a'; length];
                text.extend([*sign; 5]);
                let summary = Summary::of(&text);
                assert!(
                    summary.may_hold(Signs::of(*sign)) || sign.eq_ignore_ascii_case(&b'x'),
                    "{sign} after {length}"
                );
                let last = length / BLOCK * BLOCK;
                assert!(
                    places(mask(&text, last, is_sign), last).any(|place| place == length),
                    "{sign} after {length}"
                );
            }
        }
    }
}
