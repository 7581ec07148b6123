//! US Social Security numbers and Individual Taxpayer Identification Numbers.

use super::{Detector, Find, Kind, Run, Span};

pub(super) const SSN: Detector = Detector {
    kind: Kind::UsSsn,
    name: "US_SSN",
    aliases: &["US_SOCIAL_SECURITY_NUMBER"],
    score: 90,
    words: SSN_WORDS,
    validates: "Nine digits as 3-2-4 with the same separator (hyphen, space or dot) twice; area not 000, 666 or 9xx, \
                group not 00, serial not 0000. Nine bare digits count where they are the whole value, or where a word \
                such as `ssn` or `social security` names the column or JSON key or stands before them; elsewhere they \
                are taken for an order number.",
    min_bytes: 9,
    find: Find::Digits {
        lengths: (1 << 3) | (1 << 9),
        least: 9,
        cell: 9,
        needs_word: false,
        find: ssn,
    },
};

pub(super) const ITIN: Detector = Detector {
    kind: Kind::UsItin,
    name: "US_ITIN",
    aliases: &["US_INDIVIDUAL_TAXPAYER_IDENTIFICATION_NUMBER"],
    score: 90,
    words: ITIN_WORDS,
    validates: "Nine digits as 3-2-4, written as a US_SSN would be; the first digit 9, the fourth and fifth within \
                50-65, 70-88, 90-92 or 94-99. Bare digits as for US_SSN, with the words `itin`, `tin`, `taxpayer`.",
    min_bytes: 9,
    find: Find::Digits {
        lengths: (1 << 3) | (1 << 9),
        least: 9,
        cell: 9,
        needs_word: false,
        find: itin,
    },
};

const SSN_WORDS: &[&str] = &[
    "ssn",
    "ss#",
    "social security",
    "social_security",
    "soc sec",
    "soc. sec",
    "soc_sec",
    "socsec",
    "s.s.n",
    "socialsecurity",
    "social",
    "tax id",
    "tax_id",
    "taxid",
    "tax identification",
    "tax_identification",
    "tin",
    "taxpayer",
];
const ITIN_WORDS: &[&str] = &["itin", "tin", "taxpayer", "tax id", "tax_id", "taxid", "ssn"];

fn ssn(run: &Run<'_>) -> Option<Span> {
    let end = nine(run, Kind::UsSsn)?;
    let (area, group, serial) = (run.number(0, 3), run.number(3, 5), run.number(5, 9));
    let issued = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    Span::new(run.start, end).filter(|_| issued)
}

fn itin(run: &Run<'_>) -> Option<Span> {
    let end = nine(run, Kind::UsItin)?;
    let issued = run.number(0, 3) >= 900 && matches!(run.number(3, 5), 50..=65 | 70..=88 | 90..=92 | 94..=99);
    Span::new(run.start, end).filter(|_| issued)
}

/// Where nine digits written as 3-2-4, or bare with a reason to believe them, end.
fn nine(run: &Run<'_>, kind: Kind) -> Option<usize> {
    match run.groups() {
        [a, b, c, ..] if (a.len, b.len, c.len) == (3, 2, 4) => {
            (a.separator == b.separator && matches!(a.separator, b'-' | b' ' | b'.')).then_some(c.end)
        }
        [a, ..] if a.len == 9 => {
            let believed = run.is_whole() || (!run.in_fraction(a.end) && run.has_context(kind));
            believed.then_some(a.end)
        }
        _ => None,
    }
}
