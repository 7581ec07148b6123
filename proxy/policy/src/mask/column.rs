//! What happens to the values of one output column.

use super::action::REDACTED;
use super::count::{Counts, Slot};
use super::detect::{Context, Label};
use super::hash::put_hex;
use super::look::{Look, decode_integer};
use super::masker::Masker;
use super::plan::{ColumnInfo, Format, Outcome, Source};
use super::types::constant::{Hashing, Leaf, phrase, put_uuid};
use super::types::{Class, Types, array, bytea, coarse, json, numeric, token};

/// OID of bpchar, whose trailing blanks do not count.
const BPCHAR: u32 = 1042;

/// The treatment of one column, decided once per RowDescription.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    label: Label,
    type_oid: u32,
    class: Class,
    /// The class of an array's elements; else the same.
    leaf_class: Class,
    format: Format,
    /// Whether how many elements an array has may tell of values, too: it is made by an expression.
    shape_tells: bool,
    treatment: Treatment,
    /// Counters of the rules that protect the column, acting or observing.
    slots: Box<[Slot]>,
    strict: bool,
}

#[derive(Debug)]
enum Treatment {
    /// Passes as it is.
    Pass,
    /// Masked whole; the leaf is that of an array's elements where it is one.
    Whole(Leaf),
    /// Detectors look at it.
    Detect { trusted: bool },
}

// === impl ColumnPlan ===

impl ColumnPlan {
    pub(super) fn new(masker: &Masker, types: &Types, info: &ColumnInfo) -> Self {
        let class = info.class.unwrap_or_else(|| Class::look_up(types, info.type_oid));
        let verdict = match &info.source {
            Source::Column(rules) => masker.column(rules, true),
            Source::Tainted(rules) => masker.column(rules, false),
            Source::Plain | Source::Unknown => Default::default(),
        };
        let trusted = info.source != Source::Unknown;
        let leaf_class = match class {
            Class::Array(of) => Class::look_up(types, of),
            class => class,
        };
        let treatment = match verdict.action {
            Some(action) => Treatment::Whole(action.leaf(leaf_class, info.type_modifier, info.format)),
            None if Look::applies((masker, types), class, info.format, trusted) => Treatment::Detect { trusted },
            None => Treatment::Pass,
        };
        Self {
            label: Label::new(&info.name),
            type_oid: info.type_oid,
            class,
            leaf_class,
            format: info.format,
            shape_tells: matches!(info.source, Source::Tainted(_)),
            treatment,
            slots: verdict.slots.into(),
            strict: verdict.strict || (!trusted && masker.strict),
        }
    }

    /// Whether no value of the column is shown.
    pub(super) fn is_hidden(&self) -> bool {
        matches!(self.treatment, Treatment::Whole(_))
    }

    pub(super) fn passes(&self) -> bool {
        matches!(self.treatment, Treatment::Pass) && self.slots.is_empty()
    }

    /// Whether detectors recognise anything in a value of a column that is text; [`Masker::replace`] has to follow where they do.
    /// `None`: the column is of another kind, and nothing was done. `room` begins with the value, too.
    #[inline]
    pub(super) fn recognises(&self, masker: &Masker, value: &[u8], room: &[u8], counts: &mut Counts) -> Option<bool> {
        let looks =
            matches!(self.treatment, Treatment::Detect { .. }) && matches!(self.class, Class::Text | Class::Char);
        looks.then(|| {
            counts.add_all(&self.slots);
            Masker::recognises(&masker.text, value, room, Context::of(&self.label, true), counts)
        })
    }

