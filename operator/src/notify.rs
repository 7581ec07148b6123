//! Notifications: what becomes of requests, told to the admin's webhooks.
//!
//! Reading order: [`notice`] is what is said and in which shape, [`hook`] how it is signed and sent, [`webhooks`] the admin's
//! file. Nobody waits for a webhook, and nothing hangs on one: approvals are decided whether or not anybody heard of them.

pub mod hook;
pub mod notice;
pub mod webhooks;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus::IntCounterVec;
use sallyport_crds::AccessRequest;

use hook::Hook;
use notice::{Notice, recent};

/// How long a notice is tried, roughly: what came about within this time before a process began may have been on its way when
/// the one before it ended.
const ON_ITS_WAY: Duration = Duration::from_secs(15 * 60);
/// How far the clock of the process before may have been ahead.
const SKEW: Duration = Duration::from_secs(60);

/// Tells the webhooks of the moment.
pub struct Notifier {
    hooks: Arc<ArcSwap<Vec<Arc<Hook>>>>,
    /// By outcome: `delivered`, `failed`, `dropped`.
    outcomes: IntCounterVec,
    /// When this process began to tell.
    began: Timestamp,
    /// Ids of what it told in its first quarter of an hour.
    told: Mutex<HashSet<String>>,
}

// === impl Notifier ===

impl Notifier {
    /// Tells nobody yet.
    pub fn new(outcomes: IntCounterVec) -> Self {
        // A counter that is born at 1 never increases: what alerts look at is there from the beginning.
        for outcome in ["delivered", "failed", "dropped"] {
            let _ = outcomes.with_label_values(&[outcome]);
        }
        Self {
            hooks: Arc::default(),
            outcomes,
            began: Timestamp::now(),
            told: Mutex::default(),
        }
    }

    /// Where the webhooks are kept: what is stored there is told from then on.
    pub fn hooks(&self) -> Arc<ArcSwap<Vec<Arc<Hook>>>> {
        self.hooks.clone()
    }

    /// Sends notices on their way and waits for none. One webhook that is away holds up no other: it has room of its own, which is
    /// shared out by who asks, and what finds none is dropped and counted.
    pub fn tell(&self, notices: Vec<Notice>) {
        let hooks = self.hooks.load();
        if !hooks.is_empty() && !self.is_settled(Timestamp::now()) {
            self.told().extend(notices.iter().map(Notice::id));
        }
        for notice in notices.into_iter().map(Arc::new) {
            for hook in hooks.iter().filter(|hook| hook.wants(&notice)) {
                let count = |outcome: &str| self.outcomes.with_label_values(&[outcome]).inc();
                let Some(place) = hook.place(&notice) else {
                    count("dropped");
                    continue;
                };
                let (hook, notice, outcomes) = (hook.clone(), notice.clone(), self.outcomes.clone());
                tokio::spawn(async move {
                    let outcome = match hook.deliver(&notice).await {
                        Ok(()) => "delivered",
                        Err(error) => {
                            tracing::warn!(webhook = hook.name(), request = %notice.name, %error, "a notification was not taken");
                            "failed"
                        }
                    };
                    outcomes.with_label_values(&[outcome]).inc();
                    drop(place);
                });
            }
        }
    }

    /// Tells again what the process before this one may not have delivered; receivers know by the id what they have.
    pub fn catch_up(&self, request: &AccessRequest, now: Timestamp) {
        self.tell(self.missed(request, now));
    }

    /// What is on the request and came about so shortly before this process began that it may not have been delivered.
    fn missed(&self, request: &AccessRequest, now: Timestamp) -> Vec<Notice> {
        if self.is_settled(now) {
            self.told().clear();
            return Vec::new();
        }
        // Nobody wants to be told.
        if self.hooks.load().is_empty() {
            return Vec::new();
        }
        let since = self.began.checked_sub(ON_ITS_WAY).unwrap_or(Timestamp::MIN);
        let until = self.began.checked_add(SKEW).unwrap_or(Timestamp::MAX);
        let mut missed = recent(request, since..=until, now);
        let told = self.told();
        missed.retain(|notice| !told.contains(&notice.id()));
        missed
    }

    /// Whether nothing is told again any more.
    fn is_settled(&self, now: Timestamp) -> bool {
        self.began.checked_add(ON_ITS_WAY).is_ok_and(|end| end < now)
    }

    fn told(&self) -> MutexGuard<'_, HashSet<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
