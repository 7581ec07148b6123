//! What the statements of a unit mean to those after them, before any of them ran.

use std::collections::BTreeSet;
use std::sync::Arc;

use sallyport_policy::catalog::SearchPath;
use sallyport_policy::sql::lineage::{Created, Lineage};
use sallyport_policy::sql::{Statement, Transaction, Verb, Verbs};

use super::nameless::is_telling;
use super::{Context, Understood};
use crate::postgres::catalog::Known;
use crate::postgres::handed;

/// Relations that a unit may make: every name behind them is looked for among them.
pub const MAX_MADE: usize = 1_000;

/// What takes things away, or their names.
const UNDOING: [Verb; 3] = [Verb::Alter, Verb::Drop, Verb::Discard];

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
    /// Whether a transaction ended: what it set of how names are looked up may be as it was before.
    pub left: bool,
    /// Whether protected values went to where the catalog does not reach yet.
    pub spilled: bool,
    /// Whether something may be gone, or go by another name, and leave its own to what was behind it.
    pub undone: bool,
    /// Whether what is written goes elsewhere, or elsewhere too, than the catalog says: through a view, to a child, along a key.
    pub rerouted: bool,
    /// Whether a place was made that a name without a schema may lead to.
    pub placed: bool,
    /// Whether code was made or goes by another name: it may be what any name calls.
    pub coded: bool,
    /// Whether anything was altered: what runs unseen behind a table may be other code from here on.
    pub altered: bool,
    /// Names in the statements that say so.
    gone: BTreeSet<String>,
    /// How many statements made a relation.
    made: usize,
}

// === impl Unfolding ===

impl Unfolding {
    /// Whether nothing came before that changes what anything means.
    pub fn is_nothing(&self) -> bool {
        let names = self.moved || self.hidden || self.left || self.undone;
        let changed = self.definitions || self.shaken || self.spilled || names;
        self.now.is_none() && !changed && !(self.rerouted || self.placed || self.coded || self.altered)
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
        let stale = understood.after.stale;
        self.definitions |= stale.relations || stale.path;
        let mut readings = understood.stated.readings();
        let alters = readings.any(|statement| statement.verbs.contains(Verb::Alter));
        self.moved |= understood.after.moves;
        self.hidden |= stale.names;
        self.left |= understood.after.transaction.as_ref().is_some_and(ends);
        let view = &understood.view;
        let protected = &view.known.protected;
        self.spilled |= view.lineages.iter().any(|lineage| {
            let made = lineage.created.as_ref();
            let unseen = made.is_some_and(|created| created.filled && !created.view && created.columns.is_none());
            !lineage.spilled.is_empty() || unseen && !lineage.touched_rules(protected).is_empty()
        });
        self.shaken |= alters
            && view
                .lineages
                .iter()
                .any(|lineage| !lineage.touched_rules(protected).is_empty());
        let makes = |lineage: &Lineage| {
            let made = lineage.created.as_ref();
            made.is_some_and(|created| created.view || created.columns.is_none())
        };
        self.rerouted |= alters || view.lineages.iter().any(makes);
        let places = understood.stated.readings().any(Statement::makes_places);
        self.placed |= places;
        self.shaken |= understood.stated.readings().any(Statement::makes_rule);
        self.altered |= alters;
        self.coded |= understood.stated.readings().any(Statement::makes_code);
        // What all sessions see is committed, and stays however a transaction ends.
        let own = !context.shared || self.now.is_some();
        let transaction = understood.after.transaction.as_ref().filter(|_| own);
        self.undone |= places || may_undo(understood.asked.command.verbs, transaction);
        let readings = understood.stated.readings();
        let undoing = readings.filter(|statement| statement.verbs.any(&UNDOING));
        self.gone.extend(undoing.flat_map(Statement::names).map(str::to_owned));
        let path = self.now.as_ref().map_or(context.path, |(_, path)| path.as_ref());
        let mut made = view.lineages.iter().filter_map(|lineage| lineage.created.as_ref());
        self.made += usize::from(made.clone().next().is_some());
        let lost = made.any(|created| {
            let known = &view.known;
            let taken = created.columns.is_none() && shadows(created, known, path);
            taken || self.may_replace(created, known, path, context.shared)
        });
        self.shaken |= lost;
        if let Some(next) = handed::after(view, path) {
            self.now = Some(next);
        }
    }

    /// Whether a relation that is made may stand where the catalog holds another, with columns that nobody knows.
    fn may_replace(&self, created: &Created, known: &Known, path: Option<&SearchPath>, shared: bool) -> bool {
        let named = |name: &str| self.gone.contains(name);
        let own = created.temporary || !shared;
        let gone = || own || named(&created.name) || named(&handed::schema_of(created, path));
        let unknown = match created.if_absent {
            true => self.undone && gone(),
            false => !created.view && created.columns.is_none(),
        };
        unknown && handed::is_there(created, &known.snapshot, path)
    }
}

