//! numeric: its binary form (`numeric_send`) and its text form.

use std::fmt::Write;

use crate::mask::bytes::Reader;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
/// Longest value that is decoded, in digits on either side of the point: a detector knows nothing longer, and a few bytes
/// must not be blown up into 131,072 zeros.
const MAX_DIGITS: i32 = 1000;

/// The text form of a binary numeric. `None`: not one, or `NaN`, an infinity, or too long to be of interest.
pub(crate) fn decode(binary: &[u8]) -> Option<String> {
    let mut reader = Reader::new(binary);
    let count = reader.u16()?;
    let weight = i32::from(reader.i16()?);
    let sign = reader.u16()?;
    let scale = i32::from(reader.u16()?);
    let digits: Option<Vec<u16>> = (0..count).map(|_| reader.u16().filter(|d| *d < 10_000)).collect();
    let digits = digits.filter(|_| reader.is_empty())?;
    if !matches!(sign, POSITIVE | NEGATIVE) || weight > MAX_DIGITS / 4 || scale > MAX_DIGITS || weight < -MAX_DIGITS {
        return None;
    }
    let group = |i: i32| {
        let index = weight.checked_sub(i).and_then(|n| usize::try_from(n).ok());
        index.and_then(|n| digits.get(n)).copied().unwrap_or(0)
    };
    let mut text = String::new();
    if sign == NEGATIVE {
        text.push('-');
    }
    let start = text.len();
    for i in (0..=weight.max(0)).rev() {
        let _ = if text.len() == start {
            write!(text, "{}", group(i))
        } else {
            write!(text, "{:04}", group(i))
        };
        // A leading group of zero is not shown, unless it is the last before the point.
        if i > 0 && text.get(start..) == Some("0") {
            text.truncate(start);
        }
    }
    if scale > 0 {
        let mut fraction = String::new();
        for i in 1..=scale.checked_add(3)?.checked_div(4)? {
            let _ = write!(fraction, "{:04}", group(i.checked_neg()?));
        }
        fraction.truncate(usize::try_from(scale).ok()?);
        text.push('.');
        text.push_str(&fraction);
    }
    Some(text)
}

/// A decimal literal (`-12.50`) split into sign, digits before and digits after the point.
fn split(text: &str) -> Option<(bool, &str, &str)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let decimal = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let short = whole.len() <= 200 && fraction.len() <= 200;
    (!whole.is_empty() && decimal(whole) && decimal(fraction) && short).then_some((negative, whole, fraction))
}

/// The text form in which PostgreSQL shows a decimal literal.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (negative, whole, fraction) = split(text)?;
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let zero = whole == "0" && fraction.bytes().all(|b| b == b'0');
    let sign = if negative && !zero { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// The binary form of a decimal literal.
pub(crate) fn encode(text: &str) -> Option<Vec<u8>> {
    let text = canonical(text)?;
    let (negative, whole, fraction) = split(&text)?;
    // Digits in groups of four, counted from the point in both directions.
    let lead = whole.len().div_ceil(4);
    let mut digits = "0".repeat(lead.checked_mul(4)?.checked_sub(whole.len())?);
    digits.push_str(whole);
    digits.push_str(fraction);
    digits.push_str(&"0".repeat(fraction.len().div_ceil(4).checked_mul(4)?.checked_sub(fraction.len())?));
    let groups: Vec<u16> = digits
        .as_bytes()
        .chunks(4)
        .map(|group| {
            group.iter().fold(0u16, |n, b| {
                n.wrapping_mul(10).wrapping_add(u16::from(b.wrapping_sub(b'0')))
            })
        })
        .collect();
    let zeros = groups.iter().take_while(|g| **g == 0).count();
    let kept = groups.get(zeros..)?;
    let kept = kept.get(
        ..kept
            .iter()
            .rposition(|g| *g != 0)
            .map_or(0, |last| last.saturating_add(1)),
    )?;
    let weight = if kept.is_empty() {
        0
    } else {
        i16::try_from(lead)
            .ok()?
            .checked_sub(1)?
            .checked_sub(i16::try_from(zeros).ok()?)?
    };
    let mut out = Vec::with_capacity(8_usize.saturating_add(kept.len().saturating_mul(2)));
    out.extend_from_slice(&u16::try_from(kept.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&(if negative { NEGATIVE } else { POSITIVE }).to_be_bytes());
    out.extend_from_slice(&u16::try_from(fraction.len()).ok()?.to_be_bytes());
    for group in kept {
        out.extend_from_slice(&group.to_be_bytes());
    }
    Some(out)
}

/// The value without a fraction of zeros: `12.50` and `12.5`, `12.00` and `12` are equal and must hash alike.
pub(crate) fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// Digits before the point that a type modifier allows; `None` for any number.
pub(crate) fn integer_digits(modifier: i32) -> Option<i32> {
    // numeric(precision, scale) is ((precision << 16) | (scale & 0x7ff)) + 4; the scale is signed, of 11 bits.
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let scale = ((packed & 0x7ff) ^ 1024).checked_sub(1024)?;
    (packed >> 16).checked_sub(scale)
}
