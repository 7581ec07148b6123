//! Names of which nobody knows what they mean, behind what an earlier statement or code changed.

use sallyport_policy::catalog::{Catalog as _, Relation};
use sallyport_policy::decide::DeniedBy;
use sallyport_policy::sql::lineage::{Flow, Lineage, rules_of};
use sallyport_policy::sql::{RelationRef, Statement, Verb};

use super::hazard::Hazard;
use super::understand::reject;
use super::unfold::Unfolding;
use super::{Context, strict};
use crate::command::{Asked, Kind};
use crate::postgres::catalog::Known;
use crate::postgres::names::Stated;

/// Where PostgreSQL looks first, unless the path says otherwise or the session has a relation of the name.
const SYSTEM: &str = "pg_catalog";

/// Whether it cannot be known what the names of a statement mean, or of those that it executes. Then nothing may be copied: nobody
/// would know what. `stated`: that statement, and those.
pub(super) fn is_nameless(
    context: &Context<'_>,
    stated: &[Stated],
    lineages: &[Lineage],
    before: &Unfolding,
    asked: &mut Asked,
) -> bool {
    strays(context, stated, lineages, before, asked);
    let others = before.has(Hazard::Names) || before.has(Hazard::Kept);
    let renamed = relations(stated).any(|one| before.has_renamed(&one.name));
    let undone = before.has(Hazard::Undone) && relations(stated).next().is_some();
    let another = others && may_mean_another(context, stated, |_| true);
    if renamed || undone || another {
        // Rules may be about the other, whatever protects it.
        asked.command.beyond = Some("what its names mean behind earlier statements");
    }
    let lost = context.path.is_none()
        || before.has(Hazard::Meaning)
        || undone
        || before.has(Hazard::Strangers) && lineages.iter().any(|lineage| !lineage.unresolved.is_empty())
        // Another relation may lack a column that this one has.
        || (before.has(Hazard::Columns) || another) && mixes(context, stated)
        || others && may_mean_another(context, stated, |one| context.known.is_telling(one));
    let named = relations(stated).next().is_some();
    // No path is asked for a name with a schema.
    let led = before.has(Hazard::Path) && relations(stated).any(|relation| relation.schema.is_none());
    if context.known.protected.is_empty() || !named || !(lost || led) {
        return context.path.is_none() && named;
    }
    strict::nameless(context, asked);
    if lost && may_copy(stated, lineages) {
        reject(asked, Kind::Denied, DeniedBy::Limit, strict::NAMELESS.to_owned());
    }
    true
}

fn readings(stated: &[Stated]) -> impl Iterator<Item = &Statement> {
    stated.iter().flat_map(Stated::readings)
}

/// The relations that statements name.
fn relations(stated: &[Stated]) -> impl Iterator<Item = &RelationRef> {
    readings(stated).flat_map(|statement| &statement.relations)
}

/// Refuses to copy protected values behind what may have led the copy to where the catalog does not see it go. Protection would
/// stay behind: a view, a key or a parent may be gone again when the catalog is read next.
fn strays(context: &Context<'_>, stated: &[Stated], lineages: &[Lineage], before: &Unfolding, asked: &mut Asked) {
    let protected = &context.known.protected;
    let carries = |flow: &Flow| !rules_of(flow, protected).is_empty();
    // Where names may mean others, any value may be protected.
    let holds = |flow: &Flow| flow.any || !flow.columns().is_empty();
    let hands_on = |lineage: &Lineage| {
        !lineage.passed_on(protected).is_empty() || lineage.spilled.iter().any(|spilled| carries(&spilled.flow))
    };
    let fills = |lineage: &Lineage| {
        let keeps = !lineage.spilled.is_empty() || !lineage.released.is_empty();
        lineage.assigned.values().any(holds) || keeps || makes(lineage, &holds) || leaves(lineage)
    };
    let makes_so = |one: &Lineage| makes(one, &carries);
    // What loses its parent keeps what it holds: which relation that is, names tell that were not given anew.
    let released = |lineage: &Lineage| !lineage.released.is_empty();
    let renamed = before.has(Hazard::Undone) || relations(stated).any(|one| before.has_renamed(&one.name));
    let strange = before.has_made() || before.has(Hazard::Executed);
    let releases = |lineage: &Lineage| lineage.let_go(protected).next().is_some();
    let lost = before.has(Hazard::Path) && lineages.iter().any(fills) || renamed && lineages.iter().any(released);
    let lost = lost && !protected.is_empty();
    let gone = (before.has(Hazard::Gone) || before.has(Hazard::Kept)) && may_mean_another(context, stated, |_| true);
    let astray = (before.has(Hazard::Ways) || gone) && lineages.iter().any(hands_on)
        || (strange || gone) && lineages.iter().any(releases);
    let misplaced = before.has(Hazard::Places) && lineages.iter().any(makes_so);
    if lost || astray || misplaced {
        let words = "where its values go is not known here, behind changes of the same unit or since it was prepared: send it on its own, prepared anew";
        reject(asked, Kind::Denied, DeniedBy::Limit, words.to_owned());
    }
}

