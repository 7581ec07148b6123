//! COPY in binary format: a header, then rows of length-prefixed fields, then a trailer.

use super::{CopyError, Fields};
use crate::mask::bytes::{Reader, put_value};
use crate::mask::count::Counts;
use crate::mask::plan::{Outcome, RowError};

const SIGNATURE: &[u8] = b"PGCOPY\n\xFF\r\n\0";
/// Signature, flags, length of the extension. PostgreSQL writes no extension, and nobody could look into one.
const HEADER: usize = 19;
/// Flags that a reader has to understand or stop at; none is in use since PostgreSQL 12.
const CRITICAL_FLAGS: u32 = 0xFFFF_0000;

#[derive(Debug)]
pub(super) struct Decoder {
    fields: Fields,
    part: Part,
    /// Bytes of a header, count or length that was cut by the end of a chunk.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Header,
    Row,
    Length,
    Value { left: usize },
    End,
}

impl Decoder {
    pub(super) fn new(fields: Fields) -> Self {
        Self {
            fields,
            part: Part::Header,
            partial: Vec::new(),
        }
    }

    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        let mut rest = chunk;
        loop {
            // Neither the header nor the trailer is part of a row.
            if matches!(self.part, Part::Row | Part::End) {
                self.fields.complete = out.len();
            }
            let wanted = match self.part {
                Part::Header => HEADER,
                Part::Row => 2,
                Part::Length => 4,
                Part::Value { left } => {
                    let (now, later) = rest.split_at(left.min(rest.len()));
                    rest = later;
                    let left = left.saturating_sub(now.len());
                    if !self.value(now, left, out, counts)? {
                        return Ok(());
                    }
                    continue;
                }
                Part::End if rest.is_empty() => return Ok(()),
                Part::End => return Err(CopyError::Malformed),
            };
            let need = wanted.saturating_sub(self.partial.len());
            let (now, later) = rest.split_at(need.min(rest.len()));
            rest = later;
            self.partial.extend_from_slice(now);
            if self.partial.len() < wanted {
                return Ok(());
            }
            let whole = std::mem::take(&mut self.partial);
            self.part = self.fixed(&whole, out, counts).ok_or(CopyError::Malformed)??;
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), CopyError> {
        if self.part == Part::End {
            Ok(())
        } else {
            Err(CopyError::Malformed)
        }
    }

    /// A part of fixed size is complete; what comes next. `None`: it is not what it should be.
    fn fixed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Option<Result<Part, CopyError>> {
        let mut reader = Reader::new(bytes);
        Some(Ok(match self.part {
            Part::Header => {
                let signature = reader.take(SIGNATURE.len())?;
                let flags = reader.u32()?;
                if signature != SIGNATURE || flags & CRITICAL_FLAGS != 0 || reader.i32()? != 0 {
                    return None;
                }
                out.extend_from_slice(bytes);
                Part::Row
            }
            Part::Row => {
                let count = reader.i16()?;
                out.extend_from_slice(bytes);
                self.fields.column = 0;
                let planned = self.fields.plan.len();
                match usize::try_from(count) {
                    Err(_) if count == -1 => Part::End,
                    Err(_) => return None,
                    Ok(got) if got != planned => return Some(Err(RowError::Columns { got, planned }.into())),
                    Ok(0) => Part::Row,
                    Ok(_) => Part::Length,
                }
            }
            Part::Length => {
                let length = reader.i32()?;
                if length == -1 {
                    out.extend_from_slice(bytes);
                    return Some(Ok(self.next()));
                }
                let left = usize::try_from(length).ok()?;
                if self.fields.passes() {
                    out.extend_from_slice(bytes);
                }
                if left == 0 {
                    return Some(self.complete(&[], out, counts).map(|()| self.next()));
                }
                Part::Value { left }
            }
            Part::Value { .. } | Part::End => return None,
        }))
    }

    /// Takes a part of a value, of which `left` bytes are still to come; true when it is complete.
    fn value(&mut self, now: &[u8], left: usize, out: &mut Vec<u8>, counts: &mut Counts) -> Result<bool, CopyError> {
        if left == 0 {
            self.complete(now, out, counts)?;
            self.part = self.next();
            return Ok(true);
        }
        if self.fields.passes() {
            out.extend_from_slice(now);
        } else {
            self.fields.hold(now);
        }
        self.part = Part::Value { left };
        Ok(false)
    }

    fn complete(&mut self, last: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        if self.fields.passes() {
            out.extend_from_slice(last);
            return Ok(());
        }
        let mut joined = Vec::new();
        let raw = self.fields.end(last, &mut joined);
        let mut result = Ok(());
        put_value(out, |out| {
            let outcome = match raw {
                None => Ok(self.fields.mask_oversized(out, counts)),
                Some(raw) => self.fields.mask(raw, out, counts),
            };
            match (outcome, raw) {
                (Ok(Outcome::Unchanged), Some(raw)) => out.extend_from_slice(raw),
                (Ok(Outcome::Unchanged | Outcome::Null), _) => return false,
                (Ok(Outcome::Written), _) => {}
                (Err(error), _) => result = Err(error),
            }
            true
        });
        result
    }

    fn next(&mut self) -> Part {
        self.fields.column = self.fields.column.saturating_add(1);
        if self.fields.column < self.fields.plan.len() {
            Part::Length
        } else {
            Part::Row
        }
    }
}
