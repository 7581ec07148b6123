//! COPY … TO STDOUT: streams in three formats, decoded as they pass, split over CopyData messages at any byte.
//!
//! A client chooses delimiter, quote and escape, and may choose them so that no detector would know a value in the raw
//! stream (`65366-90-43996` is an SSN quoted with 6). So every stream is decoded as the server encoded it, each field is
//! masked as the same value in a DataRow would be, and what changed is encoded again.
//!
//! A row leaves once it has ended as it has to: what is in one of another shape stands in other columns than it seems to, and
//! nobody knows which mask it needs.
//!
//! Memory: one field of a column that is looked at, up to a bound. A longer one is hidden whole, and counted. What is made of a
//! row is held until it ends, up to another bound: of a longer row the beginning goes ahead.

mod binary;
mod csv;
mod lines;
mod text;

use super::count::Counts;
use super::plan::{Outcome, RowError, RowPlan};

/// What is held of a row that has not ended.
const MAX_HELD: usize = 256 * 1024;

/// How a stream is encoded, from the COPY statement's options with PostgreSQL's defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// `FORMAT text`.
    Text {
        /// `DELIMITER`; a tab by default.
        delimiter: u8,
        /// `NULL`; `\N` by default. See [`CopyFormat::null_is_certain`].
        null: Vec<u8>,
        /// `HEADER`: the first line holds column names.
        header: bool,
    },
    /// `FORMAT csv`.
    Csv {
        /// `DELIMITER`; a comma by default.
        delimiter: u8,
        /// `QUOTE`; a double quote by default.
        quote: u8,
        /// `ESCAPE`; the same as `quote` by default.
        escape: u8,
        /// `NULL`; empty by default.
        null: Vec<u8>,
        /// `HEADER`: the first line holds column names.
        header: bool,
    },
    /// `FORMAT binary`.
    Binary,
}

/// Why a stream was not passed on. What was appended before it may be sent; the COPY has to end with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The stream is not what its format says.
    #[error("the target sent a COPY stream that is not in the format it announced")]
    Malformed,
    /// A row could not be passed.
    #[error(transparent)]
    Row(#[from] RowError),
}

/// Masks one COPY stream.
#[derive(Debug)]
pub struct CopyMasker {
    state: State,
    /// What was made of a row that has not ended.
    open: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// Nothing in the stream can change.
    Passing,
    Text(lines::Decoder<text::Text>),
    Csv(lines::Decoder<csv::Csv>),
    Binary(binary::Decoder),
    /// After an error nothing passes any more.
    Failed(CopyError),
}

// === impl CopyFormat ===

impl CopyFormat {
    /// `FORMAT text` without options.
    pub fn text() -> Self {
        Self::Text {
            delimiter: b'\t',
            null: b"\\N".to_vec(),
            header: false,
        }
    }

    /// `FORMAT csv` without options.
    pub fn csv() -> Self {
        Self::Csv {
            delimiter: b',',
            quote: b'"',
            escape: b'"',
            null: Vec::new(),
            header: false,
        }
    }

    /// Whether what reads as NULL is NULL. Under `FORMAT text` with a NULL of the client's choosing a value may be written in the
    /// same way: then both are masked as that value, and the stream shows `coalesce(ssn, 'x')`, an expression, in the place of
    /// the column.
    pub fn null_is_certain(&self) -> bool {
        match self {
            Self::Text { delimiter, null, .. } => text::is_no_value(null, *delimiter),
            Self::Csv { .. } | Self::Binary => true,
        }
    }

    fn has_header(&self) -> bool {
        matches!(self, Self::Text { header: true, .. } | Self::Csv { header: true, .. })
    }
}

// === impl CopyMasker ===

impl CopyMasker {
    /// A masker for a stream whose columns `plan` describes: formats `Text` for text and CSV, `Binary` for binary.
    /// `max_field`: the longest field, in encoded bytes, that is looked at.
    pub fn new(plan: RowPlan, format: CopyFormat, max_field: usize) -> Self {
        // A header shows names of columns, and those can be made of values.
        let names = format.has_header() && plan.masker().has_detectors();
        // That there are no columns is the target's word: then rows have to be empty.
        if plan.passes_all() && !plan.is_empty() && !names {
            return Self::of(State::Passing);
        }
        let fields = Fields {
            plan,
            column: 0,
            complete: 0,
            held: Vec::new(),
            oversized: false,
            too_long: 0,
            max_field,
        };
        let state = match format {
            CopyFormat::Text {
                delimiter,
                null,
                header,
            } => State::Text(lines::Decoder::new(fields, text::Text::new(delimiter, null), header)),
            CopyFormat::Csv {
                delimiter,
                quote,
                escape,
                null,
                header,
            } => {
                let options = csv::Options {
                    delimiter,
                    quote,
                    escape,
                    null,
                };
                State::Csv(lines::Decoder::new(fields, csv::Csv::new(options), header))
            }
            CopyFormat::Binary => State::Binary(binary::Decoder::new(fields)),
        };
        Self::of(state)
    }

    fn of(state: State) -> Self {
        let open = Vec::new();
        Self { state, open }
    }

