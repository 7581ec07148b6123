//! json and jsonb: each string and number within is looked at as a value of its own, with its key as context.

use crate::mask::bytes::{at, cut, tail};
use crate::mask::count::Counts;
use crate::mask::detect::Context;
use crate::mask::masker::Masker;
use crate::mask::plan::Outcome;
use crate::mask::text::Surroundings;

/// First byte of a binary jsonb; no other version exists.
pub(crate) const JSONB_VERSION: u8 = 1;

/// Rewrites JSON text with what detectors recognise replaced; it stays JSON. Strings are unescaped first.
///
/// A hit in a string replaces it there (under Null, the string becomes `null`; a key is redacted instead); a hit in a number
/// makes it a string, or `null`. Text that is not JSON is looked at as text.
///
/// `context.whole`: a bare number is a value of its own; otherwise integers in JSON are left alone as integer columns are,
/// unless a check digit or the key says more.
pub(crate) fn rewrite(
    masker: &Masker,
    text: &[u8],
    context: Context<'_>,
    out: &mut Vec<u8>,
    counts: &mut Counts,
) -> Outcome {
    let mut walk = Walk {
        masker,
        text,
        out,
        counts,
        label: context.label.to_vec(),
        whole: context.whole,
        copied: 0,
        changed: false,
    };
    let mut i = 0usize;
    while let Some(&b) = text.get(i) {
        i = match b {
            b'"' => match string_end(text, i) {
                Some(end) => {
                    walk.string(i, end);
                    end
                }
                // The string never ends: what is left is looked at as it stands.
                None => {
                    walk.raw(i, text.len());
                    text.len()
                }
            },
            b'-' | b'0'..=b'9' => {
                let number = |b: &&u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
                let end = i.saturating_add(tail(text, i).iter().take_while(number).count());
                walk.number(i, end);
                end
            }
            _ => i.saturating_add(1),
        };
    }
    walk.finish()
}

struct Walk<'a> {
    masker: &'a Masker,
    text: &'a [u8],
    out: &'a mut Vec<u8>,
    counts: &'a mut Counts,
    /// The key that the present value belongs to: the last one seen.
    label: Vec<u8>,
    /// See [`rewrite`].
    whole: bool,
    copied: usize,
    changed: bool,
}

impl Walk<'_> {
    /// The string whose quotes stand at `start` and before `end`.
    fn string(&mut self, start: usize, end: usize) {
        let inner = cut(self.text, start.saturating_add(1), end.saturating_sub(1));
        let decoded = inner.contains(&b'\\').then(|| unescape(inner));
        let value = decoded.as_deref().unwrap_or(inner);
        let key = tail(self.text, end).trim_ascii_start().first() == Some(&b':');
        let surroundings = if key {
            Surroundings::Message
        } else {
            Surroundings::Value
        };
        let label = if key { &[] } else { self.label.as_slice() };
        let mut masked = Vec::new();
        let context = Context::value(label);
        let outcome = self.masker.rewrite_text(
            &self.masker.text,
            value,
            context,
            surroundings,
            &mut masked,
            self.counts,
        );
        if key {
            self.label = value.to_vec();
        }
        self.put(start, end, outcome, &masked);
    }

    fn number(&mut self, start: usize, end: usize) {
        let number = cut(self.text, start, end);
        let mut masked = Vec::new();
        let context = Context::new(&self.label, self.whole);
        let (scanner, around) = (&self.masker.numeric, Surroundings::Value);
        let outcome = self
            .masker
            .rewrite_text(scanner, number, context, around, &mut masked, self.counts);
        self.put(start, end, outcome, &masked);
    }

    fn raw(&mut self, start: usize, end: usize) {
        let mut masked = Vec::new();
        let (text, around) = (cut(self.text, start, end), Surroundings::Message);
        let outcome = self.masker.rewrite_text(
            &self.masker.text,
            text,
            Context::prose(),
            around,
            &mut masked,
            self.counts,
        );
        self.put(start, end, outcome, &masked);
    }

    fn put(&mut self, start: usize, end: usize, outcome: Outcome, masked: &[u8]) {
        if outcome == Outcome::Unchanged {
            return;
        }
        self.out.extend_from_slice(cut(self.text, self.copied, start));
        if outcome == Outcome::Null {
            self.out.extend_from_slice(b"null");
        } else {
            self.out.push(b'"');
            escape(masked, self.out);
            self.out.push(b'"');
        }
        self.copied = end;
        self.changed = true;
    }

    fn finish(self) -> Outcome {
        if !self.changed {
            return Outcome::Unchanged;
        }
        self.out.extend_from_slice(tail(self.text, self.copied));
        Outcome::Written
    }
}

/// Where the string that opens at `start` ends, its closing quote included.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut i = start.saturating_add(1);
    loop {
        let found = i.saturating_add(memchr::memchr2(b'"', b'\\', tail(text, i))?);
        if at(text, found) == b'"' {
            return Some(found.saturating_add(1));
        }
        i = found.saturating_add(2);
    }
}

/// The text of a string's inside. What is not a valid escape stays as it is.
fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut i = 0usize;
    while let Some(&b) = inner.get(i) {
        let next = at(inner, i.saturating_add(1));
        let (c, width) = match (b, next) {
            (b'\\', b'u') => unicode(inner, i).unwrap_or(('\u{FFFD}', 2)),
            (b'\\', b'n') => ('\n', 2),
            (b'\\', b't') => ('\t', 2),
            (b'\\', b'r') => ('\r', 2),
            (b'\\', b'b') => ('\u{8}', 2),
            (b'\\', b'f') => ('\u{C}', 2),
            (b'\\', b'"' | b'\\' | b'/') => (char::from(next), 2),
            (b, _) => {
                out.push(b);
                i = i.saturating_add(1);
                continue;
            }
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        i = i.saturating_add(width);
    }
    out
}

/// The character of `\uXXXX`, or of a surrogate pair, at `i`, and how many bytes it takes.
fn unicode(inner: &[u8], i: usize) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = inner.get(at..at.checked_add(6)?)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let high = unit(i)?;
    if let Some(c) = char::from_u32(high) {
        return Some((c, 6));
    }
    let low = unit(i.checked_add(6)?).filter(|low| (0xDC00..0xE000).contains(low))?;
    let code = 0x10000_u32
        .checked_add((high & 0x3FF) << 10)?
        .checked_add(low & 0x3FF)?;
    char::from_u32(code).filter(|_| high < 0xDC00).map(|c| (c, 12))
}

/// Appends the inside of a JSON string.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1F => {
                out.extend_from_slice(b"\\u00");
                crate::mask::hash::put_hex(out, &[b]);
            }
            _ => out.push(b),
        }
    }
}
