//! Protection that goes on: what protected values are copied into is protected as they are.
//!
//! A statement that copies is noted before it runs, whether or not it succeeds: a column may be protected that need not be,
//! never the other way round. Places are kept by name until the catalog shows them, then by OID and number too, so that they
//! stay protected whatever they are called later. The list is the process's own and counts at once; that other replicas
//! protect the same, and this one after a restart, is the operator's part ([`kept`]).

mod any;
mod kept;

use std::sync::Arc;

use sallyport_policy::catalog::{AttNum, Catalog, Column, ColumnId, Oid, Relation, RelationKind, SearchPath, Snapshot};
use sallyport_policy::columns::{ANY, Named, TEMPORARY};
use sallyport_policy::mask::{ProtectedColumns, generated_from};
use sallyport_policy::sql::Lineage;
use sallyport_policy::sql::lineage::{Created, Output, of_relation, rules_of};

use super::catalog::Known;
use super::rows::View;

pub use any::entries_of_any;
pub use kept::{entries_of, keys, matched, unkept};

/// OIDs above this are given to relations that a unit is about to make; PostgreSQL begins at the other end.
const YET_TO_BE: u32 = u32::MAX - 10_000;
/// Entries of one list: beyond it nothing that copies protected values may run.
pub const MAX_ENTRIES: usize = 10_000;

/// Where protected values go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A column that exists.
    Column(ColumnId),
    /// A column of a relation that is being made.
    Named(Named),
}

/// A place and the rules that go on to it, by uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// Which.
    pub rules: Vec<String>,
    /// Whether only this session sees it.
    pub own: bool,
}

/// Everywhere that a statement copies protected values to.
#[must_use]
pub fn entries(view: &View, path: Option<&SearchPath>) -> Vec<Entry> {
    let known = &view.known;
    let mut found = Vec::new();
    for lineage in &view.lineages {
        let passed_on = lineage.passed_on(&known.protected).into_iter();
        let reached = passed_on.flat_map(|(column, rules)| {
            let all = written_with(column, &known.snapshot).into_iter();
            all.map(move |column| (column, rules.clone()))
        });
        for (column, rules) in reached.chain(lineage.let_go(&known.protected)) {
            let own = known
                .snapshot
                .relation(column.relation)
                .is_some_and(|relation| relation.schema.starts_with(TEMPORARY));
            let rules = known.protected.uids(&rules);
            let place = place(known, column);
            if let Place::Named(named) = &place
                && !own
            {
                found.push(Entry {
                    place: Place::Named(of_session(named)),
                    rules: rules.clone(),
                    own: true,
                });
            }
            found.push(Entry { place, rules, own });
        }
        for spilled in &lineage.spilled {
            let rules = known.protected.uids(&rules_of(&spilled.flow, &known.protected));
            if !rules.is_empty() {
                let schema = spilled.schema.clone();
                found.push(Entry {
                    own: schema.as_deref() == Some(TEMPORARY),
                    place: Place::Named(Named {
                        schema: schema.unwrap_or_else(|| ANY.to_owned()),
                        relation: spilled.name.clone(),
                        column: None,
                    }),
                    rules,
                });
            }
        }
        if let Some(created) = lineage.created.as_ref().filter(|created| !created.view) {
            made(known, lineage, created, path, &mut found);
        }
    }
    found
}

/// Whether this number stands for a relation that is yet to be made.
#[must_use]
pub fn is_yet_to_be(oid: Oid) -> bool {
    oid > YET_TO_BE
}

/// A column with all that is written where it is written to: what is generated from it, and what foreign keys write to. They may be
/// gone when the catalog is read again.
fn written_with(column: ColumnId, snapshot: &Snapshot) -> Vec<ColumnId> {
    let (mut found, mut todo) = (vec![column], vec![column]);
    while let Some(id) = todo.pop() {
        let Some(relation) = snapshot.relation(id.relation) else {
            continue;
        };
        let own = relation.columns.iter().find(|own| own.attnum == id.column);
        let generated = own.into_iter().flat_map(|own| generated_from(relation, &own.name));
        let carried = relation.carried.iter().filter(|(from, _)| *from == id.column);
        for to in generated.chain(carried.map(|(_, to)| *to)) {
            if !found.contains(&to) {
                found.push(to);
                todo.push(to);
            }
        }
    }
    found
}

