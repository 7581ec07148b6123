//! Cancels: which session a key names, and what is cancelled there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::startup::{CancelKey, Minor};

/// Cancels that this process looks up in a second. They come in clear and from anybody.
const PER_SECOND: u32 = 200;

/// Sessions of this process, by the key that each client was given. Cloning shares them.
#[derive(Clone, Default)]
pub struct Cancels {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<CancelKey, watch::Sender<u64>>,
    second: Option<Instant>,
    looked: u32,
}

/// A session's entry; dropping it takes the key back.
pub struct Cancellable {
    cancels: Cancels,
    key: CancelKey,
    /// Counts the cancels that came.
    pub asked: watch::Receiver<u64>,
}

/// The system gives no randomness: no secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoSecret;

// === impl Cancels ===

impl Cancels {
    /// Gives a session its key: the backend's real process (clients know their own notifications by it) and a secret of the
    /// door's own, as long as the client's protocol takes.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn enter(&self, pid: i32, minor: Minor) -> Result<Cancellable, NoSecret> {
        let mut secret = vec![0; if minor == Minor::V2 { 32 } else { 4 }];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| NoSecret)?;
        let key = CancelKey { pid, secret };
        let (send, asked) = watch::channel(0);
        self.lock().sessions.insert(key.clone(), send);
        Ok(Cancellable {
            cancels: self.clone(),
            key,
            asked,
        })
    }

    /// A cancel came. Whether it named a session is nobody's business but the session's.
    pub fn cancel(&self, key: &CancelKey) {
        let mut table = self.lock();
        if table.allow()
            && let Some(session) = table.sessions.get(key)
        {
            session.send_modify(|count| *count += 1);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn allow(&mut self) -> bool {
        let fresh = self
            .second
            .is_none_or(|second| second.elapsed() >= Duration::from_secs(1));
        if fresh {
            self.second = Some(Instant::now());
            self.looked = 0;
        }
        self.looked += 1;
        self.looked <= PER_SECOND
    }
}

// === impl Cancellable ===

impl Cancellable {
    /// The key that the client is told.
    #[must_use]
    pub fn key(&self) -> &CancelKey {
        &self.key
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        self.cancels.lock().sessions.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_one_session_while_it_lasts() {
        let cancels = Cancels::default();
        let one = cancels.enter(7, Minor::V0).unwrap();
        let two = cancels.enter(7, Minor::V2).unwrap();
        assert_eq!((one.key().secret.len(), two.key().secret.len()), (4, 32));
        cancels.cancel(one.key());
        assert_eq!((*one.asked.borrow(), *two.asked.borrow()), (1, 0));
        cancels.cancel(&CancelKey {
            pid: 7,
            secret: vec![0; 4],
        });
        drop(one);
        assert_eq!(cancels.lock().sessions.len(), 1);
    }

    #[test]
    fn a_flood_is_not_looked_up() {
        let cancels = Cancels::default();
        let one = cancels.enter(7, Minor::V0).unwrap();
        for _ in 0..PER_SECOND * 3 {
            cancels.cancel(one.key());
        }
        assert!(*one.asked.borrow() <= u64::from(PER_SECOND) + 1);
    }
}
