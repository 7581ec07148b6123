//! What an error is about, by which its words are read.

use std::collections::BTreeSet;

use sallyport_policy::sql::{Effect, Statement, Verb};

use super::State;
use crate::postgres::errors;
use crate::postgres::expect::Expect;
use crate::postgres::names::{Change, Stated};
use crate::postgres::readonly::unshifted;
use crate::postgres::rows::View;

// === impl State ===

impl State {
    /// Whether an error may hold protected values. One about relations of its own quotes their values, if any; what names none (COMMIT,
    /// SET CONSTRAINTS, the end of a unit) speaks of what the transaction did before, and so may what ends it unsaid.
    pub(super) fn fails_guarded(&mut self) -> bool {
        let (ends, guarded) = (self.ends_unsaid(), self.has_guarded());
        match self.view() {
            Some(view) if view.names_relations() => guarded || self.guarded && ends,
            _ => guarded || self.guarded,
        }
    }

    /// Whether words about the answer that is under way may hold protected values: what it was understood to touch, or whatever it means
    /// by now.
    pub(super) fn has_guarded(&mut self) -> bool {
        let (acts, muted, astir) = (self.masker.acts(), self.muted, self.astir);
        // No catalog tells what is in what the unit made of other values than was known.
        let unsure = |view: &View| muted || astir && view.reads_unmade();
        self.view()
            .is_some_and(|view| view.guarded || acts && (unsure(&view) || !view.holds(&self.known)))
    }

    /// Whether the answer that is under way is about the last statement of a Query string outside of a transaction, or about a utility
    /// of a pipeline, which may commit by itself: before PostgreSQL says that it is done, it runs what triggers of all before it put off.
    pub(super) fn ends_unsaid(&mut self) -> bool {
        let ends = match self.expected.front() {
            Some(Expect::Query(query)) => query.parts.len() <= 1,
            Some(Expect::Execute { portal, .. }) => portal.stated.as_ref().is_none_or(|stated| !stated.is_data()),
            _ => false,
        };
        ends && self.number.is_none()
    }
}

/// The client's text in which something failed, where an error may say at which place.
pub(super) fn text(failed: Option<&Expect>) -> Option<&str> {
    match failed? {
        Expect::Query(query) => query.parts.front().map(|part| &*part.stated.text),
        Expect::Pin { stated, .. } => Some(&*stated.text),
        Expect::Parse(Change::Prepare(_, prepared), ..) => prepared.stated.as_ref().map(|stated| &*stated.text),
        _ => None,
    }
}

/// The names in a statement that failed, unless code that nobody can see into may have chosen the words: its own, or what was put off
/// until it.
pub(super) fn names(failed: Option<&Expect>) -> Option<BTreeSet<&str>> {
    let (stated, hidden) = match failed? {
        Expect::Query(query) => query.parts.front().map(|part| (&part.stated, is_hidden(&part.view)))?,
        Expect::Execute { portal, .. } => (portal.stated.as_ref()?, is_hidden(&portal.view)),
        Expect::Pin { stated, view, .. } => (stated, is_hidden(view)),
        Expect::Parse(Change::Prepare(_, prepared), view, _) => (prepared.stated.as_ref()?, view.is_some()),
        _ => return None,
    };
    let told = !hidden && !runs_put_off(stated);
    told.then(|| stated.readings().flat_map(Statement::names).collect())
}

/// Whether code that nobody can see into may run: what is done to relations that the text does not tell may be their code, too.
fn is_hidden(view: &View) -> bool {
    view.hidden || view.lineages.iter().any(|lineage| lineage.any)
}

/// Whether a statement runs what triggers put off.
fn runs_put_off(stated: &Stated) -> bool {
    let runs = |statement: &Statement| {
        statement.verbs.contains(Verb::Constraints) || matches!(statement.effect, Effect::Transaction(_))
    };
    stated.readings().any(runs)
}

/// Whether an error is about a relation with protected columns: a cascade fails in rows that the statement does not name.
pub(super) fn quotes_protected(state: &State, fields: &[errors::Field<'_>]) -> bool {
    let text = |code: u8| {
        let field = fields.iter().find(|field| field.code == code)?;
        std::str::from_utf8(field.text).ok()
    };
    match (text(b's'), text(b't')) {
        (Some(schema), Some(table)) => state.known.quotes_protected(schema, table, &state.masker),
        _ => false,
    }
}

/// Where in the client's own text an error is, if the door put something into it.
pub(super) fn moved_position(state: &mut State, fields: &[errors::Field<'_>]) -> Option<String> {
    let Some(Expect::Query(query)) = state.expected.front() else {
        return None;
    };
    if query.shifts.is_empty() {
        return None;
    }
    let position: usize = std::str::from_utf8(fields.iter().find(|field| field.code == b'P')?.text)
        .ok()?
        .parse()
        .ok()?;
    Some(unshifted(position, &query.shifts).to_string())
}
