//! Detectors: values recognised by their shape, whatever column or message they stand in.
//!
//! One pass over a cell: a branch-free summary (digits, `@`, backslash, non-ASCII) decides which scanners run at all;
//! then hand-written scanners are offered each run of digits and each `@`. All of it is linear in the cell's length.
//!
//! A new detector is one file with a [`Detector`] constant, a [`Kind`] and a line in [`DETECTORS`].

mod card;
mod context;
mod email;
mod fold;
pub(crate) mod hex;
mod iban;
pub mod pattern;
mod phone;
mod run;
mod scanner;
mod ssn;
mod summary;

#[cfg(test)]
mod tests;

pub use context::Context;
use run::Run;
pub(crate) use scanner::{Hit, Scanner};

/// A built-in detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// US Social Security number.
    UsSsn,
    /// US Individual Taxpayer Identification Number.
    UsItin,
    /// Payment card number.
    CreditCard,
    /// International Bank Account Number.
    IbanCode,
    /// E-mail address.
    EmailAddress,
    /// Telephone number.
    PhoneNumber,
}

/// What the docs, the compiler and the scanner know about one detector.
#[derive(Debug)]
pub struct Detector {
    /// Which one.
    pub kind: Kind,
    /// Name, as Presidio calls the entity.
    pub name: &'static str,
    /// Other names taken for it: Google's infoTypes.
    pub aliases: &'static [&'static str],
    /// How sure a hit is, 0 to 100: 100 has a check digit that one in a hundred random texts or fewer passes, 90 a
    /// distinctive shape with range checks, 70 a shape that other numbers can have.
    pub score: u8,
    /// What is checked before a text counts as a hit.
    pub validates: &'static str,
    /// Fewest bytes of a hit.
    min_bytes: usize,
    find: Find,
}

type FindDigits = fn(&Run<'_>) -> Option<Span>;
type FindAt = fn(&[u8], usize) -> Option<Span>;

/// Where a detector is offered the text.
#[derive(Debug)]
enum Find {
    /// At the start of each run of ASCII digits.
    Digits(FindDigits),
    /// At each `@`.
    At(FindAt),
}

/// Bytes `start..end` of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// All built-in detectors, in the order in which they are tried at one place: the longer and surer first.
pub const DETECTORS: &[Detector] = &[
    iban::DETECTOR,
    card::DETECTOR,
    ssn::SSN,
    ssn::ITIN,
    phone::DETECTOR,
    email::DETECTOR,
];

// === impl Kind ===

impl Kind {
    /// The detector of a Presidio entity name or a Google infoType name.
    pub fn from_name(name: &str) -> Option<Self> {
        DETECTORS
            .iter()
            .find(|d| d.name == name || d.aliases.contains(&name))
            .map(|d| d.kind)
    }

    /// The Presidio entity name.
    pub fn name(self) -> &'static str {
        DETECTORS.iter().find(|d| d.kind == self).map_or("", |d| d.name)
    }
}
