//! Telephone numbers: international ones with a plus sign or 00, those of the North American Numbering Plan, and those that
//! other countries write with a zero in front.

use super::piece::{ahead, behind, is_word};
use super::run::Group;
use super::{Detector, Find, Kind, Run, Span};
use crate::mask::bytes::{at, cut};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::PhoneNumber,
    name: "PHONE_NUMBER",
    aliases: &[],
    score: 70,
    words: WORDS,
    validates: "International (E.164): a plus sign that no letter or digit precedes, an assigned country code, 8 to 15 \
                digits with single separators. The same with `00` for the plus sign, where blanks or parentheses part \
                the country code from two groups or more, or from one that makes ten digits with it; written in \
                another way, only with a word as below. North American: 3-3-4 with separators or the area code in \
                parentheses, with or without a leading 1; area code and exchange begin with 2-9 and are not N11. Ten \
                bare digits count only where a word such as `phone`, `tel`, `mobile` or `fax` names the column or JSON \
                key or stands before them. The same word is needed for numbers of other countries as they are dialled \
                there: a zero and no second one, 9 to 12 digits in all, with single separators; no date. A slash may \
                part the first three to six of them from the others. The same word is needed for numbers that begin \
                with no zero, in groups of 3-3-3, 3-2-2-2, 2-3-2-2, 2-4-4 or 2-5-4 digits. In a column or under a key \
                of such a name also nine digits, unless it has the word `id`, or 11 to 15 with an assigned country code, \
                and nothing else.",
    min_bytes: 9,
    find: Find::Digits {
        lengths: u32::MAX,
        least: 3,
        cell: 8,
        needs_word: false,
        find: phone,
    },
};

const WORDS: &[&str] = &[
    "phone",
    "telephone",
    "tel",
    "telefon",
    "telefone",
    "telefono",
    "teléfono",
    "téléphone",
    "mobile",
    "cell",
    "cellphone",
    "fax",
    "call",
    "phone_number",
    "phonenumber",
    "msisdn",
    "sms",
    "ph",
    "contact no",
    "contact_no",
    "contact number",
    "contact_number",
    "whatsapp",
    "mob",
    "mobil",
    "handy",
    "tél",
    "portable",
    "móvil",
    "movil",
    "celular",
];

