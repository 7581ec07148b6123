//! What the statements of a unit mean to those after them, before any of them ran.

use std::collections::BTreeSet;
use std::sync::Arc;

use sallyport_policy::catalog::{Catalog as _, Column, Oid, Relation, SearchPath};
use sallyport_policy::columns::TEMPORARY;
use sallyport_policy::decide::Command;
use sallyport_policy::sql::lineage::{Created, Lineage};
use sallyport_policy::sql::{Access, Statement, Verb};

use super::hazard::{ALL_AT_ONCE, Hazard, Standing, UNDOING, raised};
use super::losing::{Before, Losing};
use super::nameless::tells;
use super::{Context, Understood};
use crate::postgres::catalog::Known;
use crate::postgres::handed::{self, Entry, Place};
use crate::postgres::rows::View;

/// Relations that a unit may make: every name behind them is looked for among them.
pub const MAX_MADE: usize = 1_000;

/// What happens to partitions, children, and rows that follow by a key, as it does to what is named.
const FOLLOWED: [Verb; 7] = [
    Verb::Insert,
    Verb::Update,
    Verb::Delete,
    Verb::Merge,
    Verb::CopyFrom,
    Verb::Truncate,
    Verb::Drop,
];

/// What is over as soon as it begins.
const AT_ONCE: [Verb; 2] = [Verb::Begin, Verb::Set];

/// Where PostgreSQL's own relations are.
const SYSTEM: &str = "pg_catalog";

/// What may have changed while the catalog, and what the unit makes, still tell which relations there are.
const TOLD: [Hazard; 6] = [
    Hazard::Relations,
    Hazard::Names,
    Hazard::Gone,
    Hazard::Columns,
    Hazard::Places,
    Hazard::Ways,
];

/// The catalog as it unfolds along a unit.
#[derive(Clone, Default)]
pub struct Unfolding {
    /// The catalog and the path after what was made so far.
    now: Option<(Arc<Known>, Option<SearchPath>)>,
    /// What may no longer be as they tell.
    hazards: BTreeSet<Hazard>,
    /// Names in the statements that took something away, or its name.
    gone: BTreeSet<String>,
    /// Relations, as rules name them, that were made to hang together with others, by a parent, a key or a rule, or that are read
    /// through what nobody knows.
    joined: BTreeSet<String>,
    /// Names that were taken from relations, or given to them: the catalog tells of those that had them before.
    renamed: BTreeSet<String>,
    /// Names of relations that were made of others whose code they may have, or that are read through such.
    unseen: BTreeSet<String>,
    /// Relations that are read through views and materialised views of this unit, which are known by their columns alone.
    read: BTreeSet<Oid>,
    /// How many statements made a relation.
    made: usize,
    /// Whether a table got columns.
    grew: bool,
    /// Whether anything runs before that may take its time.
    lasts: bool,
    /// Whether what it makes may hold other values than those that stand in its own text.
    fed: bool,
    /// By which it is known whether a column may have gone with something else.
    losing: Losing,
}

// === impl Unfolding ===

impl Unfolding {
    /// Whether nothing came before that changes what anything means.
    pub fn is_nothing(&self) -> bool {
        let named = [&self.joined, &self.renamed, &self.unseen];
        self.now.is_none() && self.hazards.is_empty() && named.into_iter().all(BTreeSet::is_empty)
    }

    /// Whether what stands here may run long after it was looked at, and nothing holds it to that: by the time that what stands before it
    /// has run, names may mean something else, and values of others may have come into rows.
    pub fn lasts(&self) -> bool {
        self.lasts
    }

    /// Whether a relation is made in the unit, where nobody can put another before it, and holds values of its text alone.
    pub fn is_own(&self, oid: Oid, context: &Context<'_>) -> bool {
        let lasting = |schema: &&String| *schema != SYSTEM && !schema.starts_with(TEMPORARY);
        let first = context.path.and_then(|path| path.schemas().iter().find(lasting));
        let made = context
            .known
            .snapshot
            .relation(oid)
            .filter(|_| handed::is_yet_to_be(oid));
        !self.fed && made.is_some_and(|made| Some(&made.schema) == first)
    }

    /// Takes note that something runs before which is not understood here.
    pub fn runs_another(&mut self) {
        self.lasts = true;
        self.fed = true;
    }

