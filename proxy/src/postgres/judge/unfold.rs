//! What the statements of a unit mean to those after them, before any of them ran.

use std::sync::Arc;

use sallyport_policy::catalog::SearchPath;
use sallyport_policy::sql::Verb;

use super::{Context, Understood};
use crate::postgres::catalog::Known;
use crate::postgres::handed;

/// The catalog as it unfolds along a unit.
#[derive(Default)]
pub struct Unfolding {
    /// The catalog and the path after what was made so far.
    now: Option<(Arc<Known>, Option<SearchPath>)>,
    /// Whether relations may be there that no catalog holds yet.
    pub definitions: bool,
    /// Whether a relation with protected columns was altered: names mean something else from here on.
    pub shaken: bool,
    /// Whether names are looked up in another way from here on.
    pub moved: bool,
    /// Whether code ran that nobody can see into: names may be looked up in another way from here on.
    pub hidden: bool,
    /// Whether protected values went to where the catalog does not reach yet.
    pub spilled: bool,
}

// === impl Unfolding ===

impl Unfolding {
    /// Whether nothing came before that changes what anything means.
    pub fn is_nothing(&self) -> bool {
        self.now.is_none() && !(self.definitions || self.shaken || self.moved || self.hidden || self.spilled)
    }

    /// The context of the next statement.
    pub fn context<'a>(&'a self, context: &Context<'a>) -> Context<'a> {
        match &self.now {
            Some((known, path)) => Context {
                known,
                path: path.as_ref(),
                ..*context
            },
            None => *context,
        }
    }

    /// Takes note of a statement that will have run before the next.
    pub fn add(&mut self, context: &Context<'_>, understood: &Understood) {
        let stale = understood.after.stale;
        self.definitions |= stale.relations || stale.path;
        let mut readings = understood.stated.readings();
        let alters = readings.any(|statement| statement.verbs.contains(Verb::Alter));
        self.moved |= understood.after.moves;
        self.hidden |= stale.names;
        let view = &understood.view;
        let protected = &view.known.protected;
        self.spilled |= view.lineages.iter().any(|lineage| {
            let made = lineage.created.as_ref();
            let unseen = made.is_some_and(|created| !created.view && created.columns.is_none());
            !lineage.spilled.is_empty() || unseen && !lineage.touched_rules(protected).is_empty()
        });
        self.shaken |= alters
            && view
                .lineages
                .iter()
                .any(|lineage| !lineage.touched_rules(protected).is_empty());
        let path = self.now.as_ref().map_or(context.path, |(_, path)| path.as_ref());
        if let Some(next) = handed::after(view, path) {
            self.now = Some(next);
        }
    }
}
