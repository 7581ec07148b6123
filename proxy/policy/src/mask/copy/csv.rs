//! COPY in CSV format: a field may be quoted, and only within quotes does the escape character mean anything.

use super::lines::Syntax;
use crate::mask::bytes::{at, tail};

#[derive(Debug)]
pub(super) struct Options {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: u8,
    pub(super) null: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Csv {
    options: Options,
    quoted: Quoted,
}

/// Where a byte stands. With an escape that is the quote itself, a doubled quote leaves and enters again: no state of its
/// own is needed to find where a field ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoted {
    Outside,
    Inside,
    /// Inside, after an escape that is not the quote.
    Escaped,
}

impl Csv {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            quoted: Quoted::Outside,
        }
    }
}

impl Syntax for Csv {
    fn field_end(&mut self, chunk: &[u8], start: usize) -> Option<usize> {
        let Options {
            delimiter,
            quote,
            escape,
            ..
        } = self.options;
        let mut i = start;
        loop {
            let rest = tail(chunk, i);
            let skip = match self.quoted {
                Quoted::Outside => memchr::memchr3(delimiter, quote, b'\n', rest)?,
                Quoted::Inside => memchr::memchr2(quote, escape, rest)?,
                Quoted::Escaped if rest.is_empty() => return None,
                Quoted::Escaped => 0,
            };
            i = i.saturating_add(skip);
            let found = at(chunk, i);
            self.quoted = match self.quoted {
                Quoted::Outside if found != quote => return Some(i),
                Quoted::Outside | Quoted::Escaped => Quoted::Inside,
                Quoted::Inside if found == quote => Quoted::Outside,
                Quoted::Inside => Quoted::Escaped,
            };
            i = i.saturating_add(1);
        }
    }

    fn null(&self) -> &[u8] {
        &self.options.null
    }

    fn is_null(&self, raw: &[u8]) -> bool {
        // A value that reads the same is quoted.
        raw == self.options.null
    }

    fn decode(&self, raw: &[u8]) -> Option<Vec<u8>> {
        raw.contains(&self.options.quote).then(|| self.options.unquote(raw))
    }

    fn encode(&self, value: &[u8], out: &mut Vec<u8>) {
        self.options.write(value, out);
    }
}

// === impl Options ===

impl Options {
    /// The value of a field, as COPY FROM would read it.
    pub(super) fn unquote(&self, raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(raw.len());
        let (mut inside, mut i) = (false, 0usize);
        while let Some(&b) = raw.get(i) {
            i = i.saturating_add(1);
            let next = raw.get(i).copied();
            if inside && b == self.escape && next.is_some_and(|next| next == self.quote || next == self.escape) {
                out.extend(next);
                i = i.saturating_add(1);
            } else if b == self.quote {
                inside = !inside;
            } else {
                out.push(b);
            }
        }
        out
    }

    /// Writes a value, quoted where it has to be, and nowhere else: PostgreSQL quotes what holds a delimiter of the client's choosing
    /// or is what the client says NULL is, so quotes around a mask would answer guesses at what is behind it.
    pub(super) fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        let special = |b: &u8| *b == self.delimiter || *b == self.quote || matches!(b, b'\n' | b'\r');
        if value != self.null && value != b"\\." && !value.iter().any(special) {
            out.extend_from_slice(value);
            return;
        }
        out.push(self.quote);
        for &b in value {
            if b == self.quote || b == self.escape {
                out.push(self.escape);
            }
            out.push(b);
        }
        out.push(self.quote);
    }
}
