//! Every request of this Connection, as the watch last showed it, with those who wait for it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt as _;
use sallyport_audit::Time;
use sallyport_audit::record::RequestRef;
use sallyport_crds::approval_policy::OnHold;
use sallyport_crds::condition::{ConditionType, is_true};
use sallyport_crds::{AccessRequest, AccessRequestStatus};
use sallyport_policy::seal::is_sealed;
use tokio::sync::{Notify, watch};

use super::answers::Answered;
use super::{spec, state};
use crate::door::{Glass, Held, HoldState};

/// The requests of one Connection.
pub(super) struct Board {
    /// `metadata.uid` of the Connection.
    connection: String,
    /// By which the operator seals what it says.
    keys: Vec<Vec<u8>>,
    entries: Mutex<HashMap<String, Entry>>,
    /// Uses of break-glass on other Connections of the namespace that nobody has reviewed: they lock the person here, too.
    elsewhere: Mutex<HashMap<String, AccessRequest>>,
    /// The newest version of every request that the watch has shown, those of other Connections too.
    versions: Mutex<HashMap<String, String>>,
    changed: Notify,
}

struct Entry {
    request: Arc<AccessRequest>,
    /// Whether what it says people said yes to bears the operator's seal. Looked at once: there may be thousands.
    sealed: bool,
    state: watch::Sender<HoldState>,
    /// Whether a session of this process waits, or waited, for the answer.
    waited: bool,
    told: HashSet<Answered>,
}

// === impl Board ===

impl Board {
    pub(super) fn new(connection: String, keys: Vec<Vec<u8>>) -> Self {
        Self {
            connection,
            keys,
            entries: Mutex::new(HashMap::new()),
            elsewhere: Mutex::default(),
            versions: Mutex::new(HashMap::new()),
            changed: Notify::new(),
        }
    }

    /// Shows a request as it is now. Requests about other Connections are none of ours, but for break-glass.
    pub(super) fn show(&self, request: AccessRequest) -> Option<Held> {
        let uid = request.uid()?;
        if request.spec.connection.uid != self.connection {
            if request.spec.break_glass && !is_reviewed(&request, is_sealed(&request, &self.keys)) {
                self.elsewhere().insert(uid, request);
            } else {
                self.elsewhere().remove(&uid);
            }
            return None;
        }
        let sealed = is_sealed(&request, &self.keys);
        let now = state::of(&request, sealed);
        reference(&request)?;
        let mut entries = self.lock();
        let entry = entries.entry(uid).or_insert_with(|| Entry {
            request: Arc::new(request.clone()),
            sealed,
            state: watch::channel(now.clone()).0,
            waited: false,
            told: HashSet::new(),
        });
        // An answer to our own request may come after the watch has shown something newer: never go back.
        if is_older(&request, &entry.request) {
            return held(entry);
        }
        // An end is an end. Whoever is past admission for a moment could take it out of the status, and leave the seal.
        if state::is_over(&entry.state.borrow()) && !state::is_over(&now) {
            return held(entry);
        }
        (entry.request, entry.sealed) = (Arc::new(request), sealed);
        entry
            .state
            .send_if_modified(|old| std::mem::replace(old, now.clone()) != now);
        self.changed.notify_one();
        held(entry)
    }

