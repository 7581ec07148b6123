//! Numbers of US businesses and banks: Employer Identification Numbers and routing numbers.

use super::{Detector, Find, Kind, Run, Span};
use crate::mask::bytes::at;

pub(super) const EIN: Detector = Detector {
    kind: Kind::UsEin,
    name: "US_EIN",
    aliases: &["US_EMPLOYER_IDENTIFICATION_NUMBER"],
    score: 70,
    words: EIN_WORDS,
    validates: "Nine digits, as 2-7 with a hyphen or bare, whose first two the IRS assigns, where a word such as \
                `ein`, `employer` or `tax id` names the column or JSON key or stands before them.",
    min_bytes: 9,
    find: Find::Digits {
        lengths: (1 << 2) | (1 << 9),
        least: 9,
        cell: 9,
        needs_word: true,
        find: ein,
    },
};

pub(super) const ABA: Detector = Detector {
    kind: Kind::AbaRoutingNumber,
    name: "ABA_ROUTING_NUMBER",
    aliases: &["US_BANK_ROUTING_MICR"],
    score: 100,
    words: ABA_WORDS,
    validates: "Nine digits within 00-12, 21-32, 61-72 or 80 with the check digit (weights 3, 7, 1), where a word \
                such as `routing`, `aba`, `account` or `wire`, or the transit symbol of a cheque, names the column or \
                JSON key or stands before them.",
    min_bytes: 9,
    find: Find::Digits {
        lengths: 1 << 9,
        least: 9,
        cell: 9,
        needs_word: true,
        find: aba,
    },
};

const EIN_WORDS: &[&str] = &[
    "ein",
    "fein",
    "employer",
    "employer_id",
    "federal tax",
    "tax id",
    "tax_id",
    "taxid",
    "tin",
    "ftin",
    "taxpayer",
    "fed id",
    "fed_id",
    "federal id",
    "federal_id",
];
const ABA_WORDS: &[&str] = &[
    "routing",
    "routing_number",
    "aba",
    "rtn",
    "micr",
    "ach",
    "wire",
    "account",
    "acct",
    "bank",
    // The transit symbol of MICR E-13B, between two of which a cheque has the number.
    "\u{2446}",
];

fn ein(run: &Run<'_>) -> Option<Span> {
    let end = match run.groups() {
        [two, seven, ..] if (two.len, two.separator, seven.len) == (2, b'-', 7) => seven.end,
        [nine, ..] if nine.len == 9 && !run.in_fraction(nine.end) => nine.end,
        _ => return None,
    };
    let goes_on = at(run.text, end) == b'-' || run.before() == b'-';
    let assigned = matches!(
        run.number(0, 2),
        1..=6 | 10..=16 | 20..=27 | 30..=48 | 50..=68 | 71..=77 | 80..=88 | 90..=95 | 98 | 99
    );
    Span::new(run.start, end).filter(|_| assigned && !goes_on && run.has_context(Kind::UsEin))
}

fn aba(run: &Run<'_>) -> Option<Span> {
    let first = run.groups().first().filter(|first| first.len == 9)?;
    let sum: u32 = run
        .digits(9)?
        .bytes()
        .zip([3, 7, 1, 3, 7, 1, 3, 7, 1])
        .map(|(digit, weight)| u32::from(digit).wrapping_mul(weight))
        .sum();
    let issued = matches!(run.number(0, 2), 0..=12 | 21..=32 | 61..=72 | 80) && sum != 0 && sum.is_multiple_of(10);
    let alone = !run.in_fraction(first.end) && run.has_context(Kind::AbaRoutingNumber);
    Span::new(run.start, first.end).filter(|_| issued && alone)
}
