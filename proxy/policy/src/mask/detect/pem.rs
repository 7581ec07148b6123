//! Private keys in PEM (RFC 7468) and in the armor of OpenPGP (RFC 9580, 6.2).

use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{cut, tail};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::PemPrivateKey,
    name: "PEM_PRIVATE_KEY",
    aliases: &["ENCRYPTION_KEY"],
    score: 100,
    validates: "From `-----BEGIN … PRIVATE KEY-----` or `-----BEGIN PGP PRIVATE KEY BLOCK-----` to the line that ends it \
                or, where that does not come, 16 KiB. Certificates and public keys are public.",
    min_bytes: 27,
    find: Find::Signs(b"I", key),
};

const BEGIN: &[u8] = b"-----BEGIN ";
const LABEL: &[u8] = b"PRIVATE KEY";
/// What ends the first line: OpenPGP calls what follows a block.
const LABEL_ENDS: [&[u8]; 2] = [b"-----", b" BLOCK-----"];
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// The longest key that is looked for: RSA of 16,384 bits has 13 KiB.
const BODY: usize = 16 * 1024;

/// Offered every I: that of BEGIN counts.
fn key(text: &[u8], letter: usize, _: &Context<'_>) -> Option<Span> {
    let start = letter.checked_sub(8)?;
    let label_at = start.checked_add(BEGIN.len())?;
    if cut(text, start, label_at) != BEGIN {
        return None;
    }
    // `RSA PRIVATE KEY`, `ENCRYPTED PRIVATE KEY`, `OPENSSH PRIVATE KEY`: a short label.
    let label = cut(text, label_at, label_at.saturating_add(48).min(text.len()));
    let named = memchr::memmem::find(label, LABEL)?;
    let kind = label.get(..named)?;
    if !kind.iter().all(|b| b.is_ascii_uppercase() || *b == b' ') {
        return None;
    }
    let label_end = label_at.checked_add(named)?.checked_add(LABEL.len())?;
    let ending = LABEL_ENDS.iter().find(|end| tail(text, label_end).starts_with(end))?;
    let body_at = label_end.checked_add(ending.len())?;
    let body = tail(text, body_at);
    let body = body.get(..BODY).unwrap_or(body);
    let length = memchr::memmem::find(body, END).and_then(|ending| {
        let closing_at = ending.checked_add(END.len())?;
        let closing = memchr::memmem::find(tail(body, closing_at), DASHES)?;
        closing_at.checked_add(closing)?.checked_add(DASHES.len())
    });
    Some(Span {
        start,
        end: body_at.checked_add(length.unwrap_or(body.len()))?,
    })
}