    /// Whether something is written to a relation behind which code may run that no catalog tells of yet.
    pub fn runs_unseen(&self, statement: &Statement) -> bool {
        let mut written = statement.relations.iter().filter(|one| one.access == Access::Write);
        written.any(|one| self.unseen.contains(&one.name))
    }

    /// Whether a relation of this name may be another than the catalog tells.
    pub fn has_renamed(&self, name: &str) -> bool {
        self.renamed.contains(name)
    }

    /// Whether relations were made.
    pub fn has_made(&self) -> bool {
        self.made > 0
    }

    /// Whether what a command does goes on to others than the catalog tells.
    pub fn carries_on(&self, command: &Command) -> bool {
        command.verbs.any(&FOLLOWED) && command.written.iter().any(|name| self.joined.contains(name))
    }

    /// Whether something may no longer be as the catalog and the path tell.
    pub fn has(&self, hazard: Hazard) -> bool {
        self.hazards.contains(&hazard)
    }

    /// Takes note that something may no longer be so.
    pub fn raise(&mut self, hazard: Hazard) {
        self.hazards.insert(hazard);
    }

    /// Takes note that nothing is known any more but the text itself.
    pub fn raise_all(&mut self) {
        self.hazards.extend(ALL_AT_ONCE.iter().copied());
        self.hazards.extend([
            Hazard::Meaning,
            Hazard::Path,
            Hazard::Encoding,
            Hazard::Strangers,
            Hazard::Executed,
        ]);
    }

    /// The same, where something else may no longer be so.
    pub fn with(&self, hazard: Hazard) -> Self {
        let mut other = self.clone();
        other.raise(hazard);
        other
    }

    /// Whether no more relations can be made that statements behind them know.
    pub fn is_full(&self) -> bool {
        self.made >= MAX_MADE
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
        // What all sessions see is committed, and stays however a transaction ends.
        let own = !context.shared || self.now.is_some();
        let (led, grown) = (self.led(context, understood), self.grown(understood));
        let at_once = is_at_once(understood);
        self.lasts |= !at_once;
        self.fed |= !(at_once || makes_empty(understood) || inserts_own(understood));
        let before = Before {
            hazards: &self.hazards,
            path: self.now.as_ref().map_or(context.path, |(_, path)| path.as_ref()),
            uncommitted: context.uncommitted,
        };
        let standing = Standing {
            own,
            uncommitted: context.uncommitted || self.now.is_some(),
            led: led.is_some(),
            grows: grown.is_some(),
            loses: self.losing.loses(understood, before),
        };
        self.losing.add(understood);
        self.hazards.extend(raised(understood, standing));
        let readings = understood.stated.readings();
        let undoing = readings.filter(|statement| statement.verbs.any(&UNDOING));
        self.gone.extend(undoing.flat_map(Statement::names).map(str::to_owned));
        let renamed = understood.stated.readings().flat_map(Statement::renames);
        self.renamed.extend(renamed.map(str::to_owned));
        let (view, known) = (&understood.view, &understood.view.known);
        let path = self.now.as_ref().map_or(context.path, |(_, path)| path.as_ref());
        let replaced = self.replaces_read(view);
        let touches = |lineage: &Lineage| !lineage.touched_rules(&known.protected).is_empty();
        if replaced && view.lineages.iter().any(touches) || self.fills_read(view, path) {
            self.hazards.insert(Hazard::Meaning);
        }
        if replaced {
            self.joined.extend(understood.asked.command.tables.iter().cloned());
        }
        let again = |created: &Created| created.view || created.refreshed;
        let through = view
            .lineages
            .iter()
            .filter(|lineage| lineage.created.as_ref().is_some_and(again));
        self.read
            .extend(through.flat_map(|lineage| lineage.relations.iter().copied()));
        let mut made = view.lineages.iter().filter_map(|lineage| lineage.created.as_ref());
        self.made += usize::from(made.clone().next().is_some());
        let mut readings = understood.stated.readings();
        let upon = readings.any(|statement| statement.relations.iter().any(|one| self.unseen.contains(&one.name)));
        let brings = made.clone().filter(|created| created.brings_code || upon);
        self.unseen.extend(brings.map(|created| created.name.clone()));
        let shared = |created: &Created| known.snapshot.named_anywhere(&created.name).next().is_some();
        // The path may name the session's own schema behind that of the other.
        let behind = |created: &Created| handed::is_unplaced(created, path) && shared(created);
        if made.clone().any(behind) {
            self.hazards.extend([Hazard::Names, Hazard::Gone]);
        }
        let beside: Vec<&Relation> = made
            .clone()
            .filter_map(|created| beside(created, known, path))
            .collect();
        let hangs = |one: &&Relation| {
            let alone = one.parents.is_empty() && one.followers.is_empty();
            one.is_view() || !alone || !known.snapshot.children(one.oid).is_empty()
        };
        let lost = beside.iter().any(|one| known.is_seen_to_tell(one));
        let lost = lost
            || made.any(|created| {
                let unsaid = created.columns.is_none() || created.may_be_another();
                let taken = unsaid && shadows(created, known, path);
                taken || self.may_replace(created, known, path, context.shared)
            });
        if lost {
            self.hazards.insert(Hazard::Meaning);
        }
        if lost || beside.iter().any(hangs) || understood.stated.readings().any(joins) {
            self.joined.extend(understood.asked.command.tables.iter().cloned());
        }
        if let Some(next) = handed::after(view, path) {
            self.now = Some(next);
        }
        if led.is_some() {
            self.now = Some((Arc::clone(known), led));
        }
        // Code that nobody sees into may have taken them away again.
        if self.grew && understood.after.stale.names {
            self.hazards.insert(Hazard::Meaning);
        }
        if let Some(known) = grown {
            self.grew = true;
            let path = self.now.as_ref().map_or(context.path, |(_, path)| path.as_ref());
            self.now = Some((known, path.cloned()));
        }
    }

