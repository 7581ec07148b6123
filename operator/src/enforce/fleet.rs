//! What every process last said of itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sallyport_runtime::peer::Workload;
use sallyport_runtime::report::{Backends, MAX_BACKENDS, Problem, Report, SILENT_AFTER};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::sought::ByRule;

/// A process that was silent for this long is forgotten: by then its Pod is gone, or says the same by its silence.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// What a process let go of counts as its for so long: another may have seen it before, and looks only now and then.
const LET_GO: Duration = Duration::from_secs(120);
/// So many backends a process is believed to hold, with those that it let go of lately. One that names more has nothing follow from
/// what it names: all of it would be kept here.
const MOST_HELD: usize = 64 * 1_024;
/// No target has a longer name: a host's, and a port.
const LONGEST_TARGET: usize = 512;

/// No Connection comes to so many revisions. Beyond the last number there is no next one: a process that claimed to run it would
/// keep every other process of its Connection at the policy of that moment.
const PLAUSIBLE: u64 = 1 << 48;

/// The processes of all doors.
pub struct Fleet {
    doors: Mutex<HashMap<String, BTreeMap<String, Account>>>,
    past: Mutex<HashMap<String, Past>>,
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
    /// Digest of what it read under that revision; None where its version does not tell.
    pub digest: Option<String>,
    /// The newest format of carriers that it reads.
    pub format: u32,
    /// Sessions that it holds.
    pub sessions: u64,
    /// What it wants said in a condition.
    pub problems: Vec<Problem>,
    /// What it says of the columns that rules name.
    pub columns: ByRule,
    /// Who is connected to its target; None where its version does not tell.
    pub backends: Option<Backends>,
    /// The backends that it holds, by target, and when it last said so.
    pub(super) held: HashMap<String, HashMap<i32, Instant>>,
    /// When it last spoke.
    pub at: Instant,
}

/// Connections at a target that no door holds: how many, by role.
pub type Past = BTreeMap<String, usize>;

/// For each Connection: what its processes see at their target and no process of any door holds. Nothing where some process
/// cannot tell what it holds.
fn survey(doors: &HashMap<String, BTreeMap<String, Account>>, now: Instant) -> HashMap<String, Past> {
    let all = || doors.values().flat_map(BTreeMap::values);
    if all().any(|account| account.backends.is_none() && !account.is_silent(now)) {
        return HashMap::new();
    }
    // A process that fell silent still holds what it held.
    let held: HashSet<(&str, i32)> = all()
        .flat_map(|account| &account.held)
        .flat_map(|(target, pids)| pids.keys().map(|pid| (target.as_str(), *pid)))
        .collect();
    let told = || all().filter_map(|account| account.backends.as_ref());
    let partly = told().filter(|backends| !backends.whole);
    let untold: HashSet<&str> = partly
        .flat_map(|backends| backends.held.keys().chain([&backends.target]))
        .map(String::as_str)
        .collect();
    let mut past = HashMap::new();
    for (uid, accounts) in doors {
        let mut seen: BTreeMap<&str, HashSet<i32>> = BTreeMap::new();
        let speaking = accounts.values().filter(|account| !account.is_silent(now));
        for backends in speaking.filter_map(|account| account.backends.as_ref()) {
            let target = backends.target.as_str();
            for (role, pids) in backends.others.iter().filter(|_| !untold.contains(target)) {
                let strange = pids.iter().filter(|pid| !held.contains(&(target, **pid)));
                seen.entry(role).or_default().extend(strange);
            }
        }
        seen.retain(|_, pids| !pids.is_empty());
        if !seen.is_empty() {
            let counted = seen.into_iter().map(|(role, pids)| (role.to_owned(), pids.len()));
            past.insert(uid.clone(), counted.collect());
        }
    }
    past
}

// === impl Fleet ===

impl Fleet {
    /// Nobody has spoken yet.
    pub fn new() -> Self {
        Self {
            doors: Mutex::default(),
            past: Mutex::default(),
            news: Notify::new(),
            since: Instant::now(),
        }
    }

