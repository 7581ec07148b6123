//! A masker applied to one RowDescription: what happens to each column of the DataRows that follow.

use std::fmt;
use std::sync::Arc;

use super::bytes::{Reader, cut, put_value, tail};
use super::column::ColumnPlan;
use super::count::Counts;
use super::masker::Masker;
use super::rule::RuleSet;
use super::text::Surroundings;
use super::types::{Class, Types};

/// How a value is encoded: the format code of RowDescription, Bind or CopyOutResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// 0: the type's text form.
    #[default]
    Text,
    /// 1: the type's binary form.
    Binary,
}

/// Where an output column's values come from, by origin and lineage.
///
/// The sets hold every rule of the policy that protects the column; a rule from which the person is exempt is dropped by
/// the [`Masker`], not by whoever fills this in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A stored column, unchanged on its way here, that these rules protect.
    Column(RuleSet),
    /// An expression into which columns that these rules protect flow.
    Tainted(RuleSet),
    /// Known, and nothing protected flows into it.
    Plain,
    /// Not known: opaque code stands in between.
    Unknown,
}

/// One output column, from RowDescription (or the statement's description where the client asked for none) and lineage.
#[derive(Clone, Debug)]
pub struct ColumnInfo {
    /// Its name: a detector's context words count in it.
    pub name: String,
    /// OID of its type.
    pub type_oid: u32,
    /// Its type modifier; -1 for none.
    pub type_modifier: i32,
    /// The format that Bind (or COPY) asked for, not the one a statement's Describe states.
    pub format: Format,
    /// Where its values come from.
    pub source: Source,
    /// What this one column's type is, where neither `type_oid` nor the types given to [`Masker::plan_with`] say it.
    pub class: Option<Class>,
}

/// What became of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was written; the value passes as it is.
    Unchanged,
    /// The value to send instead was appended.
    Written,
    /// NULL is to be sent instead; nothing was written.
    Null,
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// Nothing was written; the body passes as it is.
    Unchanged,
    /// The body to send instead was appended.
    Written,
}

/// Why a row was not passed. Whatever was appended for it must be thrown away, and the result ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Lengths within the row reach outside of it, are negative, or leave bytes over.
    #[error("the target sent a row whose lengths do not add up")]
    Malformed,
    /// The row has another number of columns than the plan.
    #[error("the target sent a row of {got} columns where {planned} were described")]
    Columns {
        /// Columns of the row.
        got: usize,
        /// Columns of the plan.
        planned: usize,
    },
    /// Under profile Strict, a value that may be protected could not be decoded.
    #[error("column {column} has a type that cannot be decoded, and a Strict rule applies: cast it to text")]
    Undecodable {
        /// Number of the column, from 1.
        column: usize,
    },
}

/// Bytes of a field's length.
const LENGTH: usize = 4;

/// What happens to each column of the rows that follow one RowDescription.
#[derive(Clone)]
pub struct RowPlan {
    masker: Arc<Masker>,
    columns: Arc<[ColumnPlan]>,
    types: Arc<Types>,
}

// === impl RowPlan ===

