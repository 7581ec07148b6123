//! Whether something is enforced. Pure: Pods as the API shows them, accounts as processes gave them, and a moment.
//!
//! Every process counts that holds or may hold a session, ready, terminating or not. One that is silent counts as a no.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use sallyport_crds::connection::ProxyCounts;
use sallyport_crds::{ConditionType, Reason};
use sallyport_policy::carrier::{FIRST, FORMAT};
use tokio::time::Instant;

use super::fleet::Account;
use crate::shared::conditions::Finding;

/// How the processes of one Connection stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crew {
    /// For each process that counts, by Pod name: the revision that it enforces; None where it is silent, was never heard or
    /// has no policy.
    pub processes: BTreeMap<String, Option<u64>>,
    /// For each of them: the revision by which it judges from now on, whatever its sessions run to their end.
    pub loaded: BTreeMap<String, Option<u64>>,
    /// For each of them, and of those that are down and may come back: the newest format of carriers that it reads, by what it
    /// last said; None where it was never heard.
    pub formats: BTreeMap<String, Option<u32>>,
    /// Those that read something else under the revision that is wanted.
    pub astray: BTreeSet<String>,
    /// Those that spoke once and are silent.
    pub silent: BTreeSet<String>,
    /// Whether one of them may only not have been heard yet, since the operator has just begun to listen.
    pub unheard: bool,
}

/// The processes of a Connection that count.
pub fn crew(pods: &[&Pod], accounts: &BTreeMap<String, Account>, listened: bool, now: Instant) -> Crew {
    let mut crew = Crew::default();
    let mut present = BTreeSet::new();
    for pod in pods {
        let (Some(uid), Some(name)) = (&pod.metadata.uid, &pod.metadata.name) else {
            continue;
        };
        present.insert(uid);
        let account = accounts.get(uid);
        if !may_hold_sessions(pod) && account.is_none_or(|account| account.is_silent(now)) {
            // One that crashes and starts again must not change the format each time.
            crew.formats
                .extend(account.map(|account| (name.clone(), Some(account.format))));
            continue;
        }
        crew.add(name, account, listened, now);
    }
    // A process may speak before the watch shows its Pod, and still speak when the Pod's object is gone.
    for (uid, account) in accounts {
        if !present.contains(uid) && !account.is_silent(now) {
            crew.add(&account.pod, Some(account), listened, now);
        }
    }
    crew
}

/// Whether a container of the Pod runs. A Pod that waits for a node or an image holds no session; one whose status nobody has
/// told holds as many as it likes.
fn may_hold_sessions(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    match &status.container_statuses {
        Some(containers) if !containers.is_empty() => containers
            .iter()
            .any(|container| container.state.as_ref().is_none_or(|state| state.running.is_some())),
        _ => status.phase.as_deref() == Some("Running"),
    }
}

// === impl Crew ===

impl Crew {
    fn add(&mut self, pod: &str, account: Option<&Account>, listened: bool, now: Instant) {
        let speaking = account.filter(|account| !account.is_silent(now));
        match account {
            Some(_) if speaking.is_none() => drop(self.silent.insert(pod.to_owned())),
            Some(_) => {}
            None => self.unheard |= !listened,
        }
        self.processes
            .insert(pod.to_owned(), speaking.and_then(|account| account.revision));
        self.loaded
            .insert(pod.to_owned(), speaking.and_then(|account| account.loaded));
        self.formats
            .insert(pod.to_owned(), account.map(|account| account.format));
    }

    /// The format in which all of them can read a carrier. One that was never heard reads what stands: anything newer may shut it.
    pub fn format(&self, standing: Option<u32>, replicas: i32) -> u32 {
        let standing = standing.unwrap_or(FORMAT);
        let lowest = self.formats.values().map(|format| format.unwrap_or(standing)).min();
        let wanted = match lowest {
            Some(lowest) => lowest,
            // Whoever comes next is of the operator's own version: its Deployment says so.
            None if replicas == 0 => FORMAT,
            None => standing,
        };
        wanted.clamp(FIRST, FORMAT)
    }

    /// Those that cannot read `format`, or have not said that they can.
    pub fn older_than(&self, format: u32) -> Vec<&str> {
        let each = self.formats.iter();
        each.filter(|(_, reads)| reads.is_none_or(|reads| reads < format))
            .map(|(pod, _)| pod.as_str())
            .collect()
    }

    /// How many there are, and how many enforce at least `revision`.
    pub fn counts(&self, revision: u64) -> ProxyCounts {
        let enforcing = self
            .processes
            .values()
            .filter(|&&at| at.is_some_and(|at| at >= revision))
            .count();
        ProxyCounts {
            total: bounded(self.processes.len()),
            enforcing: bounded(enforcing),
        }
    }

    /// Whether all of them judge by at least `revision` from now on.
    pub fn have_loaded(&self, revision: u64) -> bool {
        self.loaded.values().all(|at| at.is_some_and(|at| at >= revision))
    }

    /// Whether all of them enforce at least `revision`; None while the operator has not listened for long enough to know.
    pub fn enforced(&self, revision: u64, replicas: i32) -> Option<Finding> {
        const KIND: ConditionType = ConditionType::Enforced;
        let counts = self.counts(revision);
        let ProxyCounts { total, enforcing } = counts;
        if total == 0 && replicas == 0 {
            return Some(Finding::yes(
                KIND,
                Reason::ScaledToZero,
                "no replicas are asked for, so nobody can come in",
            ));
        }
        if total == 0 {
            return Some(Finding::no(KIND, Reason::NoProxies, "no proxy runs yet"));
        }
        if total == enforcing {
            return Some(Finding::yes(
                KIND,
                Reason::Enforced,
                format!("all {total} processes enforce revision {revision}"),
            ));
        }
        if self.unheard {
            return None;
        }
        let behind: Vec<&str> = self
            .processes
            .iter()
            .filter(|(_, at)| at.is_none_or(|at| at < revision))
            .map(|(pod, _)| pod.as_str())
            .take(5)
            .collect();
        let silent = behind.iter().any(|&pod| self.silent.contains(pod));
        let (reason, what) = if silent {
            (Reason::ProxySilent, "were silent for 5 s or do not run it yet")
        } else {
            (
                Reason::WaitingForProxies,
                "have not said that they run it with all their sessions",
            )
        };
        let message = format!(
            "{enforcing} of {total} processes enforce revision {revision}; these {what}: {}",
            behind.join(", ")
        );
        Some(Finding::no(KIND, reason, message))
    }
}

fn bounded(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