/// A column by number; by name where its relation is yet to be made.
fn place(known: &Known, id: ColumnId) -> Place {
    let relation = known.snapshot.relation(id.relation).filter(|one| one.oid > YET_TO_BE);
    match relation {
        None => Place::Column(id),
        Some(relation) => Place::Named(Named {
            schema: relation.schema.clone(),
            relation: relation.name.clone(),
            column: relation
                .columns
                .iter()
                .find(|column| column.attnum == id.column)
                .map(|column| column.name.clone()),
        }),
    }
}

/// The same in the session's own schema. A path may begin with that in so many words, and then tables are made there; what is told
/// of a path does not tell it.
fn of_session(named: &Named) -> Named {
    Named {
        schema: TEMPORARY.to_owned(),
        ..named.clone()
    }
}

fn made(known: &Known, lineage: &Lineage, created: &Created, path: Option<&SearchPath>, found: &mut Vec<Entry>) {
    let mut schemas = vec![schema_of(created, path)];
    // As in `of_session`.
    if created.schema.is_none() && !created.temporary {
        schemas.push(TEMPORARY.to_owned());
    }
    let mut add = |column: Option<&str>, rules: Vec<String>| {
        for schema in schemas.iter().filter(|_| !rules.is_empty()) {
            found.push(Entry {
                place: Place::Named(Named {
                    schema: schema.clone(),
                    relation: created.name.clone(),
                    column: column.map(str::to_owned),
                }),
                rules: rules.clone(),
                own: schema == TEMPORARY,
            });
        }
    };
    match &created.columns {
        Some(columns) => {
            for column in columns {
                let rules = known.protected.uids(&rules_of(&column.flow, &known.protected));
                add(Some(&column.name), rules);
            }
        }
        None if !created.filled => {}
        None => add(None, known.protected.uids(&lineage.touched_rules(&known.protected))),
    }
}

/// The schema in which a relation is made.
#[must_use]
pub fn schema_of(created: &Created, path: Option<&SearchPath>) -> String {
    if created.temporary {
        return TEMPORARY.to_owned();
    }
    let first = || {
        let schemas = path.map(SearchPath::schemas).unwrap_or_default();
        let lawful = schemas
            .iter()
            .find(|name| !name.starts_with(TEMPORARY) && *name != "pg_catalog");
        lawful.cloned().unwrap_or_default()
    };
    created.schema.clone().unwrap_or_else(first)
}

/// Whether something of this name is where a relation is to be made.
#[must_use]
pub fn is_there(created: &Created, snapshot: &Snapshot, path: Option<&SearchPath>) -> bool {
    let schema = schema_of(created, path);
    path.is_some_and(|path| snapshot.resolve(path, Some(&schema), &created.name).is_some())
}

/// Protects what the entries name. Gives entries by number for the names that the catalog knows.
pub fn apply(entries: &[Entry], protected: &mut ProtectedColumns, snapshot: &Snapshot) -> Vec<Entry> {
    let mut learned = Vec::new();
    for entry in entries {
        let rules = protected.of_uids(&entry.rules);
        match &entry.place {
            Place::Column(column) => _ = protected.add(*column, &rules),
            Place::Named(named) => {
                for id in snapshot.relations().flat_map(|relation| named.columns(relation)) {
                    protected.add(id, &rules);
                    learned.push(Entry {
                        place: Place::Column(id),
                        ..entry.clone()
                    });
                }
            }
        }
    }
    if !entries.is_empty() {
        protected.spread(snapshot);
    }
    learned
}

/// Protects what materialised views hold, as far as their definitions tell now: their rows stay what they are when a view that
/// they were read through is replaced. What is read through a view whose definition a lock keeps from being read is left for later:
/// it seems to be everything, and would stay that.
pub fn materialised(protected: &mut ProtectedColumns, snapshot: &Snapshot) {
    let views = snapshot
        .relations()
        .filter(|relation| relation.kind == RelationKind::MaterializedView);
    for relation in views {
        let lineage = of_relation(relation, snapshot);
        let mut through = lineage.relations.iter().filter_map(|oid| snapshot.relation(*oid));
        if through.any(Relation::is_undefined) {
            continue;
        }
        for (column, output) in relation.columns.iter().zip(lineage.outputs.iter().flatten()) {
            let id = ColumnId {
                relation: relation.oid,
                column: column.attnum,
            };
            let rules = rules_of(&output.flow, protected);
            protected.add(id, &rules);
        }
    }
}

