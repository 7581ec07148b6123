//! What a statement changes in the session once it has run, and what the door has to look up again after it.

use sallyport_policy::sql::{Effect, Statement, Transaction, Verb};

use super::names::{Change, Stated};

/// What the door's own knowledge of a session may no longer be true of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// How unqualified names are looked up.
    pub path: bool,
    /// Relations that only this session sees: temporary ones, and its own uncommitted ones.
    pub relations: bool,
    /// What names of prepared statements mean.
    pub names: bool,
}

/// What follows from one statement that ran.
#[derive(Clone, Debug, Default)]
pub struct After {
    /// What it does to transactions.
    pub transaction: Option<Transaction>,
    /// What has to be looked up again.
    pub stale: Stale,
}

/// Verbs after which relations may be others.
const DEFINES: [Verb; 4] = [Verb::Create, Verb::Alter, Verb::Drop, Verb::Discard];

// === impl After ===

impl After {
    /// What follows from a statement, by all its readings.
    pub fn of<'a>(readings: impl Iterator<Item = &'a Statement>) -> Self {
        let mut after = Self::default();
        for statement in readings {
            let opaque = !statement.opaque.is_empty();
            let path = |name: &Option<String>| {
                name.as_deref()
                    .is_none_or(|name| matches!(name, "search_path" | "role" | "session_authorization"))
            };
            after.stale.relations |= opaque || statement.verbs.any(&DEFINES);
            after.stale.names |= opaque;
            after.stale.path |= opaque
                || statement.settings.iter().any(|setting| path(&setting.name))
                || statement
                    .verbs
                    .any(&[Verb::Reset, Verb::Discard, Verb::Create, Verb::Drop]);
            if let Effect::Transaction(transaction) = &statement.effect {
                after.transaction = Some(transaction.clone());
            }
        }
        after
    }
}

// === impl Stale ===

impl Stale {
    /// Whether anything is.
    #[must_use]
    pub fn any(self) -> bool {
        self.path || self.relations || self.names
    }

    /// Adds what else is.
    pub fn add(&mut self, other: Self) {
        self.path |= other.path;
        self.relations |= other.relations;
        self.names |= other.names;
    }
}

/// The names that a statement of SQL changes. `query` is the text and statement that PREPARE or DECLARE is about.
#[must_use]
pub fn change(stated: &Stated) -> Option<Change> {
    let statement = stated.statement()?;
    match &statement.effect {
        Effect::Prepare { name } => {
            let prepared = super::names::Prepared {
                stated: Some(stated.clone()),
                by_sql: true,
            };
            Some(Change::Prepare(name.clone(), std::rc::Rc::new(prepared)))
        }
        Effect::Deallocate { name } => Some(Change::Deallocate(name.clone())),
        Effect::Declare { name, .. } => Some(Change::Declare(name.clone(), stated.clone())),
        Effect::Close { name } => Some(Change::CloseCursor(name.clone())),
        Effect::Discard { all: true } => Some(Change::Discard),
        _ => None,
    }
}