/// Whether a statement makes a table of values of which one is so, or may be.
fn makes(lineage: &Lineage, is_so: &dyn Fn(&Flow) -> bool) -> bool {
    let filled = lineage.created.as_ref().filter(|made| made.filled && !made.view);
    filled.is_some_and(|made| {
        let columns = made.columns.as_ref();
        columns.is_none_or(|columns| columns.iter().any(|column| is_so(&column.flow)))
    })
}

/// Whether a statement hands values to a function that leaves them where no mask follows.
fn leaves(lineage: &Lineage) -> bool {
    !lineage.sunk.is_clean()
}

/// Whether a statement may move values from one place to another. An ALTER does only where it computes something.
fn may_copy(stated: &[Stated], lineages: &[Lineage]) -> bool {
    let copies = [Verb::Insert, Verb::Update, Verb::Merge, Verb::Create, Verb::Refresh];
    let alters = readings(stated).any(|statement| statement.verbs.contains(Verb::Alter));
    let computes = |lineage: &Lineage| !lineage.assigned.is_empty() || !lineage.opaque.is_empty();
    let copies = readings(stated).any(|statement| statement.verbs.any(&copies));
    copies || alters && lineages.iter().any(computes) || lineages.iter().any(leaves)
}

/// Whether a name without a schema could mean another relation that `counts`, if code changed how names are looked up, or if what
/// it means were gone. The system's own always counts where something of its name stands before it: statistics hold values of any
/// column, and activity the texts of others, once that is gone.
fn may_mean_another(context: &Context<'_>, stated: &[Stated], counts: impl Fn(&Relation) -> bool) -> bool {
    let catalog = &context.known.snapshot;
    let here = |name: &str| {
        let path = context.path?;
        Some(catalog.resolve(path, None, name)?.oid)
    };
    let mut bare = relations(stated).filter(|relation| relation.schema.is_none());
    bare.any(|written| {
        let meant = here(&written.name);
        let counts = |one: &Relation| match one.schema == SYSTEM {
            true => meant.is_some(),
            false => counts(one),
        };
        let mut others = catalog.named_anywhere(&written.name);
        others.any(|one| Some(one.oid) != meant && counts(one))
    })
}

/// Whether a statement names several relations, one of which may hold protected values: a column that another has lost, or got under
/// another name, is looked for there, and what a star gives is not what it was.
fn mixes(context: &Context<'_>, stated: &[Stated]) -> bool {
    let mut names = relations(stated).map(|relation| (&relation.schema, &relation.name));
    let first = names.next();
    names.any(|name| Some(name) != first) && relations(stated).any(|relation| tells(&relation.name, context.known))
}

/// Whether protected values may be in any relation of a name, or behind it.
pub(super) fn tells(name: &str, known: &Known) -> bool {
    let mut namesakes = known.snapshot.named_anywhere(name);
    namesakes.any(|one| known.is_telling(one))
}
