//! Relations as row sources: stored columns, those of children, and views read through.

use std::collections::HashSet;
use std::rc::Rc;

use crate::catalog::{
    AttNum, Column as Stored, ColumnId, Events, Hanging, Oid, Part, Relation, RelationKind, SearchPath,
};
use crate::sql::parser::{self, Backslash};

use super::Flow;
use super::reach::without_update;
use super::scope::{Column, Rows, Scope};
use super::walker::Walker;

/// Views within views beyond this are not followed.
const MAX_VIEWS: usize = 32;

/// How the names of relations begin that hold the long values of others.
const TOAST: &str = "pg_toast_";

/// Statistics of the planner, whose values are values of columns, and the columns of them that hold such values.
const STATISTICS: [&str; 5] = [
    "pg_stats",
    "pg_statistic",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_statistic_ext_data",
];
const STATISTIC_VALUES: [&str; 13] = [
    "most_common_vals",
    "histogram_bounds",
    "most_common_elems",
    "elem_count_histogram",
    "range_length_histogram",
    "range_bounds_histogram",
    "stavalues1",
    "stavalues2",
    "stavalues3",
    "stavalues4",
    "stavalues5",
    "stxdmcv",
    "stxdexpr",
];

impl Walker<'_> {
    /// The rows of a relation by name. `only` leaves children out.
    pub(super) fn relation(&mut self, schema: Option<&str>, name: &str, only: bool) -> Rows {
        let Some(relation) = self.catalog.resolve(&self.path, schema, name) else {
            self.unresolved(schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}")));
            if name.starts_with(TOAST) {
                // The values of some table's long columns.
                self.opaque(format!("TOAST relation {name}"));
                return Rows::open(self.lose_all(name));
            }
            return unknown_relation(schema, name);
        };
        self.rows_of(relation, only)
    }

    /// Whether a relation is a foreign table: its rows are what another server answers, of this database it may be.
    fn foreign(&mut self, relation: &Relation) -> bool {
        let foreign = relation.kind == RelationKind::ForeignTable;
        if foreign {
            self.opaque(format!("foreign table {}", relation.qualified()));
        }
        foreign
    }

    /// Whether reading a relation runs code of users: in a policy for its rows, in what is computed while it is planned, or in what its
    /// columns become.
    pub(super) fn runs_code(&mut self, relation: &Relation) -> bool {
        if relation.guarded_by_code {
            let what = if relation.computes {
                "policies or expressions"
            } else {
                "policies"
            };
            self.opaque(format!("{what} of {}", relation.qualified()));
        }
        let typed = self.is_typed(relation);
        if typed {
            self.opaque(format!("types of {}", relation.qualified()));
        }
        relation.guarded_by_code || typed
    }

    /// Notes what the policies for a relation's rows look at. It is not what the text asks for.
    fn note_guards(&mut self, relation: &Relation) {
        if relation.guards.is_empty() || !self.guarded.insert(relation.oid) {
            return;
        }
        let catalog = self.catalog;
        // What stands behind a view counts where the text names it, too: it is read again there.
        let (reached, known_views) = (self.found.relations.clone(), self.known_views.clone());
        let touched = std::mem::take(&mut self.found.touched);
        let (mut todo, mut seen) = (relation.guards.clone(), HashSet::new());
        while let Some(oid) = todo.pop() {
            // What is behind the system's own are no columns that a rule names, and what a view looks at that is being read just
            // now is noted by that.
            let looks = |guard: &&Relation| !guard.is_system() && !self.views.contains(&oid);
            let Some(guard) = catalog.relation(oid).filter(looks).filter(|_| seen.insert(oid)) else {
                continue;
            };
            // It may have policies itself.
            if self.guarded.insert(oid) {
                todo.extend(&guard.guards);
            }
            let all = self.rows_of(guard, false).all();
            self.touch(&all);
        }
        let looked_at = std::mem::replace(&mut self.found.touched, touched);
        self.found.guarding.extend(looked_at);
        (self.found.relations, self.known_views) = (reached, known_views);
    }

    /// Whether a column of a relation, or its row, is of a type that runs code of users: a row as a whole is cast, compared and put in
    /// order as a column is, and no text names its type, which is called as the relation is.
    pub(super) fn is_typed(&self, relation: &Relation) -> bool {
        let code = self.catalog.code();
        let mut columns = relation.columns.iter();
        let is_code = |column: &Stored| code.types.contains_key(&column.type_oid);
        !code.types.is_empty() && (code.has_type(&relation.name) || columns.any(is_code))
    }

    /// Whether a write to a relation runs code of users, which is noted: its own, that of its partitions and children, or that
    /// of what a view writes to.
    pub(super) fn note_writes(&mut self, relation: &Relation, events: Events) -> bool {
        let events = with_moves(relation, events);
        let (mut active, mut ruled) = (relation.runs_at(events), relation.ruled);
        let catalog = self.catalog;
        let mut todo = vec![relation.oid];
        if relation.is_view() {
            // What the view reads has been followed; a write goes to one of them.
            todo.extend(&self.found.relations);
        }
        todo.extend(&relation.behind);
        let mut seen = HashSet::new();
        while let Some(oid) = todo.pop() {
            if seen.insert(oid) {
                let found = catalog.relation(oid);
                active |= found.is_some_and(|found| found.runs_at(events));
                ruled |= found.is_some_and(|found| found.ruled);
                todo.extend(catalog.children(oid));
            }
        }
        self.found.ruled |= ruled;
        if ruled {
            self.opaque(format!("rules of {}", relation.qualified()));
        } else if active {
            self.opaque(format!("triggers of {}", relation.qualified()));
        }
        active || ruled
    }

    /// Notes code of users that runs where a relation is looked after, with its partitions and children: expressions are computed
    /// anew.
    pub(super) fn note_upkeep(&mut self, relation: &Relation) {
        let catalog = self.catalog;
        let (mut todo, mut seen) = (vec![relation.oid], HashSet::new());
        while let Some(oid) = todo.pop() {
            let Some(found) = catalog.relation(oid).filter(|_| seen.insert(oid)) else {
                continue;
            };
            if found.computes {
                self.opaque(format!("expressions of {}", found.qualified()));
            }
            todo.extend(catalog.children(oid));
        }
    }

    /// Notes code of users that runs where rows of others follow those of a relation, by foreign keys and as far as these lead, and
    /// that errors may quote these rows. Those of a partitioned table may come to another partition then.
    pub(super) fn note_followers(&mut self, relation: &Relation, events: Events) {
        let catalog = self.catalog;
        let events = with_moves(relation, events);
        let mut todo = vec![(relation.oid, events, false)];
        if relation.is_view() {
            todo.extend(self.found.relations.iter().map(|oid| (*oid, events, false)));
        }
        todo.extend(relation.behind.iter().map(|oid| (*oid, events, false)));
        // There are none, mostly: all are looked through once, not for each partition.
        let mut planned = catalog
            .relations()
            .filter(|one| one.guarded_by_code)
            .collect::<Vec<_>>();
        planned.retain(|one| one.hanging.iter().any(|hanging| hanging.part == Part::Key));
        // Which columns of what is behind a view are assigned is not known of one that is being made.
        let stands_for_others = relation.is_view() || !relation.behind.is_empty();
        let (mut seen, mut moved) = (HashSet::new(), HashSet::new());
        while let Some((oid, events, follows)) = todo.pop() {
            let Some(found) = catalog.relation(oid).filter(|_| seen.insert((oid, events, follows))) else {
                continue;
            };
            let events = with_moves(found, events);
            // PostgreSQL looks rows that follow up as a statement would: rules stand in its place, too.
            if follows && found.ruled {
                self.opaque(format!("rules of {}", found.qualified()));
            } else if follows && found.runs_at(events) {
                self.opaque(format!("triggers of {}", found.qualified()));
            }
            // What follows becomes of a type there.
            if follows && self.is_typed(found) {
                self.opaque(format!("types of {}", found.qualified()));
            }
            self.note_referring(found, events, follows);
            self.note_referred(found, events, &planned);
            if follows {
                // Checks and expressions are tried against the rows that follow.
                let columns = found.columns.iter().map(|column| ColumnId {
                    relation: oid,
                    column: column.attnum,
                });
                self.found.guarding.extend(columns);
            }
            todo.extend(catalog.children(oid).iter().map(|child| (*child, events, follows)));
            for follower in &found.followers {
                let updated = follows || stands_for_others || self.updates_key(found, follower.relation);
                let happens = if updated { events } else { without_update(events) };
                let moves = follower.follows(happens).meets(Events::UPDATE);
                let table = catalog.relation(follower.relation).filter(|_| moves);
                let parted = table.filter(|table| table.kind == RelationKind::PartitionedTable);
                if let Some(parted) = parted.filter(|parted| moved.insert(parted.oid)) {
                    self.note_moved(parted);
                }
            }
            let followers = found.followers.iter();
            let followers = followers.map(|follower| (follower.relation, follower.follows(events), true));
            todo.extend(followers.filter(|(_, events, _)| *events != Events::NONE));
        }
    }

    /// Notes that a row of a partitioned table may come to any of its partitions, with all that is in it.
    pub(super) fn note_moved(&mut self, table: &Relation) {
        let catalog = self.catalog;
        let (mut todo, mut seen) = (vec![table.oid], HashSet::new());
        let mut parts: Vec<&Relation> = Vec::new();
        while let Some(oid) = todo.pop() {
            if seen.insert(oid) {
                parts.extend(catalog.relation(oid));
                todo.extend(catalog.children(oid));
            }
        }
        for column in &table.columns {
            let mut flow = Flow::clean();
            for part in &parts {
                if let Some(same) = part.column(&column.name) {
                    flow.add(ColumnId {
                        relation: part.oid,
                        column: same.attnum,
                    });
                }
            }
            self.found.moved.push(flow);
        }
    }

    /// Whether an update of a relation may write a key that another refers to. Which columns a trigger writes is not known, and a
    /// generated one is written with others.
    fn updates_key(&self, relation: &Relation, follower: Oid) -> bool {
        let is_key = |hanging: &&Hanging| hanging.part == Part::Key && hanging.relation == follower;
        let mut keys = relation.hanging.iter().filter(is_key).peekable();
        let generated = |column: AttNum| {
            let mut columns = relation.columns.iter();
            columns.any(|stored| stored.attnum == column && stored.generated.is_some())
        };
        let assigned = |column: AttNum| {
            self.found.assigned.contains_key(&ColumnId {
                relation: relation.oid,
                column,
            })
        };
        let unknown = relation.runs_at(Events::UPDATE) || keys.peek().is_none();
        unknown || keys.any(|key| key.on.iter().any(|column| assigned(*column) || generated(*column)))
    }

    /// Notes code of users that runs where a key of a relation goes: what refers to it is looked through then, whatever its foreign key
    /// says, and is cast to the key's type. `follows`: which of its columns are written is not known.
    fn note_referring(&mut self, relation: &Relation, events: Events, follows: bool) {
        let catalog = self.catalog;
        for key in relation.hanging.iter().filter(|hanging| hanging.part == Part::Key) {
            let assigned = key.on.iter().any(|column| {
                self.found.assigned.contains_key(&ColumnId {
                    relation: relation.oid,
                    column: *column,
                })
            });
            let goes = events.meets(Events::DELETE) || events.meets(Events::UPDATE) && (follows || assigned);
            let Some(other) = catalog.relation(key.relation).filter(|_| goes) else {
                continue;
            };
            self.runs_code(other);
        }
    }

    /// Notes code of users that runs where a row refers to another, which is looked for then. `planned`: relations with keys that run
    /// code where they are read.
    fn note_referred(&mut self, relation: &Relation, events: Events, planned: &[&Relation]) {
        let refers = |one: &&&Relation| {
            let mut keys = one.hanging.iter().filter(|hanging| hanging.part == Part::Key);
            keys.any(|key| key.relation == relation.oid)
        };
        let written = events.meets(Events::INSERT) || events.meets(Events::UPDATE);
        if let Some(other) = planned.iter().filter(|_| written).find(refers) {
            self.runs_code(other);
        }
    }

    /// The rows of a relation of the catalog.
    pub(super) fn rows_of(&mut self, relation: &Relation, only: bool) -> Rows {
        self.found.relations.insert(relation.oid);
        self.found.relations.extend(&relation.behind);
        let guarded = self.runs_code(relation);
        self.note_guards(relation);
        let below = match relation.kind {
            RelationKind::View | RelationKind::MaterializedView => Some(self.view(relation)),
            _ => None,
        };
        // The numbers of a sequence; its columns are not in the catalog.
        if relation.kind == RelationKind::Sequence {
            return Rows::open(Flow::unknown());
        }
        let columns = relation.columns.iter().enumerate();
        let columns = columns.map(|(index, stored)| {
            let mut flow = self.stored_flow(relation, stored, index, below.as_deref(), only);
            flow.unknown |= guarded;
            Column::named(stored.name.as_str(), flow)
        });
        Rows::of(columns.collect())
    }

    fn stored_flow(
        &mut self,
        relation: &Relation,
        stored: &Stored,
        index: usize,
        below: Option<&Rows>,
        only: bool,
    ) -> Flow {
        let mut flow = Flow::column(ColumnId {
            relation: relation.oid,
            column: stored.attnum,
        });
        if relation.schema == "pg_catalog" && is_statistics(&relation.name, &stored.name) {
            flow.any = true;
        }
        flow.unknown |= self.foreign(relation);
        if !only {
            self.add_children(relation, &stored.name, &mut flow);
        }
        if let Some(rows) = below {
            // The columns of a view are those of its query, in order; a definition that gives another number is not the
            // one that this catalog entry was made from.
            let inner = match rows.columns.get(index) {
                Some(column) if !rows.is_shifted() && rows.columns.len() == relation.columns.len() => {
                    column.flow.clone()
                }
                _ => {
                    let mut all = rows.all();
                    // The system's own are behind no definition, which is said above.
                    if !relation.is_system() {
                        all.join(&self.lose_all(&format!("view {}", relation.qualified())));
                    }
                    all.unknown = true;
                    all
                }
            };
            flow.join(&inner);
            flow.bare = inner.bare;
        }
        flow
    }

    /// A scan of a parent reads its children too, and a rule may name a child's column alone.
    pub(super) fn add_children(&mut self, relation: &Relation, name: &str, flow: &mut Flow) {
        let catalog = self.catalog;
        let mut todo = self.catalog.children(relation.oid).to_vec();
        let mut seen = HashSet::from([relation.oid]);
        while let Some(oid) = todo.pop() {
            if !seen.insert(oid) {
                continue;
            }
            self.found.relations.insert(oid);
            let child = catalog.relation(oid);
            flow.unknown |= child.is_some_and(|child| self.runs_code(child));
            flow.unknown |= child.is_some_and(|child| self.foreign(child));
            if let Some(column) = child.and_then(|child| child.column(name)) {
                flow.add(ColumnId {
                    relation: oid,
                    column: column.attnum,
                });
            }
            todo.extend(self.catalog.children(oid));
        }
    }

    /// The rows of a view's own query.
    fn view(&mut self, relation: &Relation) -> Rc<Rows> {
        if let Some(known) = self.known_views.get(&relation.oid) {
            return Rc::clone(known);
        }
        let rows = Rc::new(self.read_view(relation));
        self.known_views.insert(relation.oid, Rc::clone(&rows));
        rows
    }

    fn read_view(&mut self, relation: &Relation) -> Rows {
        let hidden = |walker: &mut Self| {
            let view = format!("view {}", relation.qualified());
            if relation.is_system() {
                walker.opaque(view);
                // What is behind the system's own is known to be no column that a rule names.
                return Rows::open(Flow::unknown());
            }
            // In other words than the system's own, whose names a schema of users can begin with.
            walker.opaque(format!("definition of {view}"));
            Rows::open(walker.lose_all(&view))
        };
        if self.views.contains(&relation.oid) || self.views.len() >= MAX_VIEWS {
            return hidden(self);
        }
        let Some(definition) = &relation.definition else {
            return hidden(self);
        };
        let Ok(statements) = parser::parse(definition, Backslash::Literal) else {
            return hidden(self);
        };
        let [statement] = statements.as_slice() else {
            return hidden(self);
        };
        let Some(root) = statement.tree.root() else {
            return hidden(self);
        };
        let outside = std::mem::replace(&mut self.path, SearchPath::within(&relation.schema));
        self.views.push(relation.oid);
        let rows = self.query(root, &Scope::default());
        self.views.pop();
        self.path = outside;
        self.touch(&rows.all());
        rows
    }
}

/// A row whose key is changed leaves one partition and comes to another. A view may write to a partitioned table.
fn with_moves(relation: &Relation, events: Events) -> Events {
    let stands_for_others = relation.is_view() || !relation.behind.is_empty();
    let moves = relation.kind == RelationKind::PartitionedTable || stands_for_others;
    if moves && events.meets(Events::UPDATE) {
        events.and(Events::ROWS)
    } else {
        events
    }
}

/// A relation that the catalog does not hold. Statistics are known by name all the same.
fn unknown_relation(schema: Option<&str>, name: &str) -> Rows {
    let mut flow = Flow::lost();
    flow.any = schema.is_none_or(|schema| schema == "pg_catalog") && STATISTICS.contains(&name);
    Rows::open(flow)
}

fn is_statistics(relation: &str, column: &str) -> bool {
    STATISTICS.contains(&relation) && STATISTIC_VALUES.contains(&column)
}
