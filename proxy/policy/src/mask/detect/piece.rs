//! Pieces of a text on either side of a place.

use super::Span;
use crate::mask::bytes::{at, cut, tail};

/// How many bytes from `from` on are of a class, `most` at most.
#[inline]
pub(super) fn ahead(text: &[u8], from: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    tail(text, from).iter().take(most).take_while(|b| class(**b)).count()
}

/// How many bytes before `end` are of a class, `most` at most.
#[inline]
pub(super) fn behind(text: &[u8], end: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    cut(text, 0, end)
        .iter()
        .rev()
        .take(most)
        .take_while(|b| class(**b))
        .count()
}

/// Whether `end` has exactly this before it, in any case.
pub(super) fn ends_with(text: &[u8], end: usize, word: &[u8]) -> bool {
    let start = end.checked_sub(word.len());
    start.is_some_and(|start| cut(text, start, end).eq_ignore_ascii_case(word))
}

/// Whether no letter, digit or underscore goes on at either end.
pub(super) fn stands_alone(text: &[u8], span: Span) -> bool {
    let before = span.start.checked_sub(1).map_or(0, |i| at(text, i));
    !is_word(before) && !is_word(at(text, span.end()))
}

/// Letters, digits and the underscore.
pub(super) fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// What tokens are made of: the alphabet of base64url.
pub(super) fn is_token(b: u8) -> bool {
    is_word(b) || b == b'-'
}

/// The alphabet of base64.
pub(super) fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}
