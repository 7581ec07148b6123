//! Columns of relations that stay, which go with something else: with the type that they are of, or a function that makes them. What is
//! temporary may go by itself when its transaction is committed.

use std::collections::BTreeSet;

use sallyport_policy::catalog::{Catalog as _, Oid, Part, Relation, SearchPath};
use sallyport_policy::columns::TEMPORARY;
use sallyport_policy::sql::lineage::Lineage;
use sallyport_policy::sql::{RelationRef, Statement, Verb};

use super::Understood;
use super::hazard::Hazard;
use crate::postgres::handed::is_yet_to_be;

/// What may have changed while the catalog still tells what hangs on what a name means, if it means one thing only.
const TOLD: [Hazard; 4] = [Hazard::Relations, Hazard::Names, Hazard::Gone, Hazard::Ways];
/// Bytes beyond which nothing is a name.
const NAME_BYTES: usize = 63;

/// What a unit made so far that columns may hang on: no catalog tells yet what hangs on what.
#[derive(Clone, Default)]
pub(super) struct Losing {
    /// Names in the statements that made something.
    named: BTreeSet<String>,
    /// Whether something may be made of what no name tells: of the array of a row, or of what a prepared statement gives.
    unnamed: bool,
    /// Whether something was made that goes when its transaction is committed.
    passes: bool,
}

/// What is known where a statement stands.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    /// What may be otherwise than the catalog tells.
    pub(super) hazards: &'a BTreeSet<Hazard>,
    /// By which path names are looked up.
    pub(super) path: Option<&'a SearchPath>,
    /// Whether the catalog holds what the open transaction made.
    pub(super) uncommitted: bool,
}

// === impl Losing ===

impl Losing {
    /// Takes note of a statement that will have run before the next.
    pub(super) fn add(&mut self, understood: &Understood) {
        let readings = understood.stated.readings();
        for statement in readings.filter(|statement| statement.verbs.contains(Verb::Create)) {
            let names = statement.names();
            // PostgreSQL calls the type of an array by that of its elements, behind such a sign.
            self.unnamed |= !statement.executes.is_empty() || names.iter().any(|name| name.starts_with('_'));
            let names = names.into_iter().filter(|name| name.len() <= NAME_BYTES);
            self.named.extend(names.map(str::to_owned));
            self.passes |= statement.goes_on_commit();
        }
    }

    /// Whether columns of what stays may be gone behind a statement.
    pub(super) fn loses(&self, understood: &Understood, before: Before<'_>) -> bool {
        let takes = understood.stated.readings().any(Statement::takes_columns);
        let told = || before.path.is_some() && is_told(understood, before.hazards);
        takes && !(told() && self.stays_whole(understood)) || self.ends(understood, before)
    }

    /// Whether a statement commits what columns of others hang on and goes then. Which of the temporary tables that the transaction made
    /// are such, the catalog does not tell.
    fn ends(&self, understood: &Understood, before: Before<'_>) -> bool {
        let commits = understood.asked.command.verbs.contains(Verb::Commit) || understood.after.may_commit(false);
        let own = before.path.map(|path| path.schema(TEMPORARY));
        let passing = |one: &Relation| {
            let temporary = one.schema.starts_with(TEMPORARY) && own.is_none_or(|own| one.schema == own);
            temporary && !is_yet_to_be(one.oid) && (self.mentions(&one.name) || holds_columns(one))
        };
        let catalog = &understood.view.known.snapshot;
        commits && (self.passes || before.uncommitted && catalog.relations().any(passing))
    }

    /// Whether it is known what CASCADE takes along, and that this is no column of what stays.
    fn stays_whole(&self, understood: &Understood) -> bool {
        let (catalog, lineages) = (&understood.view.known.snapshot, &understood.view.lineages);
        let apart = |oid: &Oid| catalog.relation(*oid).is_some_and(|one| !self.mentions(&one.name));
        let whole = |lineage: &Lineage| {
            let taken = lineage.taken.as_ref().filter(|taken| !taken.torn);
            taken.is_some_and(|taken| taken.relations.iter().all(apart))
        };
        let mut named = understood.stated.readings().flat_map(|statement| &statement.relations);
        let mentioned = named.any(|one| self.mentions(&one.name));
        !mentioned && !lineages.is_empty() && lineages.iter().all(whole)
    }

    /// Whether columns of what was made may be of the row of a relation of this name.
    fn mentions(&self, name: &str) -> bool {
        self.unnamed || self.named.contains(name)
    }
}

/// Whether the catalog tells which relations a statement names.
fn is_told(understood: &Understood, hazards: &BTreeSet<Hazard>) -> bool {
    let catalog = &understood.view.known.snapshot;
    let alone = |one: &RelationRef| catalog.named_anywhere(&one.name).count() <= 1;
    let mut readings = understood.stated.readings();
    let told = hazards.iter().all(|hazard| TOLD.contains(hazard));
    told && (hazards.is_empty() || readings.all(|statement| statement.relations.iter().all(alone)))
}

