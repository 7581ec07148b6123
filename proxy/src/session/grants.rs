//! Grants by which something of a session runs, or has run and may still be undone.

use futures::future::select_all;
use sallyport_audit::record::RequestRef;
use sallyport_crds::approval_policy::GrantScope;
use tokio::sync::watch;

use crate::door::HoldState;

/// One grant in use.
pub struct Grant {
    request: RequestRef,
    /// Whether the session itself lives by it.
    lasts: bool,
    state: watch::Receiver<HoldState>,
}

/// Those of one session.
#[derive(Default)]
pub struct Grants {
    in_use: Vec<Grant>,
    /// Uids of the uses of break-glass that its client has heard of.
    heard: Vec<String>,
}

/// A grant in use was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The request.
    pub request: RequestRef,
    /// By whom and why, in words.
    pub words: String,
}

// === impl Grant ===

impl Grant {
    /// A grant of this scope, by its request.
    #[must_use]
    pub fn new(request: &RequestRef, scope: GrantScope, state: watch::Receiver<HoldState>) -> Self {
        Self {
            request: request.clone(),
            lasts: scope == GrantScope::Session,
            state,
        }
    }

    async fn revoked(&mut self) -> Revoked {
        let revoked = |state: &HoldState| match state {
            HoldState::Revoked(words) => Some(words.clone()),
            _ => None,
        };
        let words = match self.state.wait_for(|state| revoked(state).is_some()).await {
            Ok(state) => revoked(&state).unwrap_or_default(),
            // Nobody will say any more; the door shuts by itself where the API server stays away.
            Err(_) => std::future::pending().await,
        };
        Revoked {
            request: self.request.clone(),
            words,
        }
    }
}

// === impl Grants ===

impl Grants {
    /// Something runs by this grant from now on.
    pub fn lean_on(&mut self, grant: Grant) {
        if !self.in_use.iter().any(|known| known.request.uid == grant.request.uid) {
            self.in_use.push(grant);
        }
    }

    /// Whether the client hears of this use of break-glass for the first time; from now on it has.
    pub fn is_news(&mut self, glass: &RequestRef) -> bool {
        let new = !self.heard.contains(&glass.uid);
        if new {
            self.heard.push(glass.uid.clone());
        }
        new
    }

    /// Nothing runs and no transaction is open: what ran by a grant has happened.
    pub fn settle(&mut self) {
        self.in_use.retain(|grant| grant.lasts);
    }

    /// Waits until one is taken back. May be cancelled.
    pub async fn revoked(&mut self) -> Revoked {
        if self.in_use.is_empty() {
            return std::future::pending().await;
        }
        let each = self.in_use.iter_mut().map(|grant| Box::pin(grant.revoked()));
        select_all(each).await.0
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn request(uid: &str) -> RequestRef {
        RequestRef {
            name: uid.into(),
            namespace: "doors".into(),
            uid: uid.into(),
        }
    }

    #[tokio::test]
    async fn what_is_taken_back_is_heard_of_until_it_has_happened() {
        let waiting = || HoldState::Waiting {
            progress: String::new(),
        };
        let (one, first) = watch::channel(waiting());
        let (other, second) = watch::channel(waiting());
        let mut grants = Grants::default();
        assert!(grants.revoked().now_or_never().is_none());
        grants.lean_on(Grant::new(&request("a"), GrantScope::Window, first));
        grants.lean_on(Grant::new(&request("b"), GrantScope::Session, second));
        one.send_replace(HoldState::Closed("the grant was used".into()));
        assert!(grants.revoked().now_or_never().is_none(), "used is not revoked");
        one.send_replace(HoldState::Revoked("by bob".into()));
        assert_eq!(grants.revoked().await.request.uid, "a");
        grants.settle();
        assert!(grants.revoked().now_or_never().is_none(), "what ran has happened");
        other.send_replace(HoldState::Revoked("by bob".into()));
        assert_eq!(grants.revoked().await.request.uid, "b", "the session lives by it");
    }

    #[test]
    fn of_each_use_a_client_hears_once() {
        let mut grants = Grants::default();
        for (uid, news) in [("a", true), ("a", false), ("b", true), ("a", false), ("b", false)] {
            assert_eq!(grants.is_news(&request(uid)), news, "{uid}");
            // What ran by it has happened, and the client knows all the same.
            grants.settle();
        }
    }
}
