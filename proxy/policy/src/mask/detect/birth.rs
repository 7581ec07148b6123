//! Dates of birth: dates where a word says whose they are.

use super::medical::patient_field;
use super::month;
use super::piece::{ahead, is_word};
use super::{Detector, Find, Kind, Run, Span};
use crate::mask::bytes::{at, cut};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::DateOfBirth,
    name: "DATE_OF_BIRTH",
    aliases: &[],
    score: 70,
    words: WORDS,
    validates: "A date of the years 1900 to 2099 as 1980-01-31, 19800131, 01/31/1980, 31/01/1980, 01/31/80, or with \
                dots or hyphens, or with the month in words (`31 January 1980`, `January 31st, 1980`, `31JAN1980`, \
                `31-JAN-80`; also in the languages below), where `dob`, `born`, `birth` or the like, also in German, \
                Dutch, French, Spanish, Italian or Portuguese, names the column or JSON key or stands before it; also \
                the seventh field of a segment `PID|` (HL7 version 2). Values of type date are left alone: protect \
                their columns by name.",
    min_bytes: 6,
    find: Find::Digits {
        lengths: (1 << 1) | (1 << 2) | (1 << 4) | (1 << 8),
        least: 1,
        cell: 4,
        needs_word: true,
        find: birth,
    },
};

/// That of the date of birth in a segment PID.
const BIRTH_FIELD: usize = 7;

const WORDS: &[&str] = &[
    "dob",
    "d.o.b",
    "d/o/b",
    "bday",
    "brth_dt",
    "birth",
    "birthdate",
    "birthday",
    "dateofbirth",
    "born",
    "geb.",
    "geboren",
    "geburtsdatum",
    "geboortedatum",
    "né le",
    "née le",
    "naissance",
    "nacimiento",
    "fecha de nac",
    "fecha_nac",
    "fec_nac",
    "nascita",
    "nascimento",
];

fn birth(run: &Run<'_>) -> Option<Span> {
    let span = numeric(run).or_else(|| worded(run)).or_else(|| short(run))?;
    (run.has_context(Kind::DateOfBirth) || patient_field(run) == Some(BIRTH_FIELD)).then_some(span)
}

/// The year is the last part: the others stand before it.
fn worded(run: &Run<'_>) -> Option<Span> {
    let year = run.groups().first().filter(|first| first.len == 4)?;
    let valid = is_year(run.number(0, 4)) && !is_word(at(run.text, year.end));
    valid.then_some(())?;
    let start = month::before_year(run.text, run.start)?;
    Span::new(start, year.end)
}

/// A year of two digits does not tell a date: it is looked for from its day on.
fn short(run: &Run<'_>) -> Option<Span> {
    let day = run.groups().first().filter(|first| first.len <= 2)?;
    let valid = (1..=31).contains(&run.number(0, day.len)) && !is_word(run.before()) && run.before() != b'-';
    valid.then_some(())?;
    let end = month::short(run.text, day.end)?;
    Span::new(run.start, end)
}

fn numeric(run: &Run<'_>) -> Option<Span> {
    let (parts, end) = compact(run).or_else(|| parts(run.text, run.start))?;
    let (year, months) = match parts {
        [(4, year), (_, month), (_, day)] => (year, [(month, day), (month, day)]),
        [(_, one), (_, other), (4, year)] => (year, [(one, other), (other, one)]),
        // Of which century it is does not matter here.
        [(1 | 2, one), (1 | 2, other), (2, year)] => (year.saturating_add(1900), [(one, other), (other, one)]),
        _ => return None,
    };
    let is_day = |(month, day): (u32, u32)| (1..=12).contains(&month) && (1..=31).contains(&day);
    let valid = is_year(year) && months.into_iter().any(is_day);
    let next = at(run.text, end.saturating_add(1));
    let ends = match at(run.text, end) {
        // A time or the time zone goes on behind a date of ISO 8601.
        b'T' => next.is_ascii_digit(),
        b'Z' => !is_word(next),
        after => !is_word(after),
    };
    let alone = !is_word(run.before()) && run.before() != b'-' && ends;
    Span::new(run.start, end).filter(|_| valid && alone)
}

fn is_year(year: u32) -> bool {
    (1900..=2099).contains(&year)
}

/// Year, month and day without separators, as in messages of HL7, and where they end.
fn compact(run: &Run<'_>) -> Option<([(usize, u32); 3], usize)> {
    let first = run.groups().first().filter(|first| first.len == 8)?;
    let parts = [(4, run.number(0, 4)), (2, run.number(4, 6)), (2, run.number(6, 8))];
    Some((parts, first.end))
}

/// Three numbers with one separator, each with its digits, and where the last one ends.
fn parts(text: &[u8], start: usize) -> Option<([(usize, u32); 3], usize)> {
    let mut parts = [(0, 0); 3];
    let (mut from, mut joint): (usize, Option<u8>) = (start, None);
    for (index, part) in parts.iter_mut().enumerate() {
        let length = ahead(text, from, 5, |b| b.is_ascii_digit());
        let end = from.checked_add(length)?;
        matches!(length, 1 | 2 | 4).then_some(())?;
        let digits = cut(text, from, end).iter().map(|b| u32::from(b.wrapping_sub(b'0')));
        *part = (
            length,
            digits.fold(0_u32, |n, digit| n.wrapping_mul(10).wrapping_add(digit)),
        );
        if index == 2 {
            return Some((parts, end));
        }
        let separator = at(text, end);
        let fits = matches!(separator, b'-' | b'/' | b'.') && joint.is_none_or(|joint| joint == separator);
        joint = fits.then_some(separator);
        joint?;
        from = end.checked_add(1)?;
    }
    None
}
