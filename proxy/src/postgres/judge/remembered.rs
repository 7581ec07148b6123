//! What was understood before.
//!
//! A prepared statement is bound again and again, and texts that differ in numbers share a script; all of them mean the same
//! as long as the catalog, the path, the rules and the person's mask are the same. Verdicts are not kept: they hang on the
//! text, parameters, the moment and the transaction, too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sallyport_policy::catalog::SearchPath;
use sallyport_policy::mask::Masker;
use sallyport_policy::sql::Script;

use super::{Context, Understood};
use crate::postgres::catalog::Known;
use crate::postgres::names::Stated;

/// Statements that one thread remembers of one database.
const MAX_STATEMENTS: usize = 256;
/// What they may weigh together.
const MAX_WEIGHT: usize = 100_000;
/// Heavier ones are not remembered: they seldom come twice.
const MAX_EACH: usize = MAX_WEIGHT / 10;
/// Databases that it remembers anything of.
const MAX_DATABASES: usize = 16;

thread_local! {
    static DATABASES: RefCell<HashMap<String, Database>> = RefCell::default();
}

/// The statements that sessions of this thread understood, under one catalog.
struct Database {
    known: Arc<Known>,
    statements: HashMap<Circumstances, Understood>,
    /// What they weigh.
    weight: usize,
}

/// Everything that the meaning of a statement hangs on, but its catalog and its session.
#[derive(PartialEq, Eq, Hash)]
struct Circumstances {
    script: Same<Script>,
    index: usize,
    path: Option<SearchPath>,
    masker: Same<Masker>,
    revision: u64,
}

/// The very same, which is held so that no other can take its place.
struct Same<T>(Arc<T>);

/// What the statement meant the last time, if nothing has changed since.
pub(super) fn find(context: &Context<'_>, stated: &Stated) -> Option<Understood> {
    let mut understood = DATABASES.with_borrow(|databases| {
        let database = databases.get(context.database)?;
        let same = Arc::ptr_eq(&database.known, context.known);
        same.then(|| database.statements.get(&Circumstances::of(context, stated)).cloned())?
    })?;
    if understood.stated.text != stated.text {
        // What is shown in its place holds what it says.
        if understood.asked.cover.text().is_some() {
            return None;
        }
        understood.asked.command.text = stated.statement()?.text(&stated.text).into();
        understood.stated = stated.clone();
    }
    understood.asked.command.in_transaction = context.in_transaction;
    understood.asked.command.at = context.at;
    Some(understood)
}

/// Remembers a statement, unless what it means hangs on names of the session, or it gives some a meaning.
pub(super) fn keep(context: &Context<'_>, stated: &Stated, understood: &Understood) {
    let mut readings = stated.readings();
    let names_others = readings.any(|statement| !(statement.executes.is_empty() && statement.cursors.is_empty()));
    let weight = stated.weight();
    if names_others || understood.change.is_some() || weight > MAX_EACH {
        return;
    }
    DATABASES.with_borrow_mut(|databases| {
        let there = databases.get(context.database);
        let known = there.is_some_and(|database| Arc::ptr_eq(&database.known, context.known));
        if !known {
            if databases.len() >= MAX_DATABASES {
                databases.clear();
            }
            // An old catalog is large, and does not come back.
            let database = Database {
                known: Arc::clone(context.known),
                statements: HashMap::new(),
                weight: 0,
            };
            databases.insert(context.database.to_owned(), database);
        }
        if let Some(database) = databases.get_mut(context.database) {
            // Statements of one text share it.
            let share = weight / stated.script.statements.len().max(1);
            database.keep(Circumstances::of(context, stated), understood.clone(), share);
        }
    });
}

// === impl Database ===

impl Database {
    fn keep(&mut self, circumstances: Circumstances, understood: Understood, weight: usize) {
        self.weight += weight;
        if self.statements.len() >= MAX_STATEMENTS || self.weight > MAX_WEIGHT {
            self.statements.clear();
            self.weight = weight;
        }
        self.statements.insert(circumstances, understood);
    }
}

// === impl Circumstances ===

impl Circumstances {
    fn of(context: &Context<'_>, stated: &Stated) -> Self {
        Self {
            script: Same(Arc::clone(&stated.script)),
            index: stated.index,
            path: context.path.cloned(),
            masker: Same(Arc::clone(context.masker)),
            revision: context.policy.revision(),
        }
    }
}

// === impl Same ===

impl<T> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Same<T> {}

impl<T> Hash for Same<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
