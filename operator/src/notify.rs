//! Notifications: what becomes of requests, told to the admin's webhooks.
//!
//! Reading order: [`notice`] is what is said and in which shape, [`hook`] how it is signed and sent, [`webhooks`] the admin's
//! file. Nobody waits for a webhook, and nothing hangs on one: approvals are decided whether or not anybody heard of them.

pub mod hook;
pub mod notice;
pub mod webhooks;

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::IntCounterVec;

use hook::Hook;
use notice::Notice;

/// Tells the webhooks of the moment.
pub struct Notifier {
    hooks: Arc<ArcSwap<Vec<Arc<Hook>>>>,
    /// By outcome: `delivered`, `failed`, `dropped`.
    outcomes: IntCounterVec,
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
        }
    }

    /// Where the webhooks are kept: what is stored there is told from then on.
    pub fn hooks(&self) -> Arc<ArcSwap<Vec<Arc<Hook>>>> {
        self.hooks.clone()
    }

    /// Sends notices on their way and waits for none. One webhook that is away holds up no other: it has room of its own, and
    /// what finds none is dropped and counted.
    pub fn tell(&self, notices: Vec<Notice>) {
        let hooks = self.hooks.load();
        for notice in notices.into_iter().map(Arc::new) {
            for hook in hooks.iter().filter(|hook| hook.wants(&notice)) {
                let count = |outcome: &str| self.outcomes.with_label_values(&[outcome]).inc();
                let Some(place) = hook.place() else {
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
}

#[cfg(test)]
mod tests;
