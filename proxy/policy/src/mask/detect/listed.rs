//! Bytes of constants within PostgreSQL's node trees, which its catalogs keep of expressions:
//! `:constvalue 15 [ 60 0 0 0 53 51 54 … ]`.

use super::hex::Spelled;
use crate::mask::bytes::{cut, tail};

/// Bytes of the shortest list that can hold anything: a number, or a text with the length before it.
pub(super) const LEAST: usize = 8;

/// Lists of that many bytes, each a number in decimal with a blank before it. A list of exactly eight is one number, lowest byte first,
/// and given as its digits.
pub(super) fn byte_lists(text: &[u8]) -> impl Iterator<Item = Spelled> {
    memchr::memchr_iter(b'[', text).filter_map(|bracket| {
        let (mut bytes, mut end) = (Vec::new(), bracket.saturating_add(1));
        while let Some((byte, width)) = listed(tail(text, end)) {
            bytes.push(byte);
            end = end.saturating_add(width);
        }
        if let Ok(number) = <[u8; 8]>::try_from(bytes.as_slice()) {
            bytes = i64::from_le_bytes(number).to_string().into_bytes();
        } else if bytes.len() < LEAST {
            return None;
        }
        let start = bracket.saturating_add(2);
        Some(Spelled { start, end, bytes })
    })
}

/// The byte that a list goes on with, and how many characters it takes with its blank. Some servers count from -128, others from 0.
fn listed(text: &[u8]) -> Option<(u8, usize)> {
    let number = text.strip_prefix(b" ")?;
    let sign = usize::from(number.starts_with(b"-"));
    let digits = tail(number, sign).iter().take(4).take_while(|b| b.is_ascii_digit());
    let width = digits.count().saturating_add(sign);
    let value: i16 = std::str::from_utf8(cut(number, 0, width)).ok()?.parse().ok()?;
    let in_range = (-128..=255).contains(&value);
    let byte = u8::try_from(value.rem_euclid(256)).ok().filter(|_| in_range)?;
    Some((byte, width.saturating_add(1)))
}