/// The catalog after a statement of the same unit, as far as it can be told before it runs: what it makes, and what it
/// copies to.
#[must_use]
pub fn after(view: &View, path: Option<&SearchPath>) -> Option<(Arc<Known>, Option<SearchPath>)> {
    let entries = entries(view, path);
    let making_it = view.lineages.iter().find(|lineage| lineage.created.is_some());
    let created = making_it.and_then(|lineage| lineage.created.as_ref());
    if entries.is_empty() && created.is_none() {
        return None;
    }
    let known = &view.known;
    let (mut snapshot, mut path) = (Arc::clone(&known.snapshot), path.cloned());
    let mut protected = Arc::clone(&known.protected);
    // IF NOT EXISTS leaves a table that is there as it is. Without it nothing runs behind this, or that table is gone by now.
    let created = created.filter(|created| !(created.if_absent && is_there(created, &snapshot, path.as_ref())));
    if let Some((created, columns)) = created.and_then(|created| Some((created, created.columns.as_ref()?))) {
        let schema = match (&path, created.temporary) {
            // It has a number, where the session has it.
            (Some(path), true) => path.schema(TEMPORARY).to_owned(),
            (path, _) => schema_of(created, path.as_ref()),
        };
        let read = making_it.filter(|_| created.view).into_iter();
        let behind = read.flat_map(|lineage| lineage.relations.iter().copied());
        let (relation, now) = making(&snapshot, created, columns, &schema, behind.collect())?;
        snapshot = Arc::new(now);
        for (output, column) in columns.iter().zip(1..=AttNum::MAX) {
            let rules = rules_of(&output.flow, &known.protected);
            // A copy of all that is protected is large, and most of what is made holds nothing of it.
            if !rules.is_empty() {
                Arc::make_mut(&mut protected).add(ColumnId { relation, column }, &rules);
            }
        }
        // A session's first temporary table brings a schema, which is looked into before all others unless the setting names it.
        if is_unplaced(created, path.as_ref()) {
            path = path.map(|path| {
                if path.schemas().contains(&schema) {
                    return path;
                }
                let schemas = std::iter::once(schema).chain(path.schemas().iter().cloned());
                SearchPath::effective(schemas.collect(), None)
            });
        }
    }
    if !entries.is_empty() {
        apply(&entries, Arc::make_mut(&mut protected), &snapshot);
    }
    Some((with(known, snapshot, protected), path))
}

/// Whether a relation is the session's own, in a schema that the session does not have yet. Where in its path that will stand
/// depends on a setting, which may name it.
#[must_use]
pub fn is_unplaced(created: &Created, path: Option<&SearchPath>) -> bool {
    let numbered = |schema: &String| schema != TEMPORARY && schema.starts_with(TEMPORARY);
    created.temporary && path.is_none_or(|path| !path.schemas().iter().any(numbered))
}

/// The catalog after a relation was made with these columns, and the OID that it has there. `behind`: what a view reads.
fn making(
    snapshot: &Snapshot,
    created: &Created,
    columns: &[Output],
    schema: &str,
    behind: Vec<Oid>,
) -> Option<(Oid, Snapshot)> {
    let columns = columns.iter().zip(1..=AttNum::MAX).map(|(output, attnum)| Column {
        attnum,
        name: output.name.clone(),
        type_oid: 0,
        generated: output.generated.clone(),
    });
    snapshot.making(Relation {
        schema: schema.to_owned(),
        name: created.name.clone(),
        columns: columns.collect(),
        behind,
        ..Relation::default()
    })
}

/// What is known, with another catalog and what is protected in it.
#[must_use]
pub fn with(known: &Known, snapshot: Arc<Snapshot>, protected: Arc<ProtectedColumns>) -> Arc<Known> {
    Arc::new(Known {
        snapshot,
        types: Arc::clone(&known.types),
        protected,
        rows: Arc::clone(&known.rows),
        schemas: Arc::clone(&known.schemas),
        revision: known.revision,
    })
}

#[cfg(test)]
mod tests;
