//! The catalogs behind one door, by database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::Known;
use super::footprint::Footprint;
use super::latest::Latest;
use super::near::Near;
use super::side::{Request, Side, Told};
use crate::postgres::ask::Row;
use crate::postgres::handed::Entry;
use crate::postgres::senders::Senders;
use crate::session::{Session, Target};

/// How long an answer may take: beyond it, a session is told that the catalog cannot be read.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Catalogs of the databases behind one door. Cloning shares them.
#[derive(Clone)]
pub struct Catalogs {
    databases: Arc<Mutex<HashMap<Key, Database>>>,
    runtime: Handle,
    senders: Senders,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// In words.
    #[error("the target's catalog cannot be read: {0}")]
    Unreadable(String),
}

/// One database, as sessions were let in to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The Connection, by its uid.
    connection: String,
    /// Host and port. An edit of the Connection sends its next sessions elsewhere, where the same numbers are other relations.
    target: String,
    database: String,
}

/// One database's side connection, and what was read last.
#[derive(Clone)]
struct Database {
    queue: mpsc::UnboundedSender<Request>,
    latest: Arc<Latest>,
}

// === impl Catalogs ===

impl Catalogs {
    /// Side connections live on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self {
            databases: Arc::default(),
            runtime,
            senders: Senders::default(),
        }
    }

    /// Sessions of this process whose notifications may hold anything.
    #[must_use]
    pub fn senders(&self) -> &Senders {
        &self.senders
    }

    /// The catalog of a database as it was committed at some moment after this call, with what the policy protects in it; or,
    /// with `footprints`, one in which all of these are as they were at such a moment. The target comes from a permit; `near` is
    /// the session's own.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn fresh(
        &self,
        near: &mut Near,
        target: &Arc<Target>,
        database: &str,
        session: &Session,
        footprints: &[Arc<Footprint>],
    ) -> Result<Arc<Known>, CatalogError> {
        let shared = || self.database(Key::of(session, database)).latest;
        let revision = session.open().policy.revision();
        let checked = near.fresh(shared, target, database, footprints, revision);
        let known = match checked.await {
            Some(known) => known,
            None => self.told(target, database, session, footprints, false).await?.known,
        };
        near.note(&known);
        Ok(known)
    }

    /// A digest of the code in a database as it was committed at some moment after this call.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn code(&self, target: &Arc<Target>, database: &str, session: &Session) -> Result<Row, CatalogError> {
        Ok(self.told(target, database, session, &[], true).await?.code)
    }

    async fn told(
        &self,
        target: &Arc<Target>,
        database: &str,
        session: &Session,
        footprints: &[Arc<Footprint>],
        code: bool,
    ) -> Result<Told, CatalogError> {
        let open = session.open();
        let (reply, answer) = oneshot::channel();
        let request = Request {
            target: Arc::clone(target),
            footprints: footprints.to_vec(),
            policy: Arc::clone(&open.policy),
            columns: Arc::clone(&session.door().columns),
            sessions: session.door().sessions.clone(),
            code,
            reply,
        };
        // A side connection that has ended drops the question, which the answer shows.
        let _ = self.database(Key::of(session, database)).queue.send(request);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CatalogError::Unreadable("the side connection ended".to_owned())),
            Err(_) => Err(CatalogError::Unreadable("it took too long".to_owned())),
        }
    }

    /// Hands protection on to where a statement copies protected values to, for every session of this door. `false` when the
    /// list is full: then it must not run.
    #[must_use]
    pub fn hand_on(&self, session: &Session, database: &str, entries: Vec<Entry>) -> bool {
        let place = self.database(Key::of(session, database));
        place.latest.hand_on(entries)
    }

    fn database(&self, key: Key) -> Database {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = databases.get(&key)
            && !known.queue.is_closed()
        {
            return known.clone();
        }
        let (queue, requests) = mpsc::unbounded_channel();
        // What was handed on outlives a side connection that broke.
        let latest = databases
            .get(&key)
            .map(|known| Arc::clone(&known.latest))
            .unwrap_or_default();
        self.runtime
            .spawn(Side::new(key.database.clone(), Arc::clone(&latest), &self.runtime).run(requests));
        let database = Database { queue, latest };
        databases.insert(key, database.clone());
        database
    }
}

// === impl Key ===

impl Key {
    fn of(session: &Session, database: &str) -> Self {
        Self {
            connection: session.open().connection.uid.clone(),
            target: session.target().to_owned(),
            database: database.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_that_is_sent_elsewhere_has_another_catalog() {
        let catalogs = Catalogs::new(Handle::current());
        let at = |target: &str| {
            let key = Key {
                connection: "one".to_owned(),
                target: target.to_owned(),
                database: "bank".to_owned(),
            };
            catalogs.database(key).latest
        };
        let here = at("here:5432");
        assert!(Arc::ptr_eq(&here, &at("here:5432")));
        assert!(!Arc::ptr_eq(&here, &at("elsewhere:5432")));
        assert!(!Arc::ptr_eq(&here, &at("here:5433")));
    }
}
