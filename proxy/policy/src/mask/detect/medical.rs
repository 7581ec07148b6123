//! Numbers of patients and of those who treat them.

use super::card::luhn;
use super::document::letters;
use super::{Detector, Find, Kind, Run, Span};
use crate::mask::bytes::{at, cut, tail};

pub(super) const NPI: Detector = Detector {
    kind: Kind::UsNpi,
    name: "US_NPI",
    aliases: &["US_HEALTHCARE_NPI"],
    score: 100,
    words: NPI_WORDS,
    validates: "Ten digits, the first 1 or 2, with the check digit of ISO/IEC 7812 over 80840 and them, where a word \
                such as `npi` or `provider` names the column or JSON key or stands before them.",
    min_bytes: 10,
    find: Find::Digits {
        lengths: 1 << 10,
        least: 10,
        cell: 10,
        needs_word: true,
        find: npi,
    },
};

pub(super) const RECORD: Detector = Detector {
    kind: Kind::MedicalRecordNumber,
    name: "MEDICAL_RECORD_NUMBER",
    aliases: &[],
    score: 70,
    words: RECORD_WORDS,
    validates: "Five to ten bare digits, or one or two letters and such digits, where `mrn`, `medical record`, \
                `patient id`, `chart no` or the like names the column or JSON key or stands before them, and not \
                within a UUID; also the second to fourth field of a segment `PID|` (HL7 version 2). Every hospital \
                numbers in its own way: there is nothing else to check.",
    min_bytes: 5,
    find: Find::Digits {
        lengths: 0b111_1110_0000,
        least: 5,
        cell: 5,
        needs_word: true,
        find: record,
    },
};

/// The part in the check digit's sum of what stands before a provider's number where it is used as a card's: 80840, 80 for health
/// and 840 for the United States.
const ISSUER: u64 = 24;

/// How far before a field its segment may begin.
const SEGMENT: usize = 512;

/// Where the numbers of a patient stand in a segment PID.
const RECORD_FIELDS: std::ops::RangeInclusive<usize> = 2..=4;

const NPI_WORDS: &[&str] = &[
    "npi",
    "provider",
    "provider_id",
    "national provider",
    // The qualifier of a segment NM1 in claims (X12 837).
    "*xx*",
];
const RECORD_WORDS: &[&str] = &[
    "mrn",
    "medical record",
    "medical_record",
    "medicalrecord",
    "medical_record_number",
    "patient id",
    "patient_id",
    "patientid",
    "patient no",
    "patient number",
    "patient_number",
    "chart no",
    "chart number",
    "chart_number",
    "med rec",
    "medrec",
    "pt id",
    "pt_id",
    "hospital no",
    "hospital number",
    "hospital_number",
    // The patient of a message of HL7 version 2, whose numbers stand first.
    "pid|",
];

fn npi(run: &Run<'_>) -> Option<Span> {
    let first = run.groups().first().filter(|first| first.len == 10)?;
    let sum = luhn(run.digits(10)?, 10).wrapping_add(ISSUER);
    let valid = matches!(run.number(0, 1), 1 | 2) && sum.is_multiple_of(10) && !run.in_fraction(first.end);
    Span::new(run.start, first.end).filter(|_| valid && run.has_context(Kind::UsNpi))
}

fn record(run: &Run<'_>) -> Option<Span> {
    let first = run.groups().first()?;
    // A date or a telephone number goes on behind a hyphen.
    let goes_on = run.before() == b'-' && at(run.text, run.start.saturating_sub(2)).is_ascii_digit();
    let alone = !matches!(first.separator, b'-' | b'.') && !goes_on && !run.in_fraction(first.end);
    let named = || run.has_context(Kind::MedicalRecordNumber);
    let own = || patient_field(run).is_none_or(|field| RECORD_FIELDS.contains(&field));
    Span::new(letters(run).unwrap_or(run.start), first.end)
        .filter(|_| alone && named() && own() && !run.in_uuid(first.end))
}

/// Which field begins with a run in a segment PID, of which patient a message of HL7 version 2 tells.
pub(super) fn patient_field(run: &Run<'_>) -> Option<usize> {
    let before = cut(run.text, run.start.saturating_sub(SEGMENT), run.start);
    let line = memchr::memrchr2(b'\r', b'\n', before).map_or(0, |end| end.saturating_add(1));
    let segment = tail(before, line);
    (segment.starts_with(b"PID|") && segment.ends_with(b"|")).then(|| memchr::memchr_iter(b'|', segment).count())
}