/// Whether columns of others may hang on a relation.
fn holds_columns(relation: &Relation) -> bool {
    let columns = |part: Part| matches!(part, Part::Column(_) | Part::Unknown);
    relation.hanging.iter().any(|hanging| columns(hanging.part))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::catalog::Hanging;

    use super::super::hazard::tests::understood_by;
    use super::super::unfold::tests::known;
    use super::*;
    use crate::postgres::catalog::Known;

    /// A catalog with tables on which a column of another hangs, a view, or what is not followed, and with temporary ones of two sessions.
    fn hung() -> Known {
        let relation = |oid, schema: &str, name: &str, hanging: &[(u32, &str)]| Relation {
            oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            hanging: hanging.iter().map(|(on, how)| Hanging::of(*on, how).unwrap()).collect(),
            ..Relation::default()
        };
        let known = known();
        let more = vec![
            relation(20_010, "public", "base", &[(20_001, "c1 0")]),
            relation(20_011, "public", "seen", &[(20_002, "w 1")]),
            relation(20_012, "public", "typed", &[(0, "x 0")]),
            relation(20_013, "pg_temp_2", "lone", &[(20_002, "w 1")]),
            relation(20_014, "pg_temp_3", "hung", &[(20_001, "c1 0")]),
        ];
        let snapshot = Arc::new(known.snapshot.with(more));
        Known { snapshot, ..known }
    }

    fn loses(before: &[&str], sql: &str, standing: Before<'_>) -> bool {
        let mut losing = Losing::default();
        for sql in before {
            losing.add(&understood_by(sql, hung()));
        }
        losing.loses(&understood_by(sql, hung()), standing)
    }

    #[test]
    fn a_column_goes_with_what_it_hangs_on() {
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        let standing = Before {
            hazards: &BTreeSet::new(),
            path: Some(&path),
            uncommitted: false,
        };
        for (sql, goes) in [
            ("drop domain d cascade", true),
            ("drop schema s cascade", true),
            ("drop function f(int) cascade", true),
            ("drop owned by r", true),
            ("discard temp", true),
            ("drop table base cascade", true),
            ("drop table typed cascade", true),
            ("drop table notes, base cascade", true),
            ("drop table seen cascade", false),
            ("drop table notes cascade", false),
            ("drop table if exists gone cascade", false),
            ("drop view v_cust cascade", false),
            ("drop table base", false),
            ("drop domain d", false),
            ("drop index i cascade", false),
            ("discard plans", false),
            ("commit", false),
            ("select 1", false),
        ] {
            assert_eq!(loses(&[], sql, standing), goes, "{sql}");
        }
    }

    #[test]
    fn what_hangs_on_a_table_is_told_as_long_as_nothing_was_made_of_it() {
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        let dropped = [Hazard::Relations, Hazard::Names, Hazard::Gone];
        let (table, view) = ("drop table notes cascade", "drop table seen cascade");
        for (before, sql, hazards, led, goes) in [
            (&["begin", view][..], table, &dropped[..], true, false),
            (&["create table t (x int)"], table, &[Hazard::Relations], true, false),
            (&["create table t (x notes)"], table, &[], true, true),
            (&["create table t (x _notes)"], table, &[], true, true),
            (&["create table t as select n from notes n"], table, &[], true, true),
            (&["create table t as execute p"], table, &[], true, true),
            (&["create domain d as notes"], table, &[], true, true),
            (&["create table t (x v_cust)"], view, &[], true, true),
            (&["create table t (x v_cust)"], table, &[], true, false),
            (&[], table, &[Hazard::Relations, Hazard::Places], true, true),
            (&[], table, &[Hazard::Path], true, true),
            (&[], table, &[], false, true),
        ] {
            let standing = Before {
                hazards: &hazards.iter().copied().collect(),
                path: Some(&path).filter(|_| led),
                uncommitted: false,
            };
            assert_eq!(loses(before, sql, standing), goes, "{before:?} {sql} {hazards:?}");
        }
    }

    #[test]
    fn columns_go_with_rows_that_go_when_they_are_committed() {
        let own =
            |number: &str| SearchPath::effective(vec![number.to_owned(), "public".to_owned()], Some(number.to_owned()));
        let passing = "create temp table d9 (a int) on commit drop";
        for (before, sql, temp, uncommitted, goes) in [
            (
                &[passing, "create table w9 (ssn d9)"][..],
                "commit",
                "pg_temp_2",
                false,
                true,
            ),
            (&[passing], "commit and chain", "pg_temp_2", false, true),
            (&[passing], "call p()", "pg_temp_2", false, true),
            (&[passing], "rollback", "pg_temp_2", false, false),
            (&[passing], "select 1", "pg_temp_2", false, false),
            (&["create temp table d9 (a int)"], "commit", "pg_temp_2", false, false),
            (&[], "commit", "pg_temp_2", true, false),
            (&["create table w9 (ssn lone)"], "commit", "pg_temp_2", true, true),
            (&["create table w9 (ssn text)"], "commit", "pg_temp_2", true, false),
            (&["create table w9 (ssn lone)"], "commit", "pg_temp_2", false, false),
            (&["create table w9 (ssn lone)"], "commit", "pg_temp_4", true, false),
            (&[], "commit", "pg_temp_3", true, true),
            (&[], "commit", "pg_temp_3", false, false),
            (&[], "savepoint s", "pg_temp_3", true, false),
        ] {
            let path = own(temp);
            let standing = Before {
                hazards: &BTreeSet::new(),
                path: Some(&path),
                uncommitted,
            };
            assert_eq!(
                loses(before, sql, standing),
                goes,
                "{before:?} {sql} {temp} {uncommitted}"
            );
        }
    }
}
