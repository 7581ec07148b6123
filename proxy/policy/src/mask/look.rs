//! Detectors over a value of a type: what is looked at as text, what as a number, and what is written back.

use super::bytes::{Reader, tail};
use super::count::Counts;
use super::detect::{Context, Scanner};
use super::masker::Masker;
use super::plan::{Format, Outcome};
use super::text::Surroundings;
use super::types::{Class, array, bytea, json, numeric, range, record};

/// How deep rows and arrays within each other are looked into.
const MAX_DEPTH: u8 = 8;
/// OID of numeric.
const NUMERIC: u32 = 1700;

/// A masker's detectors, looking at values of one column.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) masker: &'a Masker,
    /// The column's name.
    pub(super) label: &'a [u8],
    /// Nothing protected can be in the values: what cannot be decoded may pass.
    pub(super) trusted: bool,
    pub(super) depth: u8,
}

impl<'a> Look<'a> {
    /// Whether values of this class are looked at in any way.
    pub(super) fn applies(masker: &Masker, class: Class, format: Format, trusted: bool) -> bool {
        let numbers = !masker.numeric.is_empty() || !masker.integer.is_empty();
        match class {
            Class::Text | Class::Char | Class::Json | Class::Jsonb | Class::Xml | Class::Bytea => {
                masker.has_detectors()
            }
            Class::Name => masker.has_detectors() && format == Format::Text,
            Class::Record => masker.has_detectors(),
            Class::Numeric => numbers,
            Class::Range(of) | Class::Multirange(of) => of == NUMERIC && numbers,
            Class::Int2 | Class::Int4 | Class::Int8 => !masker.integer.is_empty(),
            Class::Array(of) => Self::applies(masker, Class::of(of), format, trusted),
            Class::Unknown => masker.has_detectors() || (format == Format::Binary && !trusted && masker.acts),
            Class::Float4 | Class::Float8 | Class::Bool | Class::Date | Class::Timestamp | Class::TimestampTz => false,
            Class::Uuid | Class::Inet | Class::Fixed => false,
        }
    }

