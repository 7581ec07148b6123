//! Rows as values: `record`, and composite types where the catalog names them.

use super::array::quoted;
use crate::mask::bytes::{Reader, at, cut, put_value, tail};
use crate::mask::plan::Outcome;

/// What a field of a type becomes; `None`: it cannot be decoded, and so neither can the row.
pub(crate) type Field<'f> = &'f mut dyn FnMut(u32, &[u8], &mut Vec<u8>) -> Option<Outcome>;

/// Rewrites the binary form (`record_send`): a count, then type OID and value of each field, which `field` is asked about.
/// `None`: not a row, or a field cannot be decoded.
pub(crate) fn rewrite_binary(value: &[u8], field: Field<'_>, out: &mut Vec<u8>) -> Option<Outcome> {
    let mut reader = Reader::new(value);
    let count = reader.i32()?;
    out.extend_from_slice(&count.to_be_bytes());
    let mut changed = false;
    for _ in 0..usize::try_from(count).ok()? {
        let oid = reader.u32()?;
        out.extend_from_slice(&oid.to_be_bytes());
        let Some(bytes) = reader.value()? else {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        };
        let mut outcome = Some(Outcome::Unchanged);
        put_value(out, |out| {
            outcome = field(oid, bytes, out);
            if outcome == Some(Outcome::Unchanged) {
                out.extend_from_slice(bytes);
            }
            outcome.is_some_and(|o| o != Outcome::Null)
        });
        changed |= outcome? != Outcome::Unchanged;
    }
    let outcome = if changed { Outcome::Written } else { Outcome::Unchanged };
    reader.is_empty().then_some(outcome)
}

/// Rewrites the text form: fields between commas in parentheses, quoted where they have to be, nothing for NULL. `None`: not
/// a row.
pub(crate) fn rewrite_text(
    value: &[u8],
    field: &mut dyn FnMut(&[u8], &mut Vec<u8>) -> Outcome,
    out: &mut Vec<u8>,
) -> Option<Outcome> {
    if at(value, 0) != b'(' {
        return None;
    }
    let (mut i, mut copied, mut changed) = (1usize, 0usize, false);
    loop {
        let (content, end) = content(value, i)?;
        let mut masked = Vec::new();
        let outcome = if end == i {
            Outcome::Unchanged
        } else {
            field(&content, &mut masked)
        };
        if outcome != Outcome::Unchanged {
            out.extend_from_slice(cut(value, copied, i));
            if outcome == Outcome::Written {
                write(&masked, out);
            }
            copied = end;
            changed = true;
        }
        match at(value, end) {
            b',' => i = end.checked_add(1)?,
            b')' if end.checked_add(1)? == value.len() => break,
            _ => return None,
        }
    }
    if !changed {
        return Some(Outcome::Unchanged);
    }
    out.extend_from_slice(tail(value, copied));
    Some(Outcome::Written)
}

/// The text of the field at `start`, and where it ends.
fn content(value: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    if at(value, start) != b'"' {
        let length = tail(value, start)
            .iter()
            .take_while(|b| !matches!(b, b',' | b')'))
            .count();
        let end = start.checked_add(length)?;
        return Some((cut(value, start, end).to_vec(), end));
    }
    // A quote within quotes is doubled here, where an array escapes it: the parts between are one field.
    let (mut text, mut end) = quoted(value, start)?;
    while at(value, end) == b'"' {
        let (more, next) = quoted(value, end)?;
        text.push(b'"');
        text.extend_from_slice(&more);
        end = next;
    }
    Some((text, end))
}

fn write(text: &[u8], out: &mut Vec<u8>) {
    let special = |b: &u8| matches!(b, b'"' | b'\\' | b'(' | b')' | b',') || b.is_ascii_whitespace() || *b == 0xB;
    if !text.is_empty() && !text.iter().any(special) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for b in text {
        if matches!(b, b'"' | b'\\') {
            out.push(*b);
        }
        out.push(*b);
    }
    out.push(b'"');
}
