//! E-mail addresses.

use super::{Detector, Find, Kind, Span};
use crate::mask::bytes::{cut, tail};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::EmailAddress,
    name: "EMAIL_ADDRESS",
    aliases: &[],
    score: 90,
    validates: "`local@domain`: local part of 1 to 64 letters, digits, `._%+-&'` or non-ASCII bytes; domain of two \
                labels or more, each of 1 to 63 letters, digits, hyphens or non-ASCII bytes, the last of two or more and \
                not of digits alone.",
    min_bytes: 6,
    find: Find::At(email),
};

fn email(text: &[u8], at: usize) -> Option<Span> {
    let before = cut(text, 0, at);
    let local = before.iter().rev().take(64).take_while(|b| is_local(**b)).count();
    // A quote or dot at the start belongs to the text around the address.
    let quoted = cut(text, at.saturating_sub(local), at)
        .iter()
        .take_while(|b| matches!(b, b'\'' | b'.' | b'&'))
        .count();
    let start = at.saturating_sub(local).saturating_add(quoted);
    let domain_at = at.saturating_add(1);
    let domain = domain(tail(text, domain_at))?;
    (start < at).then_some(Span {
        start,
        end: domain_at.saturating_add(domain),
    })
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
