//! What came to be protected after a statement was understood, since somebody copied values there.

use std::sync::Arc;

use sallyport_policy::catalog::{Catalog as _, ColumnId};
use sallyport_policy::mask::{ProtectedColumns, RuleSet};
use sallyport_policy::sql::lineage::{Flow, Lineage};

use super::View;
use crate::postgres::catalog::Known;

// === impl View ===

impl View {
    /// Whether nothing that it reads came to be protected since it was understood. Values may have been copied there meanwhile: what
    /// waits for a lock, or locks rows, reads them as they are by then.
    #[must_use]
    pub fn is_as_protected(&self, now: &Known) -> bool {
        let (then, by_now) = (&self.known.protected, &now.protected);
        if Arc::ptr_eq(then, by_now) {
            return true;
        }
        let same_rules = self.known.revision == now.revision;
        // What it copies itself came to be protected for that, and is none of what it reads there.
        let own: Vec<RuleSet> = self.lineages.iter().flat_map(|one| passed_on(one, then)).collect();
        let reads = |column| self.lineages.iter().any(|one| shows(one, column));
        let told = |column: ColumnId| {
            let (before, after) = (then.rules_of(column), by_now.rules_of(column));
            let known = |rule| before.is_some_and(|before| !same_rules || before.contains(rule));
            let expected = |rule| !reads(column) && own.iter().any(|rules| rules.contains(rule));
            after.is_none_or(|after| after.iter().all(|rule| known(rule) || expected(rule)))
        };
        let mut relations = self.lineages.iter().flat_map(|lineage| &lineage.relations);
        relations.all(|oid| {
            let columns = now.snapshot.relation(*oid).into_iter().flat_map(|found| &found.columns);
            let mut ids = columns.map(|column| ColumnId {
                relation: *oid,
                column: column.attnum,
            });
            ids.all(told)
        })
    }

    /// Whether it reads rows as they are when it runs, and not as they were when it was planned: what writes or locks them does.
    #[must_use]
    pub fn reads_latest(&self) -> bool {
        self.lineages
            .iter()
            .any(|lineage| lineage.locks || !lineage.written.is_empty())
    }

    /// Whether it copies stored values to where they are stored, too, or leaves them where they go by no parent any more.
    #[must_use]
    pub fn copies(&self) -> bool {
        let holds = |flow: &Flow| flow.any || !flow.columns().is_empty();
        let copies = |lineage: &Lineage| {
            let filled = lineage.created.as_ref().is_some_and(|made| made.filled && !made.view);
            let leaves = !lineage.spilled.is_empty() || !lineage.released.is_empty();
            filled || leaves || lineage.assigned.values().any(holds)
        };
        self.lineages.iter().any(copies)
    }

    /// Whether it leaves stored values where no mask follows.
    #[must_use]
    pub fn sinks(&self) -> bool {
        self.lineages.iter().any(Lineage::leaves)
    }
}

/// Whether values of a column stand in what a statement answers with, or writes.
fn shows(lineage: &Lineage, column: ColumnId) -> bool {
    let within = |flow: &Flow| flow.any || flow.columns().contains(&column);
    let outputs = lineage.outputs.as_ref();
    outputs.is_none_or(|outputs| outputs.iter().any(|output| within(&output.flow)))
        || lineage.assigned.values().any(within)
}

/// The rules that a statement hands on.
fn passed_on(lineage: &Lineage, protected: &ProtectedColumns) -> Vec<RuleSet> {
    let handed = lineage
        .passed_on(protected)
        .into_iter()
        .chain(lineage.let_go(protected));
    handed.map(|(_, rules)| rules).collect()
}
