//! INSERT, UPDATE, DELETE and MERGE: what is assigned, and what RETURNING gives back.

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;

use crate::catalog::{Catalog, ColumnId, Events, Relation, RelationKind};
use crate::sql::tree::Node;

use super::Flow;
use super::scope::{Item, Rows, Scope, Table};
use super::walker::Walker;

/// Values that the statement gives to columns of its target.
type Given = HashMap<Rc<str>, Flow>;

/// RETURNING's names for the row before and after (PostgreSQL 18).
const RETURNING_OLD: i64 = 1;

impl<'c> Walker<'c> {
    /// A statement that changes rows: the rows of its RETURNING.
    pub(super) fn change(&mut self, node: Node<'_>, outer: &Scope<'_>) -> Rows {
        let mut scope = Scope::below(outer);
        self.with(node, &mut scope);
        let Some(target) = node.node("relation") else {
            return Rows::lost();
        };
        let item = self.target(target, events(node));
        let mut given = Given::new();
        match node.kind() {
            "InsertStmt" => self.insert(node, target, &item, &scope, &mut given),
            "UpdateStmt" => {
                self.beside(node.list("from_clause"), &item, &mut scope);
                self.set(node.list("target_list"), target, &scope, &mut given);
                self.conditions(node.node("where_clause"), &scope);
            }
            "DeleteStmt" => {
                self.beside(node.list("using_clause"), &item, &mut scope);
                self.conditions(node.node("where_clause"), &scope);
            }
            _ => self.merge_into(node, target, &item, &mut scope, &mut given),
        }
        if let Some(relation) = self.target_relation(target) {
            self.note_followers(relation, events(node));
        }
        if matches!(node.kind(), "UpdateStmt" | "MergeStmt") {
            self.note_moves(target);
        }
        self.returning(node, target, item, scope, &given)
    }

    /// The target as a table. A common table expression of the same name is not meant.
    fn target(&mut self, target: Node<'_>, events: Events) -> Item {
        let rows = Rc::new(match self.target_relation(target) {
            Some(relation) => {
                self.found.written.insert(relation.oid);
                let rows = self.rows_of(relation, !target.flag("inh"));
                self.note_writes(relation, events);
                rows
            }
            None => {
                self.unresolved(target.text("relname").to_owned());
                Rows::lost()
            }
        });
        let alias = target.node("alias");
        let name = alias.map_or(target.text("relname"), |alias| alias.text("aliasname"));
        let unaliased = self.target_relation(target).filter(|_| alias.is_none());
        Item::of(Table {
            alias: Some(name.into()),
            relation: unaliased.map(|relation| relation.oid),
            rows,
            stored: self.target_relation(target).is_some_and(|relation| !relation.is_view()),
        })
    }

    /// Another partition takes a row whose key is changed, with all that is in it.
    fn note_moves(&mut self, target: Node<'_>) {
        let catalog: &'c dyn Catalog = self.catalog;
        let Some(relation) = self.target_relation(target) else {
            return;
        };
        let mut tables = vec![relation.oid];
        if relation.is_view() {
            tables.extend(&self.found.relations);
        }
        let partitioned = tables.into_iter().filter_map(|oid| catalog.relation(oid));
        for table in partitioned.filter(|table| table.kind == RelationKind::PartitionedTable) {
            self.note_moved(table);
        }
    }

    fn target_relation(&self, target: Node<'_>) -> Option<&'c Relation> {
        let catalog: &'c dyn Catalog = self.catalog;
        let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
        catalog.resolve(&self.path, schema, target.text("relname"))
    }

    fn beside<'n>(&mut self, items: impl Iterator<Item = Node<'n>>, target: &Item, scope: &mut Scope<'_>) {
        let from = self.from(items, scope);
        scope.item = target.clone();
        scope.item.extend(from);
    }

    fn insert(&mut self, node: Node<'_>, target: Node<'_>, item: &Item, scope: &Scope<'_>, given: &mut Given) {
        let source = node
            .node("select_stmt")
            .map(|query| self.query(query, scope))
            .unwrap_or_default();
        let named: Vec<&str> = node.list("cols").map(|column| column.text("name")).collect();
        self.give(target, &named, &source, given);
        self.places(node.list("cols"), target, scope, given);
        let Some(conflict) = node.node("on_conflict_clause") else {
            return;
        };
        let mut inner = Scope::below(scope);
        inner.item = item.clone();
        let proposed = Rc::new(self.with_derived(target, with_given(item, given), given));
        inner.item.tables.push(Table {
            alias: Some("excluded".into()),
            relation: None,
            rows: proposed,
            stored: false,
        });
        self.conditions(conflict.node("infer"), &inner);
        self.conditions(conflict.node("where_clause"), &inner);
        self.set(conflict.list("target_list"), target, &inner, given);
    }