    /// A process spoke. Who it is was read from its certificate.
    pub fn heard(&self, peer: &Workload, report: &Report) {
        let now = Instant::now();
        let mut account = Account {
            pod: peer.pod.clone(),
            revision: report.revision,
            loaded: report.loaded,
            digest: report.digest.clone(),
            format: report.format,
            sessions: report.sessions,
            problems: report.problems.clone(),
            columns: report.columns.clone(),
            backends: report.backends.clone(),
            held: HashMap::new(),
            at: now,
        };
        self.with(|doors| {
            let accounts = doors.entry(peer.uid.clone()).or_default();
            account.holds(accounts.remove(&peer.pod_uid), now);
            accounts.insert(peer.pod_uid.clone(), account);
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

    /// What the processes of a Connection say of the columns that rules name; those that are silent say nothing.
    pub fn sought(&self, connection_uid: &str, now: Instant) -> Vec<ByRule> {
        self.with(|doors| {
            let accounts = doors.get(connection_uid).into_iter().flat_map(BTreeMap::values);
            let speaking = accounts.filter(|account| !account.is_silent(now));
            speaking.map(|account| account.columns.clone()).collect()
        })
    }

    /// The highest revision that any process of a Connection says to run, if there can be such a one.
    pub fn highest_revision(&self, connection_uid: &str) -> u64 {
        self.with(|doors| {
            let accounts = doors.get(connection_uid).into_iter().flat_map(BTreeMap::values);
            let claimed = accounts.filter_map(|account| account.revision);
            claimed.filter(|revision| *revision < PLAUSIBLE).max().unwrap_or(0)
        })
    }

    /// Puts together what all processes hold and see at their targets; how many connections came past them.
    pub fn survey(&self, now: Instant) -> usize {
        let past = self.with(|doors| survey(doors, now));
        let count = past.values().flat_map(BTreeMap::values).sum();
        *self.past.lock().unwrap_or_else(PoisonError::into_inner) = past;
        count
    }

    /// What the last [`Self::survey`] found past a Connection's doors.
    pub fn past(&self, connection_uid: &str) -> Past {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.get(connection_uid).cloned().unwrap_or_default()
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
    /// Takes over what the process held when it spoke `before`.
    fn holds(&mut self, before: Option<Self>, now: Instant) {
        self.held = before.map(|before| before.held).unwrap_or_default();
        self.held.retain(|_, pids| {
            pids.retain(|_, at| now.saturating_duration_since(*at) < LET_GO);
            !pids.is_empty()
        });
        let Some(backends) = &mut self.backends else { return };
        let named: usize = backends.held.values().map(Vec::len).sum();
        let known: usize = self.held.values().map(HashMap::len).sum();
        let lawful = backends.held.keys().all(|target| target.len() <= LONGEST_TARGET);
        // No door of ours says so much. What it held stays with it until that is over.
        if !lawful || named > MAX_BACKENDS || known.saturating_add(named) > MOST_HELD {
            backends.whole = false;
            return;
        }
        for (target, pids) in &backends.held {
            let held = self.held.entry(target.clone()).or_default();
            held.extend(pids.iter().map(|pid| (*pid, now)));
        }
    }

    /// Whether the process read something else under this revision: a leader that was cut off and did not know may have written
    /// under it, too.
    pub fn is_astray(&self, revision: u64, digest: &str) -> bool {
        self.loaded == Some(revision) && self.digest.as_deref().is_some_and(|own| own != digest)
    }

    /// Whether the process was silent for too long.
    pub fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= SILENT_AFTER
    }
}

#[cfg(test)]
mod tests {
    use sallyport_policy::carrier::FORMAT;

    use super::*;

    fn peer(connection: &str, pod: &str) -> Workload {
        Workload {
            namespace: "doors".into(),
            name: connection.into(),
            uid: connection.into(),
            pod: pod.into(),
            pod_uid: pod.into(),
        }
    }

    const TARGET: &str = "postgres.bank.svc:5432";

    fn at(target: &str, held: &[i32], others: &[(&str, &[i32])]) -> Backends {
        Backends {
            held: BTreeMap::from([(target.to_owned(), held.to_vec())]),
            target: target.to_owned(),
            others: others
                .iter()
                .map(|(role, pids)| ((*role).to_owned(), pids.to_vec()))
                .collect(),
            whole: true,
        }
    }

    fn says(fleet: &Fleet, connection: &str, pod: &str, backends: Option<Backends>) {
        let report = Report {
            instance: "i".into(),
            pod: pod.into(),
            connection_uid: connection.into(),
            revision: Some(1),
            loaded: Some(1),
            digest: None,
            format: FORMAT,
            sessions: 0,
            problems: Vec::new(),
            columns: BTreeMap::new(),
            terminating: false,
            backends,
        };
        fleet.heard(&peer(connection, pod), &report);
    }

    fn past(fleet: &Fleet, connection: &str) -> Vec<(String, usize)> {
        fleet.survey(Instant::now());
        fleet.past(connection).into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_door_holds_came_past_them_all() {
        let fleet = Fleet::new();
        // Two replicas, and another Connection to the same target: each sees what the others hold.
        says(&fleet, "bank", "a", Some(at(TARGET, &[1], &[("app", &[2, 3, 9])])));
        says(
            &fleet,
            "bank",
            "b",
            Some(at(TARGET, &[2], &[("app", &[1, 3, 9]), ("psql", &[8])])),
        );
        assert_eq!(past(&fleet, "bank"), [("app".to_owned(), 2), ("psql".to_owned(), 1)]);
        says(&fleet, "reports", "c", Some(at(TARGET, &[3], &[])));
        assert_eq!(past(&fleet, "bank"), [("app".to_owned(), 1), ("psql".to_owned(), 1)]);
        assert!(past(&fleet, "reports").is_empty());
        // The same number at another target is another connection.
        says(&fleet, "ledger", "d", Some(at("ledger:5432", &[9], &[("app", &[1])])));
        assert_eq!(past(&fleet, "bank").len(), 2);
        assert_eq!(past(&fleet, "ledger"), [("app".to_owned(), 1)]);
        // A replica lets go of a connection that another saw before: it is not past the doors for that.
        says(&fleet, "reports", "c", Some(at(TARGET, &[], &[])));
        assert_eq!(past(&fleet, "bank")[0], ("app".to_owned(), 1));
        tokio::time::advance(LET_GO).await;
        says(&fleet, "reports", "c", Some(at(TARGET, &[], &[])));
        says(&fleet, "bank", "b", Some(at(TARGET, &[1, 2], &[("app", &[3, 9])])));
        assert_eq!(past(&fleet, "bank"), [("app".to_owned(), 2)]);
        // Who looks no longer says nothing of others.
        says(&fleet, "bank", "b", Some(at(TARGET, &[1, 2], &[])));
        assert!(past(&fleet, "bank").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_door_of_ours_says_is_not_kept() {
        let kept = |fleet: &Fleet| -> usize {
            let accounts = fleet.accounts("bank");
            let held = accounts.values().flat_map(|account| account.held.values());
            held.map(HashMap::len).sum()
        };
        let long = "x".repeat(LONGEST_TARGET + 1);
        let many: Vec<i32> = (0..).take(MAX_BACKENDS + 1).collect();
        for (what, target, held) in [("a long name", long.as_str(), &[1][..]), ("many", TARGET, &many[..])] {
            let fleet = Fleet::new();
            says(&fleet, "bank", "a", Some(at(target, held, &[])));
            assert_eq!(kept(&fleet), 0, "{what}");
        }
        // Others each time, as fast as it can: it is no longer believed, and what is kept of it does not grow.
        let fleet = Fleet::new();
        says(&fleet, "reports", "b", Some(at(TARGET, &[], &[("app", &[i32::MAX])])));
        for first in (0..).step_by(MAX_BACKENDS).take(2 * MOST_HELD / MAX_BACKENDS) {
            let held: Vec<i32> = (first..).take(MAX_BACKENDS).collect();
            says(&fleet, "bank", "a", Some(at(TARGET, &held, &[])));
        }
        assert!((1..=MOST_HELD).contains(&kept(&fleet)));
        assert!(past(&fleet, "reports").is_empty(), "nothing follows from what it names");
        tokio::time::advance(LET_GO).await;
        says(&fleet, "bank", "a", Some(at(TARGET, &[1], &[])));
        says(&fleet, "reports", "b", Some(at(TARGET, &[], &[("app", &[i32::MAX])])));
        assert_eq!(
            (kept(&fleet), past(&fleet, "reports")),
            (1, vec![("app".to_owned(), 1)])
        );
    }

    #[tokio::test]
    async fn nobody_claims_a_revision_that_leaves_room_for_none() {
        for (claimed, counts) in [(7, 7), (PLAUSIBLE - 1, PLAUSIBLE - 1), (PLAUSIBLE, 0), (u64::MAX, 0)] {
            let fleet = Fleet::new();
            let report = Report {
                instance: "i".into(),
                pod: "a".into(),
                connection_uid: "bank".into(),
                revision: Some(claimed),
                loaded: Some(claimed),
                digest: None,
                format: FORMAT,
                sessions: 0,
                problems: Vec::new(),
                columns: BTreeMap::new(),
                terminating: false,
                backends: None,
            };
            fleet.heard(&peer("bank", "a"), &report);
            assert_eq!(fleet.highest_revision("bank"), counts, "{claimed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_one_process_cannot_tell_nothing_is_said() {
        let seen = || Some(at(TARGET, &[1], &[("app", &[9])]));
        let partly = |target: &str| {
            let whole = false;
            Some(Backends {
                whole,
                ..at(target, &[], &[])
            })
        };
        for (what, other, counted) in [
            ("another that tells", Some(at(TARGET, &[2], &[])), 1),
            ("a version that does not tell", None, 0),
            ("one that holds too many to tell", partly(TARGET), 0),
            ("one that holds too many elsewhere", partly("ledger:5432"), 1),
        ] {
            let fleet = Fleet::new();
            says(&fleet, "bank", "a", seen());
            says(&fleet, "reports", "b", other);
            assert_eq!(fleet.survey(Instant::now()), counted, "{what}");
        }
        // One that fell silent holds what it held, and no longer counts for what it saw.
        let fleet = Fleet::new();
        says(&fleet, "bank", "a", seen());
        says(&fleet, "reports", "b", Some(at(TARGET, &[9], &[("app", &[7])])));
        tokio::time::advance(SILENT_AFTER).await;
        says(&fleet, "bank", "a", seen());
        assert_eq!(fleet.survey(Instant::now()), 0);
    }
}
