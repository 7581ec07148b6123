//! Cancels: which session a key names, and what is cancelled there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::frame::Body;
use super::startup::{CancelKey, Minor};

/// Cancels that this process looks up in a second. They come in clear and from anybody.
const PER_SECOND: u32 = 200;
/// Those among them of which other replicas are told: each costs a handshake with every one of them.
const UNKNOWN_PER_SECOND: u32 = 50;

/// Sessions of this process, by the key that each client was given. Cloning shares them.
#[derive(Clone, Default)]
pub struct Cancels {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<CancelKey, watch::Sender<u64>>,
    clients: Rate,
    unknown: Rate,
    /// Of their own: a flood at another replica must not keep this one's clients from cancelling.
    peers: Rate,
}

/// How many cancels came in the present second.
#[derive(Default)]
struct Rate {
    second: Option<Instant>,
    came: u32,
}

/// What became of a client's cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Its session is one of this process, and was told.
    Here,
    /// No session of this process has the key: one of another replica may.
    Unknown,
    /// More came within this second than are looked up, or than other replicas are told of.
    TooMany,
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

    /// A client's cancel came. It is not answered, whether it named a session or not.
    pub fn cancel(&self, key: &CancelKey) -> Looked {
        let mut table = self.lock();
        if !table.clients.allow(PER_SECOND) {
            return Looked::TooMany;
        }
        match table.tell(key) {
            Looked::Unknown if !table.unknown.allow(UNKNOWN_PER_SECOND) => Looked::TooMany,
            looked => looked,
        }
    }

    /// A cancel came that another replica does not know. If it is not known here either it goes no further: replicas that
    /// pass on what they hear would never end.
    pub fn heard(&self, key: &[u8]) {
        let Ok(key) = CancelKey::read(Body::new(key)) else {
            return;
        };
        let mut table = self.lock();
        if table.peers.allow(PER_SECOND) {
            table.tell(&key);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn tell(&self, key: &CancelKey) -> Looked {
        let Some(session) = self.sessions.get(key) else {
            return Looked::Unknown;
        };
        session.send_modify(|count| *count += 1);
        Looked::Here
    }
}

impl Rate {
    fn allow(&mut self, most: u32) -> bool {
        let fresh = self
            .second
            .is_none_or(|second| second.elapsed() >= Duration::from_secs(1));
        if fresh {
            self.second = Some(Instant::now());
            self.came = 0;
        }
        self.came += 1;
        self.came <= most
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
        assert_eq!(cancels.cancel(one.key()), Looked::Here);
        assert_eq!((*one.asked.borrow(), *two.asked.borrow()), (1, 0));
        cancels.heard(&two.key().to_bytes());
        cancels.heard(&two.key().to_bytes()[..7]);
        assert_eq!((*one.asked.borrow(), *two.asked.borrow()), (1, 1));
        let stranger = CancelKey {
            pid: 7,
            secret: vec![0; 3],
        };
        assert_eq!(cancels.cancel(&stranger), Looked::Unknown);
        drop(one);
        assert_eq!(cancels.lock().sessions.len(), 1);
    }

    #[test]
    fn a_flood_is_not_looked_up() {
        let cancels = Cancels::default();
        let one = cancels.enter(7, Minor::V0).unwrap();
        let most = u64::from(PER_SECOND) + 1;
        for _ in 0..PER_SECOND * 3 {
            cancels.heard(&one.key().to_bytes());
        }
        let heard = *one.asked.borrow();
        assert!(heard <= most, "{heard}");
        let stranger = CancelKey {
            pid: 7,
            secret: vec![0; 3],
        };
        let told = (0..PER_SECOND / 2).filter(|_| cancels.cancel(&stranger) == Looked::Unknown);
        assert!(told.count() <= UNKNOWN_PER_SECOND as usize + 1);
        assert_eq!(
            cancels.cancel(one.key()),
            Looked::Here,
            "clients have a rate of their own"
        );
        let all: Vec<_> = (0..PER_SECOND * 3).map(|_| cancels.cancel(one.key())).collect();
        assert!(
            all.contains(&Looked::TooMany),
            "what was not looked up is not for other replicas"
        );
        assert!(*one.asked.borrow() - heard <= most + 1);
    }
}