fn phone(run: &Run<'_>) -> Option<Span> {
    // What a slash parts is longer than its first group.
    if run.total() < 8 && run.first() != b'0' {
        return None;
    }
    match run.before() {
        b'+' => international(run),
        b'(' if at(run.text, run.start.wrapping_sub(2)) == b'+' => international(run),
        // No country's code begins with a zero, nor does an area's in North America.
        _ if run.first() == b'0' => dialled(run).or_else(|| national(run)).or_else(|| slashed(run)),
        _ => north_american(run).or_else(|| grouped(run)).or_else(|| bare(run)),
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
    let (_, last) = whole(run, 0)?;
    Span::new(plus, last.end)
}

/// With 00 for the plus sign, as most countries dial it. Numbers with zeros in front have the shape, too.
fn dialled(run: &Run<'_>) -> Option<Span> {
    if run.total() < 2 || run.number(0, 2) != 0 || is_word(run.before()) {
        return None;
    }
    let (length, last) = whole(run, 2)?;
    let alone = !is_word(at(run.text, last.end));
    Span::new(run.start, last.end)
        .filter(|_| alone && (run.has_context(Kind::PhoneNumber) || is_written_out(run, length, last)))
}

/// With a zero in front, as most countries dial their own numbers.
fn national(run: &Run<'_>) -> Option<Span> {
    is_dialled(run).then_some(())?;
    let groups = run.groups();
    // What follows behind a space may be another number; a hyphen or a dot goes on with the same.
    let mut digits = 0usize;
    let fits = |group: &&Group| {
        digits = digits.saturating_add(group.len);
        digits <= 12
    };
    let taken = groups.get(..groups.iter().take_while(fits).count())?;
    let last = taken
        .last()
        .filter(|last| taken.len() == groups.len() || !matches!(last.separator, b'-' | b'.'))?;
    let written: usize = taken.iter().map(|group| group.len).sum();
    let date = matches!(groups, [day, month, year, ..] if (day.len, month.len, year.len) == (2, 2, 4));
    let before = |n: usize| run.start.checked_sub(n).map_or(0, |i| at(run.text, i));
    let continues = matches!(before(1), b'-' | b'.' | b':') && before(2).is_ascii_digit();
    let alone = !is_word(before(1)) && !continues && !is_word(at(run.text, last.end));
    let opened = usize::from(before(1) == b'(');
    Span::new(run.start.saturating_sub(opened), last.end)
        .filter(|_| written >= 9 && !date && alone && run.has_context(Kind::PhoneNumber))
}

/// Whether it begins with one zero, as what is dialled within a country does.
fn is_dialled(run: &Run<'_>) -> bool {
    run.total() >= 2 && (1..=9).contains(&run.number(0, 2))
}

/// National, with a slash behind the area code, as in Germany and Austria.
fn slashed(run: &Run<'_>) -> Option<Span> {
    is_dialled(run).then_some(())?;
    let area = run.groups().first().filter(|area| (3..=6).contains(&area.len))?;
    let slash = area.end.checked_add(ahead(run.text, area.end, 1, |b| b == b' '))?;
    let from = slash.checked_add(1)?;
    let from = from.checked_add(ahead(run.text, from, 1, |b| b == b' '))?;
    let length = ahead(run.text, from, 20, |b| b.is_ascii_digit() || matches!(b, b' ' | b'-'));
    let rest = cut(run.text, from, from.checked_add(length)?);
    let blanks = behind(rest, rest.len(), rest.len(), |b| !b.is_ascii_digit());
    let end = from.checked_add(rest.len().checked_sub(blanks)?)?;
    let digits = cut(run.text, from, end).iter().filter(|b| b.is_ascii_digit()).count();
    let written = at(run.text, slash) == b'/' && at(run.text, from).is_ascii_digit();
    let enough = (9..=12).contains(&area.len.saturating_add(digits));
    let alone = !is_word(run.before()) && !is_word(at(run.text, end)) && at(run.text, end) != b'/';
    Span::new(run.start, end).filter(|_| written && enough && alone && run.has_context(Kind::PhoneNumber))
}

/// As countries write their own numbers that dial no zero: Spain and Poland nine digits in threes or twos, Brazil ten or eleven
/// behind an area code of two.
fn grouped(run: &Run<'_>) -> Option<Span> {
    let groups = run.groups();
    let mut lengths = [0; 4];
    for (length, group) in lengths.iter_mut().zip(groups) {
        *length = group.len;
    }
    let taken: usize = match lengths {
        [3, 2, 2, 2] | [2, 3, 2, 2] => 4,
        [3, 3, 3, _] | [2, 5 | 4, 4, _] => 3,
        _ => return None,
    };
    let last = groups.get(taken.checked_sub(1)?)?;
    let before = |n: usize| run.start.checked_sub(n).map_or(0, |i| at(run.text, i));
    let opened = usize::from(before(1) == b'(');
    // Each sign but the last one's: behind an area code there may be a parenthesis.
    let parted = groups
        .iter()
        .take(taken.saturating_sub(1))
        .enumerate()
        .all(|(place, group)| matches!(group.separator, b' ' | b'-') || (place == 0 && opened == 1));
    let alone = !is_word(before(1)) && !is_word(at(run.text, last.end)) && !continues(run, last.end);
    let more = groups.len() > taken && last.separator == b' ';
    Span::new(run.start.saturating_sub(opened), last.end)
        .filter(|_| run.first() >= b'1' && parted && alone && !more && run.has_context(Kind::PhoneNumber))
}

/// International without a sign, as telephone systems keep them, or of the nine digits of Spain and Poland: all of a value. The ids of a
/// column `call_id` have nine digits, too.
fn bare(run: &Run<'_>) -> Option<Span> {
    let first = run.groups().first()?;
    let assigned = match first.len {
        9 => run.first() >= b'2' && !run.is_called(b"id"),
        11..=15 => country_code(run, 0).is_some() && run.number(0, 1) != 1,
        _ => false,
    };
    Span::new(run.start, first.end).filter(|_| assigned && run.is_whole() && run.has_context(Kind::PhoneNumber))
}

/// Whether no other number is written as what begins with 00 and has so many digits after that.
fn is_written_out(run: &Run<'_>, length: usize, last: &Group) -> bool {
    let (Some(code), Some(first)) = (country_code(run, 2), run.groups().first()) else {
        return false;
    };
    let before = |n: usize| run.start.checked_sub(n).map_or(0, |i| at(run.text, i));
    let continues = matches!(before(1), b'-' | b'.' | b':') || (before(1) == b' ' && before(2).is_ascii_digit());
    let parted = run.groups().iter().all(|group| !matches!(group.separator, b'-' | b'.'));
    let enough = run.groups().len() >= 3 || length >= 10;
    // Rows of numbers of four digits have a zero there; telephone numbers of Italy alone keep it.
    let next = code.saturating_add(2);
    let zero = run.number(next, next.saturating_add(1)) == 0 && first.separator != b'(' && run.number(2, 4) != 39;
    first.len == next && last.separator == 0 && parted && enough && !continues && !zero
}

/// As many whole groups as still make a number, after `skip` digits that are none of it: what follows may be another one. Gives
/// its digits and its last group.
fn whole<'r>(run: &'r Run<'_>, skip: usize) -> Option<(usize, &'r Group)> {
    let american = run.number(skip, skip.saturating_add(1)) == 1;
    let (mut digits, mut taken) = (0usize, None);
    for group in run.groups() {
        digits = digits.saturating_add(group.len);
        let length = digits.saturating_sub(skip);
        if length > 15 {
            break;
        }
        taken = Some((length, group));
        if length == 11 && american {
            break;
        }
    }
    taken.filter(|(length, _)| match american {
        true => *length == 11 && is_nanp(run, skip.saturating_add(1)),
        false => *length >= 8 && country_code(run, skip).is_some(),
    })
}

