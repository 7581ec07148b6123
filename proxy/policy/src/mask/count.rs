//! What was masked, by rule and kind: numbers for records and metrics, never values.

use std::sync::Arc;

use super::detect::Hit;

/// What one counter counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountLabel {
    /// The rule's name; empty for [`CountLabel::UNDECODABLE`].
    pub rule: String,
    /// A detector's name (`US_SSN`), `pattern/NAME` of an own pattern, `column`, or [`CountLabel::UNDECODABLE`].
    pub kind: String,
    /// The rule is in Observe: the value was *not* changed.
    pub observed: bool,
}

impl CountLabel {
    /// Kind of the counter for values hidden because they could not be decoded.
    pub const UNDECODABLE: &'static str = "undecodable";
}

/// Index of a counter.
pub(crate) type Slot = u16;

/// Counters of one [`Masker`](super::Masker), for example over one command.
#[derive(Clone, Debug)]
pub struct Counts {
    labels: Arc<[CountLabel]>,
    numbers: Vec<u64>,
    /// What was recognised in the value that was looked at last; the room is kept, since what is counted goes everywhere that
    /// values go.
    pub(super) hits: Vec<Hit>,
}

impl Counts {
    pub(crate) fn new(labels: Arc<[CountLabel]>) -> Self {
        let numbers = vec![0; labels.len()];
        Self {
            labels,
            numbers,
            hits: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, slot: Slot, n: u64) {
        if let Some(number) = self.numbers.get_mut(usize::from(slot)) {
            *number = number.saturating_add(n);
        }
    }

    /// Counts what was recognised, each hit in counters of its own.
    #[inline]
    pub(super) fn add_hits<'s>(&mut self, slots: impl Fn(&Hit) -> Option<std::slice::Iter<'s, Slot>>) {
        for slot in self.hits.iter().filter_map(slots).flatten() {
            if let Some(number) = self.numbers.get_mut(usize::from(*slot)) {
                *number = number.saturating_add(1);
            }
        }
    }

    #[inline]
    pub(crate) fn add_all(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.add(*slot, 1);
        }
    }

    /// The counters that are not zero.
    pub fn iter(&self) -> impl Iterator<Item = (&CountLabel, u64)> {
        self.labels
            .iter()
            .zip(self.numbers.iter().copied())
            .filter(|(_, n)| *n > 0)
    }

    /// Values changed, over all rules (observed ones do not count).
    pub fn masked(&self) -> u64 {
        self.iter().filter(|(label, _)| !label.observed).map(|(_, n)| n).sum()
    }

    /// Whether every counter is zero.
    pub fn is_zero(&self) -> bool {
        self.numbers.iter().all(|n| *n == 0)
    }

    /// Sets every counter to zero.
    pub fn clear(&mut self) {
        self.numbers.fill(0);
    }
}
