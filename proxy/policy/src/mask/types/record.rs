//! Rows as values: `record`, and composite types where the catalog names them.

use crate::mask::bytes::{Reader, put_value};
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