fn north_american(run: &Run<'_>) -> Option<Span> {
    let groups = run.groups();
    let skip = match groups {
        [one, area, ..] if one.len == 1 && run.first() == b'1' && area.len >= 3 => 1,
        [eleven, ..] if eleven.len == 11 && run.first() == b'1' => 1,
        _ => 0,
    };
    let digits = 10usize.saturating_add(skip);
    let end = match groups {
        [all, ..] if all.len == digits => {
            return Span::new(run.start, all.end)
                .filter(|_| is_nanp(run, skip) && !run.in_fraction(all.end) && run.has_context(Kind::PhoneNumber));
        }
        [_, a, b, c, ..] if skip == 1 && (a.len, b.len, c.len) == (3, 3, 4) => c.end,
        [_, a, b, ..] if skip == 1 && (a.len, a.separator, b.len) == (3, b')', 7) => b.end,
        [a, b, c, ..] if skip == 0 && (a.len, b.len, c.len) == (3, 3, 4) => c.end,
        [a, b, ..] if skip == 0 && (a.len, a.separator, b.len) == (3, b')', 7) => b.end,
        _ => return None,
    };
    let alone = !continues(run, end);
    let opened = if run.before() == b'(' { 1 } else { 0 };
    Span::new(run.start.saturating_sub(opened), end).filter(|_| is_nanp(run, skip) && alone)
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

/// How many digits the country code after `skip` others has, if the ITU has assigned it (E.164).
fn country_code(run: &Run<'_>, skip: usize) -> Option<usize> {
    let code = |digits: usize| run.number(skip, skip.saturating_add(digits));
    let (one, two, three) = (code(1), code(2), code(3));
    if matches!(one, 1 | 7) {
        return Some(1);
    }
    if matches!(two, 20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98)
    {
        return Some(2);
    }
    matches!(three, 211..=213 | 216 | 218 | 220..=269 | 290 | 291 | 297..=299 | 350..=359 | 370..=389 | 420 | 421
            | 423 | 500..=509 | 590..=599 | 670 | 672..=692 | 800 | 808 | 850 | 852 | 853 | 855 | 856 | 870 | 878
            | 880..=883 | 886 | 888 | 960..=968 | 970..=977 | 979 | 992..=998)
    .then_some(3)
}
