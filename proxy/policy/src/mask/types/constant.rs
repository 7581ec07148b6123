//! The table action × type: what stands in the place of a protected value, the same in text and binary.
//!
//! | action  | text | json, jsonb, xml | bytea | uuid | int8, numeric | others |
//! |---------|------|------------------|-------|------|---------------|--------|
//! | Null    | NULL | NULL | NULL | NULL | NULL | NULL |
//! | Redact  | `[REDACTED]` | the same as a JSON string, or XML text | its bytes | NULL | NULL | NULL |
//! | Replace | the text | the text as a JSON string, or XML text | `\x…` or its bytes | if it is one | if it is one | if it is one (int2, int4, float4, float8, bool, date, timestamp, timestamptz, inet), else NULL |
//! | Tokenize | its token, or `[REDACTED]` | as Redact | as Redact | NULL | its token, or NULL | int4: its token, or NULL; else NULL |
//! | Hash    | hex digits | hex digits as a JSON string, or XML text | bytes of the HMAC | of its first 16 bytes | 63 bits of it | NULL |
//! | Partial | as configured | NULL | NULL | NULL | NULL | NULL |
//! | Generalize | NULL | NULL | NULL | NULL | NULL | date, timestamp, timestamptz: the first day of the month or year, else NULL |
//!
//! Arrays keep their shape; each element is masked as its own type says. Rows, ranges, `"char"` and types that are not
//! built in are NULL under every action. A Hash of numeric needs nineteen digits before the point; a number has a token where it
//! is whole and not negative, and the alphabet is Digits.

use std::sync::Arc;

use sallyport_crds::masking_rule::DatePart;

use super::Class;
use super::coarse;
use super::numeric;
use super::token;
use crate::mask::action::{Action, Partial, REDACTED};
use crate::mask::hash::HashKey;
use crate::mask::keys::Keyed;
use crate::mask::plan::Format;
use crate::mask::token::Tokenizer;

/// An action on a protected column, with its key.
#[derive(Clone, Debug)]
pub(crate) enum ValueAction {
    Null,
    Redact,
    Replace(Box<str>),
    Tokenize(Arc<Tokenizer>),
    Hash(Hashing),
    Generalize(DatePart),
    Partial(Partial),
}

/// A keyed hash and how much of it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Hashing {
    pub(crate) key: HashKey,
    /// Hexadecimal digits.
    pub(crate) length: usize,
}

/// What becomes of each value of a protected column of one class and format.
#[derive(Clone, Debug)]
pub(crate) enum Leaf {
    Null,
    /// The same bytes for every value, in the column's format.
    Fixed(Box<[u8]>),
    Token(Arc<Tokenizer>),
    Hash(Hashing),
    Coarse(DatePart),
    Partial(Partial),
}

// === impl ValueAction ===

impl ValueAction {
    /// An action with its key; without one, hashing is redacting, and so is making tokens.
    pub(crate) fn new(action: &Action, key: Option<&Keyed>) -> Self {
        match (action, key) {
            (Action::Null, _) => Self::Null,
            (Action::Replace { with }, _) => Self::Replace(with.as_str().into()),
            (Action::Tokenize(_), Some(Keyed::Token(tokenizer))) => Self::Tokenize(Arc::clone(tokenizer)),
            (Action::Hash { length, .. }, Some(Keyed::Hash(key))) => Self::Hash(Hashing {
                key: key.clone(),
                length: *length,
            }),
            (Action::Generalize(part), _) => Self::Generalize(*part),
            (Action::Partial(partial), _) => Self::Partial(*partial),
            _ => Self::Redact,
        }
    }

    /// The table above, for a class that is not an array's.
    pub(crate) fn leaf(&self, class: Class, modifier: i32, format: Format) -> Leaf {
        let fixed = |bytes: Option<Vec<u8>>| bytes.map_or(Leaf::Null, |bytes| Leaf::Fixed(bytes.into()));
        match self {
            Self::Null => Leaf::Null,
            Self::Tokenize(tokenizer) if token::applies(tokenizer, class) => Leaf::Token(Arc::clone(tokenizer)),
            Self::Redact | Self::Tokenize(_) => fixed(phrase(REDACTED, class, format)),
            Self::Replace(with) => fixed(phrase(with, class, format).or_else(|| literal(with, class, format))),
            Self::Hash(hashing) if hashes(class, modifier) => Leaf::Hash(hashing.clone()),
            Self::Generalize(part) if coarse::applies(class) => Leaf::Coarse(*part),
            Self::Partial(partial) if class == Class::Text => Leaf::Partial(*partial),
            Self::Hash(_) | Self::Generalize(_) | Self::Partial(_) => Leaf::Null,
        }
    }
}

fn hashes(class: Class, modifier: i32) -> bool {
    match class {
        Class::Text | Class::Json | Class::Jsonb | Class::Xml | Class::Bytea | Class::Uuid | Class::Int8 => true,
        Class::Numeric => numeric::integer_digits(modifier).is_none_or(|digits| digits >= 19),
        _ => false,
    }
}

