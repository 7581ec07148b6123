//! Numbers of US passports and driver's licences: told by the words around them, since their shapes say little.

use super::piece::{behind, is_word};
use super::{Detector, Find, Kind, Run, Span};
use crate::mask::bytes::at;

pub(super) const PASSPORT: Detector = Detector {
    kind: Kind::UsPassport,
    name: "US_PASSPORT",
    aliases: &[],
    score: 70,
    words: PASSPORT_WORDS,
    validates: "Nine digits, or one letter and eight, where `passport` or `travel document` names the column or JSON \
                key or stands before them.",
    min_bytes: 9,
    find: Find::Digits {
        lengths: (1 << 8) | (1 << 9),
        least: 8,
        cell: 8,
        needs_word: true,
        find: passport,
    },
};

pub(super) const DRIVER_LICENSE: Detector = Detector {
    kind: Kind::UsDriverLicense,
    name: "US_DRIVER_LICENSE",
    aliases: &["US_DRIVERS_LICENSE_NUMBER"],
    score: 70,
    words: LICENSE_WORDS,
    validates: "Up to two letters and 6 to 14 digits, hyphens between them, or nine digits in threes, where \
                `driver's license`, `licence`, `dl` or the like names the column or JSON key or stands before them. The \
                States' own shapes are not told apart.",
    min_bytes: 6,
    find: Find::Digits {
        lengths: 0b111_1111_1111_1000,
        least: 6,
        cell: 6,
        needs_word: true,
        find: license,
    },
};

const PASSPORT_WORDS: &[&str] = &["passport", "passport_number", "passport_no", "travel document"];
const LICENSE_WORDS: &[&str] = &[
    "driver license",
    "driver_license",
    "drivers license",
    "drivers_license",
    "driverslicense",
    "driverlicense",
    "driver's license",
    "driver's licence",
    "driver’s license",
    "driver’s licence",
    "operator license",
    "operator's license",
    "driving licence",
    "driving_licence",
    "driver_licence",
    "driver lic",
    "drivers lic",
    "driver's lic",
    "dl",
    "dln",
];

fn passport(run: &Run<'_>) -> Option<Span> {
    let first = run
        .groups()
        .first()
        .filter(|first| !matches!(first.separator, b'-' | b'.'))?;
    let start = letters(run)?;
    let shaped = matches!((run.start.saturating_sub(start), first.len), (0, 9) | (1, 8));
    let alone = shaped && !is_word(at(run.text, first.end));
    Span::new(start, first.end).filter(|_| alone && run.has_context(Kind::UsPassport))
}

fn license(run: &Run<'_>) -> Option<Span> {
    let groups = run.groups();
    let joined = groups.iter().take_while(|group| group.separator == b'-').count();
    // As New York prints them.
    let threes =
        matches!(groups, [a, b, c, ..] if (a.len, b.len, c.len) == (3, 3, 3) && [a.separator, b.separator] == *b"  ");
    let joined = if threes { 2 } else { joined };
    let taken = groups.get(..joined.saturating_add(1).min(groups.len()))?;
    let digits: usize = taken.iter().map(|group| group.len).sum();
    if !(6..=14).contains(&digits) {
        return None;
    }
    let (start, end) = (letters(run)?, taken.last()?.end);
    Span::new(start, end).filter(|_| !is_word(at(run.text, end)) && run.has_context(Kind::UsDriverLicense))
}

/// Where the letters begin that stick to the digits: two at most, and nothing else before them.
pub(super) fn letters(run: &Run<'_>) -> Option<usize> {
    let stuck = behind(run.text, run.start, 3, is_word);
    let own = behind(run.text, run.start, 3, |b| b.is_ascii_alphabetic());
    let start = run.start.checked_sub(own)?;
    let joint = start.checked_sub(1).map_or(0, |i| at(run.text, i)) == b'-';
    (stuck == own && own <= 2 && !joint).then_some(start)
}