/// Whether a relation that is made takes a name away from one that protected values may be in.
fn shadows(created: &Created, known: &Known, path: Option<&SearchPath>) -> bool {
    let mut namesakes = known.snapshot.named_anywhere(&created.name);
    let replaces = created.view || !handed::is_there(created, &known.snapshot, path);
    replaces && namesakes.any(|one| is_telling(one, known))
}

/// Whether something that was there may be gone, or go by another name.
fn may_undo(verbs: Verbs, transaction: Option<&Transaction>) -> bool {
    transaction.is_some_and(ends) || verbs.any(&UNDOING)
}

/// Whether a transaction ends, or a part of one.
fn ends(transaction: &Transaction) -> bool {
    !matches!(transaction, Transaction::Begin | Transaction::Savepoint(_))
}

#[cfg(test)]
mod tests {
    use sallyport_policy::catalog::{Column, ColumnId, Relation, Snapshot};
    use sallyport_policy::mask::{ProtectedColumns, RuleSet};
    use sallyport_policy::sql::{lineage, parse};

    use super::*;

    fn known() -> Known {
        let relation = |oid, name: &str| Relation {
            oid,
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns: vec![Column {
                attnum: 1,
                name: "ssn".to_owned(),
                type_oid: 25,
                generated: None,
            }],
            ..Relation::default()
        };
        let view = Relation {
            definition: Some("SELECT ssn FROM public.customers;".to_owned()),
            ..relation(20_002, "v_cust")
        };
        let snapshot = Snapshot::new(vec![relation(20_000, "customers"), relation(20_001, "notes"), view]);
        let mut protected = ProtectedColumns::default();
        let ssn = ColumnId {
            relation: 20_000,
            column: 1,
        };
        protected.add(ssn, &RuleSet::one(0));
        Known {
            snapshot: Arc::new(snapshot),
            protected: Arc::new(protected),
            ..Known::default()
        }
    }

    #[test]
    fn a_name_is_taken_from_what_tells_only_by_what_is_made_anew() {
        let (known, path) = (known(), SearchPath::effective(vec!["public".to_owned()], None));
        for (sql, taken) in [
            ("create temp table customers (ssn text)", true),
            ("create temp table customers (like notes)", true),
            ("create temp table if not exists customers (ssn text)", true),
            ("create table other.customers as select 1 as ssn", true),
            ("create temp table v_cust (ssn text)", true),
            ("create or replace view v_cust as select 'a' as ssn", true),
            ("create table if not exists customers (ssn text)", false),
            ("create table if not exists customers as select 'a' as ssn", false),
            ("create temp table notes (ssn text)", false),
            ("create temp table t (ssn text)", false),
        ] {
            let script = parse(sql).unwrap();
            let made = lineage(&script.statements[0], &*known.snapshot, &path).created.unwrap();
            assert_eq!(shadows(&made, &known, Some(&path)), taken, "{sql}");
        }
    }

    #[test]
    fn what_is_made_where_another_was_may_have_other_columns() {
        let (known, path) = (known(), SearchPath::effective(vec!["public".to_owned()], None));
        for (sql, gone, another) in [
            ("create table notes (like customers)", "notes", true),
            ("create table notes (x text)", "notes", false),
            ("create table notes as select 'a' as x", "notes", false),
            ("create table if not exists notes as select 'a' as x", "notes", true),
            ("create table if not exists notes (x text)", "notes", true),
            ("create table if not exists notes (x text)", "public", true),
            ("create table if not exists notes (x text)", "t", false),
            ("create table if not exists t (x text)", "t", false),
        ] {
            let script = parse(sql).unwrap();
            let made = lineage(&script.statements[0], &*known.snapshot, &path).created.unwrap();
            let before = Unfolding {
                undone: true,
                gone: [gone.to_owned()].into(),
                ..Unfolding::default()
            };
            assert_eq!(before.may_replace(&made, &known, Some(&path), true), another, "{sql}");
            assert!(!made.if_absent || !Unfolding::default().may_replace(&made, &known, Some(&path), true));
        }
    }

    #[test]
    fn what_is_there_may_be_undone() {
        for (sql, undoes) in [
            ("rollback", true),
            ("rollback to s", true),
            ("commit", true),
            ("drop table customers", true),
            ("alter table customers rename to c", true),
            ("discard temp", true),
            ("begin", false),
            ("savepoint s", false),
            ("insert into customers values ('a')", false),
        ] {
            let script = parse(sql).unwrap();
            let statement = &script.statements[0];
            let transaction = match &statement.effect {
                sallyport_policy::sql::Effect::Transaction(transaction) => Some(transaction),
                _ => None,
            };
            assert_eq!(may_undo(statement.verbs, transaction), undoes, "{sql}");
        }
    }
}
