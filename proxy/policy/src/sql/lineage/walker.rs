//! What a walk over one statement carries along.

use std::collections::HashMap;
use std::rc::Rc;

use crate::catalog::{Catalog, ColumnId, Oid, SearchPath};
use crate::sql::tree::Node;

use super::scope::Rows;
use super::{Flow, Lineage, Spilled};

/// How many nodes a walk visits before it gives up: recursion within views within recursion multiplies.
const FUEL: u32 = 200_000;

/// A walk over one statement and the views it reads.
pub(super) struct Walker<'c> {
    pub(super) catalog: &'c dyn Catalog,
    /// The path under which names are read just now.
    pub(super) path: SearchPath,
    pub(super) found: Lineage,
    /// Views that are being read just now, outermost first.
    pub(super) views: Vec<Oid>,
    pub(super) known_views: HashMap<Oid, Rc<Rows>>,
    fuel: u32,
}

// === impl Walker ===

impl<'c> Walker<'c> {
    pub(super) fn new(catalog: &'c dyn Catalog, path: &SearchPath) -> Self {
        Self {
            catalog,
            path: path.clone(),
            found: Lineage::default(),
            views: Vec::new(),
            known_views: HashMap::new(),
            fuel: FUEL,
        }
    }

    /// Takes one step; false when the walk has gone on for too long, and everything is unknown from here on.
    pub(super) fn step(&mut self) -> bool {
        if self.fuel == 0 {
            return false;
        }
        self.fuel -= 1;
        if self.fuel == 0 {
            self.opaque("a query too large to follow".to_owned());
        }
        true
    }

    /// Notes that columns stand in the statement.
    pub(super) fn touch(&mut self, flow: &Flow) {
        self.found.touched.extend(flow.columns().iter().copied());
        self.found.any |= flow.any;
    }

    /// Notes that columns stand elsewhere than in an output. What a view does inside is not the asker's question.
    pub(super) fn aside(&mut self, flow: &Flow) {
        if self.views.is_empty() {
            self.found.elsewhere.extend(flow.columns().iter().copied());
        }
    }

    /// Notes that an expression works on columns.
    pub(super) fn work(&mut self, flow: &Flow) {
        if self.views.is_empty() {
            self.found.worked.extend(flow.columns().iter().copied());
        }
    }

    /// Notes an assignment.
    pub(super) fn assign(&mut self, column: ColumnId, flow: &Flow) {
        self.found.touched.insert(column);
        self.found.assigned.entry(column).or_default().join(flow);
    }

    /// Notes an assignment to a relation that the catalog does not know.
    pub(super) fn spill(&mut self, target: Node<'_>, flow: &Flow) {
        if flow.is_clean() {
            return;
        }
        let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
        self.found.spilled.push(Spilled {
            schema: schema.map(str::to_owned),
            name: target.text("relname").to_owned(),
            flow: flow.clone().mixed(),
        });
    }

    /// Notes something that cannot be seen into.
    pub(super) fn opaque(&mut self, what: String) {
        if !self.found.opaque.contains(&what) {
            self.found.opaque.push(what);
        }
    }

    /// Notes a relation that the catalog does not know.
    pub(super) fn unresolved(&mut self, name: String) {
        if !self.found.unresolved.contains(&name) {
            self.found.unresolved.push(name);
        }
    }
}
