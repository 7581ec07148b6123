//! What names mean now: the shared catalog, and what only this session's own backend knows.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sallyport_policy::Policy;
use sallyport_policy::catalog::{Catalog as _, Code, Oid, Relation, SearchPath, Snapshot};
use sallyport_policy::columns::TEMPORARY;
use sallyport_policy::mask::ProtectedColumns;
use sallyport_policy::mask::types::Class;
use sallyport_policy::sql::Statement;

use super::beside::catch_up;
use super::{Conversation, Over};
use crate::postgres::after::Stale;
use crate::postgres::catalog::{Casting, CatalogError, Depth, Footprint, Known, Own, own_query, read_own};
use crate::postgres::forward;
use crate::postgres::handed::{self, Entry, Place};
use crate::postgres::meant::Meant;
use crate::postgres::message::Transaction;
use crate::postgres::names::{Prepared, Stated};
use crate::postgres::script;
use crate::session::Session;

/// Relations that only this session sees, or has to know.
#[derive(Default)]
pub(super) struct OwnRelations {
    relations: Vec<Relation>,
    types: HashMap<Oid, Class>,
    code: Code,
    casting: Vec<Casting>,
    /// Whether they are all relations there are but the system's own: after uncommitted DDL of its own.
    all: bool,
    /// The shared catalog from before they were asked for, if they are all.
    beside: Option<Arc<Snapshot>>,
    /// Where this session's statements copied protected values to.
    handed: Vec<Entry>,
    /// What of it was found by number and is not handed on yet: the name that was noted may be gone once others see it.
    learned: Vec<Entry>,
    /// What was protected last: of temporary tables nobody else knows what they were called before.
    protected: Option<Arc<ProtectedColumns>>,
    /// What [`OwnRelations::over`] found last.
    laid: Option<Laid>,
}

/// What is laid over a shared catalog, and all that it hangs on beside the relations themselves.
struct Laid {
    shared: Arc<Known>,
    entries: usize,
    revision: u64,
    known: Arc<Known>,
}

/// Whether what a statement means depends on the catalog.
pub(super) fn needs_catalog(statement: &Statement) -> bool {
    !statement.relations.is_empty()
        || !statement.functions.is_empty()
        || statement.operates
        || statement.verbs.fire()
        || !statement.opaque.is_empty()
        // CLUSTER, VACUUM and ANALYZE of all tables name none of them.
        || statement.beyond.is_some()
        || !statement.executes.is_empty()
        || !statement.cursors.is_empty()
}

impl Conversation {
    /// Makes sure that what is known is fresh: read after the client sent its unit.
    pub(super) async fn learn(&mut self, session: &mut Session) -> Result<Result<(), CatalogError>, Over> {
        self.learn_by(session, &[]).await
    }

