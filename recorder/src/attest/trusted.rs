//! Whose tokens count, by the operator's word.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use sallyport_audit::Digest;
use sallyport_identity::{Identities, Pace, Reviewer, Settings, Trusted};
use tokio::runtime::Handle;

/// The issuers of the moment.
pub(super) struct Issuers {
    now: ArcSwapOption<Told>,
    runtime: Handle,
    reviewer: Option<Arc<dyn Reviewer>>,
    pace: Pace,
}

struct Told {
    digest: Digest,
    sets: Arc<[Arc<Identities>]>,
}

// === impl Issuers ===

impl Issuers {
    pub(super) fn new(runtime: Handle, reviewer: Option<Arc<dyn Reviewer>>, pace: Pace) -> Self {
        Self {
            now: ArcSwapOption::empty(),
            runtime,
            reviewer,
            pace,
        }
    }

    /// Replaces them. An issuer that is reached as before keeps its keys.
    pub(super) fn apply(&self, trusted: &Trusted, digest: Digest) {
        let known = self.now.load_full();
        let known = |place: usize| known.as_ref()?.sets.get(place).cloned();
        let sets = apart(trusted).into_iter().enumerate().map(|(place, set)| {
            let fresh = || Identities::new(self.runtime.clone(), self.reviewer.clone(), self.pace);
            let identities = known(place).unwrap_or_else(|| Arc::new(fresh()));
            identities.apply(Settings::anywhere(&set));
            identities
        });
        let sets = sets.collect();
        self.now.store(Some(Arc::new(Told { digest, sets })));
    }

    /// Who is to be asked, one after the other; `None` until the operator has said something.
    pub(super) fn current(&self) -> Option<Arc<[Arc<Identities>]>> {
        self.now.load().as_ref().map(|told| Arc::clone(&told.sets))
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.now.load().as_ref().map(|told| told.digest)
    }
}

/// An issuer may stand under several names, with other audiences and other clients of people's: a set for each, since by
/// which of them a Connection takes its tokens is not known here.
fn apart(trusted: &Trusted) -> Vec<Trusted> {
    let none = || Trusted {
        api_server_audiences: trusted.api_server_audiences.clone(),
        issuers: Vec::new(),
    };
    let mut sets = vec![none()];
    let mut times: HashMap<&str, usize> = HashMap::new();
    for issuer in &trusted.issuers {
        let place = times.entry(&issuer.url).or_default();
        if sets.len() == *place {
            sets.push(none());
        }
        if let Some(set) = sets.get_mut(*place) {
            set.issuers.push(issuer.clone());
        }
        *place += 1;
    }
    sets
}
