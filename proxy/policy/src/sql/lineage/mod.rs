//! Where the values of a statement's result come from.
//!
//! For each output column: the stored columns that flow into it, through aliases, joins, subqueries, common table
//! expressions, set operations, expressions, aggregates, whole rows and views. Tree and catalog are all that is used: no
//! EXPLAIN, which would run user code and print it.
//!
//! The default is to count everything: an expression is touched by whatever stands anywhere below it, whatever kind of node
//! that is. What nobody can see into (a function that nobody vouches for) makes a flow *unknown*, never clean. Where the walk
//! itself loses the thread (a name that it cannot follow, a view that it cannot read, a query too large), everything that the
//! statement reaches flows in, and where it may reach anything, everything that is protected. Counting rows taints nothing: `count(*)` names no column.

mod called;
mod cte;
mod dml;
mod expression;
mod flow;
mod from;
mod keys;
mod label;
mod query;
mod reach;
mod relation;
mod scope;
mod statement;
mod taken;
mod utility;
mod walker;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, ColumnId, Oid, Relation, SearchPath};
use crate::mask::{ProtectedColumns, RuleSet, Source};

use super::Statement;

pub(in crate::sql) use expression::spelled_out;
pub use flow::Flow;
pub use taken::Taken;

/// Where everything in one statement comes from and goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The columns of the rows that come back, in order; `None` if their number cannot be known, or the statement (EXECUTE,
    /// FETCH) does not say it itself. A statement that returns no rows has none.
    pub outputs: Option<Vec<Output>>,
    /// The columns of the rows that come back, where the number of those that one place stands for cannot be known, and nothing else.
    pub spread: Option<Spread>,
    /// Every column that stands anywhere in the statement, views that it reads included.
    pub touched: BTreeSet<ColumnId>,
    /// Columns that policies for the rows of what is reached may look at, and those of rows that follow what is written. Nothing of
    /// them comes out, and errors may quote it.
    pub guarding: BTreeSet<ColumnId>,
    /// Columns that stand elsewhere than in an output: conditions, order, grouping. Each is an oracle about its values.
    pub elsewhere: BTreeSet<ColumnId>,
    /// Those of them that stand there in any other way than being [`compared`](Self::compared).
    pub asked: BTreeSet<ColumnId>,
    /// Stored columns that are compared with each other for equality, and with themselves where rows are grouped by them:
    /// it tells no more than a keyed hash of each does.
    pub compared: BTreeSet<(Vec<ColumnId>, Vec<ColumnId>)>,
    /// Columns that an expression works on, whatever becomes of it: anything but a column as it stands or cast to text.
    pub worked: BTreeSet<ColumnId>,
    /// What is handed to functions that leave it where no mask follows: in a notification, a setting, a sequence, a lock. Of a
    /// relation that nobody knows, no columns stand here.
    pub sunk: Flow,
    /// Columns that are assigned, with what flows into them. A value from the client flows from nowhere.
    pub assigned: BTreeMap<ColumnId, Flow>,
    /// Columns that new rows of a view leave to its defaults, which are of the choice of whoever may change the view.
    pub defaulted: BTreeSet<ColumnId>,
    /// Columns of relations that lose a parent, with what protects them so far: what may have come to them by it stays there.
    pub released: BTreeMap<ColumnId, Flow>,
    /// Columns that something shows from here on and did not before, through which others may read: conditions of views and policies
    /// were looked at when these were made, and ask about them from here on.
    pub shown: BTreeSet<ColumnId>,
    /// Columns among which rows may be moved as they are: those of one name in all partitions of a table.
    pub moved: Vec<Flow>,
    /// The relation that the statement makes, with its columns: whatever protects their sources must go on to them.
    pub created: Option<Created>,
    /// The relation to which the statement adds columns, if it does nothing else.
    pub grown: Option<Grown>,
    /// What is written into relations that the catalog does not know.
    pub spilled: Vec<Spilled>,
    /// Relations that are touched, closed over views and partitions.
    pub relations: BTreeSet<Oid>,
    /// Relations that are written or changed.
    pub written: BTreeSet<Oid>,
    /// Those of them of which nothing is defined but that a foreign key refers to them, or that another table is made like them. What the
    /// key refers to is [`asked`](Self::asked).
    pub referred: BTreeSet<Oid>,
    /// What CASCADE takes along, if the statement says so and that can be told.
    pub taken: Option<Taken>,
    /// Relations that the catalog does not know.
    pub unresolved: Vec<String>,
    /// Names that could not be followed, and what is behind them: each may mean anything that the statement reaches. A relation
    /// that the text itself names and nobody knows is no such name: it is [`unresolved`](Self::unresolved).
    pub lost: Vec<String>,
    /// What cannot be seen into, views that are read included: functions, triggers, definitions that do not parse.
    pub opaque: Vec<String>,
    /// Functions of PostgreSQL's own, and such as run a text, that may be called as fields are written: `(x).f`, `t.f`.
    pub fields: BTreeSet<String>,
    /// Whether rules of what is written may answer with rows of their own, which the text says nothing of.
    pub ruled: bool,
    /// Whether rows that are read are locked (`FOR UPDATE`), by the query of a view, too.
    pub locks: bool,
    /// Whether values of any column may come along in some output (statistics of the planner, a view that cannot be read).
    pub any: bool,
    /// Whether the walk gave up before the statement's end: what is written, and where values are left, is not all here.
    pub unfinished: bool,
}

