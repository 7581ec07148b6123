//! E-mail addresses.

use super::hex::pair;
use super::{Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut, tail};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::EmailAddress,
    name: "EMAIL_ADDRESS",
    aliases: &[],
    score: 90,
    words: &[],
    validates: "`local@domain`: local part of 1 to 64 letters, digits, `._%+-&'` or non-ASCII bytes; domain of two \
                labels or more, each of 1 to 63 letters, digits, hyphens or non-ASCII bytes, the last of two or more and \
                not of digits alone. `%40` counts as `@`, as URLs have it.",
    min_bytes: 6,
    find: Find::At(email),
};

/// How URLs and forms write `@` (RFC 3986, 2.1).
const ENCODED: &[u8] = b"%40";

/// Offered every `@` and every percent sign: that of `%40` counts.
fn email(text: &[u8], sign: usize) -> Option<Span> {
    let encoded = at(text, sign) == b'%';
    let domain_at = sign.saturating_add(if encoded { ENCODED.len() } else { 1 });
    if encoded && cut(text, sign, domain_at) != ENCODED {
        return None;
    }
    let before = cut(text, 0, sign);
    let local = before.iter().rev().take(64).take_while(|b| is_local(**b)).count();
    let local_at = sign.saturating_sub(local);
    let local_at = if encoded {
        after_delimiter(text, local_at, sign)
    } else {
        local_at
    };
    // A quote or dot at the start belongs to the text around the address.
    let quoted = cut(text, local_at, sign)
        .iter()
        .take_while(|b| matches!(b, b'\'' | b'.' | b'&'))
        .count();
    let start = local_at.saturating_add(quoted);
    let domain = domain(tail(text, domain_at))?;
    (start < sign).then_some(Span {
        start,
        end: domain_at.saturating_add(domain),
    })
}

/// Where a local part begins that stands between `from` and `to`: what is encoded around it (`%3D`, `%2F`) is made of the same
/// bytes.
fn after_delimiter(text: &[u8], from: usize, to: usize) -> usize {
    memchr::memrchr_iter(b'%', cut(text, from, to))
        .map(|place| from.saturating_add(place).saturating_add(1))
        .find(|digits| pair(cut(text, *digits, digits.saturating_add(2))).is_some_and(|b| !is_local(b)))
        .map_or(from, |digits| digits.saturating_add(2))
}

fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-' | b'&' | b'\'') || b >= 0x80
}

/// Length of the longest prefix that is a domain name with two labels or more.
fn domain(text: &[u8]) -> Option<usize> {
    let (mut end, mut label, mut labels, mut best) = (0usize, 0usize, 0usize, None);
    let mut numeric = true;
    for b in text.iter().take(256).chain(std::iter::once(&0)) {
        match b {
            b if b.is_ascii_alphanumeric() || *b >= 0x80 || *b == b'-' => {
                label = label.saturating_add(1);
                numeric &= b.is_ascii_digit() || *b == b'-';
            }
            _ => {
                if label == 0 || label > 63 {
                    break;
                }
                labels = labels.saturating_add(1);
                if labels >= 2 && label >= 2 && !numeric {
                    best = Some(end);
                }
                if *b != b'.' {
                    break;
                }
                (label, numeric) = (0, true);
            }
        }
        end = end.saturating_add(1);
    }
    best
}
