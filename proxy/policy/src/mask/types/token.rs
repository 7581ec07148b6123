//! Tokens of values by type: of text, and of whole numbers, which stay numbers of as many digits.

use super::{Class, numeric};
use crate::mask::look::decode_integer;
use crate::mask::plan::Format;
use crate::mask::token::Tokenizer;

/// Whether values of a class can have tokens of their own type.
pub(crate) fn applies(tokenizer: &Tokenizer, class: Class) -> bool {
    match class {
        Class::Text => true,
        Class::Int4 | Class::Int8 | Class::Numeric => tokenizer.is_decimal(),
        _ => false,
    }
}

/// Appends the token of a value. `None`, and nothing appended, where there is none: characters that are neither of the alphabet
/// nor separators, numbers below zero or with a fraction, and whatever fewer than a million could stand in the place of.
pub(crate) fn write(
    tokenizer: &Tokenizer,
    class: Class,
    format: Format,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let token = match class {
        Class::Text => tokenizer.text(value)?,
        Class::Int4 => {
            let token = integer(tokenizer, (class, format), value, i32::MAX.into())?;
            shown(i32::try_from(token).ok()?, format, i32::to_be_bytes)
        }
        Class::Int8 => {
            let token = integer(tokenizer, (class, format), value, i64::MAX)?;
            shown(token, format, i64::to_be_bytes)
        }
        Class::Numeric => whole(tokenizer, format, value)?,
        _ => return None,
    };
    out.extend_from_slice(&token);
    Some(())
}

fn integer(tokenizer: &Tokenizer, (class, format): (Class, Format), value: &[u8], max: i64) -> Option<i64> {
    let number = match format {
        Format::Text => std::str::from_utf8(value).ok()?.parse().ok()?,
        Format::Binary => decode_integer(class, value)?,
    };
    let token = tokenizer.number(&number.to_string(), Some(max.unsigned_abs()))?;
    token.parse().ok()
}

fn shown<N: ToString, const BYTES: usize>(number: N, format: Format, binary: fn(N) -> [u8; BYTES]) -> Vec<u8> {
    match format {
        Format::Text => number.to_string().into_bytes(),
        Format::Binary => binary(number).to_vec(),
    }
}

/// The token of a numeric without a fraction; zeros behind the point stay.
fn whole(tokenizer: &Tokenizer, format: Format, value: &[u8]) -> Option<Vec<u8>> {
    let text = match format {
        Format::Text => std::str::from_utf8(value).ok()?.to_owned(),
        Format::Binary => numeric::decode(value)?,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text.as_str(), ""));
    if fraction.bytes().any(|b| b != b'0') {
        return None;
    }
    let zeros = text.get(whole.len()..)?;
    let token = tokenizer.number(whole, None)? + zeros;
    match format {
        Format::Text => Some(token.into_bytes()),
        Format::Binary => numeric::encode(&token),
    }
}