impl RowPlan {
    pub(super) fn new(masker: Arc<Masker>, columns: &[ColumnInfo], types: Arc<Types>) -> Self {
        let columns = columns
            .iter()
            .map(|info| ColumnPlan::new(&masker, &types, info))
            .collect();
        Self { masker, columns, types }
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether no column can change: rows may be relayed without looking into them.
    pub fn passes_all(&self) -> bool {
        self.columns.iter().all(ColumnPlan::passes)
    }

    /// Whether column `i` (from 0) passes as it is. False for one that the plan does not have.
    pub fn passes(&self, i: usize) -> bool {
        self.columns.get(i).is_some_and(ColumnPlan::passes)
    }

    /// How many columns are hidden whole.
    pub fn hidden(&self) -> usize {
        self.columns.iter().filter(|column| column.is_hidden()).count()
    }

    /// Counters that fit this plan.
    pub fn counts(&self) -> Counts {
        self.masker.counts()
    }

    /// The masker behind the plan.
    pub fn masker(&self) -> &Arc<Masker> {
        &self.masker
    }

    /// Masks one value that is not NULL: column `i` from 0, `value` in the column's format. Appends to `out` only where
    /// it answers [`Outcome::Written`].
    pub fn field(&self, i: usize, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<Outcome, RowError> {
        let column = self.columns.get(i).ok_or(RowError::Columns {
            got: i.saturating_add(1),
            planned: self.len(),
        })?;
        let start = out.len();
        let outcome = column.apply((&self.masker, &self.types), value, out, counts);
        let outcome = outcome.ok_or(RowError::Undecodable {
            column: i.saturating_add(1),
        })?;
        if outcome != Outcome::Written {
            out.truncate(start);
        }
        Ok(outcome)
    }

    /// What is sent for a value of column `i` that is too large to be looked at: the column's fixed mask or NULL, and
    /// nothing of the value.
    pub(super) fn oversized(&self, i: usize, out: &mut Vec<u8>, counts: &mut Counts) -> Outcome {
        self.columns
            .get(i)
            .map_or(Outcome::Null, |column| column.oversized(out, counts))
    }

    /// Masks one DataRow: `body` is the message without tag and length. Appends the new body to `out` where it answers
    /// [`RowOutcome::Written`]; on an error, `out` is as it was before.
    pub fn row(&self, body: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<RowOutcome, RowError> {
        let start = out.len();
        let outcome = self.rewrite(body, out, counts);
        if !matches!(outcome, Ok(RowOutcome::Written)) {
            out.truncate(start);
        }
        outcome
    }

    fn rewrite(&self, body: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<RowOutcome, RowError> {
        let mut reader = Reader::new(body);
        let got = reader.u16().map(usize::from).ok_or(RowError::Malformed)?;
        if got != self.len() {
            return Err(RowError::Columns {
                got,
                planned: self.len(),
            });
        }
        let position = |reader: &Reader<'_>| body.len().saturating_sub(reader.rest().len());
        // Bytes of `body` that are already in `out`, as they are or replaced: each is copied once at most.
        let (mut copied, mut changed) = (0usize, false);
        for (i, column) in self.columns.iter().enumerate() {
            let field = position(&reader);
            let value = reader.value().ok_or(RowError::Malformed)?;
            let Some(value) = value.filter(|_| !column.passes()) else {
                continue;
            };
            // A text is looked through first: most hold nothing, and then nothing is written.
            let room = tail(body, field.saturating_add(LENGTH));
            let recognised = column.recognises(&self.masker, value, room, counts);
            if recognised == Some(false) {
                continue;
            }
            if recognised == Some(true) {
                let place = (copied, field, position(&reader));
                if let Some(done) = self.replace(body, place, out, counts) {
                    (copied, changed) = (done, true);
                }
                continue;
            }
            // The field is written where it belongs, behind everything before it, and taken back if nothing changed.
            out.extend_from_slice(cut(body, copied, field));
            copied = field;
            let mark = out.len();
            let mut outcome = Some(Outcome::Unchanged);
            put_value(out, |out| {
                outcome = column.apply((&self.masker, &self.types), value, out, counts);
                outcome == Some(Outcome::Written)
            });
            match outcome {
                Some(Outcome::Unchanged) => out.truncate(mark),
                Some(Outcome::Written | Outcome::Null) => {
                    copied = position(&reader);
                    changed = true;
                }
                None => {
                    return Err(RowError::Undecodable {
                        column: i.saturating_add(1),
                    });
                }
            }
        }
        if !reader.is_empty() {
            return Err(RowError::Malformed);
        }
        if !changed {
            return Ok(RowOutcome::Unchanged);
        }
        out.extend_from_slice(cut(body, copied, body.len()));
        Ok(RowOutcome::Written)
    }

    /// Writes a row from `copied` on up to the last of what was recognised in the text of `field..end`, and where that is; `None`
    /// where nothing changed, and then nothing is written. The field's length goes with what stands before it, and is set last. No
    /// sum is near overflow: places in the row and in what is written.
    fn replace(
        &self,
        body: &[u8],
        (copied, field, end): (usize, usize, usize),
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Option<usize> {
        let (mark, before) = (out.len(), field.wrapping_sub(copied));
        let (text, value) = (cut(body, copied, end), before.wrapping_add(LENGTH));
        let (outcome, done) = self.masker.replace(text, value, Surroundings::Value, out, counts);
        if outcome == Outcome::Unchanged {
            out.truncate(mark);
            return None;
        }
        let written = out.len().wrapping_sub(mark).wrapping_sub(value);
        let length = i32::try_from(written.wrapping_add(text.len()).wrapping_sub(done));
        let slot = out.get_mut(mark.wrapping_add(before)..);
        if let (Outcome::Written, Ok(length), Some(slot)) =
            (outcome, length, slot.and_then(|rest| rest.first_chunk_mut()))
        {
            *slot = length.to_be_bytes();
            return Some(copied.wrapping_add(done));
        }
        out.truncate(mark);
        out.extend_from_slice(cut(body, copied, field));
        put_value(out, |_| false);
        Some(end)
    }
}

impl fmt::Debug for RowPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowPlan")
            .field("columns", &self.columns.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