    /// Takes the content of one CopyData message and appends what can be sent of it. Rows that are complete are
    /// written at once, so a message that ends with a row gives a message that ends with that row.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        if matches!(self.state, State::Passing) {
            out.extend_from_slice(chunk);
            return Ok(());
        }
        self.rows(out, |state, out| match state {
            State::Passing => Ok(()),
            State::Text(decoder) => decoder.push(chunk, out, counts),
            State::Csv(decoder) => decoder.push(chunk, out, counts),
            State::Binary(decoder) => decoder.push(chunk, out, counts),
            State::Failed(error) => Err(*error),
        })
    }

    /// Appends the rows that have ended by what `write` makes, and holds what comes after them.
    fn rows(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut State, &mut Vec<u8>) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        if let Some(fields) = self.state.fields_mut() {
            fields.complete = 0;
        }
        let result = write(&mut self.state, &mut self.open);
        let complete = self.state.fields_mut().map_or(0, |fields| fields.complete);
        let complete = complete.min(self.open.len());
        out.extend_from_slice(self.open.get(..complete).unwrap_or_default());
        self.open.drain(..complete);
        if let Err(error) = result {
            self.state = State::Failed(error);
            self.open = Vec::new();
        } else if self.open.len() > MAX_HELD {
            out.append(&mut self.open);
        }
        result
    }

    /// Fields so far that were too long to be looked at, and were hidden whole.
    pub fn too_long(&self) -> u64 {
        match &self.state {
            State::Passing | State::Failed(_) => 0,
            State::Text(decoder) => decoder.fields().too_long,
            State::Csv(decoder) => decoder.fields().too_long,
            State::Binary(decoder) => decoder.fields().too_long,
        }
    }

    /// Bytes that are held: of a field that has not ended, and of its row.
    pub fn held(&self) -> usize {
        let field = match &self.state {
            State::Passing | State::Failed(_) => 0,
            State::Text(decoder) => decoder.fields().held.len(),
            State::Csv(decoder) => decoder.fields().held.len(),
            State::Binary(decoder) => decoder.fields().held.len(),
        };
        field.saturating_add(self.open.len())
    }

    /// To be called at CopyDone: appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>, counts: &mut Counts) -> Result<(), CopyError> {
        self.rows(out, |state, out| match state {
            State::Passing => Ok(()),
            State::Text(decoder) => decoder.finish(out, counts),
            State::Csv(decoder) => decoder.finish(out, counts),
            State::Binary(decoder) => decoder.finish(),
            State::Failed(error) => Err(*error),
        })
    }
}

// === impl State ===

impl State {
    fn fields_mut(&mut self) -> Option<&mut Fields> {
        match self {
            Self::Passing | Self::Failed(_) => None,
            Self::Text(decoder) => Some(decoder.fields_mut()),
            Self::Csv(decoder) => Some(decoder.fields_mut()),
            Self::Binary(decoder) => Some(decoder.fields_mut()),
        }
    }
}

/// Where a stream stands within its rows, and what is held of the present field.
#[derive(Debug)]
struct Fields {
    plan: RowPlan,
    /// Number of the present column, from 0.
    column: usize,
    /// Where in what is being written the last row ends that is whole.
    complete: usize,
    /// The encoded bytes of the present field from earlier chunks; empty for a column that passes.
    held: Vec<u8>,
    /// More than `max_field` bytes came: the field is thrown away as it arrives.
    oversized: bool,
    /// So many fields were.
    too_long: u64,
    max_field: usize,
}

impl Fields {
    fn passes(&self) -> bool {
        self.plan.passes(self.column)
    }

    /// Whether what ends with `last` stands for a row without columns: an empty line.
    fn is_empty_row(&self, last: &[u8]) -> bool {
        self.plan.is_empty() && !self.oversized && self.held.is_empty() && last.is_empty()
    }

    /// Keeps a part of a field that goes on in the next chunk.
    fn hold(&mut self, part: &[u8]) {
        if self.held.len().saturating_add(part.len()) > self.max_field {
            self.oversized = true;
            self.held = Vec::new();
        }
        if !self.oversized {
            self.held.extend_from_slice(part);
        }
    }

    /// Ends a field: the encoded bytes of all of it, or `None` if it was too long. `last` is its part in this chunk.
    fn end<'a>(&mut self, last: &'a [u8], joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let oversized = self.oversized || self.held.len().saturating_add(last.len()) > self.max_field;
        self.oversized = false;
        *joined = std::mem::take(&mut self.held);
        if oversized {
            return None;
        }
        if joined.is_empty() {
            return Some(last);
        }
        joined.extend_from_slice(last);
        Some(joined)
    }

    /// Goes on to the next column of the same row.
    fn next_column(&mut self) -> Result<(), CopyError> {
        self.column = self.column.saturating_add(1);
        if self.column < self.plan.len() {
            return Ok(());
        }
        Err(RowError::Columns {
            got: self.column.saturating_add(1),
            planned: self.plan.len(),
        }
        .into())
    }

    /// Goes on to the next row; `written` is where the one before it ends.
    fn next_row(&mut self, written: usize) -> Result<(), CopyError> {
        let got = self.column.saturating_add(1);
        self.column = 0;
        if got == self.plan.len().max(1) {
            self.complete = written;
            Ok(())
        } else {
            Err(RowError::Columns {
                got,
                planned: self.plan.len(),
            }
            .into())
        }
    }

    fn mask(&self, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<Outcome, CopyError> {
        Ok(self.plan.field(self.column, value, out, counts)?)
    }

    fn mask_oversized(&mut self, out: &mut Vec<u8>, counts: &mut Counts) -> Outcome {
        self.too_long = self.too_long.saturating_add(1);
        self.plan.oversized(self.column, out, counts)
    }

    /// A column's name in a header.
    fn mask_name(&self, name: &[u8], counts: &mut Counts) -> Option<Vec<u8>> {
        let masked = self.plan.masker().free_bytes(name, counts);
        (*masked != *name).then(|| masked.into_owned())
    }
}

#[cfg(test)]
mod tests;
