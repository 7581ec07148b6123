//! What was understood before.
//!
//! A prepared statement is bound again and again, and means the same as long as the catalog, the path, the rules and the
//! person's mask are the same. Verdicts are not kept: they hang on parameters, the moment and the transaction, too.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use sallyport_policy::catalog::SearchPath;
use sallyport_policy::mask::Masker;
use sallyport_policy::sql::Script;

use super::{Context, Understood};
use crate::postgres::catalog::Known;
use crate::postgres::names::Stated;

/// Statements that a session remembers: the newest.
const MAX_STATEMENTS: usize = 16;

/// The statements that a session understood last.
#[derive(Default)]
pub struct Remembered(RefCell<VecDeque<(Circumstances, Understood)>>);

/// Everything that the meaning of a statement hangs on, but its session.
struct Circumstances {
    script: Arc<Script>,
    index: usize,
    known: Arc<Known>,
    path: Option<SearchPath>,
    masker: Arc<Masker>,
    revision: u64,
}

// === impl Remembered ===

impl Remembered {
    /// What the statement meant the last time, if nothing has changed since.
    pub(super) fn find(&self, context: &Context<'_>, stated: &Stated) -> Option<Understood> {
        let all = self.0.borrow();
        let (_, understood) = all.iter().find(|(then, _)| then.are(context, stated))?;
        let mut understood = understood.clone();
        understood.asked.command.in_transaction = context.in_transaction;
        understood.asked.command.at = context.at;
        Some(understood)
    }

    /// Remembers a statement, unless what it means hangs on names of the session.
    pub(super) fn keep(&self, context: &Context<'_>, stated: &Stated, understood: &Understood) {
        let mut readings = stated.readings();
        let names_others = readings.any(|statement| !(statement.executes.is_empty() && statement.cursors.is_empty()));
        if names_others {
            return;
        }
        let mut all = self.0.borrow_mut();
        // An old catalog is large, and does not come back.
        all.retain(|(then, _)| Arc::ptr_eq(&then.known, context.known));
        all.truncate(MAX_STATEMENTS - 1);
        all.push_front((Circumstances::of(context, stated), understood.clone()));
    }
}

// === impl Circumstances ===

impl Circumstances {
    fn of(context: &Context<'_>, stated: &Stated) -> Self {
        Self {
            script: Arc::clone(&stated.script),
            index: stated.index,
            known: Arc::clone(context.known),
            path: context.path.cloned(),
            masker: Arc::clone(context.masker),
            revision: context.policy.revision(),
        }
    }

    fn are(&self, context: &Context<'_>, stated: &Stated) -> bool {
        Arc::ptr_eq(&self.script, &stated.script)
            && self.index == stated.index
            && Arc::ptr_eq(&self.known, context.known)
            && Arc::ptr_eq(&self.masker, context.masker)
            && self.revision == context.policy.revision()
            && self.path.as_ref() == context.path
    }
}