/// Any text as a value of a class that can hold any text.
pub(crate) fn phrase(text: &str, class: Class, format: Format) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    match class {
        Class::Text => Some(bytes.to_vec()),
        Class::Json => Some(json_string(text)),
        Class::Jsonb => Some(match format {
            Format::Text => json_string(text),
            Format::Binary => [&[super::json::JSONB_VERSION], json_string(text).as_slice()].concat(),
        }),
        Class::Xml => Some(
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .into_bytes(),
        ),
        Class::Bytea => {
            let bytes = super::bytea::from_hex(bytes).unwrap_or_else(|| bytes.to_vec());
            Some(super::bytea::encode(&bytes, format))
        }
        _ => None,
    }
}

fn json_string(text: &str) -> Vec<u8> {
    let mut out = vec![b'"'];
    super::json::escape(text.as_bytes(), &mut out);
    out.push(b'"');
    out
}

/// A literal of a class that cannot hold any text, if `text` is one.
fn literal(text: &str, class: Class, format: Format) -> Option<Vec<u8>> {
    let text = text.trim();
    let (shown, binary) = match class {
        Class::Int2 => text
            .parse::<i16>()
            .ok()
            .map(|n| (n.to_string(), n.to_be_bytes().to_vec()))?,
        Class::Int4 => text
            .parse::<i32>()
            .ok()
            .map(|n| (n.to_string(), n.to_be_bytes().to_vec()))?,
        Class::Int8 => text
            .parse::<i64>()
            .ok()
            .map(|n| (n.to_string(), n.to_be_bytes().to_vec()))?,
        Class::Float4 => float(
            text.parse::<f32>()
                .ok()
                .filter(|n| n.is_finite())
                .map(|n| (n, n.to_be_bytes()))?,
        ),
        Class::Float8 => float(
            text.parse::<f64>()
                .ok()
                .filter(|n| n.is_finite())
                .map(|n| (n, n.to_be_bytes()))?,
        ),
        Class::Numeric => (numeric::canonical(text)?, numeric::encode(text)?),
        Class::Bool => match text.to_ascii_lowercase().as_str() {
            "t" | "true" | "yes" | "on" | "1" => ("t".to_owned(), vec![1]),
            "f" | "false" | "no" | "off" | "0" => ("f".to_owned(), vec![0]),
            _ => return None,
        },
        Class::Date => date(text)?,
        Class::Timestamp => timestamp(text, "")?,
        Class::TimestampTz => timestamp(text, "+00")?,
        Class::Uuid => uuid(text)?,
        Class::Inet => inet(text)?,
        _ => return None,
    };
    Some(match format {
        Format::Text => shown.into_bytes(),
        Format::Binary => binary,
    })
}

fn float<const N: usize>((n, bytes): (impl ToString, [u8; N])) -> (String, Vec<u8>) {
    (n.to_string(), bytes.to_vec())
}

/// PostgreSQL counts days and microseconds from 2000-01-01.
pub(super) const EPOCH: jiff::civil::Date = jiff::civil::date(2000, 1, 1);

fn date(text: &str) -> Option<(String, Vec<u8>)> {
    let date: jiff::civil::Date = text.parse().ok()?;
    let days = EPOCH.until((jiff::Unit::Day, date)).ok()?.get_days();
    (date.year() > 0).then(|| (date.to_string(), days.to_be_bytes().to_vec()))
}

fn timestamp(text: &str, zone: &str) -> Option<(String, Vec<u8>)> {
    let time: jiff::civil::DateTime = text.parse().ok()?;
    let span = EPOCH
        .to_datetime(jiff::civil::Time::midnight())
        .until((jiff::Unit::Microsecond, time))
        .ok()?;
    let micros = span.get_microseconds();
    let shown = format!("{}{zone}", time.strftime("%Y-%m-%d %H:%M:%S%.f"));
    // What is finer than a microsecond, PostgreSQL cannot hold.
    let exact = time.subsec_nanosecond() % 1000 == 0 && time.year() > 0;
    exact.then(|| (shown, micros.to_be_bytes().to_vec()))
}

fn uuid(text: &str) -> Option<(String, Vec<u8>)> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(crate::mask::detect::hex::pair).collect();
    let bytes: [u8; 16] = bytes?.try_into().ok()?;
    let mut shown = Vec::new();
    put_uuid(&bytes, &mut shown);
    Some((String::from_utf8(shown).ok()?, bytes.to_vec()))
}

/// A UUID's text form.
pub(crate) fn put_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        crate::mask::hash::put_hex(out, &[*byte]);
    }
}

fn inet(text: &str) -> Option<(String, Vec<u8>)> {
    use std::net::IpAddr;
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    // Family (2 and 3, whatever the platform's own numbers), prefix length, is it a cidr, bytes of the address.
    let (family, octets, whole) = match address {
        IpAddr::V4(v4) => (2, v4.octets().to_vec(), 32),
        IpAddr::V6(v6) => (3, v6.octets().to_vec(), 128),
    };
    let bits = bits.unwrap_or(whole);
    let shown = if bits == whole {
        address.to_string()
    } else {
        format!("{address}/{bits}")
    };
    let length = u8::try_from(octets.len()).ok()?;
    (bits <= whole).then(|| (shown, [&[family, bits, 0, length], octets.as_slice()].concat()))
}
