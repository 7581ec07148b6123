//! Dates with the month in words: `31 January 1980`, `January 31st, 1980`, `31-Jan-1980`, `31 de enero de 1980`.

use super::piece::{behind, ends_with, is_word};
use crate::mask::bytes::{at, cut};

/// In English, German, Dutch, French, Spanish, Italian and Portuguese, in full and abbreviated. Letters outside of ASCII are
/// left out (`mrz` is `März`), since they have more than one case and composition.
#[rustfmt::skip]
const MONTHS: &[&str] = &[
    "january", "jan", "januar", "jnner", "januari", "janvier", "janv", "enero", "ene", "gennaio", "gen", "janeiro",
    "february", "feb", "februar", "februari", "fvrier", "fevrier", "fvr", "febrero", "febbraio", "fevereiro", "fev",
    "march", "mar", "mrz", "maart", "mrt", "mars", "marzo", "maro", "marco",
    "april", "apr", "avril", "avr", "abril", "abr", "aprile",
    "may", "mai", "mei", "mayo", "maggio", "mag", "maio",
    "june", "jun", "juni", "juin", "junio", "giugno", "giu", "junho",
    "july", "jul", "juli", "juillet", "juil", "julio", "luglio", "lug", "julho",
    "august", "aug", "augustus", "aot", "aout", "agosto", "ago",
    "september", "sep", "sept", "septembre", "septiembre", "setiembre", "settembre", "set", "setembro",
    "october", "oct", "oktober", "okt", "octobre", "octubre", "ottobre", "ott", "outubro", "out",
    "november", "nov", "novembre", "noviembre", "novembro",
    "december", "dec", "dezember", "dez", "dcembre", "decembre", "dc", "diciembre", "dicembre", "dic", "dezembro",
];

/// What stands between a day, a month and a year in Spanish and Portuguese, and between the first two in English.
const PREPOSITIONS: [&[u8]; 2] = [b"de", b"of"];
const ORDINALS: [&str; 6] = ["st", "nd", "rd", "th", "er", "º"];

/// Where the date begins whose year stands at `year`.
pub(super) fn before_year(text: &[u8], year: usize) -> Option<usize> {
    let end = joint(text, year);
    day_first(text, end).or_else(|| month_first(text, end))
}

/// Where a date ends whose day ends at `day`: three letters of a month and two digits of a year, with the same sign or none
/// between all of them. So Oracle writes dates (`31-JAN-80`).
pub(super) fn short(text: &[u8], day: usize) -> Option<usize> {
    let joint = at(text, day);
    let width = usize::from(matches!(joint, b' ' | b'-' | b'.' | b'/'));
    let month = day.checked_add(width)?;
    let month_end = month.checked_add(3)?;
    let year = month_end.checked_add(width)?;
    let end = year.checked_add(2)?;
    let joined = width == 0 || at(text, month_end) == joint;
    let years = cut(text, year, end);
    let is_year = years.len() == 2 && years.iter().all(u8::is_ascii_digit) && !is_word(at(text, end));
    (joined && is_year && is_month(cut(text, month, month_end))).then_some(end)
}

fn day_first(text: &[u8], end: usize) -> Option<usize> {
    let month = month(text, preposition(text, end))?;
    let day = day(text, preposition(text, joint(text, month)))?;
    let before = day.checked_sub(1).map_or(0, |i| at(text, i));
    (!is_word(before) && before != b'-').then_some(day)
}

fn month_first(text: &[u8], end: usize) -> Option<usize> {
    let month = month(text, joint(text, day(text, end)?))?;
    let before = month.checked_sub(1).map_or(0, |i| at(text, i));
    (!is_word(before)).then_some(month)
}

/// Where the word begins that ends at `end`, if it is a month.
fn month(text: &[u8], end: usize) -> Option<usize> {
    let start = end.checked_sub(behind(text, end, 16, |b| b.is_ascii_alphabetic() || !b.is_ascii()))?;
    is_month(cut(text, start, end)).then_some(start)
}

fn is_month(word: &[u8]) -> bool {
    // None of them is longer.
    let mut lower = [0; 12];
    let letters = word.iter().filter(|b| b.is_ascii());
    let mut length = 0_usize;
    for letter in letters {
        let Some(slot) = lower.get_mut(length) else {
            return false;
        };
        *slot = letter.to_ascii_lowercase();
        length = length.saturating_add(1);
    }
    let lower = cut(&lower, 0, length);
    MONTHS.iter().any(|month| month.as_bytes() == lower)
}

/// Where the day of a month begins that ends at `end`.
fn day(text: &[u8], end: usize) -> Option<usize> {
    let ordinal = ORDINALS.iter().find(|ordinal| ends_with(text, end, ordinal.as_bytes()));
    let end = end.checked_sub(ordinal.map_or(0, |ordinal| ordinal.len()))?;
    let digits = behind(text, end, 3, |b| b.is_ascii_digit());
    let start = end.checked_sub(digits)?;
    let day: u32 = std::str::from_utf8(cut(text, start, end)).ok()?.parse().ok()?;
    (digits <= 2 && (1..=31).contains(&day)).then_some(start)
}

/// Before what stands between two parts and ends at `end`.
fn joint(text: &[u8], end: usize) -> usize {
    end.saturating_sub(behind(text, end, 3, is_joint))
}

/// The same with a preposition, if there is one.
fn preposition(text: &[u8], end: usize) -> usize {
    let word = PREPOSITIONS.iter().find(|word| ends_with(text, end, word));
    word.and_then(|word| end.checked_sub(word.len()))
        .filter(|start| start.checked_sub(1).is_some_and(|i| is_joint(at(text, i))))
        .map_or(end, |start| joint(text, start))
}

fn is_joint(b: u8) -> bool {
    matches!(b, b' ' | b'-' | b'.' | b',' | b'/')
}
