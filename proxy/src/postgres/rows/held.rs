//! Whether the target found what a statement was understood by, told once it has looked names up.

use std::collections::HashSet;
use std::sync::Arc;

use sallyport_policy::catalog::{Catalog as _, Oid, Relation, Snapshot};
use sallyport_policy::sql::lineage::{Flow, Lineage};

use super::View;
use crate::postgres::catalog::Known;
use crate::postgres::handed::is_yet_to_be;

// === impl View ===

impl View {
    /// Whether what its names mean is still what it was understood by: `now` was read once the target had looked them up.
    /// A statement that waits for a lock is answered by what was committed meanwhile.
    #[must_use]
    pub fn holds(&self, now: &Known) -> bool {
        Arc::ptr_eq(&self.known.snapshot, &now.snapshot) || self.is_untouched(now) && self.reads_alike(now)
    }

    /// Whether nothing that may hold protected values was changed, and then back: the target may have found what it was in between.
    #[must_use]
    pub fn is_untouched(&self, now: &Known) -> bool {
        let mut relations = self.lineages.iter().flat_map(|lineage| lineage.relations.iter());
        relations.all(|oid| {
            let (Some(before), Some(after)) = (self.known.snapshot.relation(*oid), now.snapshot.relation(*oid)) else {
                return true;
            };
            before.version == after.version || !(self.known.is_telling(before) || now.is_telling(after))
        })
    }

    /// Whether it copies stored values to where they are stored, too.
    #[must_use]
    pub fn copies(&self) -> bool {
        let holds = |flow: &Flow| flow.any || !flow.columns().is_empty();
        let copies = |lineage: &Lineage| {
            let filled = lineage.created.as_ref().is_some_and(|made| made.filled && !made.view);
            filled || !lineage.spilled.is_empty() || lineage.assigned.values().any(holds)
        };
        self.lineages.iter().any(copies)
    }

    /// Whether what its names mean reads as what it was understood by.
    #[must_use]
    pub fn reads_alike(&self, now: &Known) -> bool {
        let (then, now) = (&self.known.snapshot, &now.snapshot);
        let relations = || {
            self.lineages
                .iter()
                .flat_map(|lineage| lineage.relations.iter().copied())
        };
        let same =
            |oid: u32| unversioned(oid, then) == unversioned(oid, now) && then.children(oid) == now.children(oid);
        if !relations().all(|oid| is_yet_to_be(oid) || same(oid)) {
            return false;
        }
        let mut names: HashSet<&str> = relations()
            .filter_map(|oid| then.relation(oid))
            .map(|relation| relation.name.as_str())
            .collect();
        let unresolved = self.lineages.iter().flat_map(|lineage| lineage.unresolved.iter());
        names.extend(unresolved.map(|name| name.rsplit_once('.').map_or(name.as_str(), |(_, last)| last)));
        let came = |one: &Relation| {
            let before = then.relation(one.oid);
            before.is_none_or(|before| before.schema != one.schema || before.name != one.name)
        };
        !now.relations()
            .any(|one| names.contains(one.name.as_str()) && came(one))
    }
}

/// A relation without what tells the row versions of its columns and rules. What was called something else in between stays another.
fn unversioned(oid: Oid, snapshot: &Snapshot) -> Option<Relation> {
    let found = snapshot.relation(oid)?;
    Some(Relation {
        version: String::new(),
        ..found.clone()
    })
}

#[cfg(test)]
mod tests {
    use sallyport_policy::catalog::{Column, ColumnId, SearchPath};
    use sallyport_policy::mask::{Keys, MaskSet, ProtectedColumns, RuleSet};
    use sallyport_policy::sql::{lineage, parse};

    use super::*;

    /// A protected table, one that is not, and a view, with these versions.
    fn known(versions: [&str; 3]) -> Arc<Known> {
        let relation = |oid, name: &str, version: &str| Relation {
            oid,
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns: vec![Column {
                attnum: 1,
                name: "x".to_owned(),
                type_oid: 25,
                generated: None,
            }],
            version: version.to_owned(),
            ..Relation::default()
        };
        let [customers, notes, view] = versions;
        let view = Relation {
            definition: Some("SELECT notes.x FROM public.notes;".to_owned()),
            ..relation(20_002, "v", view)
        };
        let mut protected = ProtectedColumns::default();
        let column = ColumnId {
            relation: 20_000,
            column: 1,
        };
        protected.add(column, &RuleSet::one(0));
        Arc::new(Known {
            snapshot: Arc::new(Snapshot::new(vec![
                relation(20_000, "customers", customers),
                relation(20_001, "notes", notes),
                view,
            ])),
            protected: Arc::new(protected),
            ..Known::default()
        })
    }

    #[test]
    fn what_was_changed_and_changed_back_does_not_hold() {
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        for (sql, versions, holds) in [
            ("select x from customers", ["1", "1", "1"], true),
            ("select x from customers", ["2", "1", "1"], false),
            ("select x from customers", ["1", "2", "2"], true),
            ("select x from v", ["1", "1", "2"], false),
            ("select x from v", ["2", "1", "1"], true),
            // Nothing protected is in it, whatever its columns were called.
            ("select x from notes", ["1", "2", "1"], true),
        ] {
            let before = known(["1", "1", "1"]);
            let script = parse(sql).unwrap();
            let traced = lineage(&script.statements[0], &*before.snapshot, &path);
            let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
            let view = View::of(masker, before, vec![traced]);
            assert_eq!(view.holds(&known(versions)), holds, "{sql}: {versions:?}");
        }
    }

    #[test]
    fn what_was_called_something_else_in_between_does_not_hold() {
        let (before, now) = (known(["1"; 3]), known(["1"; 3]));
        let renamed = Relation {
            named: "2".to_owned(),
            ..now.snapshot.relation(20_001).unwrap().clone()
        };
        let now = Known {
            snapshot: Arc::new(now.snapshot.with(vec![renamed])),
            protected: Arc::clone(&now.protected),
            ..Known::default()
        };
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        for (sql, holds) in [("select x from notes", false), ("select x from customers", true)] {
            let script = parse(sql).unwrap();
            let traced = lineage(&script.statements[0], &*before.snapshot, &path);
            let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
            let view = View::of(masker, Arc::clone(&before), vec![traced]);
            assert_eq!(view.holds(&now), holds, "{sql}");
        }
    }
}
