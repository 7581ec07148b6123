//! Room for large messages: those of clients are held whole until they are judged, rows that have to be looked at until they are
//! read. Without a bound for all of them together, one person's sessions could take the memory that everybody's need.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sallyport_audit::record::Person;
use tokio::sync::Notify;

/// Bytes of all that is held at one time. A person gets as many as they leave to others, which is enough for the longest message.
const ALL: usize = 256 * 1024 * 1024;
/// What is shorter is not counted.
const UNCOUNTED: usize = 256 * 1024;

/// What is left of it. Cloning shares it.
#[derive(Clone, Default)]
pub struct Room {
    taken: Arc<Mutex<HashMap<Whose, usize>>>,
    freed: Arc<Notify>,
}

/// Issuer and subject.
type Whose = (String, String);

/// What one session takes of it; given back when dropped.
pub struct Place {
    room: Room,
    whose: Whose,
    bytes: usize,
}

// === impl Room ===

impl Room {
    /// The place of a session of this person, with nothing in it.
    #[must_use]
    pub fn place(&self, person: &Person) -> Place {
        Place {
            room: self.clone(),
            whose: (person.issuer.clone(), person.subject.clone()),
            bytes: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, usize>> {
        // No step under the lock leaves the map half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    /// Makes it large enough for so many bytes; `false` while there is no room for that.
    pub fn holds(&mut self, bytes: usize) -> bool {
        if bytes <= UNCOUNTED {
            self.empty();
        }
        if bytes <= UNCOUNTED.max(self.bytes) {
            return true;
        }
        let more = bytes - self.bytes;
        let mut taken = self.room.lock();
        let left = ALL.saturating_sub(taken.values().sum());
        let own = taken.get(&self.whose).copied().unwrap_or_default();
        if own.saturating_add(more) > left.saturating_sub(more) {
            return false;
        }
        taken.insert(self.whose.clone(), own + more);
        self.bytes = bytes;
        true
    }

    /// The same, once there is room. May be cancelled.
    pub async fn waits(&mut self, bytes: usize) {
        let freed = Arc::clone(&self.room.freed);
        loop {
            // Made before it is looked: what is freed in between is told, too.
            let again = freed.notified();
            if self.holds(bytes) {
                return;
            }
            again.await;
        }
    }

    /// Gives back what was taken.
    pub fn empty(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes == 0 {
            return;
        }
        let mut taken = self.room.lock();
        if let Some(own) = taken.get_mut(&self.whose) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                taken.remove(&self.whose);
            }
        }
        drop(taken);
        self.room.freed.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn person(subject: &str) -> Person {
        Person {
            issuer: "https://idp.test".to_owned(),
            subject: subject.to_owned(),
            username: String::new(),
        }
    }

    #[test]
    fn nobody_takes_more_than_is_left_to_others() {
        let room = Room::default();
        let longest = crate::postgres::frame::CLIENT_CAP + crate::postgres::frame::HEADER;
        let mut greedy: Vec<Place> = (0..200).map(|_| room.place(&person("greedy"))).collect();
        let got = greedy.iter_mut().filter_map(|place| place.holds(MIB).then_some(()));
        assert_eq!(got.count(), 128);
        let mut short = room.place(&person("greedy"));
        assert!(short.holds(UNCOUNTED), "what is short always passes");
        let mut other = room.place(&person("other"));
        assert!(other.holds(longest - MIB));
        assert!(!other.holds(longest), "a half of what is left");
        drop(greedy);
        assert!(other.holds(longest) && other.holds(MIB));
        other.empty();
        assert!(room.lock().is_empty(), "who holds nothing is forgotten");
    }

    #[tokio::test]
    async fn who_waits_is_told_of_room() {
        let room = Room::default();
        let (mut one, mut two) = (room.place(&person("alice")), room.place(&person("alice")));
        assert!(one.holds(100 * MIB) && !two.holds(100 * MIB));
        let frees = async {
            tokio::task::yield_now().await;
            one.empty();
        };
        tokio::join!(two.waits(100 * MIB), frees);
        assert!(!one.holds(100 * MIB) && two.holds(100 * MIB));
    }
}