/// One column of the rows that come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name, as near as the tree tells.
    pub name: String,
    /// What flows into it.
    pub flow: Flow,
    /// Of a column that a table is made with and that is generated: names of all that it may be generated from, as
    /// [`Column::generated`](crate::catalog::Column::generated) has them.
    pub generated: Option<String>,
}

/// Columns of rows that come back, one of which stands for any number of them: the fields of a row (`SELECT id, (address).*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The columns in order.
    pub outputs: Vec<Output>,
    /// Which of them it is.
    pub place: usize,
}

/// What is written into a relation that the catalog does not know, whichever columns it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spilled {
    /// Schema, if the text gives one.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// What flows into it.
    pub flow: Flow,
}

/// A table that gets columns, which hold nothing of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grown {
    /// The table.
    pub relation: Oid,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Whether whatever is stored there makes no difference to it: it says nothing of keys, nor of what may be NULL.
    pub blind: bool,
}

/// A relation that a statement makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Schema, if the text gives one.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// Whether it is the session's own.
    pub temporary: bool,
    /// Whether it is a view, which is read through and holds nothing.
    pub view: bool,
    /// Whether it is made from a query; else it is empty.
    pub filled: bool,
    /// Whether it holds what its query gave, which may be run again: a materialised view.
    pub refreshed: bool,
    /// Whether it is made only where nothing of its name is there.
    pub if_absent: bool,
    /// Whether code of users may run where rows are written to it, by what it is made of: parents, what it is made like, or types.
    pub brings_code: bool,
    /// Its columns; `None` if they cannot be known.
    pub columns: Option<Vec<Output>>,
}

/// Statements whose options the validator of a foreign data wrapper looks at.
const WRAPPED: [&str; 6] = [
    "AlterForeignServerStmt",
    "AlterUserMappingStmt",
    "CreateForeignServerStmt",
    "CreateForeignTableStmt",
    "CreateUserMappingStmt",
    "ImportForeignSchemaStmt",
];

/// Follows the values of a statement through a catalog, names being read under `path`.
pub fn lineage(statement: &Statement, catalog: &dyn Catalog, path: &SearchPath) -> Lineage {
    let mut found = match statement.root() {
        Some(root) => walker::Walker::new(catalog, path).statement(root),
        None => Lineage {
            outputs: Some(Vec::new()),
            ..Lineage::default()
        },
    };
    if statement.cascades() {
        found.taken = statement.root().and_then(|root| taken::taken(root, catalog, path));
    }
    if statement.verbs.fire() {
        let triggers = catalog.code().event_triggers.iter();
        found
            .opaque
            .extend(triggers.map(|name| format!("event trigger {name}")));
    }
    if statement.root().is_some_and(|root| WRAPPED.contains(&root.kind())) {
        let wrappers = catalog.code().wrappers.iter();
        found
            .opaque
            .extend(wrappers.map(|name| format!("validator of foreign data wrapper {name}")));
    }
    found
}

/// Follows the values of all rows of a relation: those of a view through its definition, as it reads now.
pub fn of_relation(relation: &Relation, catalog: &dyn Catalog) -> Lineage {
    walker::Walker::new(catalog, &SearchPath::system()).whole(relation)
}

// === impl Created ===

impl Created {
    /// Whether a relation that somebody makes meanwhile stays in its place, whatever the text says of columns.
    pub const fn may_be_another(&self) -> bool {
        self.if_absent && !self.filled
    }
}

// === impl Spread ===

impl Spread {
    /// The output that column `index` of `count` belongs to; `None` where that many cannot be.
    fn output(&self, index: usize, count: usize) -> Option<&Output> {
        let after = self.outputs.len().checked_sub(self.place)?.checked_sub(1)?;
        let first_after = count.checked_sub(after).filter(|first| *first >= self.place)?;
        let at = match index.checked_sub(first_after) {
            Some(behind) => self.place.checked_add(1)?.checked_add(behind)?,
            None => index.min(self.place),
        };
        self.outputs.get(at)
    }
}

// === impl Lineage ===

impl Lineage {
    /// What flows into column `index` of a result that turned out to have `count` columns. Where the tree gave another
    /// number, everything that the statement touches may flow into each.
    pub fn flow(&self, index: usize, count: usize) -> Flow {
        match &self.outputs {
            Some(outputs) if outputs.len() == count => outputs
                .get(index)
                .map_or_else(|| self.everything(), |output| output.flow.clone()),
            _ => self
                .spread
                .as_ref()
                .and_then(|spread| spread.output(index, count))
                .map_or_else(|| self.everything(), |output| output.flow.clone()),
        }
    }

