//! Numbers of patients and of those who treat them.

use super::card::luhn;
use super::{Detector, Find, Kind, Run, Span};

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
    validates: "Five to ten bare digits where `mrn`, `medical record`, `patient id`, `chart no` or the like names the \
                column or JSON key or stands before them. Every hospital numbers in its own way: there is nothing else \
                to check.",
    min_bytes: 5,
    find: Find::Digits {
        lengths: 0b111_1110_0000,
        least: 5,
        cell: 5,
        needs_word: true,
        find: record,
    },
};

/// What stands before a provider's number where it is used as a card's (80 for health, 840 for the United States).
const ISSUER: [u8; 5] = [8, 0, 8, 4, 0];

const NPI_WORDS: &[&str] = &["npi", "provider", "provider_id", "national provider"];
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
];

fn npi(run: &Run<'_>) -> Option<Span> {
    let first = run.groups().first().filter(|first| first.len == 10)?;
    let mut digits = ISSUER.to_vec();
    digits.extend_from_slice(run.digits(10));
    let valid = matches!(run.number(0, 1), 1 | 2) && luhn(&digits) && !run.in_fraction(first.end);
    (valid && run.has_context(Kind::UsNpi)).then_some(Span {
        start: run.start,
        end: first.end,
    })
}

fn record(run: &Run<'_>) -> Option<Span> {
    let first = run.groups().first()?;
    // A date or a telephone number goes on behind a hyphen.
    let alone = !matches!(first.separator, b'-' | b'.') && run.before() != b'-' && !run.in_fraction(first.end);
    (alone && run.has_context(Kind::MedicalRecordNumber)).then_some(Span {
        start: run.start,
        end: first.end,
    })
}
