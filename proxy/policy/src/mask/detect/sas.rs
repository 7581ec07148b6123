//! Shared access signatures of Azure: who has the URL or the token may do what it says.

use super::Span;
use super::piece::{is_token, is_word};
use crate::mask::bytes::{at, cut, tail};

/// An HMAC of SHA-256 in base64, apart from the sign that fills it up.
const CHARACTERS: usize = 43;
/// How far on either side another parameter is looked for.
const REACH: usize = 512;
/// One of these stands beside every signature: the version of the storage service, the end, or the name of the key.
const OTHERS: [&[u8]; 3] = [b"sv", b"se", b"skn"];

/// Offered every equals sign: the one behind `sig` counts.
pub(super) fn signature(text: &[u8], equals: usize) -> Option<Span> {
    if at(text, equals) != b'=' || !is_key(text, equals, b"sig") {
        return None;
    }
    let start = equals.checked_add(1)?;
    let mut end = start;
    for _ in 0..CHARACTERS {
        end = end.checked_add(character(tail(text, end))?)?;
    }
    let filled = match tail(text, end) {
        [b'=', ..] => 1,
        [b'%', b'3', b'D' | b'd', ..] => 3,
        _ => 0,
    };
    end = end.checked_add(filled)?;
    let near = cut(
        text,
        equals.saturating_sub(REACH),
        end.saturating_add(REACH).min(text.len()),
    );
    let shared = memchr::memchr_iter(b'=', near).any(|place| OTHERS.iter().any(|key| is_key(near, place, key)));
    Span::new(start, end).filter(|_| shared && character(tail(text, end)).is_none())
}

/// How many bytes a character of base64 takes, percent-encoded or not; Logic Apps have base64url.
fn character(text: &[u8]) -> Option<usize> {
    match text {
        [b, ..] if is_token(*b) || matches!(b, b'+' | b'/') => Some(1),
        [b'%', b'2', b'B' | b'b' | b'F' | b'f', ..] => Some(3),
        _ => None,
    }
}

/// Whether an equals sign stands behind exactly this key. Programs that write JSON may write an ampersand as `\u0026`.
fn is_key(text: &[u8], equals: usize, key: &[u8]) -> bool {
    let Some(before) = cut(text, 0, equals).strip_suffix(key) else {
        return false;
    };
    before.last().is_none_or(|b| !is_word(*b)) || before.ends_with(b"\\u0026")
}
