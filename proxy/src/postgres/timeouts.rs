//! How long the target itself lets a session wait that asks nothing of it. In an open transaction it ends one that does nothing for
//! longer than `idle_in_transaction_session_timeout`, and since PostgreSQL 17 one whose transaction lasts longer than
//! `transaction_timeout`; outside of one, whatever does nothing for longer than `idle_session_timeout`. The clock of
//! `statement_timeout` runs only while the target has a statement.

use std::time::Duration;

use super::ask::{Row, text};

/// A wait ends so long before the target would end the session, or after half of the time where that is less.
const AHEAD: Duration = Duration::from_secs(3);

/// The question that [`left`] understands the answer of. It restarts the clocks of doing nothing. SET changes all of these
/// settings, so each wait asks anew.
pub const QUESTION: &str = "SELECT pg_catalog.current_setting('idle_in_transaction_session_timeout', true), \
     pg_catalog.current_setting('transaction_timeout', true), \
     pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.transaction_timestamp()), \
     pg_catalog.current_setting('idle_session_timeout', true)";

/// How long to wait at most, in an open transaction or outside of one; `None` where the target sets no end.
#[must_use]
pub fn left(results: &[Vec<Row>], in_transaction: bool) -> Option<Duration> {
    let row = results.first()?.first()?;
    let left = match in_transaction {
        true => {
            let lasted = text(row, 2).parse::<f64>().ok();
            let lasted = lasted.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let whole = limit(text(row, 1)).map(|limit| limit.saturating_sub(lasted.unwrap_or_default()));
            limit(text(row, 0)).into_iter().chain(whole).min()?
        }
        false => limit(text(row, 3))?,
    };
    Some(left.saturating_sub(AHEAD.min(left / 2)))
}

/// A setting in milliseconds as PostgreSQL shows it: in the largest unit of which it is a whole number. 0 sets no limit.
fn limit(shown: &str) -> Option<Duration> {
    let digits = shown.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = shown.split_at_checked(digits)?;
    let unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    (number > 0).then(|| Duration::from_millis(number.saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_of_both_counts_and_some_of_it_is_left() {
        for (idle, whole, lasted, expected) in [
            ("0", Some("0"), "0.5", None),
            ("0", None, "0.5", None),
            ("nonsense", None, "0.5", None),
            ("30s", None, "0.5", Some(27_000)),
            ("30s", Some("1min"), "0.5", Some(27_000)),
            ("5min", Some("1min"), "20", Some(37_000)),
            ("1h", Some("1d"), "1e-05", Some(3_597_000)),
            ("1500ms", Some("0"), "0", Some(750)),
            ("0", Some("4s"), "5", Some(0)),
            ("0", Some("10s"), "-1", Some(7_000)),
        ] {
            let row = vec![
                Some(idle.to_owned()),
                whole.map(str::to_owned),
                Some(lasted.to_owned()),
                Some("2s".to_owned()),
            ];
            let expected = expected.map(Duration::from_millis);
            assert_eq!(left(&[vec![row]], true), expected, "{idle} {whole:?} {lasted}");
        }
        assert_eq!(left(&[], true), None);
    }

    #[test]
    fn outside_of_a_transaction_idle_sessions_count() {
        for (session, expected) in [
            (None, None),
            (Some("0"), None),
            (Some("4s"), Some(2_000)),
            (Some("5min"), Some(297_000)),
        ] {
            let no_transaction = ["1s", "1s", "0"].map(|shown| Some(shown.to_owned()));
            let row = no_transaction.into_iter().chain([session.map(str::to_owned)]).collect();
            let expected = expected.map(Duration::from_millis);
            assert_eq!(left(&[vec![row]], false), expected, "{session:?}");
        }
        assert_eq!(left(&[], false), None);
    }
}
