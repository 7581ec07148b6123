//! What a walk over one statement carries along.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::catalog::{Catalog, ColumnId, Oid, Relation, SearchPath};
use crate::sql::functions::{Safety, is_own_operator, safety};
use crate::sql::tree::Node;

use super::expression::NAMES_A_STEP;
use super::scope::Rows;
use super::{Flow, Lineage, Spilled};

/// How many nodes a walk visits before it gives up, beside a few times those of the statement itself: recursion within views
/// within recursion multiplies, a long list does not.
const FUEL: usize = 200_000;
const PER_NODE: usize = 4;
/// What stands for everything that a walk did not get to.
const TOO_LARGE: &str = "a query too large to follow";

/// Functions that are given the name of a type, and try whether a value is of it.
const TRIES: [&str; 2] = ["pg_input_is_valid", "pg_input_error_info"];

/// A walk over one statement and the views it reads.
pub(super) struct Walker<'c> {
    pub(super) catalog: &'c dyn Catalog,
    /// The path under which names are read just now.
    pub(super) path: SearchPath,
    pub(super) found: Lineage,
    /// Views that are being read just now, outermost first.
    pub(super) views: Vec<Oid>,
    pub(super) known_views: HashMap<Oid, Rc<Rows>>,
    /// Relations whose policies have been looked at.
    pub(super) guarded: HashSet<Oid>,
    fuel: usize,
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
            guarded: HashSet::new(),
            fuel: FUEL,
        }
    }

    /// Lets the walk go on for as long as a statement of this size may take.
    pub(super) fn fill(&mut self, nodes: usize) {
        self.fuel = self.fuel.saturating_add(nodes.saturating_mul(PER_NODE));
    }

    /// Takes one step; false when the walk has gone on for too long, and everything is lost from here on.
    pub(super) fn step(&mut self) -> bool {
        self.spend(1)
    }

    /// As many at once.
    pub(super) fn spend(&mut self, steps: usize) -> bool {
        if self.fuel == 0 {
            return false;
        }
        self.fuel = self.fuel.saturating_sub(steps);
        if self.fuel == 0 {
            self.found.unfinished = true;
            self.found.any = true;
            self.found.opaque.push(TOO_LARGE.to_owned());
            self.found.lost.push(TOO_LARGE.to_owned());
        }
        true
    }

    /// Pays for rows that are made or named anew: a few words may double them again and again, which PostgreSQL refuses only once
    /// there are 1,664 columns.
    pub(super) fn pay(&mut self, rows: &Rows) -> bool {
        self.spend(rows.weight())
    }

    /// Notes a name that could not be followed. It means something that the statement reaches.
    pub(super) fn lose(&mut self, name: &str) -> Flow {
        if self.spend(self.found.lost.len() / NAMES_A_STEP) && !self.found.lost.iter().any(|lost| lost == name) {
            self.found.lost.push(name.to_owned());
        }
        Flow::lost()
    }

    /// Notes something that may reach anything in the database.
    pub(super) fn lose_all(&mut self, what: &str) -> Flow {
        self.found.any = true;
        let mut flow = self.lose(what);
        flow.any = true;
        flow
    }

    /// Lets everything that the statement reaches flow into whatever was lost, now that all of it is known.
    pub(super) fn settle(&mut self) {
        let catalog = self.catalog;
        let relations = self.found.relations.iter().filter_map(|oid| catalog.relation(*oid));
        let reached: Vec<ColumnId> = relations
            .flat_map(|relation| {
                relation.columns.iter().map(|column| ColumnId {
                    relation: relation.oid,
                    column: column.attnum,
                })
            })
            .collect();
        // A relation that is not known here may be a view of any other.
        let any = self.found.any || !self.found.unresolved.is_empty();
        let found = &mut self.found;
        let made = found.created.iter_mut().flat_map(|created| created.columns.iter_mut());
        let spread = found.spread.iter_mut().map(|spread| &mut spread.outputs);
        let outputs = found.outputs.iter_mut().chain(made).chain(spread).flatten();
        let flows = outputs
            .map(|output| &mut output.flow)
            .chain(found.assigned.values_mut())
            .chain(found.spilled.iter_mut().map(|spilled| &mut spilled.flow));
        for flow in flows.filter(|flow| flow.lost) {
            reached.iter().for_each(|column| flow.add(*column));
            flow.any |= any;
            flow.bare = false;
            flow.as_text = false;
        }
        // A relation that nobody knows does not count as a view of any other here: scripts set a sequence by the table that they
        // have just made, and protected values are not copied to one. Where names may mean others, the door asks by itself.
        if found.sunk.lost {
            reached.iter().for_each(|column| found.sunk.add(*column));
            found.sunk.any |= found.any;
        }
        if !found.lost.is_empty() {
            found.touched.extend(reached);
        }
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
            self.found.asked.extend(flow.columns().iter().copied());
        }
    }

    /// Notes that two values are compared for equality.
    pub(super) fn compare(&mut self, one: &Flow, other: &Flow) {
        if !(one.is_stored() && other.is_stored()) {
            self.aside(one);
            self.aside(other);
        } else if self.views.is_empty() {
            let sides = [one, other].map(|side| side.columns().to_vec());
            self.found.elsewhere.extend(sides.iter().flatten().copied());
            let [one, other] = sides;
            self.found.compared.insert((one, other));
        }
    }

    /// Notes that an expression works on columns.
    pub(super) fn work(&mut self, flow: &Flow) {
        if self.views.is_empty() {
            self.found.worked.extend(flow.columns().iter().copied());
        }
    }

    /// Notes that something shows columns from here on.
    pub(super) fn show(&mut self, flow: &Flow) {
        self.found.shown.extend(flow.columns().iter().copied());
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
        if self.spend(self.found.opaque.len() / NAMES_A_STEP) && !self.found.opaque.contains(&what) {
            self.found.opaque.push(what);
        }
    }

    /// Notes code that runs. That of a view is there by the hand of whoever made the view, and is told apart.
    pub(super) fn runs(&mut self, what: String) {
        let view = self.views.last().and_then(|oid| self.catalog.relation(*oid));
        match view.map(Relation::qualified) {
            Some(view) => self.opaque(format!("code of view {view}: {what}")),
            None => self.opaque(what),
        }
    }

    /// What can be said of a function by its name. Definitions of views name everything but what is in pg_catalog with a schema.
    pub(super) fn safety(&self, schema: Option<&str>, name: &str) -> Safety {
        let code = self.catalog.code();
        // Users may have an overload of what is vouched for in another schema, too.
        let namesakes = match schema {
            Some(schema) if schema != "pg_catalog" => &code.functions,
            None if self.is_bare(schema) => &code.functions,
            _ => &code.system_functions,
        };
        // The type that a value is tried against may run code.
        let tries = TRIES.contains(&name) && !code.types.is_empty();
        match safety(schema, name) {
            _ if tries || namesakes.contains(name) => Safety::Opaque,
            Safety::Opaque if code.vouches_for_function(schema, name) => Safety::Safe,
            by_name => by_name,
        }
    }

    /// Whether an operator may run code of users. Words such as IN and BETWEEN stand for operators that they do not name.
    pub(super) fn is_opaque_operator(&self, schema: Option<&str>, name: &str) -> bool {
        let code = self.catalog.code();
        let namesakes = match self.is_bare(schema) {
            true => &code.operators,
            false => &code.system_operators,
        };
        match name.contains(|c: char| c.is_ascii_uppercase()) {
            true => !namesakes.is_empty(),
            false if namesakes.contains(name) => true,
            false => !is_own_operator(schema, name) && !code.vouches_for_operator(schema, name),
        }
    }

    /// Whether a name may mean what is in any schema.
    fn is_bare(&self, schema: Option<&str>) -> bool {
        schema.is_none() && self.views.is_empty()
    }

    /// Notes a relation that the catalog does not know. Where a view names it, it is there all the same.
    pub(super) fn unresolved(&mut self, name: String) {
        if !self.views.is_empty() {
            self.lose_all(&format!("relation {name}"));
        }
        if self.spend(self.found.unresolved.len() / NAMES_A_STEP) && !self.found.unresolved.contains(&name) {
            self.found.unresolved.push(name);
        }
    }
}
