//! Hexadecimal bytea within text.

use crate::mask::bytes::{at, tail};

/// Bytes that a part of a text spells out.
pub(super) struct Spelled {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) bytes: Vec<u8>,
}

/// Runs of at least eighteen hexadecimal digits after `\x`.
pub(super) fn hex_runs(text: &[u8]) -> impl Iterator<Item = Spelled> {
    let mut done = 0usize;
    memchr::memchr_iter(b'\\', text).filter_map(move |backslash| {
        let start = backslash.saturating_add(2);
        if backslash < done || at(text, backslash.saturating_add(1)) != b'x' {
            return None;
        }
        let digits = tail(text, start);
        let bytes: Vec<u8> = digits.chunks_exact(2).map_while(pair).collect();
        let end = start.saturating_add(bytes.len().saturating_mul(2));
        done = end;
        (bytes.len() >= 9).then_some(Spelled { start, end, bytes })
    })
}

/// The byte that two hexadecimal digits stand for.
pub(crate) fn pair(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|n| u8::try_from(n).ok());
    Some((nibble(*high)? << 4) | nibble(*low)?)
}
