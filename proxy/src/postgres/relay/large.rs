//! Messages too large to be held: a row of which the rest passes as it is, a piece of a COPY.
//!
//! A field of PostgreSQL may have a gibibyte. Whatever stands in front of the columns that pass is masked first; from
//! there on bytes go through as they arrive, and only their lengths are checked. A row whose later columns have to be
//! looked at is held whole, up to [`TARGET_CAP`], and refused beyond.

use sallyport_policy::mask::{Counts, Outcome, RowError, RowPlan};

use super::{Broken, State, rows};
use crate::postgres::expect::Expect;
use crate::postgres::frame::{Body, HEADER, Head, TARGET_CAP};

/// Messages up to this many bytes are held whole: most are far smaller, and one look at all of it is the quickest.
pub const LARGE: usize = 256 * 1024;

/// A large message that has begun and not ended.
pub enum Large {
    /// A row; what is left of it passes.
    Row(Rest),
    /// A piece of a COPY, of which so many bytes are to come.
    Copy(usize),
}

/// What is left of a row: lengths are checked as they come by.
#[derive(Debug, PartialEq, Eq)]
pub struct Rest {
    /// Bytes of the row that are to come.
    bytes: usize,
    /// Fields that have not begun.
    fields: usize,
    /// Bytes of the present field that are to come.
    value: usize,
    /// The part of a field's length that has come.
    length: Vec<u8>,
}