    /// Assigns the columns of `source` to the named columns of the target, or to all in order.
    fn give(&mut self, target: Node<'_>, named: &[&str], source: &Rows, given: &mut Given) {
        let names: Vec<Rc<str>> = match (named.is_empty(), self.target_relation(target)) {
            (true, None) => return self.spill(target, &source.all()),
            // Whichever of them it goes to, it is the same.
            (false, None) if source.is_shifted() => return self.spill(target, &source.all()),
            (false, _) => named.iter().map(|name| Rc::from(*name)).collect(),
            (true, Some(relation)) => relation
                .columns
                .iter()
                .map(|column| column.name.as_str().into())
                .collect(),
        };
        // A source of unknown width may fill every column.
        let count = if source.is_shifted() || !named.is_empty() {
            names.len()
        } else {
            source.columns.len()
        };
        let anywhere = source.is_shifted().then(|| source.all());
        for (index, name) in names.into_iter().take(count).enumerate() {
            let flow = match (&anywhere, source.columns.get(index)) {
                (None, Some(column)) => column.flow.clone(),
                (None, None) => Flow::clean(),
                (Some(all), _) => all.clone(),
            };
            self.give_one(target, &name, flow, given);
        }
        self.leave_out(target);
    }

    /// Notes what a new row of a view, and of the views that this one writes to, says nothing of: each may have a default for it, which it
    /// keeps when it is replaced.
    fn leave_out(&mut self, target: Node<'_>) {
        let Some(relation) = self.target_relation(target).filter(|relation| relation.is_view()) else {
            return;
        };
        let (reached, known) = (mem::take(&mut self.found.relations), mem::take(&mut self.known_views));
        self.rows_of(relation, false);
        let behind = mem::replace(&mut self.found.relations, reached);
        self.known_views = known;
        let catalog: &'c dyn Catalog = self.catalog;
        let views = behind.iter().filter_map(|oid| catalog.relation(*oid));
        for view in views.filter(|one| one.is_view()) {
            let rows = self.rows_of(view, false);
            for (stored, column) in view.columns.iter().zip(&rows.columns) {
                let id = ColumnId {
                    relation: view.oid,
                    column: stored.attnum,
                };
                if !self.found.assigned.contains_key(&id) {
                    self.found.defaulted.extend(column.flow.columns().iter().copied());
                }
            }
        }
    }

    fn give_one(&mut self, target: Node<'_>, name: &str, flow: Flow, given: &mut Given) {
        let id = self.target_relation(target).and_then(|relation| {
            let column = relation.column(name)?.attnum;
            Some(ColumnId {
                relation: relation.oid,
                column,
            })
        });
        if let Some(id) = id {
            self.assign(id, &flow);
        } else {
            self.spill(target, &flow);
        }
        // What is written to a view is written to what it shows, and what is written to a parent to its children.
        let leads_on = |relation: &&Relation| relation.is_view() || !self.catalog.children(relation.oid).is_empty();
        if let Some(relation) = self.target_relation(target).filter(leads_on) {
            let rows = self.rows_of(relation, !target.flag("inh"));
            let below = rows.named(name).unwrap_or_default();
            below.columns().iter().for_each(|id| self.assign(*id, &flow));
        }
        given.entry(name.into()).or_default().join(&flow);
    }

