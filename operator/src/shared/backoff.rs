//! How long to wait before an object that failed is tried again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(60);

/// Doubles the wait of an object with each failure, and forgets it with the first success.
pub struct Backoff<K>(Mutex<HashMap<K, u32>>);

// === impl Backoff ===

impl<K: Eq + Hash> Backoff<K> {
    /// The wait after one more failure.
    pub fn failed(&self, key: K) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key).or_insert(0);
        *count = count.saturating_add(1);
        FIRST
            .saturating_mul(2_u32.saturating_pow((*count - 1).min(16)))
            .min(LONGEST)
    }

    /// All is well again.
    pub fn succeeded(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_a_minute_and_starts_over() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.failed("a")).collect();
        assert_eq!(waits[0], FIRST);
        assert_eq!(waits[1], FIRST * 2);
        assert_eq!(waits[19], LONGEST);
        backoff.succeeded(&"a");
        assert_eq!(backoff.failed("a"), FIRST);
    }
}