/// Begins a message whose head has arrived and whose body has not. Gives how many bytes of `arrived` are done with; `None`
/// while it has to be waited for.
///
/// # Errors
/// When it cannot be passed, now or ever.
pub(super) fn begin(state: &mut State, head: Head, arrived: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Broken> {
    let body = head.len.saturating_sub(HEADER);
    let arrived = arrived.get(HEADER..).unwrap_or_default();
    let State { expected, counts, .. } = state;
    let start = match (head.tag, expected.front()) {
        (b'd', _) if state.copy_out.is_some() => {
            state.large = Some(Large::Copy(body));
            return Ok(Some(HEADER));
        }
        (b'D', Some(Expect::Query(query))) if !query.failed => match &query.plan {
            Some(plan) => row(plan, body, arrived, out, counts)?,
            None => return Err(Broken::Unasked(b'D')),
        },
        (b'D', Some(Expect::Execute { portal, .. })) => match &*portal.plan.borrow() {
            Some(plan) => row(plan, body, arrived, out, counts)?,
            None => return Err(Broken::Unasked(b'D')),
        },
        _ => Start::Whole,
    };
    let (rest, used) = match start {
        Start::Now(rest, used) => (rest, used),
        Start::Later => return Ok(None),
        Start::Whole if head.len > TARGET_CAP => return Err(Broken::TooLarge),
        Start::Whole => return Ok(None),
    };
    let sent = (HEADER + used + rest.bytes) as u64;
    state.with_running(|running, _| running.row(sent));
    state.large = (rest.bytes > 0).then_some(Large::Row(rest));
    Ok(Some(HEADER + used))
}

/// Passes on what has arrived of the large message that is under way. Gives how many bytes are done with.
///
/// # Errors
/// When it is not what it has to be.
pub(super) fn go_on(state: &mut State, arrived: &[u8], out: &mut Vec<u8>) -> Result<usize, Broken> {
    match state.large.take() {
        None => Ok(0),
        Some(Large::Row(mut rest)) => {
            let piece = arrived.get(..rest.bytes.min(arrived.len())).unwrap_or_default();
            rest.pass(piece)?;
            out.extend_from_slice(piece);
            state.large = (rest.bytes > 0).then_some(Large::Row(rest));
            Ok(piece.len())
        }
        Some(Large::Copy(left)) => {
            let piece = arrived.get(..left.min(arrived.len())).unwrap_or_default();
            let left = left - piece.len();
            state.large = (left > 0).then_some(Large::Copy(left));
            if !piece.is_empty() {
                rows::copy_data(state, piece, out)?;
            }
            Ok(piece.len())
        }
    }
}

/// How a row begins.
enum Start {
    /// Its new head and its first fields are written; what is left of it, and how much of the body is done with.
    Now(Rest, usize),
    /// Once what has to be looked at has arrived, which can be held.
    Later,
    /// Once all of it has arrived.
    Whole,
}

/// Begins a row if everything that has to be looked at has arrived.
fn row(plan: &RowPlan, body: usize, arrived: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Result<Start, Broken> {
    let looked_at = (0..plan.len()).rev().find(|i| !plan.passes(*i)).map_or(0, |i| i + 1);
    if looked_at == plan.len() && looked_at > 0 {
        return Ok(Start::Whole);
    }
    let mut reader = Body::new(arrived);
    let Ok(got) = reader.count() else {
        return Ok(Start::Later);
    };
    if got != plan.len() {
        let planned = plan.len();
        return Err(RowError::Columns { got, planned }.into());
    }
    let Some(used) = end_of(arrived, looked_at, body)? else {
        return Ok(Start::Later);
    };
    let mut values = Vec::new();
    for _ in 0..looked_at {
        values.push(reader.value()?);
    }
    let left = body.checked_sub(used).ok_or(RowError::Malformed)?;
    put_first(plan, &values, left, out, counts)?;
    let rest = Rest {
        bytes: left,
        fields: plan.len() - looked_at,
        value: 0,
        length: Vec::new(),
    };
    Ok(Start::Now(rest, used))
}

/// Where the first `fields` of a row of so many bytes end; `None` while not all of them has arrived.
///
/// # Errors
/// When they reach out of the row, or are more than can be held.
fn end_of(arrived: &[u8], fields: usize, body: usize) -> Result<Option<usize>, Broken> {
    let mut end = size_of::<u16>();
    for _ in 0..fields {
        let Some(length) = arrived.get(end..).and_then(<[u8]>::first_chunk::<4>) else {
            return Ok(None);
        };
        let value = bytes_of(*length)?;
        end = end.saturating_add(size_of_val(length)).saturating_add(value);
        if end > body {
            return Err(RowError::Malformed.into());
        }
        if end > TARGET_CAP {
            return Err(Broken::TooLarge);
        }
    }
    Ok((end <= arrived.len()).then_some(end))
}

/// Bytes that follow a field's length: none where it is NULL.
fn bytes_of(length: [u8; 4]) -> Result<usize, RowError> {
    match i32::from_be_bytes(length) {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| RowError::Malformed),
    }
}

/// A row's head and its first fields, masked; `left` bytes follow.
fn put_first(
    plan: &RowPlan,
    values: &[Option<&[u8]>],
    left: usize,
    out: &mut Vec<u8>,
    counts: &mut Counts,
) -> Result<(), Broken> {
    let mut first = u16::try_from(plan.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    for (index, value) in values.iter().enumerate() {
        let mut masked = Vec::new();
        let outcome = match value {
            Some(value) => plan.field(index, value, &mut masked, counts)?,
            None => Outcome::Null,
        };
        let sent = match (outcome, value) {
            (Outcome::Written, _) => Some(masked.as_slice()),
            (Outcome::Unchanged, value) => *value,
            (Outcome::Null, _) => None,
        };
        let length = sent.map_or(-1, |sent| i32::try_from(sent.len()).unwrap_or(i32::MAX));
        first.extend_from_slice(&length.to_be_bytes());
        first.extend_from_slice(sent.unwrap_or_default());
    }
    let length = u32::try_from(4 + first.len() + left).map_err(|_| Broken::TooLarge)?;
    out.push(b'D');
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&first);
    Ok(())
}

// === impl Rest ===

impl Rest {
    /// Follows the lengths of the fields through `piece`, which is no longer than what is left.
    fn pass(&mut self, mut piece: &[u8]) -> Result<(), RowError> {
        self.bytes = self.bytes.checked_sub(piece.len()).ok_or(RowError::Malformed)?;
        while !piece.is_empty() {
            let n = self.value.min(piece.len());
            piece = piece.get(n..).unwrap_or_default();
            self.value -= n;
            let Some((byte, after)) = piece.split_first() else {
                break;
            };
            if self.fields == 0 {
                return Err(RowError::Malformed);
            }
            self.length.push(*byte);
            piece = after;
            if let Some(length) = self.length.first_chunk::<4>() {
                self.value = bytes_of(*length)?;
                self.length.clear();
                self.fields -= 1;
            }
        }
        // Complete exactly when its announced bytes are: neither a field that lacks bytes nor bytes that lack a field.
        let complete = self.fields == 0 && self.value == 0 && self.length.is_empty();
        if (self.bytes == 0) == complete {
            Ok(())
        } else {
            Err(RowError::Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut body = Vec::new();
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
            body.extend(length.to_be_bytes());
            body.extend(value.unwrap_or_default());
        }
        body
    }

    fn follow(body: &[u8], count: usize, piece: usize) -> Result<(), RowError> {
        let mut rest = Rest {
            bytes: body.len(),
            fields: count,
            value: 0,
            length: Vec::new(),
        };
        body.chunks(piece).try_for_each(|piece| rest.pass(piece))
    }

    #[test]
    fn lengths_have_to_add_up_however_the_bytes_arrive() {
        let long = vec![7; 1_000];
        let good = fields(&[Some(&long), None, Some(b""), Some(b"x")]);
        let mut negative = good.clone();
        negative[..4].copy_from_slice(&(-2i32).to_be_bytes());
        let mut beyond = good.clone();
        beyond[..4].copy_from_slice(&i32::MAX.to_be_bytes());
        for piece in [1, 2, 3, 5, 64, 4_096] {
            assert_eq!(follow(&good, 4, piece), Ok(()), "{piece}");
            for (bad, count) in [(&good, 3), (&good, 5), (&negative, 4), (&beyond, 4)] {
                assert_eq!(follow(bad, count, piece), Err(RowError::Malformed), "{piece} {count}");
            }
            assert_eq!(follow(&good[..good.len() - 1], 4, piece), Err(RowError::Malformed));
        }
    }
}
