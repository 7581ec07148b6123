//! What a cell holds at all, found in one branch-free pass that the compiler turns into SIMD.

/// Enough to decide which scanners a cell needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) digits: usize,
    pub(super) at: bool,
    pub(super) backslash: bool,
    pub(super) non_ascii: bool,
}

impl Summary {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut all = Self::default();
        // 128 keeps each byte counter below its limit, so that the inner loop stays in byte lanes.
        for chunk in text.chunks(128) {
            let (mut digits, mut at, mut backslash, mut high) = (0u8, 0u8, 0u8, 0u8);
            for &b in chunk {
                digits = digits.wrapping_add(u8::from(b.wrapping_sub(b'0') < 10));
                at |= u8::from(b == b'@');
                backslash |= u8::from(b == b'\\');
                high |= b;
            }
            all.digits = all.digits.saturating_add(usize::from(digits));
            all.at |= at != 0;
            all.backslash |= backslash != 0;
            all.non_ascii |= high >= 0x80;
        }
        all
    }
}