    /// Takes in what another statement does that is run as a part of this one. Its rows are what becomes of them here.
    pub fn absorb(&mut self, other: Self) {
        self.touched.extend(other.touched);
        self.guarding.extend(other.guarding);
        self.elsewhere.extend(other.elsewhere);
        self.asked.extend(other.asked);
        self.compared.extend(other.compared);
        self.worked.extend(other.worked);
        self.sunk.join(&other.sunk);
        for (column, flow) in other.assigned {
            self.assigned.entry(column).or_default().join(&flow);
        }
        for (column, flow) in other.released {
            self.released.entry(column).or_default().join(&flow);
        }
        self.defaulted.extend(other.defaulted);
        self.shown.extend(other.shown);
        self.moved.extend(other.moved);
        self.spilled.extend(other.spilled);
        self.relations.extend(other.relations);
        self.written.extend(other.written);
        self.unresolved.extend(other.unresolved);
        self.lost.extend(other.lost);
        self.opaque.extend(other.opaque);
        self.fields.extend(other.fields);
        self.ruled |= other.ruled;
        self.locks |= other.locks;
        self.any |= other.any;
        self.unfinished |= other.unfinished;
    }

    /// Whether it leaves stored values where no mask follows: in a setting, a notification, a sequence or a lock.
    #[must_use]
    pub fn leaves(&self) -> bool {
        self.sunk.any || !self.sunk.columns().is_empty()
    }

    /// Everything that the statement touches, and more that is not known.
    pub fn everything(&self) -> Flow {
        let mut flow = Flow::unknown();
        // A relation that is not known may be a view of any other, and a rule may read it.
        flow.any |= self.any || self.ruled || !self.unresolved.is_empty();
        for column in &self.touched {
            flow.add(*column);
        }
        flow
    }

    /// For the mask: what the rules that are in force say about column `index` of `count`.
    pub fn source(&self, index: usize, count: usize, protected: &ProtectedColumns) -> Source {
        let flow = self.flow(index, count);
        let rules = rules_of(&flow, protected);
        match (rules.is_empty(), flow.bare, flow.unknown) {
            (false, true, false) => Source::Column(rules),
            (false, ..) => Source::Tainted(rules),
            (true, _, true) => Source::Unknown,
            (true, _, false) => Source::Plain,
        }
    }

    /// The rules that protect anything that the statement touches, or has policies look at or rows follow: its errors must not quote
    /// values.
    pub fn touched_rules(&self, protected: &ProtectedColumns) -> RuleSet {
        let mut rules = RuleSet::default();
        for column in self.touched.iter().chain(&self.guarding) {
            if let Some(more) = protected.rules_of(*column) {
                rules.extend(more);
            }
        }
        if self.any {
            protected.iter().for_each(|(_, more)| _ = rules.extend(more));
        }
        rules
    }

    /// Columns that are assigned although some rule protects them, with the rules.
    pub fn assigned_protected<'a>(
        &'a self,
        protected: &'a ProtectedColumns,
    ) -> impl Iterator<Item = (ColumnId, &'a RuleSet)> + 'a {
        self.assigned
            .keys()
            .filter_map(|column| Some((*column, protected.rules_of(*column)?)))
    }

    /// Columns that no rule protects and that protected values are written into, with the rules that must go on to them.
    pub fn passed_on(&self, protected: &ProtectedColumns) -> Vec<(ColumnId, RuleSet)> {
        let each = self
            .assigned
            .iter()
            .map(|(column, flow)| (*column, rules_of(flow, protected)));
        let written = each.filter(|(_, rules)| !rules.is_empty());
        written.chain(self.moved_on(protected)).collect()
    }

    /// Columns that lose a parent, with the rules that protect them by it or otherwise, and that must stay with them.
    pub fn let_go<'a>(&'a self, protected: &'a ProtectedColumns) -> impl Iterator<Item = (ColumnId, RuleSet)> + 'a {
        let each = self
            .released
            .iter()
            .map(move |(column, flow)| (*column, rules_of(flow, protected)));
        each.filter(|(_, rules)| !rules.is_empty())
    }

    /// Columns that rows may be moved into whose values other rules protect where they are now, with those rules.
    pub fn moved_on<'a>(&'a self, protected: &'a ProtectedColumns) -> impl Iterator<Item = (ColumnId, RuleSet)> + 'a {
        self.moved.iter().flat_map(move |flow| {
            let rules = rules_of(flow, protected);
            flow.columns().iter().filter_map(move |column| {
                let own = protected.rules_of(*column);
                let new = rules.iter().any(|rule| own.is_none_or(|own| !own.contains(rule)));
                new.then(|| (*column, rules.clone()))
            })
        })
    }
}

/// The rules that protect anything of a flow.
pub fn rules_of(flow: &Flow, protected: &ProtectedColumns) -> RuleSet {
    let mut rules = RuleSet::default();
    for column in flow.columns() {
        if let Some(more) = protected.rules_of(*column) {
            rules.extend(more);
        }
    }
    if flow.any {
        protected.iter().for_each(|(_, more)| _ = rules.extend(more));
    }
    rules
}

#[cfg(test)]
pub(super) mod tests;
