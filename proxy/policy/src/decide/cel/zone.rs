//! Day and time where people are. The zones are part of the program: a verdict hangs on no file of the machine.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZoneDatabase;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Whether there is a zone of this name (IANA).
pub(super) fn is_known(name: &str) -> bool {
    ZONES.get(name).is_ok()
}

/// What a field of `session` is in a zone at a moment, in seconds since 1970; `None` where there is no such field or zone.
pub(super) fn said(field: &str, at: i64, zone: &str) -> Option<String> {
    let there = Timestamp::from_second(at).ok()?.to_zoned(ZONES.get(zone).ok()?);
    Some(match field {
        "date" => there.date().to_string(),
        "time" => format!("{:02}:{:02}", there.hour(), there.minute()),
        "weekday" => weekday(there.weekday()).to_owned(),
        _ => return None,
    })
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_those_of_the_place() {
        // Sunday, 2026-03-29: at 01:00 UTC clocks in Zürich go from 02:00 to 03:00.
        for (at, zone, date, time, day) in [
            ("2026-03-29T00:59:59Z", "Europe/Zurich", "2026-03-29", "01:59", "Sunday"),
            ("2026-03-29T01:00:00Z", "Europe/Zurich", "2026-03-29", "03:00", "Sunday"),
            (
                "2026-03-29T01:00:00Z",
                "America/New_York",
                "2026-03-28",
                "21:00",
                "Saturday",
            ),
            ("2026-03-29T01:00:00Z", "UTC", "2026-03-29", "01:00", "Sunday"),
        ] {
            let at = at.parse::<Timestamp>().unwrap().as_second();
            let all = ["date", "time", "weekday"].map(|field| said(field, at, zone).unwrap());
            assert_eq!(all, [date, time, day], "{zone}");
        }
        assert!(is_known("Asia/Kolkata") && !is_known("Europe/Zuerich"));
        assert_eq!(said("time", 0, "nowhere"), None);
    }
}