    /// The same for a unit that hangs on these footprints alone, if there are any.
    pub(super) async fn learn_by(
        &mut self,
        session: &mut Session,
        footprints: &[Arc<Footprint>],
    ) -> Result<Result<(), CatalogError>, Over> {
        self.state.strangers = false;
        let amid = self.state.unsynced || self.state.transaction == Transaction::Failed;
        if !amid && !self.schemas.is_empty() && self.state.stale.any() {
            self.ask_own(session, Depth::Relations).await?;
        }
        // What ran has been answered by now, and has said what it changes.
        self.state.executed &= amid;
        self.state.astir &= amid;
        self.state.was_late &= amid;
        let mut asked = Instant::now();
        let mut known = self.shared(session, footprints).await;
        // What others define is seen by the transaction that defines, too. It was asked beside what they had defined by then, so
        // nothing is taken from there the second time.
        if !amid && self.own.all && known.as_ref().is_ok_and(|known| !self.own.is_beside(known)) {
            self.ask_own(session, Depth::All).await?;
            asked = Instant::now();
            known = self.shared(session, footprints).await;
        }
        match known {
            Ok(known) => {
                // Somebody made a schema of the path, or gave a right to one.
                let moved = self.schemas != known.schemas;
                if amid && (moved || !self.still_holds(&known)) {
                    // Nothing can be asked now. Where names are not known, nothing that they could mean is safe.
                    self.path = None;
                } else if moved {
                    self.schemas = Arc::clone(&known.schemas);
                    self.state.stale.path = true;
                    self.ask_own(session, Depth::All).await?;
                }
                self.state.known = self.own.over(&known, session, &self.database);
                self.state.fresh = asked;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Whether what the session's own backend said last is still so: nothing ran in it since then, and nobody else changed what
    /// it sees.
    fn still_holds(&self, shared: &Known) -> bool {
        let alone = self.state.transaction == Transaction::Open && !self.state.executed;
        !self.state.stale.any() && (!self.own.all || alone && self.own.is_beside(shared))
    }

    /// The shared catalog.
    async fn shared(&mut self, session: &Session, footprints: &[Arc<Footprint>]) -> Result<Arc<Known>, CatalogError> {
        let (near, target) = (&mut self.near, &self.dialled);
        self.catalogs
            .fresh(near, target, &self.database, session, footprints)
            .await
    }

    /// Asks the session's own backend, between units: after uncommitted DDL so `deep`.
    async fn ask_own(&mut self, session: &mut Session, deep: Depth) -> Result<(), Over> {
        let uncommitted = self.state.transaction == Transaction::Open && self.state.changed.relations;
        let imported = self.state.imported;
        let whole = uncommitted && !imported;
        // Asked for before the session's own backend is: what others do from then on is either seen by both or told by the next.
        let beside = match whole {
            true => self
                .shared(session, &[])
                .await
                .ok()
                .map(|known| Arc::clone(&known.snapshot)),
            false => None,
        };
        // Types with code have whatever is made of them run it, too.
        let shared = beside
            .as_ref()
            .filter(|one| deep == Depth::Relations && one.code().types.is_empty());
        let depth = match (whole, shared) {
            (true, Some(_)) => Depth::Relations,
            (true, None) => Depth::All,
            (false, _) => Depth::Names,
        };
        let mut own = self.own_at(session, depth).await?;
        if let Some(shared) = shared {
            if own.as_ref().is_some_and(|own| own.codes) {
                own = self.own_at(session, Depth::All).await?;
            } else if let Some(own) = &mut own {
                own.share(shared);
            }
        }
        if !uncommitted && !imported && own.as_ref().is_some_and(|own| own.temporary) {
            own = self.own_at(session, Depth::Temporary).await?;
        }
        let Some(mut own) = own else {
            self.path = None;
            return Ok(());
        };
        if std::mem::take(&mut self.state.stale.names) {
            self.take_names(std::mem::take(&mut own.prepared));
        }
        if imported && (uncommitted || has_temporary(&own.path)) {
            // The snapshot may be older than relations that only this session has: read by it, they would not be there, while
            // the target finds them. What was known of them is kept, and asked for again once the transaction is over.
            self.path = None;
            self.state.stale.path = true;
            return Ok(());
        }
        self.state.stale = Stale::default();
        self.state.executed = false;
        let current = own.current;
        self.take_own(own, whole);
        self.own.beside = beside;
        if whole && !current {
            // Its catalogs are as old as its transaction, while the target looks names up as they are now.
            self.path = None;
        }
        Ok(())
    }

    async fn own_at(&mut self, session: &mut Session, depth: Depth) -> Result<Option<Own>, Over> {
        forward::own(&mut self.state, &own_query(depth), &mut self.target.out);
        // Boxed: answers may need a fresh catalog, which is asked for from here.
        Box::pin(self.answers(session)).await?;
        let answer = self.state.answered.take().and_then(Result::ok);
        Ok(answer.as_deref().and_then(read_own))
    }

    fn take_own(&mut self, own: Own, all: bool) {
        self.path = Some(own.path);
        self.own = OwnRelations {
            relations: own.relations,
            types: own.types,
            code: own.code,
            casting: own.casting,
            all,
            beside: None,
            handed: std::mem::take(&mut self.own.handed),
            learned: std::mem::take(&mut self.own.learned),
            protected: self.own.protected.take(),
            laid: None,
        };
    }

    /// Statements prepared by SQL, as the backend lists them: each by the whole text that was sent, or that code ran, with all that stands
    /// beside it there. Of a text that prepares several of one name nobody knows which it is.
    fn take_names(&mut self, prepared: Vec<(String, String)>) {
        let listed = prepared.into_iter().filter_map(|(name, text)| {
            let text = script::read(&text).ok()?;
            let stated = Stated {
                index: text.script.preparing(&name)?,
                text: text.text,
                script: text.script,
            };
            Some((
                name,
                Rc::new(Prepared {
                    stated: Some(stated),
                    by_sql: true,
                    types: Vec::new(),
                    meant: Meant::lost(),
                }),
            ))
        });
        self.state.names.reread(listed.collect());
    }
}

/// Whether the session has a schema of its own. The path is told by what is there, whatever the transaction sees.
fn has_temporary(path: &SearchPath) -> bool {
    path.schemas().iter().any(|schema| schema.starts_with(TEMPORARY))
}

// === impl OwnRelations ===

impl OwnRelations {
    /// Notes where protected values go; `false` when there is no room to.
    pub(super) fn hand_on(&mut self, entries: Vec<Entry>) -> bool {
        for entry in entries {
            if !self.handed.contains(&entry) {
                self.handed.push(entry);
            }
        }
        self.handed.len() <= handed::MAX_ENTRIES
    }

    /// What was found by number since this was asked for the last time.
    pub(super) fn learned(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.learned)
    }

    /// Whether protected values went to anything by its name.
    pub(super) fn names_any(&self) -> bool {
        self.handed.iter().any(|entry| matches!(entry.place, Place::Named(_)))
    }

    /// Whether what this session sees is what all see.
    pub(super) fn is_nothing(&self) -> bool {
        self.relations.is_empty() && !self.all
    }

    /// Whether this is the shared catalog from before they were asked for.
    fn is_beside(&self, shared: &Known) -> bool {
        let same = |before: &Arc<Snapshot>| Arc::ptr_eq(before, &shared.snapshot);
        self.beside.as_ref().is_some_and(same)
    }

    /// Whether uncommitted DDL of the session's own is seen.
    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// Whether others have changed nothing since uncommitted DDL of the session's own was read, if it was.
    pub(super) fn is_current(&self, shared: &Known) -> bool {
        !self.all || self.beside.is_none() || self.is_beside(shared)
    }

    /// The shared catalog with what only this session sees laid over it.
    pub(super) fn over(&mut self, shared: &Arc<Known>, session: &Session, database: &str) -> Arc<Known> {
        if self.is_nothing() {
            return Arc::clone(shared);
        }
        let policy = &session.open().policy;
        // A copy of a large catalog takes longer than many a statement, and each is judged by one.
        let same = |laid: &&Laid| {
            Arc::ptr_eq(&laid.shared, shared) && laid.entries == self.handed.len() && laid.revision == policy.revision()
        };
        if let Some(laid) = self.laid.as_ref().filter(same) {
            return Arc::clone(&laid.known);
        }
        let known = Arc::new(self.lay(shared, policy, database));
        self.laid = Some(Laid {
            shared: Arc::clone(shared),
            entries: self.handed.len(),
            revision: policy.revision(),
            known: Arc::clone(&known),
        });
        known
    }

    fn lay(&mut self, shared: &Known, policy: &Policy, database: &str) -> Known {
        let mut relations = self.relations.clone();
        for relation in &mut relations {
            if relation.definition.is_none()
                && let Some(known) = shared.snapshot.relation(relation.oid)
            {
                relation.definition.clone_from(&known.definition);
            }
        }
        // All relations were read with the code of their types.
        for casting in self.casting.iter().filter(|_| !self.all) {
            casting.note(&mut relations, shared.snapshot.code());
        }
        let snapshot = if self.all {
            let system = shared.snapshot.relations().filter(|relation| relation.is_built_in());
            let mut code = self.code.clone();
            if let Some(beside) = self.beside.as_ref().filter(|one| !Arc::ptr_eq(one, &shared.snapshot)) {
                catch_up(&mut relations, beside, &shared.snapshot);
                // What was made here nobody else sees yet.
                if beside.code() != shared.snapshot.code() {
                    code = code.joined(shared.snapshot.code());
                }
            }
            relations.extend(system.cloned());
            Snapshot::new(relations).with_code(code)
        } else {
            shared.snapshot.with(relations)
        };
        let (rules, kept) = (policy.masks().rules(), policy.columns(database));
        let mut protected = ProtectedColumns::resolve(rules, &snapshot, Some(&shared.protected), kept);
        if let Some(before) = &self.protected {
            protected.carry(before, rules, &snapshot, |one| one.schema.starts_with(TEMPORARY));
        }
        for entry in handed::apply(&self.handed, &mut protected, &snapshot) {
            if !self.handed.contains(&entry) {
                self.learned.push(entry.clone());
                self.handed.push(entry);
            }
        }
        let mut types = (*shared.types).clone();
        types.extend(self.types.iter().map(|(oid, class)| (*oid, *class)));
        let protected = Arc::new(protected);
        self.protected = Some(Arc::clone(&protected));
        Known {
            snapshot: Arc::new(snapshot),
            types: Arc::new(types),
            protected,
            rows: Arc::clone(&shared.rows),
            schemas: Arc::clone(&shared.schemas),
            revision: shared.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_relations_that_it_does_not_name_hangs_on_the_catalog() {
        let needs = |sql: &str| {
            let script = sallyport_policy::sql::parse(sql).unwrap();
            script.statements.iter().all(needs_catalog)
        };
        for sql in [
            "cluster",
            "cluster verbose",
            "vacuum",
            "vacuum (full, verbose)",
            "analyze",
            "reindex database d",
            "drop owned by r",
            "create server s foreign data wrapper w",
            "select 'x'::d",
        ] {
            assert!(needs(sql), "{sql}");
        }
        for sql in ["select 1", "begin", "show work_mem", "checkpoint"] {
            assert!(!needs(sql), "{sql}");
        }
    }
}
