//! Addresses of machines: Internet Protocol and network cards.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::context::{Named, names};
use super::hex::pair;
use super::piece::{ahead, behind, ends_with, is_word};
use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut};

pub(super) const IP: Detector = Detector {
    kind: Kind::IpAddress,
    name: "IP_ADDRESS",
    aliases: &[],
    score: 70,
    words: &[],
    validates: "IPv4: four numbers of 0 to 255 without leading zeros, dots between them, the first not 0; no letter, \
                digit or dot directly before or after. IPv6 in any of its written forms (RFC 4291), `::` alone and \
                `::1` left alone. A version (`v1.2.3.4`, `version 1.2.3.4`, all of a column `version` or `firmware`, \
                `Chrome/120.0.0.0`) is none. Values of type inet are left alone: protect their columns by name.",
    // `::2` and its like are no machine's.
    min_bytes: 5,
    find: Find::Signs(b".:", ip),
};

pub(super) const MAC: Detector = Detector {
    kind: Kind::MacAddress,
    name: "MAC_ADDRESS",
    aliases: &[],
    score: 90,
    words: &[
        "mac",
        "mac_address",
        "macaddress",
        "mac_addr",
        "macaddr",
        "hwaddr",
        "bssid",
    ],
    validates: "Six pairs of hexadecimal digits with the same colon or hyphen between them, or three groups of four \
                with dots, not all of them 0 or all of them F; no letter, digit, colon or hyphen directly before or \
                after, nor a fourth group of digits behind a dot. Twelve bare digits where a word such as `mac` names \
                the column or JSON key and they are the whole value, or stands in the key that a colon ends before them.",
    min_bytes: 12,
    find: Find::Named(b":-.", mac),
};

/// What has versions of four numbers, or what such a column is called.
const VERSIONS: [&[u8]; 2] = [b"version", b"firmware"];
/// What a column has instead whose name has one of these words, too, and does not end with those (`firmware_host`).
const MACHINES: [&[u8]; 5] = [b"ip", b"host", b"server", b"addr", b"address"];

/// The longest address in text: six groups of IPv6 and an IPv4 address.
const LONGEST: usize = 45;

/// Offered every dot and colon: the first one of an address counts.
fn ip(text: &[u8], sign: usize, context: &Context<'_>) -> Option<Span> {
    match at(text, sign) {
        b'.' => ipv4(text, sign).filter(|span| !is_version(text, *span, context)),
        b':' => ipv6(text, sign),
        _ => None,
    }
}

fn ipv4(text: &[u8], dot: usize) -> Option<Span> {
    let part = |b: u8| b.is_ascii_digit() || b == b'.';
    if !dot.checked_sub(1).is_some_and(|i| at(text, i).is_ascii_digit()) {
        return None;
    }
    let start = dot.checked_sub(behind(text, dot, 4, |b| b.is_ascii_digit()))?;
    let before = start.checked_sub(1).map_or(0, |i| at(text, i));
    if is_word(before) || matches!(before, b'.' | b'-') || ends_ipv6(text, start) {
        return None;
    }
    let length = ahead(text, start, 17, part);
    // A full stop ends the sentence, not the address.
    let length = length.saturating_sub(usize::from(
        at(text, start.saturating_add(length).saturating_sub(1)) == b'.',
    ));
    let end = start.checked_add(length)?;
    let address: Ipv4Addr = std::str::from_utf8(cut(text, start, end)).ok()?.parse().ok()?;
    let [first, ..] = address.octets();
    Span::new(start, end).filter(|_| first != 0 && !is_word(at(text, end)))
}

/// Whether what begins at `start` goes on an IPv6 address. One colon ends a name (`IP:10.0.0.1`); an address has two.
fn ends_ipv6(text: &[u8], start: usize) -> bool {
    if start.checked_sub(1).is_none_or(|i| at(text, i) != b':') {
        return false;
    }
    let length = behind(text, start, LONGEST, |b| b.is_ascii_hexdigit() || b == b':');
    let before = cut(text, start.saturating_sub(length), start);
    before.iter().filter(|b| **b == b':').count() > 1
}

/// Whether four numbers are a version: the word stands before them, or names the column that holds nothing else.
fn is_version(text: &[u8], span: Span, context: &Context<'_>) -> bool {
    let joint = behind(text, span.start, 4, |b| {
        matches!(b, b' ' | b':' | b'=' | b'"' | b'\'' | b'(' | b'>')
    });
    let all = context.whole && (span.start, span.end()) == (0, text.len());
    let label = context.label;
    let called = |word: &[u8]| {
        let machine = || MACHINES.iter().any(|machine| names(label, machine));
        names(label, word) && (ends_with(label, label.len(), word) || !machine())
    };
    let before = |n: usize| span.start.checked_sub(n).map_or(0, |i| at(text, i));
    // Browsers leave out all but the first number (`Chrome/120.0.0.0`).
    let product = before(1) == b'/' && before(2).is_ascii_alphanumeric() && ends_with(text, span.end(), b".0.0.0");
    let named = |word: &[u8]| ends_with(text, span.start.saturating_sub(joint), word) || (all && called(word));
    product || VERSIONS.iter().any(|word| named(word))
}

