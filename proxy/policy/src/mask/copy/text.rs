//! COPY in text format: fields end at the delimiter, rows at a newline; a backslash takes the meaning from what follows.

use super::{CopyError, Fields};
use crate::mask::bytes::{at, cut, tail};
use crate::mask::count::Counts;
use crate::mask::plan::Outcome;
use crate::mask::types::bytea::octal;

#[derive(Debug)]
pub(super) struct Decoder {
    fields: Fields,
    delimiter: u8,
    null: Vec<u8>,
    header: bool,
    /// The last byte was a backslash that is not itself escaped.
    escaped: bool,
    /// Bytes of the present row have come.
    open: bool,
}

impl Decoder {
    pub(super) fn new(fields: Fields, delimiter: u8, null: Vec<u8>, header: bool) -> Self {
        Self {
            fields,
            delimiter,
            null,
            header,
            escaped: false,
            open: false,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        let mut start = 0usize;
        while let Some(end) = self.field_end(chunk, start) {
            let stop = at(chunk, end);
            self.field(cut(chunk, start, end), out, counts)?;
            out.push(stop);
            self.open = stop != b'\n';
            if stop == b'\n' {
                self.header = false;
                self.fields.next_row()?;
            } else {
                self.fields.next_column()?;
            }
            start = end.saturating_add(1);
        }
        let rest = tail(chunk, start);
        self.open |= !rest.is_empty();
        if self.fields.passes() && !self.header {
            out.extend_from_slice(rest);
        } else {
            self.fields.hold(rest);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        if self.open {
            self.field(&[], out, counts)?;
            self.fields.next_row()?;
        }
        Ok(())
    }

    /// Where the field that `start` lies in ends; keeps track of backslashes over chunks.
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

    fn field(&mut self, last: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        if self.fields.passes() && !self.header || self.fields.is_empty_row(last) {
            out.extend_from_slice(last);
            return Ok(());
        }
        let mut joined = Vec::new();
        let mut masked = Vec::new();
        let outcome = match self.fields.end(last, &mut joined) {
            None => self.fields.mask_oversized(&mut masked, counts),
            Some(raw) if raw == self.null && !self.header => {
                out.extend_from_slice(raw);
                return Ok(());
            }
            Some(raw) => {
                let decoded = raw.contains(&b'\\').then(|| unescape(raw));
                let value = decoded.as_deref().unwrap_or(raw);
                let outcome = if self.header {
                    self.fields.mask_name(value, counts).map_or(Outcome::Unchanged, |name| {
                        masked = name;
                        Outcome::Written
                    })
                } else {
                    self.fields.mask(value, &mut masked, counts)?
                };
                if outcome == Outcome::Unchanged {
                    out.extend_from_slice(raw);
                }
                outcome
            }
        };
        match outcome {
            Outcome::Unchanged => {}
            Outcome::Written => escape(&masked, self.delimiter, out),
            Outcome::Null => out.extend_from_slice(&self.null),
        }
        Ok(())
    }
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
