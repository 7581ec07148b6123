//! COPY in CSV format: a field may be quoted, and only within quotes does the escape character mean anything.

use super::{CopyError, Fields};
use crate::mask::bytes::{at, cut, tail};
use crate::mask::count::Counts;
use crate::mask::plan::Outcome;

#[derive(Debug)]
pub(super) struct Options {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: u8,
    pub(super) null: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Decoder {
    fields: Fields,
    options: Options,
    header: bool,
    quoted: Quoted,
    /// Bytes of the present row have come.
    open: bool,
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

impl Decoder {
    pub(super) fn new(fields: Fields, options: Options, header: bool) -> Self {
        Self {
            fields,
            options,
            header,
            quoted: Quoted::Outside,
            open: false,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        let mut start = 0usize;
        while let Some(end) = self.field_end(chunk, start) {
            let stop = at(chunk, end);
            self.field(cut(chunk, start, end), out, counts)?;
            out.push(stop);
            // A delimiter may be any byte but a newline, so a newline always ends a row.
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

    fn field(&mut self, last: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        if self.fields.passes() && !self.header || self.fields.is_empty_row(last) {
            out.extend_from_slice(last);
            return Ok(());
        }
        let mut joined = Vec::new();
        let mut masked = Vec::new();
        let mut force = false;
        let outcome = match self.fields.end(last, &mut joined) {
            None => self.fields.mask_oversized(&mut masked, counts),
            Some(raw) if raw == self.options.null && !self.header => {
                out.extend_from_slice(raw);
                return Ok(());
            }
            Some(raw) => {
                force = raw.contains(&self.options.quote);
                let decoded = force.then(|| self.options.unquote(raw));
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
            Outcome::Written => self.options.write(&masked, force, out),
            Outcome::Null => out.extend_from_slice(&self.options.null),
        }
        Ok(())
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

    /// Writes a value, quoted as it was before or where it has to be.
    pub(super) fn write(&self, value: &[u8], force: bool, out: &mut Vec<u8>) {
        let special = |b: &u8| *b == self.delimiter || *b == self.quote || matches!(b, b'\n' | b'\r');
        if !force && value != self.null && value != b"\\." && !value.iter().any(special) {
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
