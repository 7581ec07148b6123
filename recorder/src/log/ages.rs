//! How old records are by the recorder's own clock: what doors state makes none older, or a broken one could date its traces
//! back until they are removed. It only holds that clock where it leaps ahead.

use std::time::Duration;

use sallyport_audit::Time;
use sallyport_audit::tiles::WIDTH;
use serde::{Deserialize, Serialize};

/// Marks within one time of retention: records are kept that much longer at most.
const MARKS: u32 = 32;

/// Sizes of the log at moments of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ages {
    /// Microseconds since 1970, and how many records there were; oldest first.
    marks: Vec<(i64, u64)>,
    /// Records before this place are removed.
    pub(super) pruned: u64,
    /// The latest moment that any door has stated since the recorder's start.
    #[serde(skip)]
    stated: Option<i64>,
}

/// How much later than every door it may be by the recorder's clock. One that leaps ahead would have everything removed at once.
const AHEAD: i64 = 3_600_000_000;

impl Ages {
    /// Notes how many records there are now, once in a while.
    pub(super) fn mark(&mut self, now: Time, size: u64, kept: Duration) {
        let now = now.unix_micros();
        let apart = i64::try_from((kept / MARKS).as_micros()).unwrap_or(i64::MAX);
        // A clock that was put back: what was noted by its later time counts from now on.
        self.marks.retain(|(at, _)| *at <= now);
        if self.marks.last().is_none_or(|(at, _)| now.saturating_sub(*at) >= apart) {
            self.marks.push((now, size));
        }
    }

    /// Nobody says how old the records are.
    pub(super) fn forget(&mut self) {
        self.marks.clear();
    }

    /// A door has stated this time.
    pub(super) fn heard(&mut self, time: Time) {
        self.stated = self.stated.max(Some(time.unix_micros()));
    }

    /// The place before which every record was kept long enough: whole bundles only. Forgets marks that say no more.
    pub(super) fn due(&mut self, now: Time, kept: Duration) -> Option<u64> {
        let now = now.unix_micros().min(self.stated?.saturating_add(AHEAD));
        let oldest = now.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
        let past = self.marks.partition_point(|(at, _)| *at <= oldest);
        let (_, size) = *self.marks.get(past.checked_sub(1)?)?;
        self.marks.drain(..past - 1);
        let before = size - size % WIDTH;
        (before > self.pruned).then_some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_long_enough_is_due() {
        let at = Time::from_unix_secs;
        let day = Duration::from_secs(86_400);
        let mut ages = Ages::default();
        for hour in 0..72 {
            ages.mark(at(hour * 3600), u64::try_from(hour).unwrap() * 1000, day);
        }
        ages.heard(at(71 * 3600));
        assert_eq!(ages.due(at(23 * 3600), day), None);
        // A day after the mark at hour 10, which stood at 10,000 records.
        assert_eq!(ages.due(at(34 * 3600 + 1), day), Some(9984));
        ages.pruned = 9984;
        assert_eq!(ages.due(at(34 * 3600 + 2), day), None, "once");
        assert!(ages.marks.len() <= 62, "{}", ages.marks.len());
    }

    #[test]
    fn a_clock_that_leaps_removes_nothing_before_its_time() {
        let at = Time::from_unix_secs;
        let day = Duration::from_secs(86_400);
        let mut ages = Ages::default();
        ages.mark(at(0), 1000, day);
        assert_eq!(ages.due(at(10 * 86_400), day), None, "no door has said how late it is");
        ages.heard(at(3600));
        ages.mark(at(10 * 86_400), 2000, day);
        assert_eq!(ages.due(at(10 * 86_400), day), None, "every door says otherwise");
        // It is put back. What was noted meanwhile is as old as what is noted next.
        ages.mark(at(7200), 3000, day);
        ages.heard(at(86_400 + 60));
        assert_eq!(ages.due(at(86_400 + 60), day), Some(768));
        ages.pruned = 768;
        ages.heard(at(86_400 + 7200));
        assert_eq!(ages.due(at(86_400 + 7200), day), Some(2816));
    }
}