    /// Looks at one value. `None`: it cannot be decoded. Whatever was appended counts only with [`Outcome::Written`].
    pub(super) fn value(
        &self,
        class: Class,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Option<Outcome> {
        Some(match (class, format) {
            (Class::Text | Class::Char, _) => self.text(value, Surroundings::Value, out, counts),
            (Class::Xml, _) => self.text(value, Surroundings::Xml, out, counts),
            (Class::Json, _) | (Class::Jsonb, Format::Text) => self.json(value, out, counts),
            (Class::Jsonb, Format::Binary) => {
                let (version, text) = value.split_first()?;
                out.push(*version);
                if *version != json::JSONB_VERSION {
                    return None;
                }
                self.json(text, out, counts)
            }
            (Class::Bytea, _) => return self.bytea(format, value, out, counts),
            (Class::Numeric, Format::Text) => self.number(value, counts),
            (Class::Numeric, Format::Binary) => {
                // What has no decimal form (NaN, a thousand digits) is no number that a detector knows.
                numeric::decode(value).map_or(Outcome::Unchanged, |text| self.number(text.as_bytes(), counts))
            }
            (Class::Int2 | Class::Int4 | Class::Int8, _) => self.integer(class, format, value, counts)?,
            (Class::Range(NUMERIC) | Class::Multirange(NUMERIC), _) => self.range(class, format, value, counts)?,
            (Class::Array(of), _) => return self.array(of, format, value, out, counts),
            (Class::Record, Format::Binary) => return self.record(value, out, counts),
            (Class::Record | Class::Name | Class::Unknown, Format::Text) => {
                self.text(value, Surroundings::Literal, out, counts)
            }
            (Class::Unknown, Format::Binary) => return self.opaque(value, counts),
            _ => Outcome::Unchanged,
        })
    }

    fn text(&self, value: &[u8], around: Surroundings, out: &mut Vec<u8>, counts: &mut Counts) -> Outcome {
        // In a row's or an unknown type's text, a number between commas may be an integer of its own.
        let context = Context {
            label: self.label,
            whole: around != Surroundings::Literal,
        };
        self.masker
            .rewrite_text(&self.masker.text, value, context, around, out, counts)
    }

    fn json(&self, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Outcome {
        if self.masker.text.is_quiet(value) {
            return Outcome::Unchanged;
        }
        json::rewrite(self.masker, value, self.label, out, counts)
    }

    fn bytea(&self, format: Format, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Option<Outcome> {
        let decoded = match format {
            Format::Text => Some(bytea::decode_text(value)?),
            Format::Binary => None,
        };
        let bytes = decoded.as_deref().unwrap_or(value);
        let mut masked = Vec::new();
        let outcome = self.text(bytes, Surroundings::Value, &mut masked, counts);
        if outcome == Outcome::Written {
            out.extend_from_slice(&bytea::encode(&masked, format));
        }
        Some(outcome)
    }

    /// A decimal number: what is recognised in it makes it NULL, since nothing else is a number.
    fn number(&self, text: &[u8], counts: &mut Counts) -> Outcome {
        let text = std::str::from_utf8(text).map_or(text, |text| numeric::without_trailing_zeros(text).as_bytes());
        let found = |scanner: &Scanner, whole: bool, counts: &mut Counts| {
            self.masker.finds(
                scanner,
                text,
                Context {
                    label: self.label,
                    whole,
                },
                counts,
            )
        };
        let told = found(&self.masker.integer, true, counts);
        if found(&self.masker.numeric, false, counts) || told {
            Outcome::Null
        } else {
            Outcome::Unchanged
        }
    }

    fn integer(&self, class: Class, format: Format, value: &[u8], counts: &mut Counts) -> Option<Outcome> {
        let text = match format {
            Format::Text => value.to_vec(),
            Format::Binary => decode_integer(class, value)?.to_string().into_bytes(),
        };
        let found = self
            .masker
            .finds(&self.masker.integer, &text, Context::value(self.label), counts);
        Some(if found { Outcome::Null } else { Outcome::Unchanged })
    }

    fn range(&self, class: Class, format: Format, value: &[u8], counts: &mut Counts) -> Option<Outcome> {
        let mut found = false;
        let mut bound = |text: &[u8]| found |= self.number(text, counts) == Outcome::Null;
        if format == Format::Text {
            value
                .split(|b| !b.is_ascii_digit() && *b != b'.' && *b != b'-')
                .for_each(bound);
        } else {
            let mut decoded = |value: &[u8]| {
                if let Some(text) = numeric::decode(value) {
                    bound(text.as_bytes());
                }
            };
            match class {
                Class::Multirange(_) => range::multi_bounds(value, &mut decoded)?,
                _ => range::bounds(value, &mut decoded)?,
            }
        }
        Some(if found { Outcome::Null } else { Outcome::Unchanged })
    }

    fn array(&self, of: u32, format: Format, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Option<Outcome> {
        let inner = self.deeper()?;
        let class = Class::of(of);
        let mut element = |value: &[u8], out: &mut Vec<u8>| {
            let start = out.len();
            let outcome = inner.value(class, format, value, out, counts);
            if outcome != Some(Outcome::Written) {
                out.truncate(start);
            }
            outcome
        };
        match format {
            Format::Text => array::rewrite_text(value, of, &mut element, out),
            Format::Binary => array::rewrite_binary(value, of, &mut element, out),
        }
    }

    fn record(&self, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Option<Outcome> {
        let inner = self.deeper()?;
        let mut field = |oid: u32, value: &[u8], out: &mut Vec<u8>| {
            let start = out.len();
            let outcome = inner.value(Class::of(oid), Format::Binary, value, out, counts);
            if outcome != Some(Outcome::Written) {
                out.truncate(start);
            }
            // One field that cannot be decoded does not hide the others.
            Some(outcome.unwrap_or(Outcome::Null))
        };
        record::rewrite_binary(value, &mut field, out)
    }

    /// Binary of a type that nobody knows: its bytes are looked at as they are, and a hit hides all of it.
    fn opaque(&self, value: &[u8], counts: &mut Counts) -> Option<Outcome> {
        if !self.trusted {
            return None;
        }
        let found = self
            .masker
            .finds(&self.masker.text, value, Context::value(self.label), counts);
        Some(if found { Outcome::Null } else { Outcome::Unchanged })
    }

    fn deeper(&self) -> Option<Look<'a>> {
        (self.depth < MAX_DEPTH).then_some(Look {
            depth: self.depth.saturating_add(1),
            ..*self
        })
    }
}

/// A binary int2, int4 or int8.
pub(super) fn decode_integer(class: Class, value: &[u8]) -> Option<i64> {
    let mut reader = Reader::new(value);
    let number = match class {
        Class::Int2 => i64::from(reader.i16()?),
        Class::Int4 => i64::from(reader.i32()?),
        Class::Int8 => i64::from_be_bytes(*tail(value, 0).first_chunk::<8>().filter(|_| value.len() == 8)?),
        _ => return None,
    };
    (reader.is_empty() || class == Class::Int8).then_some(number)
}
