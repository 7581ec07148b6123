//! E-mail addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::hex::pair;
use super::piece::{ahead, behind};
use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut, tail};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::EmailAddress,
    name: "EMAIL_ADDRESS",
    aliases: &[],
    score: 90,
    words: &[],
    validates: "`local@domain`: local part of 1 to 64 letters, digits, `._%+-&'$` or non-ASCII bytes; domain of two \
                labels or more, each of 1 to 63 letters, digits, hyphens or non-ASCII bytes, the last of two or more \
                and not begun by a digit; or an IP address in brackets. `%40` counts as `@`, as URLs have it. A local \
                part may stand in quotes, with blanks in it.",
    min_bytes: 6,
    find: Find::Signs(b"@%", email),
};

/// Bytes that are local parts made of.
const LOCAL: u8 = 1;
/// Bytes that domains are made of.
const DOMAIN: u8 = 1 << 1;
/// Of those, what a top-level domain does not begin with.
const NUMERIC: u8 = 1 << 2;

/// Of which of these classes a byte is.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'0'..=b'9' | b'-' => LOCAL | DOMAIN | NUMERIC,
            b'A'..=b'Z' | b'a'..=b'z' | 0x80.. => LOCAL | DOMAIN,
            b'.' | b'_' | b'%' | b'+' | b'&' | b'\'' | b'$' => LOCAL,
            _ => 0,
        };
        b += 1;
    }
    table
};

/// How URLs and forms write `@` (RFC 3986, 2.1).
const ENCODED: &[u8] = b"%40";

/// Offered every `@` and every percent sign: that of `%40` counts.
fn email(text: &[u8], sign: usize, _: &Context<'_>) -> Option<Span> {
    let encoded = at(text, sign) == b'%';
    let domain_at = sign.saturating_add(if encoded { ENCODED.len() } else { 1 });
    if encoded && cut(text, sign, domain_at) != ENCODED {
        return None;
    }
    if !encoded && at(text, sign.wrapping_sub(1)) == b'"' {
        let start = quoted_local(text, sign)?;
        let end = domain_at.saturating_add(host(tail(text, domain_at))?);
        return Span::new(start, end);
    }
    let local_at = sign.checked_sub(behind(text, sign, 64, is_local))?;
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
    let domain = host(tail(text, domain_at))?;
    Span::new(start, domain_at.saturating_add(domain)).filter(|_| start < sign)
}

/// Where a local part in quotes begins (RFC 5322, 3.4.1) that ends before `sign`. What stands between the quotes of two other
/// texts begins with a sign.
fn quoted_local(text: &[u8], sign: usize) -> Option<usize> {
    let closing = sign.checked_sub(1)?;
    let inside = behind(text, closing, 64, |b| b != b'"' && !b.is_ascii_control());
    let start = closing.checked_sub(inside)?.checked_sub(1)?;
    let begins = at(text, start) == b'"' && at(text, start.saturating_add(1)).is_ascii_alphanumeric();
    let alone = start
        .checked_sub(1)
        .is_none_or(|i| matches!(at(text, i), b' ' | b'<' | b',' | b';' | b':' | b'='));
    (begins && alone).then_some(start)
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
    class(b) & LOCAL != 0
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
fn class(b: u8) -> u8 {
    CLASSES[usize::from(b)]
}

/// Length of a domain name, or of an address in brackets (RFC 5321, 4.1.3).
fn host(text: &[u8]) -> Option<usize> {
    let Some(inside) = text.strip_prefix(b"[") else {
        return domain(text);
    };
    let length = ahead(inside, 0, LONGEST, |b| {
        b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'I' | b'P' | b'v')
    });
    let address = std::str::from_utf8(cut(inside, 0, length)).ok()?;
    // Without its tag an address of six groups stands behind the user of a URL.
    let valid = match address.strip_prefix("IPv6:") {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => address.parse::<Ipv4Addr>().is_ok(),
    };
    (valid && at(inside, length) == b']').then(|| length.saturating_add(2))
}

/// The longest address that stands in brackets: six groups of IPv6 and an IPv4 address behind `IPv6:`.
const LONGEST: usize = 50;

/// Length of the longest prefix that is a domain name with two labels or more. No sum is near overflow: all are places in a text,
/// or one behind it, where no byte is of a domain.
fn domain(text: &[u8]) -> Option<usize> {
    let text = text.get(..256).unwrap_or(text);
    let (mut start, mut best) = (0_usize, None);
    loop {
        let classes = tail(text, start).iter().map(|b| class(*b));
        let label = classes.take_while(|class| class & DOMAIN != 0);
        let length = label.count();
        let end = start.wrapping_add(length);
        if !(1..=63).contains(&length) {
            return best;
        }
        let named = class(at(text, start)) & NUMERIC == 0;
        if start > 0 && length >= 2 && named {
            best = Some(end);
        }
        if at(text, end) != b'.' {
            return best;
        }
        start = end.wrapping_add(1);
    }
}
