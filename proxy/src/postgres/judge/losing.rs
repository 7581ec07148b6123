//! Columns of relations that stay, which go with something else: with the type that they are of, or a function that makes them.

use std::collections::BTreeSet;

use sallyport_policy::sql::lineage::Lineage;
use sallyport_policy::sql::{Statement, Verb};

use super::Understood;
use super::hazard::Hazard;

/// What may have changed while the catalog still tells what hangs on what a name means, if it means one thing only.
const TOLD: [Hazard; 3] = [Hazard::Relations, Hazard::Names, Hazard::Gone];

/// What a unit made so far that columns may hang on.
#[derive(Clone, Copy, Default)]
pub(super) struct Losing {
    /// Whether it made anything: no catalog tells yet what hangs on what.
    makes: bool,
}

// === impl Losing ===

impl Losing {
    /// Takes note of a statement that will have run before the next.
    pub(super) fn add(&mut self, understood: &Understood) {
        let mut readings = understood.stated.readings();
        self.makes |= readings.any(|statement| statement.verbs.contains(Verb::Create));
    }

    /// Whether columns of what stays may be gone behind a statement. `hazards`: what may be otherwise in front of it. `led`: it is known
    /// by which path names are looked up there.
    pub(super) fn loses(self, understood: &Understood, hazards: &BTreeSet<Hazard>, led: bool) -> bool {
        let takes = understood.stated.readings().any(Statement::takes_columns);
        takes && !(led && self.is_told(understood, hazards) && stays_whole(&understood.view.lineages))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::catalog::{Hanging, Relation};

    use super::super::hazard::tests::understood_by;
    use super::super::unfold::tests::known;
    use super::*;
    use crate::postgres::catalog::Known;

    /// A catalog with a table on whose row type a column of another hangs, and one on which a view does.
    fn hung() -> Known {
        let relation = |oid, name: &str, hanging: &[(u32, &str)]| Relation {
            oid,
            schema: "public".to_owned(),
            name: name.to_owned(),
            hanging: hanging.iter().map(|(on, how)| Hanging::of(*on, how).unwrap()).collect(),
            ..Relation::default()
        };
        let known = known();
        let more = vec![
            relation(20_010, "base", &[(20_001, "c1 0")]),
            relation(20_011, "seen", &[(20_002, "w 1")]),
            relation(20_012, "typed", &[(0, "x 0")]),
        ];
        let snapshot = Arc::new(known.snapshot.with(more));
        Known { snapshot, ..known }
    }

    fn loses(before: &[&str], sql: &str, hazards: &[Hazard], led: bool) -> bool {
        let mut losing = Losing::default();
        for sql in before {
            losing.add(&understood_by(sql, hung()));
        }
        losing.loses(&understood_by(sql, hung()), &hazards.iter().copied().collect(), led)
    }

    #[test]
    fn a_column_goes_with_what_it_hangs_on() {
        for (sql, goes) in [
            ("drop domain d cascade", true),
            ("drop schema s cascade", true),
            ("drop function f(int) cascade", true),
            ("drop owned by r", true),
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
            ("select 1", false),
        ] {
            assert_eq!(loses(&[], sql, &[], true), goes, "{sql}");
        }
    }

    #[test]
    fn what_hangs_on_a_table_is_told_as_long_as_nothing_was_made() {
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
            let found = loses(before, "drop table notes cascade", hazards, led);
            assert_eq!(found, goes, "{before:?} {hazards:?}");
        }
    }
}