    /// A session of this process waits for the answer, and records it.
    pub(super) fn wait_for(&self, uid: &str) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.waited = true;
        }
    }

    /// Answers that are not on record yet, as far as this process knows, with their requests.
    pub(super) fn untold(&self) -> Vec<(Arc<AccessRequest>, Answered)> {
        let entries = self.lock();
        let each = entries.values().flat_map(|entry| {
            let told = |answer: &Answered| entry.told.contains(answer) || entry.waited && answer.ends_a_wait();
            let answers = Answered::all(&entry.request, entry.sealed)
                .into_iter()
                .filter(move |answer| !told(answer));
            answers.map(|answer| (Arc::clone(&entry.request), answer))
        });
        each.collect()
    }

    /// An answer is on its way to the log.
    pub(super) fn told(&self, request: &AccessRequest, answer: Answered) {
        if let Some(entry) = self.lock().get_mut(&request.uid().unwrap_or_default()) {
            entry.told.insert(answer);
        }
    }

    /// Waits until some request is another than it was.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The watch shows a version of a request, whoever's it is.
    pub(super) fn seen(&self, uid: String, version: String) {
        self.versions().insert(uid, version);
    }

    /// Whether the watch has not shown this version, nor a later one.
    pub(super) fn lacks(&self, uid: &str, version: &str) -> bool {
        let known = self.versions().get(uid).cloned();
        known.is_none_or(|known| known != version && !is_later(&known, version))
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is gone.
    pub(super) fn remove(&self, uid: &str) {
        self.versions().remove(uid);
        self.elsewhere().remove(uid);
        if let Some(entry) = self.lock().remove(uid) {
            entry
                .state
                .send_replace(HoldState::Closed("the request was deleted".to_owned()));
        }
    }

    /// The requests that are here now. A watch that begins anew asks before its list, which cannot show what is made later.
    pub(super) fn uids(&self) -> HashSet<String> {
        let elsewhere = self.elsewhere();
        self.lock().keys().chain(elsewhere.keys()).cloned().collect()
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

    /// How a person stands to breaking glass, by those of their uses that nobody has reviewed. `covers` says whether one is
    /// for what is asked now, `ends` when one ends.
    pub(super) fn glass(
        &self,
        own: impl Fn(&AccessRequest) -> bool,
        covers: impl Fn(&AccessRequest) -> bool,
        ends: impl Fn(&AccessRequest) -> jiff::Timestamp,
        now: jiff::Timestamp,
    ) -> Glass {
        let elsewhere = self.elsewhere();
        let over = elsewhere.values().find(|used| own(used) && is_used_up(used, now));
        if let Some(request) = over.and_then(reference) {
            return Glass::Locked(request);
        }
        let entries = self.lock();
        let mut glass = Glass::Whole;
        for entry in entries
            .values()
            .filter(|entry| own(&entry.request) && !is_reviewed(&entry.request, entry.sealed))
        {
            let runs = matches!(*entry.state.borrow(), HoldState::Waiting { .. }) && now < ends(&entry.request);
            match (runs, held(entry)) {
                (true, Some(held)) if covers(&entry.request) => glass = Glass::Broken(held),
                (false, Some(held)) => return Glass::Locked(held.request),
                (true, Some(_)) | (_, None) => {}
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

    /// How many requests that are over, of which nothing came and which are still here, fit.
    pub(super) fn in_vain(&self, fits: impl Fn(&AccessRequest) -> bool) -> usize {
        let in_vain = |request: &AccessRequest| request.status.as_ref().is_some_and(AccessRequestStatus::is_in_vain);
        self.lock()
            .values()
            .filter(|entry| in_vain(&entry.request) && fits(&entry.request))
            .count()
    }

    /// Bytes of commands and parameters in requests that can still come to something.
    pub(super) fn held_bytes(&self) -> usize {
        let entries = self.lock();
        let open = entries.values().filter(|entry| !state::is_over(&entry.state.borrow()));
        open.filter_map(|entry| entry.request.spec.command.as_ref())
            .map(spec::bytes)
            .sum()
    }

    fn elsewhere(&self) -> MutexGuard<'_, HashMap<String, AccessRequest>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
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
    let spec = &entry.request.spec;
    Some(Held {
        request: reference(&entry.request)?,
        expires: Some(Time::from_unix_micros(spec.expires_at.0.as_microsecond())),
        // What is asked beforehand outlives every session.
        on_hold: spec.session.as_ref().map_or(OnHold::Refuse, |session| session.on_hold),
        state: entry.state.subscribe(),
    })
}

/// Whether a use of break-glass is over, by its own word: what the policies of its Connection say now is not known here.
fn is_used_up(request: &AccessRequest, now: jiff::Timestamp) -> bool {
    let made = request.metadata.creation_timestamp.as_ref();
    let until = made.zip(request.spec.window.as_ref());
    let until = until.and_then(|(made, window)| made.0.checked_add(window.duration.get()).ok());
    state::is_over(&state::of(request, false)) || until.is_none_or(|until| now >= until)
}

/// Whether the operator said so: a review, too, counts with its seal.
fn is_reviewed(request: &AccessRequest, sealed: bool) -> bool {
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
    sealed && is_true(conditions.unwrap_or_default(), ConditionType::Reviewed)
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
    let version = |request: &AccessRequest| request.resource_version().unwrap_or_default();
    is_later(&version(other), &version(one))
}

fn is_later(one: &str, other: &str) -> bool {
    matches!((one.parse::<u64>(), other.parse::<u64>()), (Ok(one), Ok(other)) if one > other)
}

#[cfg(test)]
mod tests;