    /// Masks one value that is not NULL. `None`: Strict, and it cannot be decoded. Whatever was appended counts only with
    /// [`Outcome::Written`].
    pub(super) fn apply(
        &self,
        (masker, types): (&Masker, &Types),
        value: &[u8],
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Option<Outcome> {
        counts.add_all(&self.slots);
        match &self.treatment {
            Treatment::Pass => Some(Outcome::Unchanged),
            Treatment::Whole(_) if self.strict && self.class == Class::Unknown && self.format == Format::Binary => None,
            Treatment::Whole(leaf) => Some(self.whole(leaf, value, out)),
            Treatment::Detect { trusted } => {
                let look = Look {
                    masker,
                    types,
                    label: &self.label,
                    trusted: *trusted,
                    depth: 0,
                };
                match look.value(self.class, self.format, value, out, counts) {
                    None if self.strict => None,
                    None => {
                        counts.add(Masker::UNDECODABLE, 1);
                        Some(Outcome::Null)
                    }
                    outcome => outcome,
                }
            }
        }
    }

    fn whole(&self, leaf: &Leaf, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        let Class::Array(of) = self.class else {
            return self.leaf(leaf, self.class, value, out);
        };
        if self.shape_tells {
            return Outcome::Null;
        }
        let mut element = |_, value: &[u8], out: &mut Vec<u8>| Some(self.leaf(leaf, self.leaf_class, value, out));
        let outcome = match self.format {
            Format::Text => array::rewrite_text(value, of, &mut element, out),
            Format::Binary => array::rewrite_binary(value, Some(of), &mut element, out),
        };
        outcome.unwrap_or(Outcome::Null)
    }

    fn leaf(&self, leaf: &Leaf, class: Class, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        let written = match leaf {
            Leaf::Null => None,
            Leaf::Fixed(bytes) => {
                out.extend_from_slice(bytes);
                Some(())
            }
            Leaf::Partial(partial) => {
                partial.write(value, out);
                Some(())
            }
            Leaf::Coarse(part) => coarse::write(*part, class, self.format, value, out),
            Leaf::Token(tokenizer) => token::write(tokenizer, class, self.format, value, out).or_else(|| {
                out.extend_from_slice(&phrase(REDACTED, class, self.format)?);
                Some(())
            }),
            Leaf::Hash(hashing) => self.hash(hashing, class, value, out),
        };
        written.map_or(Outcome::Null, |()| Outcome::Written)
    }

    /// Hashes the canonical text of a value, which is the same in text and binary. `None`: it has none.
    fn hash(&self, hashing: &Hashing, class: Class, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let binary = self.format == Format::Binary;
        match class {
            Class::Bytea => {
                let decoded = if binary { None } else { Some(bytea::decode_text(value)?) };
                let digest = hashing.key.digest(decoded.as_deref().unwrap_or(value));
                let kept = digest.get(..hashing.length / 2).unwrap_or(&digest);
                out.extend_from_slice(&bytea::encode(kept, self.format));
            }
            Class::Uuid => {
                let mut text = Vec::new();
                match value.first_chunk::<16>().filter(|_| binary) {
                    Some(bytes) => put_uuid(bytes, &mut text),
                    None if binary => return None,
                    None => text.extend_from_slice(value),
                }
                let mut uuid = *hashing.key.digest(&text).first_chunk::<16>()?;
                // Version 8, "vendor specific" (RFC 9562): no other kind of UUID can be mistaken for it.
                uuid[6] = (uuid[6] & 0x0F) | 0x80;
                uuid[8] = (uuid[8] & 0x3F) | 0x80;
                if binary {
                    out.extend_from_slice(&uuid)
                } else {
                    put_uuid(&uuid, out)
                }
            }
            Class::Int8 | Class::Numeric => {
                let text = match (class, binary) {
                    (_, false) => std::str::from_utf8(value).ok()?.to_owned(),
                    (Class::Int8, true) => decode_integer(class, value)?.to_string(),
                    (_, true) => numeric::decode(value)?,
                };
                let digest = hashing.key.digest(numeric::without_trailing_zeros(&text).as_bytes());
                let number = i64::from_be_bytes(*digest.first_chunk::<8>()?) & i64::MAX;
                match (class, binary) {
                    (_, false) => out.extend_from_slice(number.to_string().as_bytes()),
                    (Class::Int8, true) => out.extend_from_slice(&number.to_be_bytes()),
                    (_, true) => out.extend_from_slice(&numeric::encode(&number.to_string())?),
                }
            }
            _ => {
                let text = match value {
                    [json::JSONB_VERSION, text @ ..] if class == Class::Jsonb && binary => text,
                    text if self.type_oid == BPCHAR => text.trim_ascii_end(),
                    text => text,
                };
                let mut hex = Vec::with_capacity(64);
                put_hex(&mut hex, &hashing.key.digest(text));
                hex.truncate(hashing.length);
                out.extend_from_slice(&phrase(std::str::from_utf8(&hex).ok()?, class, self.format)?);
            }
        }
        Some(())
    }

    /// See [`RowPlan::oversized`](super::RowPlan::oversized).
    pub(super) fn oversized(&self, out: &mut Vec<u8>, counts: &mut Counts) -> Outcome {
        let fixed = match &self.treatment {
            Treatment::Whole(Leaf::Fixed(bytes)) if !matches!(self.class, Class::Array(_)) => Some(bytes.to_vec()),
            Treatment::Whole(Leaf::Null) => None,
            _ => phrase(REDACTED, self.class, self.format),
        };
        match self.treatment {
            Treatment::Whole(_) => counts.add_all(&self.slots),
            _ => counts.add(Masker::UNDECODABLE, 1),
        }
        match fixed {
            Some(bytes) => {
                out.extend_from_slice(&bytes);
                Outcome::Written
            }
            None => Outcome::Null,
        }
    }
}
