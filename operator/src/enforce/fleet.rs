//! What every process last said of itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sallyport_runtime::peer::Workload;
use sallyport_runtime::report::{Problem, Report, SILENT_AFTER};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

/// A process that was silent for this long is forgotten: by then its Pod is gone, or says the same by its silence.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The processes of all doors.
pub struct Fleet {
    doors: Mutex<HashMap<String, BTreeMap<String, Account>>>,
    news: Notify,
    since: Instant,
}

/// What one process last said, and when.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name of its Pod.
    pub pod: String,
    /// The oldest revision that it still enforces.
    pub revision: Option<u64>,
    /// The revision by which it judges every statement from now on.
    pub loaded: Option<u64>,
    /// Sessions that it holds.
    pub sessions: u64,
    /// What it wants said in a condition.
    pub problems: Vec<Problem>,
    /// When it last spoke.
    pub at: Instant,
}

// === impl Fleet ===

impl Fleet {
    /// Nobody has spoken yet.
    pub fn new() -> Self {
        Self {
            doors: Mutex::default(),
            news: Notify::new(),
            since: Instant::now(),
        }
    }

    /// A process spoke. Who it is was read from its certificate.
    pub fn heard(&self, peer: &Workload, report: &Report) {
        let account = Account {
            pod: peer.pod.clone(),
            revision: report.revision,
            loaded: report.loaded,
            sessions: report.sessions,
            problems: report.problems.clone(),
            at: Instant::now(),
        };
        self.with(|doors| {
            doors
                .entry(peer.uid.clone())
                .or_default()
                .insert(peer.pod_uid.clone(), account)
        });
        self.news.notify_waiters();
    }

    /// Ends when some process speaks after this call.
    pub fn next(&self) -> Notified<'_> {
        self.news.notified()
    }

    /// What the processes of a Connection last said, by Pod uid.
    pub fn accounts(&self, connection_uid: &str) -> BTreeMap<String, Account> {
        self.with(|doors| doors.get(connection_uid).cloned().unwrap_or_default())
    }

    /// The highest revision that any process of a Connection has ever said to run.
    pub fn highest_revision(&self, connection_uid: &str) -> u64 {
        self.with(|doors| {
            let accounts = doors.get(connection_uid).into_iter().flat_map(BTreeMap::values);
            accounts.filter_map(|account| account.revision).max().unwrap_or(0)
        })
    }

    /// Forgets processes that were silent for long.
    pub fn sweep(&self, now: Instant) {
        self.with(|doors| {
            doors.retain(|_, accounts| {
                accounts.retain(|_, account| now.saturating_duration_since(account.at) < FORGET_AFTER);
                !accounts.is_empty()
            });
        });
    }

    /// Whether this operator has listened for long enough to call a process silent that it has never heard.
    pub fn has_listened(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SILENT_AFTER
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, BTreeMap<String, Account>>) -> T) -> T {
        act(&mut self.doors.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Account ===

impl Account {
    /// Whether the process was silent for too long.
    pub fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= SILENT_AFTER
    }
}
