//! Private keys in PEM (RFC 7468), also in base64, in the armor of OpenPGP (RFC 9580, 6.2) and as PuTTY keeps them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::piece::{ahead, is_base64};
use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut, tail};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::PemPrivateKey,
    name: "PEM_PRIVATE_KEY",
    aliases: &["ENCRYPTION_KEY"],
    score: 100,
    words: &[],
    validates: "From `-----BEGIN … PRIVATE KEY-----` or `-----BEGIN PGP PRIVATE KEY BLOCK-----`, with five hyphens or, \
                as SSH has them, four and a blank, to the line that ends it or, where that does not come, 16 KiB. In a \
                file of PuTTY from `Private-Lines:` and a number to `Private-MAC`. The same in base64, as a Secret of \
                Kubernetes has it. Certificates and public keys are public.",
    min_bytes: 27,
    find: Find::Signs(b"I-J", key),
};

/// That of PEM, and that of SSH (RFC 4716 writes public keys so, and programs private ones), each with what ends its lines and
/// begins the last of them.
const FRAMES: [(&[u8], &[u8], &[u8]); 2] = [
    (b"-----BEGIN ", b"-----", b"-----END "),
    (b"---- BEGIN ", b" ----", b"---- END "),
];
const LABEL: &[u8] = b"PRIVATE KEY";
/// OpenPGP calls what follows a block.
const BLOCK: &[u8] = b" BLOCK";
/// What the key follows in a file of PuTTY, before and after its hyphen, and what follows the key.
const PUTTY: (&[u8], &[u8]) = (b"Private", b"-Lines: ");
const PUTTY_END: &[u8] = b"Private-MAC";
/// How BEGIN and what stands before it begin in base64, and where the I is in what that decodes to.
const ENCODED: &[u8] = b"LS0tLS1CRUdJ";
const ENCODED_LETTER: usize = 8;
/// The longest key in base64.
const ENCODED_BODY: usize = 24 * 1024;
/// How long lines of base64 are, 64 (RFC 7468) or 76 (RFC 2045).
const LINES: [usize; 2] = [64, 76];
/// The longest key that is looked for: RSA of 16,384 bits has 13 KiB.
const BODY: usize = 16 * 1024;

/// Offered every I, of which that of BEGIN counts, every hyphen, of which that of PuTTY's `Private-Lines` counts, and every J:
/// that of BEGIN in base64 counts.
fn key(text: &[u8], sign: usize, _: &Context<'_>) -> Option<Span> {
    match at(text, sign) {
        b'-' => putty(text, sign),
        b'J' => encoded(text, sign),
        _ => pem(text, sign),
    }
}

fn putty(text: &[u8], hyphen: usize) -> Option<Span> {
    let start = hyphen.checked_sub(PUTTY.0.len())?;
    let count_at = hyphen.checked_add(PUTTY.1.len())?;
    let named = cut(text, start, hyphen) == PUTTY.0 && cut(text, hyphen, count_at) == PUTTY.1;
    let alone = start.checked_sub(1).is_none_or(|i| at(text, i) != b'-');
    let counted = ahead(text, count_at, 1, |b| b.is_ascii_digit()) == 1;
    if !(named && alone && counted) {
        return None;
    }
    let body = tail(text, count_at);
    let body = body.get(..BODY).unwrap_or(body);
    let length = memchr::memmem::find(body, PUTTY_END).unwrap_or(body.len());
    let end = count_at.checked_add(length)?;
    Span::new(start, end)
}

fn encoded(text: &[u8], letter: usize) -> Option<Span> {
    let from = letter.checked_add(1)?;
    let start = from.checked_sub(ENCODED.len())?;
    if cut(text, start, from) != ENCODED {
        return None;
    }
    // Enough for the first line of every kind of key.
    let first = ahead(text, start, 64, is_base64) & !3;
    let decoded = STANDARD.decode(cut(text, start, start.checked_add(first)?)).ok()?;
    pem(&decoded, ENCODED_LETTER)?;
    // Another one is offered by itself: a text that is full of them is read once.
    let body = tail(text, from);
    let body = body.get(..ENCODED_BODY).unwrap_or(body);
    let body = memchr::memmem::find(body, ENCODED).unwrap_or(body.len());
    let text = cut(text, 0, from.checked_add(body)?);
    let length = ahead(text, start, text.len(), is_base64);
    let mut end = start.checked_add(length)?;
    // Programs break what they encode into lines of one length, of which only the last is shorter.
    let mut whole = LINES.contains(&length);
    while whole {
        let breaks = ahead(text, end, 2, |b| matches!(b, b'\r' | b'\n'));
        let line = ahead(text, end.checked_add(breaks)?, length, is_base64);
        whole = breaks > 0 && line == length;
        if breaks > 0 && line > 0 {
            end = end.checked_add(breaks)?.checked_add(line)?;
        }
    }
    Span::new(start, end)
}

fn pem(text: &[u8], letter: usize) -> Option<Span> {
    let start = letter.checked_sub(8)?;
    let (begin, dashes, end) = FRAMES.iter().find(|(begin, ..)| tail(text, start).starts_with(begin))?;
    // Nobody begins a key with five hyphens and a blank.
    if at(text, letter.wrapping_sub(4)) == b' ' && at(text, start.wrapping_sub(1)) == b'-' {
        return None;
    }
    let label_at = start.checked_add(begin.len())?;
    // `RSA PRIVATE KEY`, `ENCRYPTED PRIVATE KEY`, `OPENSSH PRIVATE KEY`: a short label.
    let label = cut(text, label_at, label_at.saturating_add(48).min(text.len()));
    let named = memchr::memmem::find(label, LABEL)?;
    let kind = label.get(..named)?;
    if !kind
        .iter()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b' ')
    {
        return None;
    }
    let label_end = label_at.checked_add(named)?.checked_add(LABEL.len())?;
    let block = if tail(text, label_end).starts_with(BLOCK) {
        BLOCK.len()
    } else {
        0
    };
    let label_end = label_end.checked_add(block)?;
    if !tail(text, label_end).starts_with(dashes) {
        return None;
    }
    let body_at = label_end.checked_add(dashes.len())?;
    let body = tail(text, body_at);
    let body = body.get(..BODY).unwrap_or(body);
    let length = memchr::memmem::find(body, end).and_then(|ending| {
        let closing_at = ending.checked_add(end.len())?;
        let closing = memchr::memmem::find(tail(body, closing_at), dashes)?;
        closing_at.checked_add(closing)?.checked_add(dashes.len())
    });
    Span::new(start, body_at.checked_add(length.unwrap_or(body.len()))?)
}
