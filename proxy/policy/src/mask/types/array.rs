//! Arrays: every element is masked by its own type, and the array keeps its shape.

use crate::mask::bytes::{Reader, at, cut, put_value, tail};
use crate::mask::plan::Outcome;

/// What an element of a type becomes; `None`: it cannot be decoded, and so neither can the array.
pub(crate) type Element<'f> = &'f mut dyn FnMut(u32, &[u8], &mut Vec<u8>) -> Option<Outcome>;

/// OID of box, whose arrays are the only ones that PostgreSQL separates by semicolons.
const BOX: u32 = 603;

/// Rewrites the text form. `None`: not an array, or an element could not be decoded.
pub(crate) fn rewrite_text(value: &[u8], element_oid: u32, element: Element<'_>, out: &mut Vec<u8>) -> Option<Outcome> {
    let delimiter = if element_oid == BOX { b';' } else { b',' };
    // Bounds that do not start at 1 stand in front: `[2:3]={…}`.
    let mut i = if at(value, 0) == b'[' {
        memchr::memchr(b'=', value)?.checked_add(1)?
    } else {
        0
    };
    if at(value, i) != b'{' {
        return None;
    }
    let (mut copied, mut changed) = (0usize, false);
    while let Some(&b) = value.get(i) {
        if matches!(b, b'{' | b'}' | b' ') || b == delimiter {
            i = i.checked_add(1)?;
            continue;
        }
        let (content, end) = if b == b'"' {
            quoted(value, i)?
        } else {
            bare(value, i, delimiter)
        };
        let null = b != b'"' && content.eq_ignore_ascii_case(b"null");
        let mut masked = Vec::new();
        let outcome = if null {
            Outcome::Unchanged
        } else {
            element(element_oid, &content, &mut masked)?
        };
        if outcome != Outcome::Unchanged {
            out.extend_from_slice(cut(value, copied, i));
            match outcome {
                Outcome::Written => write(&masked, delimiter, out),
                _ => out.extend_from_slice(b"NULL"),
            }
            copied = end;
            changed = true;
        }
        i = end;
    }
    if !changed {
        return Some(Outcome::Unchanged);
    }
    out.extend_from_slice(tail(value, copied));
    Some(Outcome::Written)
}

/// The content of the quoted element at `start`, and where it ends.
pub(super) fn quoted(value: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut content = Vec::new();
    let mut i = start.checked_add(1)?;
    loop {
        match value.get(i)? {
            b'"' => return Some((content, i.checked_add(1)?)),
            b'\\' => {
                content.push(*value.get(i.checked_add(1)?)?);
                i = i.checked_add(2)?;
            }
            b => {
                content.push(*b);
                i = i.checked_add(1)?;
            }
        }
    }
}

fn bare(value: &[u8], start: usize, delimiter: u8) -> (Vec<u8>, usize) {
    let length = tail(value, start)
        .iter()
        .take_while(|b| **b != delimiter && !matches!(b, b'{' | b'}'))
        .count();
    // At least one byte, so that the walk always goes on.
    let end = start.saturating_add(length.max(1));
    (cut(value, start, end).to_vec(), end)
}

/// An element, quoted where PostgreSQL would quote it.
fn write(content: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let special =
        |b: &u8| *b == delimiter || matches!(b, b'"' | b'\\' | b'{' | b'}') || b.is_ascii_whitespace() || *b == 0xB;
    if !content.is_empty() && !content.iter().any(special) && !content.eq_ignore_ascii_case(b"null") {
        out.extend_from_slice(content);
        return;
    }
    out.push(b'"');
    for b in content {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out.push(b'"');
}

/// Rewrites the binary form: dimensions, has-null flag, element OID, bounds, elements. `None` as for the text form, and where
/// the elements are of another type than `expected`.
pub(crate) fn rewrite_binary(
    value: &[u8],
    expected: Option<u32>,
    element: Element<'_>,
    out: &mut Vec<u8>,
) -> Option<Outcome> {
    let mut reader = Reader::new(value);
    let dimensions = reader.i32()?;
    let flags = reader.i32()?;
    let oid = reader.u32()?;
    if !(0..=6).contains(&dimensions) || !matches!(flags, 0 | 1) || expected.is_some_and(|expected| oid != expected) {
        return None;
    }
    let bounds = reader.take(usize::try_from(dimensions).ok()?.checked_mul(8)?)?;
    let mut count = usize::from(dimensions > 0);
    for dimension in bounds.chunks_exact(8) {
        let length = Reader::new(dimension).i32()?;
        count = count.checked_mul(usize::try_from(length).ok()?)?;
    }
    let start = out.len();
    out.extend_from_slice(cut(value, 0, value.len().checked_sub(reader.rest().len())?));
    let (mut changed, mut nulls) = (false, flags == 1);
    for _ in 0..count {
        // Each element takes four bytes at least, so a lying count ends here.
        let Some(bytes) = reader.value()? else {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        };
        let mut outcome = Some(Outcome::Unchanged);
        put_value(out, |out| {
            outcome = element(oid, bytes, out);
            if outcome == Some(Outcome::Unchanged) {
                out.extend_from_slice(bytes);
            }
            outcome.is_some_and(|o| o != Outcome::Null)
        });
        let outcome = outcome?;
        changed |= outcome != Outcome::Unchanged;
        nulls |= outcome == Outcome::Null;
    }
    if !reader.is_empty() {
        return None;
    }
    if nulls && let Some(flag) = out.get_mut(start.checked_add(7)?) {
        *flag = 1;
    }
    Some(if changed { Outcome::Written } else { Outcome::Unchanged })
}
