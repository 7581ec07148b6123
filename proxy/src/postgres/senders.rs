//! Which sessions of this process ran code that nobody can see into: what they notify others of may be anything.
//!
//! A notification names the backend that sent it, and comes when the receiver's transaction ends, which may be much later.
//! So a session stays noted until its backend's number is given out again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Backends by process number. Cloning shares them. Two targets may have one number: then more is withheld than need be.
#[derive(Clone, Default)]
pub struct Senders {
    hidden: Arc<Mutex<HashSet<i32>>>,
}

// === impl Senders ===

impl Senders {
    /// A session begins at this backend.
    pub fn enter(&self, pid: i32) {
        self.lock().remove(&pid);
    }

    /// The session at this backend runs code that nobody can see into.
    pub fn note(&self, pid: i32) {
        self.lock().insert(pid);
    }

    /// Whether what this backend sends may hold anything.
    #[must_use]
    pub fn is_noted(&self, pid: i32) -> bool {
        self.lock().contains(&pid)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_noted_until_its_number_is_given_out_again() {
        let senders = Senders::default();
        senders.note(7);
        assert!(senders.clone().is_noted(7) && !senders.is_noted(8));
        senders.enter(7);
        assert!(!senders.is_noted(7));
    }
}
