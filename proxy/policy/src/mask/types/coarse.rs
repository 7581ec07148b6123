//! Dates made coarser: the first day of their month or year, as a value of the same type.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};
use sallyport_crds::masking_rule::DatePart;

use super::Class;
use super::constant::EPOCH;
use crate::mask::plan::Format;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Whether values of a class are dates.
pub(crate) fn applies(class: Class) -> bool {
    matches!(class, Class::Date | Class::Timestamp | Class::TimestampTz)
}

/// Appends the coarser value. `None` where there is none: infinity, years before Christ or far off, text in another style than
/// ISO. Moments with a time zone are those of UTC, in text as in binary.
pub(crate) fn write(part: DatePart, class: Class, format: Format, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let date = match format {
        Format::Text => from_text(class, std::str::from_utf8(value).ok()?)?,
        Format::Binary => from_binary(class, value)?,
    };
    let first = match part {
        DatePart::Month => date.first_of_month(),
        DatePart::Year => date.first_of_year(),
    };
    if first.year() <= 0 {
        return None;
    }
    match (format, class) {
        (Format::Text, Class::Date) => out.extend_from_slice(first.to_string().as_bytes()),
        (Format::Text, Class::Timestamp) => out.extend_from_slice(format!("{first} 00:00:00").as_bytes()),
        (Format::Text, _) => out.extend_from_slice(format!("{first} 00:00:00+00").as_bytes()),
        (Format::Binary, Class::Date) => out.extend_from_slice(&days(first)?.to_be_bytes()),
        (Format::Binary, _) => out.extend_from_slice(&i64::from(days(first)?).checked_mul(DAY)?.to_be_bytes()),
    }
    Some(())
}

fn from_text(class: Class, text: &str) -> Option<Date> {
    if text.ends_with("BC") {
        return None;
    }
    match class {
        Class::Date => text.parse().ok(),
        Class::Timestamp => text.split_once(' ')?.0.parse().ok(),
        Class::TimestampTz => Some(Offset::UTC.to_datetime(text.parse::<Timestamp>().ok()?).date()),
        _ => None,
    }
}

fn from_binary(class: Class, value: &[u8]) -> Option<Date> {
    let days = match class {
        Class::Date => i64::from(i32::from_be_bytes(value.try_into().ok()?)),
        Class::Timestamp | Class::TimestampTz => i64::from_be_bytes(value.try_into().ok()?).div_euclid(DAY),
        _ => return None,
    };
    EPOCH.checked_add(Span::new().try_days(days).ok()?).ok()
}

/// Days since PostgreSQL's epoch.
fn days(date: Date) -> Option<i32> {
    Some(EPOCH.until((jiff::Unit::Day, date)).ok()?.get_days())
}
