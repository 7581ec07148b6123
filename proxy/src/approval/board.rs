//! Every request of this Connection, as the watch last showed it, with those who wait for it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt as _;
use sallyport_audit::record::RequestRef;
use sallyport_crds::AccessRequest;
use sallyport_crds::condition::{ConditionType, is_true};
use tokio::sync::watch;

use super::state;
use crate::door::{Glass, Held, HoldState};

/// The requests of one Connection.
pub(super) struct Board {
    /// `metadata.uid` of the Connection.
    connection: String,
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    request: Arc<AccessRequest>,
    state: watch::Sender<HoldState>,
}

// === impl Board ===

impl Board {
    pub(super) fn new(connection: String) -> Self {
        Self {
            connection,
            entries: Mutex::new(HashMap::new()),
        }
    }

    /// Shows a request as it is now. Requests about other Connections are none of ours.
    pub(super) fn show(&self, request: AccessRequest) -> Option<Held> {
        if request.spec.connection.uid != self.connection {
            return None;
        }
        let uid = request.uid()?;
        let now = state::of(&request);
        let reference = reference(&request)?;
        let mut entries = self.lock();
        let entry = entries.entry(uid).or_insert_with(|| Entry {
            request: Arc::new(request.clone()),
            state: watch::channel(now.clone()).0,
        });
        // An answer to our own request may come after the watch has shown something newer: never go back.
        if is_older(&request, &entry.request) {
            return Some(Held {
                request: reference,
                state: entry.state.subscribe(),
            });
        }
        entry.request = Arc::new(request);
        entry
            .state
            .send_if_modified(|old| std::mem::replace(old, now.clone()) != now);
        Some(Held {
            request: reference,
            state: entry.state.subscribe(),
        })
    }

    /// A request is gone.
    pub(super) fn remove(&self, uid: &str) {
        if let Some(entry) = self.lock().remove(uid) {
            entry
                .state
                .send_replace(HoldState::Closed("the request was deleted".to_owned()));
        }
    }

    /// The requests that are here now. A watch that begins anew asks before its list, which cannot show what is made later.
    pub(super) fn uids(&self) -> HashSet<String> {
        self.lock().keys().cloned().collect()
    }

    /// Requests that fit and can still come to something: those that were approved before those that wait, the newest of
    /// each first.
    pub(super) fn find(&self, fits: impl Fn(&AccessRequest) -> bool) -> Vec<Held> {
        let entries = self.lock();
        let alive = entries
            .values()
            .filter(|entry| fits(&entry.request) && !state::is_over(&entry.state.borrow()));
        let mut alive: Vec<&Entry> = alive.collect();
        alive.sort_by_key(|entry| {
            let approved = matches!(*entry.state.borrow(), HoldState::Approved { .. });
            std::cmp::Reverse((approved, entry.request.creation_timestamp().map(|time| time.0)))
        });
        alive.into_iter().filter_map(held).collect()
    }

    /// How a person stands to breaking glass, by those of their uses that nobody has reviewed. `ends` says when one ends.
    pub(super) fn glass(
        &self,
        own: impl Fn(&AccessRequest) -> bool,
        ends: impl Fn(&AccessRequest) -> jiff::Timestamp,
        now: jiff::Timestamp,
    ) -> Glass {
        let entries = self.lock();
        let mut glass = Glass::Whole;
        for entry in entries
            .values()
            .filter(|entry| own(&entry.request) && !is_reviewed(&entry.request))
        {
            let runs = matches!(*entry.state.borrow(), HoldState::Waiting { .. }) && now < ends(&entry.request);
            match (runs, held(entry)) {
                (true, Some(held)) => glass = Glass::Broken(held),
                (false, Some(held)) => return Glass::Locked(held.request),
                (_, None) => {}
            }
        }
        glass
    }

    /// How many requests that can still come to something fit.
    pub(super) fn count(&self, fits: impl Fn(&AccessRequest) -> bool) -> usize {
        self.lock()
            .values()
            .filter(|entry| fits(&entry.request) && !state::is_over(&entry.state.borrow()))
            .count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // No step under the lock leaves the map half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

fn held(entry: &Entry) -> Option<Held> {
    Some(Held {
        request: reference(&entry.request)?,
        state: entry.state.subscribe(),
    })
}

fn is_reviewed(request: &AccessRequest) -> bool {
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
    is_true(conditions.unwrap_or_default(), ConditionType::Reviewed)
}

/// Name, namespace and uid; None for an object that the API server did not make.
pub(super) fn reference(request: &AccessRequest) -> Option<RequestRef> {
    Some(RequestRef {
        name: request.name_any(),
        namespace: request.namespace()?,
        uid: request.uid()?,
    })
}

/// Resource versions are numbers in every storage that Kubernetes has, though clients should not lean on it: where they do
/// not read as numbers, what comes later counts.
fn is_older(one: &AccessRequest, other: &AccessRequest) -> bool {
    let version = |request: &AccessRequest| {
        request
            .resource_version()
            .and_then(|version| version.parse::<u64>().ok())
    };
    matches!((version(one), version(other)), (Some(one), Some(other)) if one < other)
}
