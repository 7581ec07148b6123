//! Room for bytes that are read and not yet on disk: so much for all doors, and so much for each, or one of them would have
//! all others wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::{Door, Limits};

/// What all streams share.
pub(super) struct Room {
    all: Arc<Semaphore>,
    each: usize,
    doors: Mutex<HashMap<Door, Weak<Semaphore>>>,
}

/// The room of one door's streams.
pub(super) struct Own {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// Room for some bytes, until this is dropped.
pub(super) struct Taken {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

// === impl Room ===

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            all: semaphore(limits.bytes),
            each: limits.bytes_of_one,
            doors: Mutex::default(),
        }
    }

    /// The same for all streams of a door.
    pub(super) fn of(&self, door: &Door) -> Own {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let known = doors.get(door).and_then(Weak::upgrade);
        let own = known.unwrap_or_else(|| {
            doors.retain(|_, own| own.strong_count() > 0);
            let own = semaphore(self.each);
            doors.insert(door.clone(), Arc::downgrade(&own));
            own
        });
        let all = Arc::clone(&self.all);
        Own { own, all }
    }
}

fn semaphore(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)))
}

// === impl Own ===

impl Own {
    /// Waits for room. What the door itself has to wait for takes nothing of the others' room meanwhile.
    pub(super) async fn take(&self, bytes: usize) -> Result<Taken, AcquireError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(Taken {
            _own: Arc::clone(&self.own).acquire_many_owned(bytes).await?,
            _all: Arc::clone(&self.all).acquire_many_owned(bytes).await?,
        })
    }
}
