//! How old records are by the recorder's own clock: what doors state decides nothing, or a broken one could date its traces
//! back until they are removed.

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
}

impl Ages {
    /// Notes how many records there are now, once in a while.
    pub(super) fn mark(&mut self, now: Time, size: u64, kept: Duration) {
        let now = now.unix_micros();
        let apart = i64::try_from((kept / MARKS).as_micros()).unwrap_or(i64::MAX);
        if self.marks.last().is_none_or(|(at, _)| now.saturating_sub(*at) >= apart) {
            self.marks.push((now, size));
        }
    }

    /// The place before which every record was kept long enough: whole bundles only. Forgets marks that say no more.
    pub(super) fn due(&mut self, now: Time, kept: Duration) -> Option<u64> {
        let oldest = now
            .unix_micros()
            .saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
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
        assert_eq!(ages.due(at(23 * 3600), day), None);
        // A day after the mark at hour 10, which stood at 10,000 records.
        assert_eq!(ages.due(at(34 * 3600 + 1), day), Some(9984));
        ages.pruned = 9984;
        assert_eq!(ages.due(at(34 * 3600 + 2), day), None, "once");
        assert!(ages.marks.len() <= 62, "{}", ages.marks.len());
    }
}
