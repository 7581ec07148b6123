//! Names of which nobody knows what they mean, behind what an earlier statement or code changed.

use sallyport_policy::catalog::{Catalog as _, ColumnId, Relation};
use sallyport_policy::decide::DeniedBy;
use sallyport_policy::sql::lineage::{Flow, Lineage, rules_of};
use sallyport_policy::sql::{Statement, Verb};

use super::understand::reject;
use super::unfold::Unfolding;
use super::{Context, strict};
use crate::command::{Asked, Kind};
use crate::postgres::catalog::Known;
use crate::postgres::names::Stated;

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
    let named = readings(stated).any(|statement| !statement.relations.is_empty());
    let looked_up = before.moved || before.hidden || before.left;
    if (looked_up || before.undone) && may_mean_another(context, stated, |_| true) {
        // Rules may be about the other, whatever protects it.
        asked.command.beyond = Some("what its names mean behind earlier statements of its unit");
    }
    // What an earlier statement wrote protected values to is not in the catalog, and may be what is named here.
    let spilled = before.spilled && lineages.iter().any(|lineage| !lineage.unresolved.is_empty());
    let uncovered = (looked_up || before.undone) && has_namesakes(context, stated);
    let mixed = before.altered && mixes(context, stated);
    let lost = context.path.is_none() || before.shaken || spilled || uncovered || mixed;
    if context.known.protected.is_empty() || !named || !(lost || before.moved) {
        return context.path.is_none() && named;
    }
    strict::nameless(context, asked);
    if lost && may_copy(stated, lineages) {
        let words = "what its names mean is not known here, behind changes of the same unit: send it on its own";
        reject(asked, Kind::Denied, DeniedBy::Limit, words.to_owned());
    }
    true
}

fn readings(stated: &[Stated]) -> impl Iterator<Item = &Statement> {
    stated.iter().flat_map(Stated::readings)
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
        lineage.assigned.values().any(holds) || !lineage.spilled.is_empty() || makes(lineage, &holds)
    };
    let makes_so = |one: &Lineage| makes(one, &carries);
    let displaced = before.placed || before.hidden || before.altered;
    let led =
        (displaced || before.rerouted) && lineages.iter().any(hands_on) || displaced && lineages.iter().any(makes_so);
    let lost = before.moved && !protected.is_empty() && lineages.iter().any(fills);
    // What stood in front of another of its name may be gone.
    let behind = before.undone && may_mean_another(context, stated, |_| true) && lineages.iter().any(hands_on);
    if led || behind || lost {
        let words = "where its values go is not known here, behind changes of the same unit: send it on its own";
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

/// Whether a statement may move values from one place to another. An ALTER does only where it computes something.
fn may_copy(stated: &[Stated], lineages: &[Lineage]) -> bool {
    let copies = [Verb::Insert, Verb::Update, Verb::Merge, Verb::Create];
    let alters = readings(stated).any(|statement| statement.verbs.contains(Verb::Alter));
    let computes = |lineage: &Lineage| !lineage.assigned.is_empty() || !lineage.opaque.is_empty();
    readings(stated).any(|statement| statement.verbs.any(&copies)) || alters && lineages.iter().any(computes)
}

/// Whether a name without a schema could mean another relation, with protected values, if code changed how names are looked
/// up, or if what it means were gone.
fn has_namesakes(context: &Context<'_>, stated: &[Stated]) -> bool {
    may_mean_another(context, stated, |one| is_telling(one, context.known))
}

/// The same of other relations that `counts` says count.
fn may_mean_another(context: &Context<'_>, stated: &[Stated], counts: impl Fn(&Relation) -> bool) -> bool {
    let catalog = &context.known.snapshot;
    let here = |name: &str| {
        let path = context.path?;
        Some(catalog.resolve(path, None, name)?.oid)
    };
    let mut bare = readings(stated)
        .flat_map(|statement| statement.relations.iter())
        .filter(|relation| relation.schema.is_none());
    bare.any(|written| {
        let meant = here(&written.name);
        let mut others = catalog.named_anywhere(&written.name);
        others.any(|one| Some(one.oid) != meant && one.schema != "pg_catalog" && counts(one))
    })
}

/// Whether a statement names relations of several names, one of which may hold protected values: a column that another has lost, or
/// got under another name, is looked for there, and what a star gives is not what it was.
fn mixes(context: &Context<'_>, stated: &[Stated]) -> bool {
    let named = || readings(stated).flat_map(|statement| statement.relations.iter());
    let telling = |name: &str| {
        let mut namesakes = context.known.snapshot.named_anywhere(name);
        namesakes.any(|one| is_telling(one, context.known))
    };
    let first = named().next().map(|relation| &relation.name);
    named().any(|relation| Some(&relation.name) != first) && named().any(|relation| telling(&relation.name))
}

/// Whether protected values may be in a relation, or behind it.
pub(super) fn is_telling(relation: &Relation, known: &Known) -> bool {
    let protected = |attnum| {
        known.protected.contains(ColumnId {
            relation: relation.oid,
            column: attnum,
        })
    };
    relation.definition.is_some() || relation.columns.iter().any(|column| protected(column.attnum))
}
