//! Columns of relations that stay, which go with something else: with the type that they are of, or a function that makes them. What is
//! temporary may go by itself when its transaction is committed.

use std::collections::BTreeSet;

use sallyport_policy::catalog::{Catalog as _, Part, Relation, SearchPath};
use sallyport_policy::columns::TEMPORARY;
use sallyport_policy::sql::lineage::Lineage;
use sallyport_policy::sql::{Statement, Verb};

use super::Understood;
use super::hazard::Hazard;
use crate::postgres::handed::is_yet_to_be;

/// What may have changed while the catalog still tells what hangs on what a name means, if it means one thing only.
const TOLD: [Hazard; 3] = [Hazard::Relations, Hazard::Names, Hazard::Gone];

/// What a unit made so far that columns may hang on.
#[derive(Clone, Copy, Default)]
pub(super) struct Losing {
    /// Whether it made anything: no catalog tells yet what hangs on what.
    makes: bool,
    /// Whether it made what goes when its transaction is committed.
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
            self.makes = true;
            self.passes |= statement.goes_on_commit();
        }
    }

    /// Whether columns of what stays may be gone behind a statement.
    pub(super) fn loses(self, understood: &Understood, before: Before<'_>) -> bool {
        let takes = understood.stated.readings().any(Statement::takes_columns);
        let told = || before.path.is_some() && self.is_told(understood, before.hazards);
        takes && !(told() && stays_whole(&understood.view.lineages)) || self.ends(understood, before)
    }

    /// Whether a statement commits what columns of others hang on and goes then. Which of the temporary tables that the transaction made
    /// are such, the catalog does not tell.
    fn ends(self, understood: &Understood, before: Before<'_>) -> bool {
        let commits = understood.asked.command.verbs.contains(Verb::Commit) || understood.after.may_commit(false);
        let own = before.path.map(|path| path.schema(TEMPORARY));
        let passing = |one: &Relation| {
            let temporary = one.schema.starts_with(TEMPORARY) && own.is_none_or(|own| one.schema == own);
            temporary && !is_yet_to_be(one.oid) && (self.makes || holds_columns(one))
        };
        let catalog = &understood.view.known.snapshot;
        commits && (self.passes || before.uncommitted && catalog.relations().any(passing))
    }

    /// Whether the catalog tells all that hangs on what a statement names.
    fn is_told(self, understood: &Understood, hazards: &BTreeSet<Hazard>) -> bool {
        let catalog = &understood.view.known.snapshot;
        let alone = |name: &str| catalog.named_anywhere(name).count() <= 1;
        let clear = || understood.stated.readings().flat_map(Statement::names).all(alone);
        let told = hazards.iter().all(|hazard| TOLD.contains(hazard));
        !self.makes && told && (hazards.is_empty() || clear())
    }
}

/// Whether what CASCADE takes along is known, and no column of it but with all that its relation has.
fn stays_whole(lineages: &[Lineage]) -> bool {
    let whole = |lineage: &Lineage| lineage.taken.as_ref().is_some_and(|taken| !taken.torn);
    !lineages.is_empty() && lineages.iter().all(whole)
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
    fn what_hangs_on_a_table_is_told_as_long_as_nothing_was_made() {
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        let dropped = [Hazard::Relations, Hazard::Names, Hazard::Gone];
        for (before, hazards, led, goes) in [
            (&["begin", "drop table seen"][..], &dropped[..], true, false),
            (&["create table t (x notes)"], &[], true, true),
            (
                &["create function f(notes) returns int language sql as 'select 1'"],
                &[],
                true,
                true,
            ),
            (&[], &[Hazard::Relations, Hazard::Places, Hazard::Ways], true, true),
            (&[], &[Hazard::Path], true, true),
            (&[], &[], false, true),
        ] {
            let standing = Before {
                hazards: &hazards.iter().copied().collect(),
                path: Some(&path).filter(|_| led),
                uncommitted: false,
            };
            let found = loses(before, "drop table notes cascade", standing);
            assert_eq!(found, goes, "{before:?} {hazards:?}");
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
