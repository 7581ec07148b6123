//! Ranges within which bound parameters may vary under one grant.

use std::fmt;

use sallyport_crds::approval_policy::{Grant, GrantScope};

/// OIDs of the integer types, whose binary forms are read where a client states them.
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;

/// A value of a parameter that is a number, by the whole numbers next to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    floor: i64,
    ceiling: i64,
}

/// Between which numbers one parameter may vary, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// From 0.
    index: usize,
    minimum: i64,
    maximum: i64,
}

// === impl Number ===

impl Number {
    /// Reads a text: digits, perhaps a minus before and a fraction behind. However else PostgreSQL lets a number be written, it
    /// is none here, and lies in no range.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !(plain(whole) && plain(fraction)) {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let next = whole.checked_add(i64::from(fraction.bytes().any(|byte| byte != b'0')))?;
        let (floor, ceiling) = if negative { (-next, -whole) } else { (whole, next) };
        Some(Self { floor, ceiling })
    }

    /// Reads a binary value of an integer type.
    #[must_use]
    pub fn from_binary(type_oid: u32, bytes: &[u8]) -> Option<Self> {
        let whole: i64 = match type_oid {
            INT2 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
            INT4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
            INT8 => i64::from_be_bytes(bytes.try_into().ok()?),
            _ => return None,
        };
        Some(Self {
            floor: whole,
            ceiling: whole,
        })
    }
}

// === impl Range ===

impl Range {
    /// The ranges of a grant, or what is wrong with them.
    pub(super) fn all(grant: &Grant) -> Result<Vec<Self>, &'static str> {
        if !grant.parameters.is_empty() && grant.scope != GrantScope::Fingerprint {
            return Err("belongs to scope Fingerprint: elsewhere no parameter varies");
        }
        let each = grant.parameters.iter().map(|range| {
            let position = usize::try_from(range.position).unwrap_or_default();
            let index = position.checked_sub(1).ok_or("positions count from 1, which is $1")?;
            let (minimum, maximum) = match (range.minimum, range.maximum) {
                (None, None) => return Err("give minimum, maximum or both"),
                (minimum, maximum) => (minimum.unwrap_or(i64::MIN), maximum.unwrap_or(i64::MAX)),
            };
            if minimum > maximum {
                return Err("minimum is above maximum: no value would fit");
            }
            Ok(Self {
                index,
                minimum,
                maximum,
            })
        });
        each.collect()
    }

    /// Which parameter it is about, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether a command's parameters fit. One that is NULL, no number or not there does not.
    #[must_use]
    pub fn takes(&self, parameters: &[Option<Number>]) -> bool {
        let number = parameters.get(self.index).copied().flatten();
        number.is_some_and(|number| self.minimum <= number.floor && number.ceiling <= self.maximum)
    }

    /// Itself, for what a grant is bound to.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = (self.index as u64).to_be_bytes().to_vec();
        bytes.extend(self.minimum.to_be_bytes());
        bytes.extend(self.maximum.to_be_bytes());
        bytes
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.minimum, self.maximum) {
            (i64::MIN, maximum) => write!(f, "up to {maximum}"),
            (minimum, i64::MAX) => write!(f, "from {minimum} on"),
            (minimum, maximum) => write!(f, "from {minimum} to {maximum}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ranges(scope: &str, parameters: serde_json::Value) -> Result<Vec<Range>, &'static str> {
        let grant = json!({"scope": scope, "validFor": "1h", "parameters": parameters});
        Range::all(&serde_json::from_value(grant).unwrap())
    }

    #[test]
    fn a_value_lies_in_a_range_or_is_no_number() {
        let range = ranges("Fingerprint", json!([{"position": 2, "minimum": -5, "maximum": 1000}]));
        let range = range.unwrap()[0];
        for (text, fits) in [
            ("0", true),
            ("-5", true),
            ("-5.0", true),
            ("-5.1", false),
            ("-6", false),
            ("1000", true),
            ("1000.000", true),
            ("1000.01", false),
            ("0001000", true),
            ("1001", false),
            ("9223372036854775807", false),
            ("9223372036854775808", false),
            ("1e1", false),
            ("0x10", false),
            ("1_000", false),
            ("+1", false),
            (" 1", false),
            ("1.", false),
            (".5", false),
            ("-", false),
            ("", false),
            ("NaN", false),
            ("١", false),
        ] {
            assert_eq!(range.takes(&[None, Number::from_text(text)]), fits, "{text}");
        }
        assert!(!range.takes(&[Number::from_text("1")]), "there is no second");
        assert!(!range.takes(&[None, None]), "NULL is no number");
        for (type_oid, bytes, fits) in [
            (INT4, &[0, 0, 3, 0xe8][..], true),
            (INT4, &[0, 0, 3, 0xe9], false),
            (INT4, &[3, 0xe8], false),
            (INT2, &[3, 0xe8], true),
            (INT8, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb], true),
            (INT8, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa], false),
            // Whether eight bytes are an integer only their type says.
            (701, &[0; 8], false),
            (0, &[0; 8], false),
        ] {
            let number = Number::from_binary(type_oid, bytes);
            assert_eq!(range.takes(&[None, number]), fits, "{type_oid} {bytes:?}");
        }
    }

    #[test]
    fn ranges_that_say_nothing_or_fit_nothing_are_refused() {
        let one = |range: serde_json::Value| ranges("Fingerprint", json!([range]));
        assert!(one(json!({"position": 1})).is_err());
        assert!(one(json!({"position": 0, "minimum": 1})).is_err());
        assert!(one(json!({"position": 1, "minimum": 2, "maximum": 1})).is_err());
        assert!(ranges("Session", json!([{"position": 1, "minimum": 1}])).is_err());
        assert_eq!(ranges("Session", json!([])), Ok(Vec::new()));
        let words = |range| one(range).unwrap()[0].to_string();
        assert_eq!(words(json!({"position": 1, "minimum": 1})), "from 1 on");
        assert_eq!(words(json!({"position": 1, "maximum": 9})), "up to 9");
        assert_eq!(words(json!({"position": 1, "minimum": 1, "maximum": 9})), "from 1 to 9");
    }
}
