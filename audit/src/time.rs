//! Points in time, as records state them: UTC with microseconds, RFC 3339.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Prints the second, behind which microseconds stand.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(0));

thread_local! {
    /// The second that was printed last: a door writes thousands of records in one.
    static SECOND: RefCell<(i64, String)> = RefCell::default();
}

/// A UTC instant with microsecond precision, written `2026-11-23T21:34:05.000001Z`. Microseconds are what `fdatasync` and a
/// network hop can tell apart; a fixed width keeps records canonical.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

/// A text that is no RFC 3339 instant.
#[derive(Debug, thiserror::Error)]
#[error("not an RFC 3339 time: {0}")]
pub struct TimeError(String);

impl Time {
    /// The system clock's present instant, cut to whole microseconds.
    #[must_use]
    pub fn now() -> Self {
        Self::cut(Timestamp::now())
    }

    /// The instant `micros` microseconds after the Unix epoch; out-of-range values are clamped.
    #[must_use]
    pub fn from_unix_micros(micros: i64) -> Self {
        let bound = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Self(Timestamp::from_microsecond(micros).unwrap_or(bound))
    }

    /// The instant `secs` seconds after the Unix epoch (as JWT claims state it); out-of-range values are clamped.
    #[must_use]
    pub fn from_unix_secs(secs: i64) -> Self {
        Self::from_unix_micros(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        self.0.as_microsecond()
    }

    fn cut(timestamp: Timestamp) -> Self {
        Self::from_unix_micros(timestamp.as_microsecond())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.unix_micros();
        let (second, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        SECOND.with_borrow_mut(|(last, text)| {
            if text.is_empty() || *last != second {
                *text = PRINTER.timestamp_to_string(&Self::from_unix_secs(second).0);
                // The next one may be of the same second, and then says it in the same way.
                text.truncate(text.len().saturating_sub(1));
                *last = second;
            }
            write!(f, "{text}.{rest:06}Z")
        })
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse()
            .map(Self::cut)
            .map_err(|_| TimeError(text.chars().take(64).collect()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_a_fixed_width_and_reads_it_back() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_000_001, "1970-01-01T00:00:01.000001Z"),
            (1_795_469_645_120_000, "2026-11-23T21:34:05.120000Z"),
            (1_795_469_645_120_001, "2026-11-23T21:34:05.120001Z"),
            (1_795_469_646_999_999, "2026-11-23T21:34:06.999999Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            let time = Time::from_unix_micros(micros);
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse::<Time>().unwrap(), time);
        }
        assert!("yesterday".parse::<Time>().is_err());
    }
}
