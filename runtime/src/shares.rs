//! Places that are shared out: nobody takes more of them than are left for the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A number of places, and how many each has.
pub struct Shares<K> {
    places: usize,
    each: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// One place, free again when this is dropped.
pub struct Place<K: Eq + Hash> {
    shares: Arc<Shares<K>>,
    whose: K,
}

// === impl Shares ===

impl<K> Shares<K> {
    /// So many places.
    #[must_use]
    pub fn new(places: usize) -> Arc<Self> {
        Self::with_most(places, usize::MAX)
    }

    /// So many places, of which nobody has more than `each`, though all others be free.
    #[must_use]
    pub fn with_most(places: usize, each: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { places, each, taken })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        // No step under the lock leaves the map half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// A place; `None` for who has as many as are left: one who takes all that they get has half of them, and stops nobody.
    #[must_use]
    pub fn take(self: &Arc<Self>, whose: &K) -> Option<Place<K>> {
        let mut taken = self.lock();
        let left = self.places.saturating_sub(taken.values().sum());
        let own = taken.get(whose).copied().unwrap_or_default();
        if own >= left.min(self.each) {
            return None;
        }
        taken.insert(whose.clone(), own + 1);
        Some(Place {
            shares: Arc::clone(self),
            whose: whose.clone(),
        })
    }
}

// === impl Place ===

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        if let Some(own) = taken.get_mut(&self.whose) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_all_that_they_get_leaves_places_for_everybody_who_comes() {
        let shares = Shares::new(16);
        let all = |whose: &'static str| -> Vec<_> { std::iter::from_fn(|| shares.take(&whose)).collect() };
        let greedy = all("greedy");
        assert_eq!(greedy.len(), 8);
        let (second, third) = (all("second"), all("third"));
        assert_eq!((second.len(), third.len()), (4, 2));
        assert!(shares.take(&"late").is_some());
        drop(greedy);
        assert!(shares.take(&"second").is_some(), "what was given back is others'");
        drop((second, third));
        assert!(shares.lock().is_empty(), "who has none is forgotten");
    }

    #[test]
    fn nobody_has_more_than_each_may_have() {
        let shares = Shares::with_most(16, 3);
        let all = |whose: &'static str| -> Vec<_> { std::iter::from_fn(|| shares.take(&whose)).collect() };
        let taken = [all("first"), all("second"), all("third"), all("fourth"), all("fifth")];
        assert_eq!(taken.each_ref().map(Vec::len), [3, 3, 3, 3, 2]);
    }
}
