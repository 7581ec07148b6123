//! COPY in text format: fields end at the delimiter, rows at a newline; a backslash takes the meaning from what follows.

use super::lines::Syntax;
use crate::mask::bytes::{at, cut, tail};
use crate::mask::types::bytea::octal;

#[derive(Debug)]
pub(super) struct Text {
    delimiter: u8,
    null: Vec<u8>,
    /// No value is written as NULL is.
    certain: bool,
    /// The last byte was a backslash that is not itself escaped.
    escaped: bool,
}

impl Text {
    pub(super) fn new(delimiter: u8, null: Vec<u8>) -> Self {
        Self {
            delimiter,
            certain: is_no_value(&null, delimiter),
            null,
            escaped: false,
        }
    }
}

impl Syntax for Text {
    fn field_end(&mut self, chunk: &[u8], start: usize) -> Option<usize> {
        let mut i = start;
        if self.escaped && i < chunk.len() {
            self.escaped = false;
            i = i.saturating_add(1);
        }
        loop {
            let found = i.saturating_add(memchr::memchr3(self.delimiter, b'\n', b'\\', tail(chunk, i))?);
            if at(chunk, found) != b'\\' {
                return Some(found);
            }
            i = found.saturating_add(2);
            if i > chunk.len() {
                self.escaped = true;
                return None;
            }
        }
    }

    fn null(&self) -> &[u8] {
        &self.null
    }

    fn is_null(&self, raw: &[u8]) -> bool {
        self.certain && raw == self.null
    }

    fn decode(&self, raw: &[u8]) -> Option<Vec<u8>> {
        raw.contains(&b'\\').then(|| unescape(raw))
    }

    fn encode(&self, value: &[u8], out: &mut Vec<u8>) {
        escape(value, self.delimiter, out);
    }
}

/// Whether no value is written like this.
pub(super) fn is_no_value(raw: &[u8], delimiter: u8) -> bool {
    let mut written = Vec::new();
    escape(&unescape(raw), delimiter, &mut written);
    written != raw
}

/// Letters that stand for control characters after a backslash.
const LETTERS: &[(u8, u8)] = &[
    (b'b', 8),
    (b'f', 12),
    (b'n', b'\n'),
    (b'r', b'\r'),
    (b't', b'\t'),
    (b'v', 11),
];

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut i = 0usize;
    while let Some(&b) = raw.get(i) {
        let next = at(raw, i.saturating_add(1));
        let (byte, width) = if b != b'\\' || i.saturating_add(1) >= raw.len() {
            (b, 1)
        } else if let Some((_, control)) = LETTERS.iter().find(|(letter, _)| *letter == next) {
            (*control, 2)
        } else {
            number(tail(raw, i.saturating_add(1))).unwrap_or((next, 2))
        };
        out.push(byte);
        i = i.saturating_add(width);
    }
    out
}

/// `x` with one or two hexadecimal digits, or one to three octal digits: the byte, and the width with the backslash.
fn number(rest: &[u8]) -> Option<(u8, usize)> {
    let value = |digits: &[u8], radix: u32| {
        digits.iter().fold(0u32, |n, d| {
            n.wrapping_mul(radix)
                .wrapping_add(char::from(*d).to_digit(radix).unwrap_or(0))
        })
    };
    let count = |from: usize, most: usize, radix: u32| {
        tail(rest, from)
            .iter()
            .take(most)
            .take_while(|b| char::from(**b).is_digit(radix))
            .count()
    };
    if let Some(byte) = octal(cut(rest, 0, 3)) {
        return Some((byte, 4));
    }
    let (from, digits, radix) = if at(rest, 0) == b'x' {
        (1, count(1, 2, 16), 16)
    } else {
        (0, count(0, 3, 8), 8)
    };
    let number = value(cut(rest, from, from.saturating_add(digits)), radix) & 0xFF;
    let width = from.saturating_add(digits).saturating_add(1);
    (digits > 0)
        .then(|| Some((u8::try_from(number).ok()?, width)))
        .flatten()
}

fn escape(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for &b in value {
        if let Some((letter, _)) = LETTERS.iter().find(|(_, control)| *control == b) {
            out.extend_from_slice(&[b'\\', *letter]);
        } else {
            if b == b'\\' || b == delimiter {
                out.push(b'\\');
            }
            out.push(b);
        }
    }
}