    /// `INSERT INTO t (a[…])`: subscripts of the places that a new row fills are expressions of their own, and what they hold is
    /// in the value afterwards.
    fn places<'n>(
        &mut self,
        columns: impl Iterator<Item = Node<'n>>,
        target: Node<'_>,
        scope: &Scope<'_>,
        given: &mut Given,
    ) {
        for column in columns.filter(|column| column.has("indirection")) {
            let flow = self.steps(column, scope);
            self.work(&flow);
            self.give_one(target, column.text("name"), flow, given);
        }
    }

    /// What flows into subscripts and fields of a place that is assigned.
    fn steps(&mut self, place: Node<'_>, scope: &Scope<'_>) -> Flow {
        let mut flow = Flow::clean();
        for step in place.list("indirection") {
            flow.join(&self.expression(step, scope));
        }
        flow
    }

    /// `SET a = …, (b, c) = …`.
    fn set<'n>(
        &mut self,
        targets: impl Iterator<Item = Node<'n>>,
        target: Node<'_>,
        scope: &Scope<'_>,
        given: &mut Given,
    ) {
        for one in targets {
            let mut flow = one
                .node("val")
                .map(|value| self.expression(value, scope))
                .unwrap_or_default()
                .mixed();
            flow.join(&self.steps(one, scope));
            self.work(&flow);
            self.give_one(target, one.text("name"), flow, given);
        }
    }

    fn merge_into(&mut self, node: Node<'_>, target: Node<'_>, item: &Item, scope: &mut Scope<'_>, given: &mut Given) {
        let source: Vec<Node<'_>> = node.node("source_relation").into_iter().collect();
        self.beside(source.into_iter(), item, scope);
        self.conditions(node.node("join_condition"), scope);
        for clause in node.list("merge_when_clauses") {
            self.conditions(clause.node("condition"), scope);
            if clause.has("values") {
                let row = self.listed(clause.list("values"), scope);
                let named: Vec<&str> = clause.list("target_list").map(|column| column.text("name")).collect();
                self.give(target, &named, &row, given);
                self.places(clause.list("target_list"), target, scope, given);
            } else {
                self.set(clause.list("target_list"), target, scope, given);
            }
        }
    }

    /// Columns that are computed from others hold what was given to those.
    fn with_derived(&self, target: Node<'_>, mut rows: Rows, given: &Given) -> Rows {
        let Some(relation) = self.target_relation(target) else {
            return rows;
        };
        for column in &mut rows.columns {
            let stored = relation.column(&column.name);
            if relation.is_view() || stored.is_some_and(|stored| stored.generated.is_some()) {
                given.values().for_each(|flow| column.flow.join(flow));
                column.flow.bare &= given.values().all(Flow::is_clean);
            }
        }
        rows
    }

    /// The target's rows as they are once the statement wrote them.
    fn written_rows(&mut self, target: Node<'_>, events: Events, item: &Item, given: &Given) -> Rows {
        let mut rows = self.with_derived(target, with_given(item, given), given);
        // A trigger can put anything into a row on its way.
        if self
            .target_relation(target)
            .is_some_and(|relation| self.note_writes(relation, events))
        {
            rows.columns.iter_mut().for_each(|column| {
                column.flow.unknown = true;
                column.flow.bare = false;
            });
        }
        // The RETURNING of a rule stands in the place of the row.
        if self.found.ruled {
            let answered = self.lose_all("what a rule returns");
            rows.columns.iter_mut().for_each(|column| column.flow.join(&answered));
        }
        rows
    }

    /// What comes back: rows of the target, with what was just written in them, and whatever else the statement sees.
    fn returning(&mut self, node: Node<'_>, target: Node<'_>, item: Item, mut scope: Scope<'_>, given: &Given) -> Rows {
        let Some(clause) = node.node("returning_clause") else {
            return Rows::default();
        };
        let rows = Rc::new(self.written_rows(target, events(node), &item, given));
        let first = item.tables.first();
        let own = first.and_then(|table| table.alias.clone());
        let stored = first.is_some_and(|table| table.stored);
        let mut visible = Item::of(Table {
            alias: own,
            relation: first.and_then(|table| table.relation),
            rows: Rc::clone(&rows),
            stored,
        });
        // MERGE lists the source before the target; `*` follows.
        let others = match node.kind() {
            "InsertStmt" => Item::default(),
            _ => without_first(scope.item, item.rows.columns.len()),
        };
        match node.kind() {
            "MergeStmt" => {
                let target = mem::replace(&mut visible, others);
                visible.extend(target);
            }
            _ => visible.extend(others),
        }
        let mut names = vec!["old".to_owned(), "new".to_owned()];
        for option in clause.list("options") {
            let at = usize::from(option.int("option") != RETURNING_OLD);
            if let Some(name) = names.get_mut(at) {
                *name = option.text("value").to_owned();
            }
        }
        for name in names {
            let table = Table {
                alias: Some(name.into()),
                relation: None,
                rows: Rc::clone(&rows),
                stored,
            };
            // A table that is really called old or new comes first.
            visible.tables.insert(0, table);
        }
        scope.item = visible;
        self.targets(clause.list("exprs"), &scope)
    }
}

/// What a statement does to rows of its target.
fn events(node: Node<'_>) -> Events {
    match node.kind() {
        // DO UPDATE says what it sets; DO NOTHING updates nothing.
        "InsertStmt" => match node.node("on_conflict_clause") {
            Some(conflict) if conflict.has("target_list") => Events::INSERT.and(Events::UPDATE),
            _ => Events::INSERT,
        },
        "UpdateStmt" => Events::UPDATE,
        "DeleteStmt" => Events::DELETE,
        _ => Events::ROWS,
    }
}

/// The target's columns together with what was given to them.
fn with_given(item: &Item, given: &Given) -> Rows {
    let mut rows = item.rows.clone();
    for column in &mut rows.columns {
        if let Some(flow) = given.get(&column.name) {
            column.flow.join(flow);
            // What a client gives is no stored value: shown as one, it would tell what any guess is masked as.
            column.flow.bare = false;
        }
    }
    if let Some(open) = &mut rows.open {
        given.values().for_each(|flow| open.join(flow));
    }
    rows
}

/// What stands beside the target, which is the first table of its item.
fn without_first(mut item: Item, columns: usize) -> Item {
    if !item.tables.is_empty() {
        item.tables.remove(0);
    }
    item.rows.columns.drain(..columns.min(item.rows.columns.len()));
    item
}
