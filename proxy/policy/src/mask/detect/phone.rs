//! Telephone numbers: international ones with a plus sign, and those of the North American Numbering Plan.

use super::run::Group;
use super::{Detector, Find, Kind, Run, Span};
use crate::mask::bytes::at;

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::PhoneNumber,
    name: "PHONE_NUMBER",
    aliases: &[],
    score: 70,
    validates: "International (E.164): a plus sign that no letter or digit precedes, an assigned country code, 8 to 15 \
                digits with single separators. North American: 3-3-4 with separators or the area code in \
                parentheses, with or without a leading 1; area code and exchange begin with 2-9 and are not N11. Ten \
                bare digits count only where a word such as `phone`, `tel`, `mobile` or `fax` names the column or JSON \
                key or stands before them. National formats of other countries are not recognised without it.",
    min_bytes: 9,
    find: Find::Digits(phone),
};

const WORDS: &[&str] = &[
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "fax",
    "call",
    "phone_number",
    "phonenumber",
    "msisdn",
    "sms",
];

fn phone(run: &Run<'_>) -> Option<Span> {
    match run.before() {
        b'+' => international(run),
        b'(' if at(run.text, run.start.wrapping_sub(2)) == b'+' => international(run),
        _ => north_american(run),
    }
}

fn international(run: &Run<'_>) -> Option<Span> {
    let plus = run.start.checked_sub(if run.before() == b'+' { 1 } else { 2 })?;
    if plus
        .checked_sub(1)
        .is_some_and(|i| at(run.text, i).is_ascii_alphanumeric())
    {
        return None;
    }
    // As many whole groups as still make a number: what follows it may be another one.
    let mut length = 0usize;
    let mut taken: Option<(usize, &Group)> = None;
    for group in run.groups() {
        length = length.saturating_add(group.len);
        if length > 15 {
            break;
        }
        taken = Some((length, group));
        if length == 11 && run.number(0, 1) == 1 {
            break;
        }
    }
    let (length, last) = taken?;
    let plausible = match run.number(0, 1) {
        1 => length == 11 && is_nanp(run, 1),
        _ => length >= 8 && is_country_code(run),
    };
    plausible.then_some(Span {
        start: plus,
        end: last.end,
    })
}

fn north_american(run: &Run<'_>) -> Option<Span> {
    let groups = run.groups();
    let skip = match groups {
        [one, area, ..] if one.len == 1 && run.number(0, 1) == 1 && area.len >= 3 => 1,
        [eleven, ..] if eleven.len == 11 && run.number(0, 1) == 1 => 1,
        _ => 0,
    };
    let digits = 10usize.saturating_add(skip);
    let end = match groups {
        [all, ..] if all.len == digits => {
            return (is_nanp(run, skip) && !run.in_fraction(all.end) && run.has_context(WORDS)).then_some(Span {
                start: run.start,
                end: all.end,
            });
        }
        [_, a, b, c, ..] if skip == 1 && (a.len, b.len, c.len) == (3, 3, 4) => c.end,
        [_, a, b, ..] if skip == 1 && (a.len, a.separator, b.len) == (3, b')', 7) => b.end,
        [a, b, c, ..] if skip == 0 && (a.len, b.len, c.len) == (3, 3, 4) => c.end,
        [a, b, ..] if skip == 0 && (a.len, a.separator, b.len) == (3, b')', 7) => b.end,
        _ => return None,
    };
    let alone = !continues(run, end);
    let opened = if run.before() == b'(' { 1 } else { 0 };
    (is_nanp(run, skip) && alone).then_some(Span {
        start: run.start.saturating_sub(opened),
        end,
    })
}

/// Whether digits go on before or after with a hyphen or dot: then the ten digits are part of a longer number.
fn continues(run: &Run<'_>, end: usize) -> bool {
    let joint = |b: u8| b == b'-' || b == b'.';
    let before = joint(run.before())
        && run
            .start
            .checked_sub(2)
            .is_some_and(|i| at(run.text, i).is_ascii_digit());
    before || (joint(at(run.text, end)) && at(run.text, end.saturating_add(1)).is_ascii_digit())
}

/// Area code and exchange as the North American Numbering Plan assigns them.
fn is_nanp(run: &Run<'_>, skip: usize) -> bool {
    let code = |from: usize| {
        let from = from.saturating_add(skip);
        let n = run.number(from, from.saturating_add(3));
        (200..=999).contains(&n) && n % 100 != 11
    };
    code(0) && code(3)
}

/// Country codes that the ITU has assigned (E.164), apart from 1: by one, two or three digits.
fn is_country_code(run: &Run<'_>) -> bool {
    let (one, two, three) = (run.number(0, 1), run.number(0, 2), run.number(0, 3));
    one == 7
        || matches!(two, 20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98)
        || matches!(three, 211..=213 | 216 | 218 | 220..=269 | 290 | 291 | 297..=299 | 350..=359 | 370..=389 | 420 | 421
            | 423 | 500..=509 | 590..=599 | 670 | 672..=692 | 800 | 808 | 850 | 852 | 853 | 855 | 856 | 870 | 878
            | 880..=883 | 886 | 888 | 960..=968 | 970..=977 | 979 | 992..=998)
}
