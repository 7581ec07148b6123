//! A text sixteen bytes at a time: which of its bytes are of a kind, as bits. No sum is near overflow: all are places in a text,
//! or a few bytes behind its end.

use wide::u8x16;

use crate::mask::bytes::{eight, tail};

/// Bytes of one lane.
pub(super) const BYTES: usize = 16;
/// Bytes that a mask tells of: four lanes.
pub(super) const BLOCK: usize = 64;

/// Sixteen bytes of a text.
#[derive(Clone, Copy)]
pub(super) struct Lane(pub(super) u8x16);

// === impl Lane ===

impl Lane {
    /// All ones where a byte is `b`.
    #[inline]
    pub(super) fn is(self, b: u8) -> u8x16 {
        self.0.simd_eq(u8x16::splat(b))
    }

    /// All ones where a byte is `first` or one of `more` after it.
    #[inline]
    pub(super) fn is_within(self, first: u8, more: u8) -> u8x16 {
        let from_first = self.0 - u8x16::splat(first);
        from_first.min(u8x16::splat(more)).simd_eq(from_first)
    }

    /// The same with ASCII letters in lower case; what is no letter may become one of the signs between `\x60` and `\x7f`, or
    /// above.
    #[inline]
    pub(super) fn lower(self) -> Self {
        Self(self.0 | u8x16::splat(0x20))
    }

    /// All ones where a byte is an ASCII digit.
    #[inline]
    pub(super) fn is_digit(self) -> u8x16 {
        self.is_within(b'0', 9)
    }
}

/// Which of the first 64 of a text's bytes are of each kind: the lowest bit is the first byte's. The text is as long as `length`
/// says; what stands behind it in `room` is not told of, but lets sixteen bytes be read at once.
#[inline]
pub(super) fn masks<const N: usize>(room: &[u8], length: usize, kinds: impl Fn(Lane) -> [u8x16; N]) -> [u64; N] {
    let length = length.min(BLOCK);
    let (mut masks, mut skip, mut rest) = ([0; N], 0_usize, room);
    while skip < length {
        // A lane at the end begins before what is left.
        let (bytes, known) = match rest.split_first_chunk() {
            Some((bytes, more)) => {
                rest = more;
                (*bytes, 0)
            }
            None => match room.last_chunk() {
                Some(bytes) => (*bytes, BYTES.wrapping_sub(rest.len())),
                None => (padded(room), 0),
            },
        };
        for (mask, kind) in masks.iter_mut().zip(kinds(Lane(u8x16::new(bytes)))) {
            *mask |= u64::from(kind.to_bitmask() >> known) << skip;
        }
        skip = skip.wrapping_add(BYTES);
    }
    if length < BLOCK {
        let told = (1_u64 << length).wrapping_sub(1);
        masks = masks.map(|mask| mask & told);
    }
    masks
}

/// Which of the 64 bytes from `from` on are of a kind.
#[inline]
pub(super) fn mask(text: &[u8], from: usize, kind: impl Fn(Lane) -> u8x16) -> u64 {
    let rest = tail(text, from);
    let [mask] = masks(rest, rest.len(), |lane| [kind(lane)]);
    mask
}

/// The places of the bits of a mask, which tells of 64 bytes from `from` on.
#[inline]
pub(super) fn places(mut mask: u64, from: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let skip = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask.wrapping_sub(1);
        Some(from.wrapping_add(skip))
    })
}

/// Fewer than sixteen bytes, and as many zeros behind them as are missing.
#[inline]
fn padded(bytes: &[u8]) -> [u8; BYTES] {
    (u128::from(eight(bytes, 0)) | (u128::from(eight(bytes, 8)) << 64)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_found_as_one_by_one(text in "[/0-9:H-K\u{0}\u{e9}]{0,200}", from in 0..210_usize) {
            let text = text.as_bytes();
            let of = |class: fn(u8) -> bool| -> Vec<usize> {
                (from..text.len().min(from + BLOCK)).filter(|i| class(text[*i])).collect()
            };
            let found = |kind: fn(Lane) -> u8x16| places(mask(text, from, kind), from).collect::<Vec<_>>();
            prop_assert_eq!(found(Lane::is_digit), of(|b| b.is_ascii_digit()));
            prop_assert_eq!(found(|lane| lane.is(b':')), of(|b| b == b':'));
            prop_assert_eq!(found(|lane| lane.is_within(b'I', 1)), of(|b| matches!(b, b'I' | b'J')));
            prop_assert_eq!(found(|lane| lane.lower().is(b'h')), of(|b| b == b'H'));
            let length = text.len().min(from);
            let [digits, colons] = masks(text, length, |lane| [lane.is_digit(), lane.is(b':')]);
            prop_assert_eq!([digits, colons], [mask(&text[..length], 0, Lane::is_digit), mask(&text[..length], 0, |lane| lane.is(b':'))]);
        }
    }
}
