//! Sessions alive in this process: their number, their limits, and which revision each of them enforces.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sallyport_audit::Digest;
use sallyport_audit::record::Person;
use sallyport_runtime::report::{Absent, Backends};

use super::looked::{Fits, Looked};
use super::refusals::{Refusal, Refusals};
use super::tokens::{Tokens, Use};
use crate::control::Lack;

/// All sessions of one door. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    table: Arc<Mutex<Table>>,
    tokens: Tokens,
    refusals: Refusals,
    looked: Looked,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    alive: HashMap<u64, Entry>,
    people: HashMap<(String, String), usize>,
    caveat: Option<Lack>,
    seen: Option<Backends>,
}

#[derive(Debug)]
struct Entry {
    revision: Arc<AtomicU64>,
    person: (String, String),
}

/// A session's place in the table; dropping it gives the place back.
#[derive(Debug)]
pub struct Slot {
    sessions: Sessions,
    id: u64,
    revision: Arc<AtomicU64>,
    token: Option<Use>,
}

/// As many sessions as the Connection allows are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// In this process.
    #[error("this door has as many sessions as it takes")]
    Door,
    /// Of this person in this process.
    #[error("you have as many sessions as one person may have")]
    Person,
}

// === impl Sessions ===

impl Sessions {
    /// Takes a place for a person, within the limits of the Connection.
    ///
    /// # Errors
    /// When a limit is reached.
    pub fn enter(&self, person: &Person, revision: u64, max: usize, max_per_person: usize) -> Result<Slot, Crowded> {
        let key = (person.issuer.clone(), person.subject.clone());
        let mut table = self.lock();
        if table.alive.len() >= max {
            return Err(Crowded::Door);
        }
        let own = table.people.entry(key.clone()).or_default();
        if *own >= max_per_person {
            return Err(Crowded::Person);
        }
        *own += 1;
        let id = table.next;
        table.next += 1;
        let revision = Arc::new(AtomicU64::new(revision));
        table.alive.insert(
            id,
            Entry {
                revision: Arc::clone(&revision),
                person: key,
            },
        );
        drop(table);
        Ok(Slot {
            sessions: self.clone(),
            id,
            revision,
            token: None,
        })
    }

    /// What was found last to weaken the door's promises at its target; `None` when nothing does.
    pub fn found(&self, caveat: Option<Lack>) {
        self.lock().caveat = caveat;
    }

    /// What weakens the door's promises at its target.
    #[must_use]
    pub fn caveat(&self) -> Option<Lack> {
        self.lock().caveat.clone()
    }

    /// The target does not let the door in, which asked for this database.
    pub fn target_refused(&self, database: &str, refusal: Refusal) {
        self.refusals.refused(database, refusal);
    }

    /// The target let the door in, to this database.
    pub fn target_let_in(&self, database: &str) {
        self.refusals.let_in(database);
    }

    /// What sessions show to a target, or which one, is another from now on: nothing of that was refused yet.
    pub fn dial_otherwise(&self) {
        self.refusals.forget();
    }

    /// Why the target does not let the door in.
    #[must_use]
    pub fn refusals(&self) -> Vec<Lack> {
        self.refusals.lacks()
    }

    /// What the column names of rules fit in a database of a target at present.
    pub fn looked(&self, target: &str, database: &str, fits: &Arc<Fits>) {
        self.looked.found(target, database, fits);
    }

    /// A target has no such database, or has it no more.
    pub fn no_database(&self, target: &str, database: &str) {
        self.looked.gone(target, database);
    }

    /// Which of these names fit no column of any database of a target that sessions were in; `None` while one of them was looked for
    /// nowhere.
    #[must_use]
    pub fn absent(&self, target: &str, names: &[String]) -> Option<BTreeMap<String, Absent>> {
        self.looked.absent(target, names)
    }

    /// Who else was last seen at the target; `None` while nobody looks.
    pub fn saw(&self, seen: Option<Backends>) {
        self.lock().seen = seen;
    }

    /// Who else was last seen at the target.
    #[must_use]
    pub fn seen(&self) -> Option<Backends> {
        self.lock().seen.clone()
    }

    /// Another address than `from` by which a token, by its hash, is in use at this moment.
    #[must_use]
    pub fn elsewhere(&self, token: &Digest, from: IpAddr) -> Option<IpAddr> {
        self.tokens.elsewhere(token, from)
    }

    /// Sessions alive.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().alive.len()
    }

    /// The oldest revision that any session still enforces (a stream that began under it runs to its end); `None` without
    /// sessions. A process enforces revision R when it has loaded R and this is `None` or at least R.
    #[must_use]
    pub fn oldest_revision(&self) -> Option<u64> {
        self.lock()
            .alive
            .values()
            .map(|entry| entry.revision.load(Ordering::Acquire))
            .min()
    }

    /// A panic while the lock was held leaves counters at worst one too high; that must not end every later session.
    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Slot ===

impl Slot {
    /// States by which token the session came, and from where. Gives another address by which that token is in use now.
    pub fn came_by(&mut self, token: &[u8], from: IpAddr) -> Option<IpAddr> {
        let (using, other) = self.sessions.tokens.using(token, from);
        self.token = Some(using);
        other
    }

    /// The hash of the session's token and the address that it came from, where they were stated.
    #[must_use]
    pub fn token(&self) -> Option<(Digest, IpAddr)> {
        self.token.as_ref().map(|token| (token.token(), token.address()))
    }

    /// The address that the session came from, where it was stated.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.token.as_ref().map(Use::address)
    }

    /// States which revision this session enforces from now on.
    pub fn enforces(&self, revision: u64) {
        self.revision.store(revision, Ordering::Release);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.sessions.lock();
        if let Some(entry) = table.alive.remove(&self.id)
            && let Some(own) = table.people.get_mut(&entry.person)
        {
            *own -= 1;
            if *own == 0 {
                table.people.remove(&entry.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sallyport_crds::Reason;

    use super::*;

    #[test]
    fn what_was_found_last_counts() {
        let sessions = Sessions::default();
        assert_eq!(sessions.caveat(), None);
        let caveat = Lack::new(Reason::TargetRoleTooStrong, "role x is a superuser");
        sessions.clone().found(Some(caveat.clone()));
        assert_eq!(sessions.caveat(), Some(caveat));
        sessions.found(None);
        assert_eq!(sessions.caveat(), None);
    }

    fn person(subject: &str) -> Person {
        Person {
            issuer: "https://idp".into(),
            subject: subject.into(),
            username: "x".into(),
        }
    }

    #[test]
    fn limits_hold_and_places_come_back() {
        let sessions = Sessions::default();
        let first = sessions.enter(&person("a"), 3, 2, 1).unwrap();
        assert_eq!(sessions.enter(&person("a"), 3, 2, 1).unwrap_err(), Crowded::Person);
        let second = sessions.enter(&person("b"), 5, 2, 1).unwrap();
        assert_eq!(sessions.enter(&person("c"), 5, 2, 1).unwrap_err(), Crowded::Door);
        assert_eq!(sessions.oldest_revision(), Some(3));
        first.enforces(5);
        assert_eq!(sessions.oldest_revision(), Some(5));
        drop(first);
        let again = sessions.enter(&person("a"), 5, 2, 1).unwrap();
        assert_eq!(sessions.count(), 2);
        drop((second, again));
        assert_eq!((sessions.count(), sessions.oldest_revision()), (0, None));
    }
}
