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
    /// Room for hits, kept from value to value: what is counted goes everywhere that values go.
    room: Vec<Hit>,
}

impl Counts {
    pub(crate) fn new(labels: Arc<[CountLabel]>) -> Self {
        let numbers = vec![0; labels.len()];
        Self {
            labels,
            numbers,
            room: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, slot: Slot, n: u64) {
        if let Some(number) = self.numbers.get_mut(usize::from(slot)) {
            *number = number.saturating_add(n);
        }
    }

    /// Room for hits, to be given back by [`Counts::give_room`]: empty, unless the last was given to [`Counts::keep_room`].
    #[inline]
    pub(crate) fn take_room(&mut self) -> Vec<Hit> {
        std::mem::take(&mut self.room)
    }

    #[inline]
    pub(crate) fn give_room(&mut self, mut room: Vec<Hit>) {
        room.clear();
        self.room = room;
    }

    /// Keeps hits for who takes them next.
    #[inline]
    pub(crate) fn keep_room(&mut self, room: Vec<Hit>) {
        self.room = room;
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
