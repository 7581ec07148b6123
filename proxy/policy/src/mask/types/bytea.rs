//! bytea: raw in binary; in text `\x` and hexadecimal digits, or (under `bytea_output = escape`) escaped.

use crate::mask::bytes::{at, cut};
use crate::mask::detect::hex::pair;
use crate::mask::hash::put_hex;
use crate::mask::plan::Format;

/// The bytes of a text form. `None`: neither of the two forms.
pub(crate) fn decode_text(text: &[u8]) -> Option<Vec<u8>> {
    if text.starts_with(b"\\x") {
        from_hex(text)
    } else {
        from_escaped(text)
    }
}

/// The bytes of `\x…`; `None` for anything else.
pub(crate) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x")?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(pair).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then_some(bytes)
}

fn from_escaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0usize;
    while let Some(&b) = text.get(i) {
        let (byte, width) = match (b, at(text, i.saturating_add(1))) {
            (b'\\', b'\\') => (b'\\', 2),
            (b'\\', _) => (octal(cut(text, i.saturating_add(1), i.saturating_add(4)))?, 4),
            (b, _) => (b, 1),
        };
        out.push(byte);
        i = i.saturating_add(width);
    }
    Some(out)
}

/// The byte that three octal digits stand for.
pub(crate) fn octal(digits: &[u8]) -> Option<u8> {
    let [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] = digits else {
        return None;
    };
    Some(((a & 3) << 6) | ((b & 7) << 3) | (c & 7))
}

/// Bytes in a format; text is hexadecimal, which every client takes whatever `bytea_output` says.
pub(crate) fn encode(bytes: &[u8], format: Format) -> Vec<u8> {
    match format {
        Format::Binary => bytes.to_vec(),
        Format::Text => {
            let mut out = b"\\x".to_vec();
            put_hex(&mut out, bytes);
            out
        }
    }
}
