//! Detectors: values recognised by their shape, whatever column or message they stand in.
//!
//! One pass over a cell, sixteen bytes at a time, tells which of its bytes are digits and which may be signs that detectors ask
//! for. Runs of digits and signs are then found by these bits, and hand-written finders are offered those that they can be a
//! hit at. What one of them looks at from there is bounded, so all of it is linear in the cell's length. So are
//! [patterns](pattern) of one's own.
//!
//! A new detector is one file with a [`Detector`] constant, a [`Kind`] and a line in [`DETECTORS`].

use std::num::NonZeroUsize;

mod birth;
mod card;
mod cloud;
mod connection;
mod context;
mod digits;
mod document;
mod email;
mod firsts;
mod fold;
pub(crate) mod hex;
mod iban;
mod lane;
mod listed;
mod medical;
mod month;
mod network;
mod numbers;
pub mod pattern;
mod pem;
mod phone;
mod piece;
mod routing;
mod run;
mod sas;
mod scanner;
mod setting;
mod slack;
mod ssn;
mod summary;
mod swift;
mod token;

#[cfg(test)]
mod corpus;

#[cfg(test)]
mod tests;

pub use context::Context;
pub(crate) use context::Label;
use run::Run;
pub(crate) use scanner::{Hit, Own, Scanner};

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
    /// US Employer Identification Number.
    UsEin,
    /// Routing number of a US bank (ABA).
    AbaRoutingNumber,
    /// Business Identifier Code of a bank.
    SwiftCode,
    /// Internet address.
    IpAddress,
    /// Hardware address of a network card.
    MacAddress,
    /// User and password within a URL.
    UrlWithCredentials,
    /// Password within a connection string.
    Password,
    /// Number of a US passport.
    UsPassport,
    /// Number of a US driver's licence.
    UsDriverLicense,
    /// Date of birth.
    DateOfBirth,
    /// Number of a medical record.
    MedicalRecordNumber,
    /// US National Provider Identifier.
    UsNpi,
    /// Key of Amazon Web Services.
    AwsCredentials,
    /// API key of Google Cloud, or secret of an OAuth client.
    GcpApiKey,
    /// Access key of Azure, or signature made with one.
    AzureAuthToken,
    /// Token of GitHub.
    GithubToken,
    /// Token or webhook of Slack.
    SlackToken,
    /// Secret key of Stripe, or of its webhooks.
    StripeApiKey,
    /// JSON Web Token.
    JsonWebToken,
    /// Private key in PEM.
    PemPrivateKey,
}

/// What the docs, the compiler and the scanner know about one detector.
#[derive(Debug)]
pub struct Detector {
    /// Which one.
    pub kind: Kind,
    /// Name, as Presidio calls the entity.
    pub name: &'static str,
    /// Other names taken for it: Google's infoTypes, and what others call it.
    pub aliases: &'static [&'static str],
    /// How sure a hit is, 0 to 100: 100 has a check digit that one in a hundred random texts or fewer passes, 90 a
    /// distinctive shape with range checks, 70 a shape that other numbers can have.
    pub score: u8,
    /// Context words: one of them names the column or JSON key, or stands before a number that means nothing by itself.
    pub words: &'static [&'static str],
    /// What is checked before a text counts as a hit.
    pub validates: &'static str,
    /// Fewest bytes of a text that a hit is in.
    min_bytes: usize,
    find: Find,
}

type FindDigits = fn(&Run<'_>) -> Option<Span>;
type FindSign = fn(&[u8], usize, &Context<'_>) -> Option<Span>;

/// Where a detector is offered the text.
#[derive(Debug)]
enum Find {
    /// At the start of each run of ASCII digits that can be a hit.
    Digits {
        /// Lengths of the run's first group, as bits; the last of them stands for what is longer, too.
        lengths: u32,
        /// Fewest digits of the run; 0 where it may have more than [`Run`] reads.
        least: usize,
        /// Fewest digits of the cell: what is no part of the run, such as an earlier month, may belong to the hit.
        cell: usize,
        /// Nothing is a hit unless one of the detector's words names it.
        needs_word: bool,
        /// The finder.
        find: FindDigits,
    },
    /// At each of these bytes, which [`Summary`](summary::Summary) has to tell of.
    Signs(&'static [u8], FindSign),
    /// The same, and once past the end of a text that is a value of its own and that one of the detector's words names.
    Named(&'static [u8], FindSign),
}

#[cfg(test)]
impl Find {
    /// The signs at which it is offered the text.
    fn signs(&self) -> &'static [u8] {
        match self {
            Self::Digits { .. } => &[],
            Self::Signs(signs, _) | Self::Named(signs, _) => signs,
        }
    }
}

/// Bytes of a cell. There is one at least, so none has an end of 0: that lets two registers hold one, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: NonZeroUsize,
}

/// All built-in detectors, in the order in which they are tried at one place: the longer and surer first.
pub const DETECTORS: &[Detector] = &[
    iban::DETECTOR,
    card::DETECTOR,
    ssn::SSN,
    ssn::ITIN,
    phone::DETECTOR,
    email::DETECTOR,
    routing::EIN,
    routing::ABA,
    swift::DETECTOR,
    network::IP,
    network::MAC,
    connection::URL,
    connection::PASSWORD,
    document::PASSPORT,
    document::DRIVER_LICENSE,
    birth::DETECTOR,
    medical::RECORD,
    medical::NPI,
    cloud::AWS,
    cloud::GCP,
    cloud::AZURE,
    token::GITHUB,
    slack::DETECTOR,
    token::STRIPE,
    token::JWT,
    pem::DETECTOR,
];

// === impl Span ===

impl Span {
    /// Bytes `start..end`; none where there can be none.
    #[inline]
    fn new(start: usize, end: usize) -> Option<Self> {
        let end = NonZeroUsize::new(end)?;
        Some(Self { start, end })
    }

    /// The place behind the last one.
    #[inline]
    fn end(self) -> usize {
        self.end.get()
    }
}

// === impl Kind ===

impl Kind {
    /// The detector of a Presidio entity name, or of another name that is taken for it.
    pub fn from_name(name: &str) -> Option<Self> {
        DETECTORS
            .iter()
            .find(|d| d.name == name || d.aliases.contains(&name))
            .map(|d| d.kind)
    }

    /// Its bit in a set of kinds.
    const fn bit(self) -> u32 {
        1_u32.wrapping_shl(self as u32)
    }

    /// The Presidio entity name.
    pub fn name(self) -> &'static str {
        DETECTORS.iter().find(|d| d.kind == self).map_or("", |d| d.name)
    }
}
