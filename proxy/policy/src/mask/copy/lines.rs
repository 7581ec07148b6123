//! What text and CSV have in common: fields end at a delimiter, rows at a newline, and the first row may be names.

use super::{CopyError, Fields};
use crate::mask::bytes::{at, cut, tail};
use crate::mask::count::Counts;
use crate::mask::plan::Outcome;

/// How one of the formats writes fields.
pub(super) trait Syntax {
    /// Where the field that `start` lies in ends; keeps track of what goes on over chunks.
    fn field_end(&mut self, chunk: &[u8], start: usize) -> Option<usize>;
    /// How NULL is written.
    fn null(&self) -> &[u8];
    /// Whether this can be nothing but NULL.
    fn is_null(&self, raw: &[u8]) -> bool;
    /// The value of a field, where it is not written as it is.
    fn decode(&self, raw: &[u8]) -> Option<Vec<u8>>;
    /// Writes a value in the place of another. How that one was written tells of it, so this hangs on nothing but the new one.
    fn encode(&self, value: &[u8], out: &mut Vec<u8>);
}

#[derive(Debug)]
pub(super) struct Decoder<S> {
    fields: Fields,
    syntax: S,
    header: bool,
    /// Bytes of the present row have come.
    open: bool,
}

impl<S: Syntax> Decoder<S> {
    pub(super) fn new(fields: Fields, syntax: S, header: bool) -> Self {
        Self {
            fields,
            syntax,
            header,
            open: false,
        }
    }

    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        let mut start = 0usize;
        while let Some(end) = self.syntax.field_end(chunk, start) {
            let stop = at(chunk, end);
            self.field(cut(chunk, start, end), out, counts)?;
            out.push(stop);
            // A delimiter may be any byte but a newline, so a newline always ends a row.
            self.open = stop != b'\n';
            if stop == b'\n' {
                self.header = false;
                self.fields.next_row(out.len())?;
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
            self.fields.next_row(out.len())?;
        }
        Ok(())
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
            Some(raw) if self.syntax.is_null(raw) && !self.header => {
                out.extend_from_slice(raw);
                return Ok(());
            }
            Some(raw) => {
                let decoded = self.syntax.decode(raw);
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
            Outcome::Written => self.syntax.encode(&masked, out),
            Outcome::Null => out.extend_from_slice(self.syntax.null()),
        }
        Ok(())
    }
}
