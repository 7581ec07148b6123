//! Protection of what was copied without anybody knowing from where.

use sallyport_policy::catalog::{Catalog as _, SearchPath};
use sallyport_policy::columns::{Named, TEMPORARY};

use super::{Entry, Place, place, schema_of, written_with};
use crate::postgres::rows::View;

/// Everywhere that a statement writes stored values to, with every rule there is: of one that copied nobody knows what.
#[must_use]
pub fn entries_of_any(view: &View, path: Option<&SearchPath>) -> Vec<Entry> {
    let known = &view.known;
    let rules = known.protected.uids(&known.protected.all());
    let mut found = Vec::new();
    let mut add = |place: Place, own: bool| {
        found.push(Entry {
            place,
            rules: rules.clone(),
            own,
        });
    };
    for lineage in view.lineages.iter().filter(|_| !rules.is_empty()) {
        let written = lineage
            .assigned
            .iter()
            .filter(|(_, flow)| flow.any || !flow.columns().is_empty());
        let written = written.flat_map(|(column, _)| written_with(*column, &known.snapshot));
        for column in written.chain(lineage.released.keys().copied()) {
            let relation = known.snapshot.relation(column.relation);
            let own = relation.is_some_and(|relation| relation.schema.starts_with(TEMPORARY));
            add(place(known, column), own);
        }
        if let Some(created) = lineage
            .created
            .as_ref()
            .filter(|created| created.filled && !created.view)
        {
            let schema = schema_of(created, path);
            let own = schema == TEMPORARY;
            let named = Named {
                schema,
                relation: created.name.clone(),
                column: None,
            };
            add(Place::Named(named), own);
        }
    }
    found
}
