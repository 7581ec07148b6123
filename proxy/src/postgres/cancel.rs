//! Cancels: which session a key names, and what is cancelled there.
//!
//! They come in clear and from anybody. Looking one up costs less than the connection that it came by, so a flood is looked up
//! like any other; what is bounded is guessing at a secret, for each address by itself, so that who guesses keeps nobody
//! else's cancel out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::frame::Body;
use super::startup::{CancelKey, Minor};
use crate::listener::network;

/// Cancels of one session that are passed on in a second: each may cost a connection to the target.
const PER_SESSION: u32 = 50;
/// Wrong secrets that an address may name for one process in a second. Four bytes then take years.
const GUESSES: u32 = 10;
/// Cancels of a second of which other replicas are told: each costs a handshake with every one of them. An address gets as many
/// as it leaves to others.
const UNKNOWN_PER_SECOND: u32 = 50;

/// Sessions of this process, by the key that each client was given. Cloning shares them.
#[derive(Clone, Default)]
pub struct Cancels {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    /// By the backend's process, which several targets may share.
    sessions: HashMap<i32, Vec<Entry>>,
    /// Wrong secrets. What other replicas tell of is of no address: they pass few on.
    guesses: Second<(Option<IpAddr>, i32)>,
    unknown: Second<IpAddr>,
}

struct Entry {
    secret: Vec<u8>,
    asked: watch::Sender<u64>,
    came: Second<()>,
}

/// How much came in the present second, and from whom.
struct Second<K> {
    began: Option<Instant>,
    came: HashMap<K, u32>,
}