    /// Whether a statement replaces a view that others of the same unit read through: they show, and write to, what that reads now.
    fn replaces_read(&self, view: &View) -> bool {
        let made = view.lineages.iter().filter_map(|lineage| lineage.created.as_ref());
        let mut views = made.filter(|created| created.view);
        let names =
            |created: &Created| self.renamed.contains(&created.name) || self.is_read(&created.name, &view.known);
        !self.read.is_empty() && views.any(names)
    }

    /// Whether a statement copies protected values to where a materialised view of the same unit takes them from, once it is refreshed.
    fn fills_read(&self, view: &View, path: Option<&SearchPath>) -> bool {
        let is_read = |entry: &Entry| match &entry.place {
            Place::Column(column) => self.read.contains(&column.relation),
            Place::Named(named) => self.is_read(&named.relation, &view.known),
        };
        !self.read.is_empty() && handed::entries(view, path).iter().any(is_read)
    }

    /// Whether a view of the unit may read a relation of this name.
    fn is_read(&self, name: &str, known: &Known) -> bool {
        let mut namesakes = known.snapshot.named_anywhere(name);
        namesakes.any(|one| self.read.contains(&one.oid))
    }

    /// The catalog behind a statement that only adds columns to a table, where it is certain which table that is.
    fn grown(&self, understood: &Understood) -> Option<Arc<Known>> {
        let (known, lineages) = (&understood.view.known, &understood.view.lineages);
        let mut each = lineages.iter().map(|lineage| lineage.grown.as_ref());
        let grown = each.next()??;
        // One of the name of a column that is gone stands elsewhere than that did.
        let told = self.hazards.iter().all(|hazard| TOLD.contains(hazard)) && !self.has(Hazard::Columns);
        // What an event trigger does, nobody sees.
        if each.any(|other| other != Some(grown)) || !told || understood.after.stale.names {
            return None;
        }
        let snapshot = &known.snapshot;
        let target = snapshot.relation(grown.relation)?;
        let ambiguous = self.has(Hazard::Names) && snapshot.named_anywhere(&target.name).count() > 1;
        if ambiguous {
            return None;
        }
        let (mut tables, mut todo) = (Vec::new(), vec![target]);
        while let Some(table) = todo.pop() {
            let children = snapshot.children(table.oid).iter();
            todo.extend(children.filter_map(|oid| snapshot.relation(*oid)));
            tables.push(with_columns(table, &grown.columns)?);
        }
        let snapshot = Arc::new(snapshot.with(tables));
        Some(handed::with(known, snapshot, Arc::clone(&known.protected)))
    }

