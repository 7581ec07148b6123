//! Detectors over a value of a type: what is looked at as text, what as a number, and what is written back.

use std::borrow::Cow;

use super::count::Counts;
use super::detect::{Context, Label};
use super::masker::Masker;
use super::plan::{Format, Outcome};
use super::text::Surroundings;
use super::types::{Class, Types, array, bytea, json, numeric, range, record};

/// How deep rows and arrays within each other are looked into.
const MAX_DEPTH: u8 = 8;
/// OID of text.
const TEXT: u32 = 25;

/// A masker's detectors, looking at values of one column.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) masker: &'a Masker,
    pub(super) types: &'a Types,
    /// The column's name.
    pub(super) label: &'a Label,
    /// Nothing protected can be in the values: what cannot be decoded may pass, and integers are left alone. Behind opaque
    /// code they may be anything, so a whole number is looked at there.
    pub(super) trusted: bool,
    pub(super) depth: u8,
}

impl<'a> Look<'a> {
    /// Whether values of this class are looked at in any way.
    pub(super) fn applies((masker, types): (&Masker, &Types), class: Class, format: Format, trusted: bool) -> bool {
        let hidden = format == Format::Binary && !trusted && masker.acts;
        let numbers = !masker.numeric.is_empty() || !masker.integer.is_empty();
        match class {
            Class::Text | Class::Char | Class::Label | Class::Json | Class::Jsonb | Class::Xml | Class::Bytea => {
                masker.has_detectors()
            }
            Class::Name => masker.has_detectors() && format == Format::Text,
            Class::Numeric => numbers,
            Class::Int2 | Class::Int4 | Class::Int8 => !masker.integer.is_empty() || (!trusted && numbers),
            Class::Float4 | Class::Float8 => !trusted && numbers,
            Class::Range(of) | Class::Multirange(of) => {
                Self::applies((masker, types), Class::look_up(types, of), format, trusted)
            }
            Class::Array(of) => Self::applies((masker, types), Class::look_up(types, of), format, trusted),
            Class::AnyArray | Class::Record | Class::Unknown => masker.has_detectors() || hidden,
            Class::Bool | Class::Date | Class::Timestamp | Class::TimestampTz => false,
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
        match (class, format) {
            (Class::Text | Class::Char, _) => Some(self.text(value, Surroundings::Value, out, counts)),
            (Class::Xml, _) => Some(self.text(value, Surroundings::Xml, out, counts)),
            (Class::Label, _) => Some(self.whole(value, counts)),
            (Class::Json, _) | (Class::Jsonb, Format::Text) => Some(self.json(value, out, counts)),
            (Class::Jsonb, Format::Binary) => {
                let (version, text) = value
                    .split_first()
                    .filter(|(version, _)| **version == json::JSONB_VERSION)?;
                out.push(*version);
                Some(self.json(text, out, counts))
            }
            (Class::Bytea, _) => self.bytea(format, value, out, counts),
            (Class::Numeric, _) | (Class::Int2 | Class::Int4 | Class::Int8, _) | (Class::Float4 | Class::Float8, _) => {
                self.number(class, format, value, counts)
            }
            (Class::Range(of) | Class::Multirange(of), _) => self.range(class, of, format, value, counts),
            (Class::Array(of), _) => self.array(Some(of), format, value, out, counts),
            (Class::AnyArray, Format::Text) => self.array(Some(TEXT), format, value, out, counts),
            (Class::AnyArray, Format::Binary) => self.array(None, format, value, out, counts),
            (Class::Record, Format::Binary) => self.record(value, out, counts),
            (Class::Record, Format::Text) => Some(self.record_text(value, out, counts)),
            (Class::Name | Class::Unknown, Format::Text) => Some(self.text(value, Surroundings::Literal, out, counts)),
            (Class::Unknown, Format::Binary) => self.opaque(value, counts),
            (Class::Bool | Class::Date | Class::Timestamp | Class::TimestampTz, _) => Some(Outcome::Unchanged),
            (Class::Uuid | Class::Inet | Class::Fixed | Class::Name, _) => Some(Outcome::Unchanged),
        }
    }

    fn text(&self, value: &[u8], around: Surroundings, out: &mut Vec<u8>, counts: &mut Counts) -> Outcome {
        // In a row's or an unknown type's text, a number between commas may be an integer of its own.
        let whole = around != Surroundings::Literal || !self.trusted;
        let context = Context::of(self.label, whole);
        self.masker
            .rewrite_text(&self.masker.text, value, context, around, out, counts)
    }

    /// A value that is shown whole or not at all.
    fn whole(&self, value: &[u8], counts: &mut Counts) -> Outcome {
        null_if(
            self.masker
                .finds(&self.masker.text, value, Context::of(self.label, true), counts),
        )
    }

    fn json(&self, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Outcome {
        let context = Context::of(self.label, !self.trusted);
        if self.masker.text.is_quiet(value, context) {
            return Outcome::Unchanged;
        }
        json::rewrite(self.masker, value, context, out, counts)
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

    /// A number: what is recognised in it makes it NULL, since nothing else is a number.
    fn number(&self, class: Class, format: Format, value: &[u8], counts: &mut Counts) -> Option<Outcome> {
        let Some(text) = number_text(class, format, value)? else {
            return Some(Outcome::Unchanged);
        };
        let text = numeric::without_trailing_zeros(&text).as_bytes();
        let told = self
            .masker
            .finds(&self.masker.integer, text, Context::of(self.label, true), counts);
        // Integers are left alone unless a rule says otherwise or they come out of opaque code; a numeric is looked at for
        // what has a check digit, or a name that says what it is.
        let looked = class == Class::Numeric || !self.trusted;
        let context = Context::of(self.label, !self.trusted);
        let found = looked && self.masker.finds(&self.masker.numeric, text, context, counts);
        Some(null_if(found || told))
    }

    fn range(&self, class: Class, of: u32, format: Format, value: &[u8], counts: &mut Counts) -> Option<Outcome> {
        let subtype = Class::look_up(self.types, of);
        let mut found = false;
        let mut undecodable = false;
        let mut bound = |bound: &[u8]| match self
            .deeper()
            .map(|inner| inner.value(subtype, format, bound, &mut Vec::new(), counts))
        {
            Some(Some(outcome)) => found |= outcome != Outcome::Unchanged,
            _ => undecodable = true,
        };
        match (format, class) {
            (Format::Text, _) => value
                .split(|b| b"[](){},\"".contains(b))
                .filter(|b| !b.is_empty())
                .for_each(bound),
            (Format::Binary, Class::Multirange(_)) => range::multi_bounds(value, &mut bound)?,
            (Format::Binary, _) => range::bounds(value, &mut bound)?,
        }
        (!undecodable).then_some(null_if(found))
    }

    fn array(
        &self,
        of: Option<u32>,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Option<Outcome> {
        let inner = self.deeper()?;
        let mut element = |oid: u32, value: &[u8], out: &mut Vec<u8>| {
            let start = out.len();
            let outcome = inner.value(Class::look_up(inner.types, oid), format, value, out, counts);
            if outcome != Some(Outcome::Written) {
                out.truncate(start);
            }
            outcome
        };
        match format {
            Format::Text => array::rewrite_text(value, of.unwrap_or(TEXT), &mut element, out),
            Format::Binary => array::rewrite_binary(value, of, &mut element, out),
        }
    }

    fn record(&self, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Option<Outcome> {
        let inner = self.deeper()?;
        let mut field = |oid: u32, value: &[u8], out: &mut Vec<u8>| {
            let start = out.len();
            let outcome = inner.value(Class::look_up(inner.types, oid), Format::Binary, value, out, counts);
            if outcome != Some(Outcome::Written) {
                out.truncate(start);
            }
            // One field that cannot be decoded does not hide the others.
            Some(outcome.unwrap_or(Outcome::Null))
        };
        record::rewrite_binary(value, &mut field, out)
    }

    /// Nobody says of what types the fields are: each is looked at as text in which numbers stand.
    fn record_text(&self, value: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Outcome {
        let start = out.len();
        let mut field = |value: &[u8], out: &mut Vec<u8>| self.text(value, Surroundings::Literal, out, counts);
        record::rewrite_text(value, &mut field, out).unwrap_or_else(|| {
            out.truncate(start);
            self.text(value, Surroundings::Literal, out, counts)
        })
    }

    /// Binary of a type that nobody knows: its bytes are looked at as they are, and a hit hides all of it.
    fn opaque(&self, value: &[u8], counts: &mut Counts) -> Option<Outcome> {
        self.trusted.then(|| self.whole(value, counts))
    }

    fn deeper(&self) -> Option<Look<'a>> {
        let depth = self.depth.checked_add(1).filter(|depth| *depth <= MAX_DEPTH)?;
        Some(Look { depth, ..*self })
    }
}

fn null_if(found: bool) -> Outcome {
    if found { Outcome::Null } else { Outcome::Unchanged }
}

/// A number's text form. `None`: it cannot be decoded; `Some(None)`: it has no decimal form that a detector could know (NaN,
/// infinity, a thousand digits).
fn number_text(class: Class, format: Format, value: &[u8]) -> Option<Option<Cow<'_, str>>> {
    let float = |n: f64| n.is_finite().then(|| Cow::Owned(n.to_string()));
    Some(match (format, class) {
        (Format::Text, _) => Some(std::str::from_utf8(value).ok().map(Cow::Borrowed)?),
        (Format::Binary, Class::Numeric) => numeric::decode(value).map(Cow::Owned),
        (Format::Binary, Class::Float4) => float(f64::from(f32::from_be_bytes(value.try_into().ok()?))),
        (Format::Binary, Class::Float8) => float(f64::from_be_bytes(value.try_into().ok()?)),
        (Format::Binary, _) => Some(Cow::Owned(decode_integer(class, value)?.to_string())),
    })
}

/// A binary int2, int4 or int8.
pub(super) fn decode_integer(class: Class, value: &[u8]) -> Option<i64> {
    Some(match class {
        Class::Int2 => i64::from(i16::from_be_bytes(value.try_into().ok()?)),
        Class::Int4 => i64::from(i32::from_be_bytes(value.try_into().ok()?)),
        Class::Int8 => i64::from_be_bytes(value.try_into().ok()?),
        _ => return None,
    })
}