fn ipv6(text: &[u8], colon: usize) -> Option<Span> {
    let part = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let start = colon.checked_sub(behind(text, colon, 5, |b| b.is_ascii_hexdigit()))?;
    let before = start.checked_sub(1).map_or(0, |i| at(text, i));
    if is_word(before) || matches!(before, b'.' | b':') {
        return None;
    }
    let length = ahead(text, start, LONGEST.saturating_add(1), part);
    let written = cut(text, start, start.checked_add(length)?);
    // What ends the sentence ends the address.
    let stops = written.ends_with(b".") || (written.ends_with(b":") && !written.ends_with(b"::"));
    let end = start.checked_add(length.saturating_sub(usize::from(stops)))?;
    // Most are times: without a gap there are eight groups, or six and an IPv4 address.
    let colons = written.iter().filter(|b| **b == b':').count();
    if colons < 6 && !written.windows(2).any(|two| two == b"::") {
        return None;
    }
    let address: Ipv6Addr = std::str::from_utf8(cut(text, start, end)).ok()?.parse().ok()?;
    // `dead::beef` may be a path of a program; an address mostly has a digit.
    let numbered = cut(text, start, end).iter().any(u8::is_ascii_digit);
    let telling = !address.is_unspecified() && !address.is_loopback() && numbered;
    Span::new(start, end).filter(|_| telling && !is_word(at(text, end)))
}

/// Offered every sign, of which the first one of an address counts, and a value as a whole.
fn mac(text: &[u8], sign: usize, _: &Context<'_>) -> Option<Span> {
    if sign == text.len() {
        return bare_mac(text);
    }
    let joint = at(text, sign);
    if let Some(span) = keyed_mac(text, sign) {
        return Some(span);
    }
    let group = if joint == b'.' { 4 } else { 2 };
    let second = sign.checked_add(group)?.checked_add(1)?;
    if at(text, second) != joint {
        return None;
    }
    let start = sign.checked_sub(group)?;
    let before = start.checked_sub(1).map_or(0, |i| at(text, i));
    if is_word(before) || matches!(before, b':' | b'-' | b'.') {
        return None;
    }
    let (mut digits, mut from, mut telling) = (0_usize, start, Telling::default());
    loop {
        let end = from.checked_add(group)?;
        telling.look(text.get(from..end)?)?;
        digits = digits.checked_add(group)?;
        if digits == MAC_DIGITS {
            from = end;
            break;
        }
        if at(text, end) != joint {
            return None;
        }
        from = end.checked_add(1)?;
    }
    // A full stop ends the sentence, and a name may go on behind an address (`….local`), or a network's number.
    let dotted = joint == b'.' && at(text, from) == b'.' && at(text, from.saturating_add(1)).is_ascii_digit();
    let goes_on = is_word(at(text, from)) || matches!(at(text, from), b':' | b'-') || dotted;
    Span::new(start, from).filter(|_| telling.tells() && !goes_on)
}

/// `"mac": "…"`: twelve digits behind a key that says what they are.
fn keyed_mac(text: &[u8], colon: usize) -> Option<Span> {
    let between = |b: u8| matches!(b, b' ' | b'"' | b'\'');
    let from = colon.checked_add(1).filter(|_| at(text, colon) == b':')?;
    let start = from.checked_add(ahead(text, from, 2, between))?;
    if ahead(text, start, MAC_DIGITS, |b| b.is_ascii_hexdigit()) < MAC_DIGITS {
        return None;
    }
    let end = start.checked_add(MAC_DIGITS)?;
    let key_end = colon.checked_sub(behind(text, colon, 2, between))?;
    let key = cut(text, key_end.checked_sub(behind(text, key_end, 24, is_word))?, key_end);
    let telling = bare_mac(cut(text, start, end)).is_some() && !is_word(at(text, end));
    Span::new(start, end).filter(|_| telling && Named::within(key).has(Kind::MacAddress))
}

/// All of a value, as inventories keep them.
fn bare_mac(text: &[u8]) -> Option<Span> {
    let value = text.trim_ascii();
    let start = text.len().checked_sub(text.trim_ascii_start().len())?;
    let mut telling = Telling::default();
    telling.look(value)?;
    Span::new(start, start.checked_add(MAC_DIGITS)?).filter(|_| value.len() == MAC_DIGITS && telling.tells())
}

/// Hexadecimal digits of an address.
const MAC_DIGITS: usize = 12;

/// Whether an address is a card's: neither nobody's nor everybody's.
#[derive(Default)]
struct Telling {
    /// A byte is not 0.
    some: bool,
    /// A byte is not 255.
    other: bool,
}

impl Telling {
    /// Takes pairs of hexadecimal digits; `None` where they are not.
    fn look(&mut self, digits: &[u8]) -> Option<()> {
        for two in digits.chunks(2) {
            let byte = pair(two)?;
            self.some |= byte != 0;
            self.other |= byte != 0xFF;
        }
        Some(())
    }

    fn tells(&self) -> bool {
        self.some && self.other
    }
}