    /// How names are looked up behind a `SET search_path` in so many words: by all of its schemas. Where code ran that nobody sees
    /// into, or names changed, the catalog does not tell what they find there.
    fn led(&self, context: &Context<'_>, understood: &Understood) -> Option<SearchPath> {
        if !self.hazards.iter().all(|hazard| TOLD.contains(hazard)) {
            return None;
        }
        let mut set = understood.stated.readings().map(Statement::path_set);
        let setting = set.next()??;
        if set.any(|other| other.as_ref() != Some(&setting)) {
            return None;
        }
        let before = self.now.as_ref().map_or(context.path, |(_, path)| path.as_ref())?;
        let temporary = before.schemas().iter().find(|schema| schema.starts_with(TEMPORARY));
        SearchPath::from_setting(&setting, context.role, temporary.map(String::as_str))
    }

    /// Whether a relation that is made may stand where the catalog holds another, with columns that nobody knows.
    fn may_replace(&self, created: &Created, known: &Known, path: Option<&SearchPath>, shared: bool) -> bool {
        let named = |name: &str| self.gone.contains(name);
        let own = created.temporary || !shared;
        let gone = || own || named(&created.name) || named(&handed::schema_of(created, path));
        let unknown = match created.if_absent {
            true => self.has(Hazard::Gone) && gone(),
            false => !created.view && created.columns.is_none(),
        };
        unknown && handed::is_there(created, &known.snapshot, path)
    }
}

/// Whether a statement waits for nobody, and what stands behind it can be held to what it was looked at by before either runs.
fn is_at_once(understood: &Understood) -> bool {
    let after = &understood.after;
    let unsettles = after.stale.any() || after.moves || after.imports || after.commits;
    let mut readings = understood.stated.readings();
    !unsettles && readings.all(|statement| statement.verbs.within(&AT_ONCE) && statement.keeps_locks())
}

/// Whether a statement only makes something that holds no rows, and shows none of others.
fn makes_empty(understood: &Understood) -> bool {
    let empty = |lineage: &Lineage| match &lineage.created {
        Some(made) => !(made.filled || made.view || made.refreshed),
        // A sequence.
        None => lineage.relations.is_empty() && !understood.after.stale.names,
    };
    let creates = |statement: &Statement| statement.verbs.within(&[Verb::Create]);
    understood.stated.readings().all(creates) && understood.view.lineages.iter().all(empty)
}

/// Whether a statement only inserts values that stand in its text.
fn inserts_own(understood: &Understood) -> bool {
    let inserts = |statement: &Statement| statement.verbs.within(&[Verb::Insert, Verb::Select]);
    !understood.view.copies() && understood.stated.readings().all(inserts)
}

/// A table with more columns behind its own, as far as it does not have them.
fn with_columns(table: &Relation, names: &[String]) -> Option<Relation> {
    let mut grown = table.clone();
    for name in names.iter().filter(|name| table.column(name).is_none()) {
        let last = grown.columns.last().map_or(0, |column| column.attnum);
        grown.columns.push(Column {
            attnum: last.checked_add(1)?,
            name: name.clone(),
            type_oid: 0,
            generated: None,
        });
    }
    Some(grown)
}

/// Whether a relation that is made takes a name away from one that protected values may be in.
fn shadows(created: &Created, known: &Known, path: Option<&SearchPath>) -> bool {
    let replaces = created.view || !handed::is_there(created, &known.snapshot, path);
    replaces && tells(&created.name, known)
}

/// What the catalog holds in the place of what a statement makes. PostgreSQL makes nothing where something is, so that this was taken away
/// before, or stays what it is, and the other is made in the session's own schema: a path may begin with that, which nothing tells as
/// long as the schema is not there, and views of temporary relations go there by themselves.
fn beside<'k>(created: &Created, known: &'k Known, path: Option<&SearchPath>) -> Option<&'k Relation> {
    if created.temporary || created.if_absent || created.schema.is_some() {
        return None;
    }
    let schema = handed::schema_of(created, path);
    known.snapshot.resolve(path?, Some(&schema), &created.name)
}

/// Whether a statement may make one relation a parent of another, or have the rows of one follow those of another.
fn joins(statement: &Statement) -> bool {
    let mut named = statement.relations.iter().map(|one| (&one.schema, &one.name));
    let first = named.next();
    let several = named.any(|one| Some(one) != first);
    statement.makes_rule() || several && statement.verbs.contains(Verb::Alter)
}

#[cfg(test)]
pub(super) mod tests;
