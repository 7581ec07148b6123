//! Whether what a statement reaches was not something else even for a moment.

use std::collections::HashSet;

use sallyport_policy::catalog::{Catalog as _, Oid, Relation};

use super::View;
use crate::postgres::catalog::Known;
use crate::postgres::handed::is_yet_to_be;

// === impl View ===

impl View {
    /// Whether nothing that it reaches was something else even for a moment: neither what may hold protected values, nor what one of its
    /// names means. `defined`: what is another by the statements of its own unit.
    #[must_use]
    pub fn is_undisturbed(&self, now: &Known, defined: &HashSet<Oid>) -> bool {
        let reached = self.lineages.iter().flat_map(|lineage| lineage.relations.iter());
        let mut others = reached.filter(|oid| !is_yet_to_be(**oid) && !defined.contains(*oid));
        others.all(|oid| {
            let Some(before) = self.known.snapshot.relation(*oid) else {
                return true;
            };
            let stays = |after: &Relation| {
                let called = before.schema == after.schema && before.name == after.name && before.named == after.named;
                let quiet = || !(self.known.is_telling(before) || now.is_telling(after));
                called && (before.version == after.version || quiet())
            };
            now.snapshot.relation(*oid).is_some_and(stays)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::catalog::{Column, ColumnId, SearchPath, Snapshot};
    use sallyport_policy::mask::{Keys, MaskSet, ProtectedColumns, RuleSet};
    use sallyport_policy::sql::{lineage, parse};

    use super::*;

    const CUSTOMERS: Oid = 20_000;
    const NOTES: Oid = 20_001;

    fn relation(oid: Oid, name: &str, version: &str, named: &str) -> Relation {
        Relation {
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
            named: named.to_owned(),
            ..Relation::default()
        }
    }

    fn known(relations: Vec<Relation>) -> Arc<Known> {
        let mut protected = ProtectedColumns::default();
        let column = ColumnId {
            relation: CUSTOMERS,
            column: 1,
        };
        protected.add(column, &RuleSet::one(0));
        Arc::new(Known {
            snapshot: Arc::new(Snapshot::new(relations)),
            protected: Arc::new(protected),
            ..Known::default()
        })
    }

    #[test]
    fn what_was_another_for_a_moment_is_told_by_versions() {
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        let before = known(vec![
            relation(CUSTOMERS, "customers", "1", "1"),
            relation(NOTES, "notes", "1", "1"),
        ]);
        let script = parse("select n.x from customers c, notes n").unwrap();
        let traced = lineage(&script.statements[0], &*before.snapshot, &path);
        let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
        let view = View::of(masker, Arc::clone(&before), vec![traced]);
        for (customers, notes, stays) in [
            (("customers", "1", "1"), ("notes", "1", "1"), true),
            (("customers", "2", "1"), ("notes", "1", "1"), false),
            (("customers", "1", "2"), ("notes", "1", "1"), false),
            // Nothing protected is in it, whatever became of its columns.
            (("customers", "1", "1"), ("notes", "2", "1"), true),
            (("customers", "1", "1"), ("notes", "1", "2"), false),
            (("customers", "1", "1"), ("others", "1", "1"), false),
        ] {
            let one = |oid, (name, version, named): (&str, &str, &str)| relation(oid, name, version, named);
            let now = known(vec![one(CUSTOMERS, customers), one(NOTES, notes)]);
            let found = view.is_undisturbed(&now, &HashSet::new());
            assert_eq!(found, stays, "{customers:?} {notes:?}");
        }
        let gone = known(vec![relation(CUSTOMERS, "customers", "2", "1")]);
        assert!(!view.is_undisturbed(&gone, &HashSet::new()));
        assert!(view.is_undisturbed(&gone, &HashSet::from([CUSTOMERS, NOTES])));
    }
}
