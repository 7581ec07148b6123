//! The backends that serve this process: what a target has beside those of all doors came past them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How often each backend is held, by target and its process: a target of another name may give the same number.
static HELD: Mutex<BTreeMap<(String, i32), usize>> = Mutex::new(BTreeMap::new());

/// One backend, until it is dropped.
#[derive(Debug)]
pub struct Held(String, i32);

/// The backends that this process holds at a target.
#[must_use]
pub fn at(target: &str) -> Vec<i32> {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let found = held.keys().filter(|(name, _)| name == target);
    found.map(|(_, pid)| *pid).collect()
}

/// The backends that this process holds, by target.
#[must_use]
pub fn all() -> BTreeMap<String, Vec<i32>> {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (target, pid) in held.keys() {
        all.entry(target.clone()).or_default().push(*pid);
    }
    all
}

// === impl Held ===

impl Held {
    /// The backend of this process number at a target.
    #[must_use]
    pub fn new(target: &str, pid: i32) -> Self {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        *held.entry((target.to_owned(), pid)).or_default() += 1;
        Self(target.to_owned(), pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (std::mem::take(&mut self.0), self.1);
        if let Some(count) = held.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_held_until_the_last_who_holds_it_lets_go() {
        let first = Held::new("held.test:5432", 7);
        // A target that restarted gives the number again before the old connection was noticed to be dead.
        let second = Held::new("held.test:5432", 7);
        let other = Held::new("held.test:5433", 8);
        assert_eq!((at("held.test:5432"), at("held.test:5433")), (vec![7], vec![8]));
        drop(first);
        assert_eq!(at("held.test:5432"), [7]);
        assert_eq!(all().get("held.test:5433"), Some(&vec![8]));
        drop((second, other));
        assert!(at("held.test:5432").is_empty() && at("held.test:5433").is_empty());
    }
}