/// What became of a client's cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Its session is one of this process, and was told.
    Here,
    /// No session of this process has the key: one of another replica may.
    Unknown,
    /// Its secret is one guess too many, or more came within this second than is passed on.
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
        let (send, asked) = watch::channel(0);
        let entry = Entry {
            secret: secret.clone(),
            asked: send,
            came: Second::default(),
        };
        self.lock().sessions.entry(pid).or_default().push(entry);
        Ok(Cancellable {
            cancels: self.clone(),
            key: CancelKey { pid, secret },
            asked,
        })
    }

    /// A client's cancel came from an address. It is not answered, whether it named a session or not.
    pub fn cancel(&self, key: &CancelKey, from: IpAddr) -> Looked {
        let from = network(from);
        let mut table = self.lock();
        match table.tell(key, Some(from)) {
            Looked::Unknown if !table.unknown.shares(from, UNKNOWN_PER_SECOND) => Looked::TooMany,
            looked => looked,
        }
    }

    /// A cancel came that another replica does not know. If it is not known here either it goes no further: replicas that
    /// pass on what they hear would never end.
    pub fn heard(&self, key: &[u8]) {
        if let Ok(key) = CancelKey::read(Body::new(key)) {
            self.lock().tell(&key, None);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Table ===

impl Table {
    fn tell(&mut self, key: &CancelKey, from: Option<IpAddr>) -> Looked {
        let Some(entries) = self.sessions.get_mut(&key.pid) else {
            return Looked::Unknown;
        };
        let whose = (from, key.pid);
        // Before its secret is looked at: else the right one would be found among any number of wrong ones.
        if self.guesses.of(&whose) >= GUESSES {
            return Looked::TooMany;
        }
        let Some(entry) = entries.iter_mut().find(|entry| entry.secret == key.secret) else {
            self.guesses.add(whose);
            return Looked::Unknown;
        };
        if entry.came.of(&()) >= PER_SESSION {
            return Looked::TooMany;
        }
        entry.came.add(());
        entry.asked.send_modify(|count| *count += 1);
        Looked::Here
    }
}

// === impl Second ===

impl<K> Default for Second<K> {
    fn default() -> Self {
        Self {
            began: None,
            came: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash> Second<K> {
    /// How often it came in the present second.
    fn of(&mut self, whose: &K) -> u32 {
        let fresh = self.began.is_none_or(|began| began.elapsed() >= Duration::from_secs(1));
        if fresh {
            self.began = Some(Instant::now());
            self.came = HashMap::new();
        }
        self.came.get(whose).copied().unwrap_or_default()
    }

    fn add(&mut self, whose: K) {
        *self.came.entry(whose).or_default() += 1;
    }

    /// Whether it may come once more, where all together may come `most` times: who takes all that they get has half of that,
    /// and keeps nobody out.
    fn shares(&mut self, whose: K, most: u32) -> bool {
        let own = self.of(&whose);
        let left = most.saturating_sub(self.came.values().sum());
        if own >= left {
            return false;
        }
        self.add(whose);
        true
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
        let mut table = self.cancels.lock();
        if let Some(entries) = table.sessions.get_mut(&self.key.pid) {
            entries.retain(|entry| entry.secret != self.key.secret);
            if entries.is_empty() {
                table.sessions.remove(&self.key.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn wrong(pid: i32) -> CancelKey {
        CancelKey {
            pid,
            secret: vec![0; 3],
        }
    }

    #[test]
    fn a_key_names_one_session_while_it_lasts() {
        let cancels = Cancels::default();
        let one = cancels.enter(7, Minor::V0).unwrap();
        let two = cancels.enter(7, Minor::V2).unwrap();
        assert_eq!((one.key().secret.len(), two.key().secret.len()), (4, 32));
        assert_eq!(cancels.cancel(one.key(), HOME), Looked::Here);
        assert_eq!((*one.asked.borrow(), *two.asked.borrow()), (1, 0));
        cancels.heard(&two.key().to_bytes());
        cancels.heard(&two.key().to_bytes()[..7]);
        assert_eq!((*one.asked.borrow(), *two.asked.borrow()), (1, 1));
        assert_eq!(cancels.cancel(&wrong(7), HOME), Looked::Unknown);
        drop(one);
        assert_eq!(cancels.lock().sessions.get(&7).map(Vec::len), Some(1));
        assert_eq!(cancels.cancel(two.key(), HOME), Looked::Here);
        drop(two);
        assert!(cancels.lock().sessions.is_empty());
    }

    #[test]
    fn who_guesses_keeps_nobody_elses_cancel_out() {
        let cancels = Cancels::default();
        let one = cancels.enter(7, Minor::V0).unwrap();
        let two = cancels.enter(8, Minor::V0).unwrap();
        let began = Instant::now();
        for _ in 0..1_000 {
            cancels.cancel(&wrong(7), HOME);
            cancels.cancel(&wrong(9), HOME);
            cancels.heard(&[&7i32.to_be_bytes()[..], &[0; 5]].concat());
        }
        let in_time = || began.elapsed() < Duration::from_millis(900);
        let stopped = cancels.cancel(one.key(), HOME);
        assert!(
            stopped == Looked::TooMany || !in_time(),
            "its own guesses are at an end"
        );
        for (key, from) in [(one.key(), ELSEWHERE), (two.key(), HOME), (two.key(), ELSEWHERE)] {
            assert_eq!(cancels.cancel(key, from), Looked::Here);
        }
        // Nor does who names nobody keep others from being passed on.
        assert_eq!(cancels.cancel(&wrong(9), ELSEWHERE), Looked::Unknown);
        assert!(cancels.cancel(&wrong(9), HOME) == Looked::TooMany || !in_time());
    }

    #[test]
    fn what_is_passed_on_is_bounded_and_shared() {
        let cancels = Cancels::default();
        let one = cancels.enter(7, Minor::V0).unwrap();
        let (mut told, mut here) = (0, 0);
        let began = Instant::now();
        for n in 0..2_000u16 {
            let [high, low] = n.to_be_bytes();
            let from = IpAddr::from([10, 1, high, low]);
            told += u32::from(cancels.cancel(&wrong(9), from) == Looked::Unknown);
            here += u32::from(cancels.cancel(one.key(), from) == Looked::Here);
        }
        // Of every second that began meanwhile.
        let seconds = 1 + u32::try_from(began.elapsed().as_secs()).unwrap() + 1;
        assert!(told <= UNKNOWN_PER_SECOND * seconds, "{told}");
        assert!((1..=PER_SESSION * seconds).contains(&here), "{here}");
        assert_eq!(u64::from(here), *one.asked.borrow());
    }
}
