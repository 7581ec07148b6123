//! Profile Strict: what cannot be shown to be safe is refused, with the reason.
//!
//! A protected column may stand as bare output, optionally cast to text. Whatever else touches it, code that nobody can see
//! into, and whatever tells of values in another way (plans, statistics, activity, large objects) is refused to those for
//! whom the rule is in force.

use std::collections::BTreeSet;

use sallyport_policy::catalog::{Catalog as _, ColumnId};
use sallyport_policy::decide::DeniedBy;
use sallyport_policy::mask::{RuleId, RuleSet};
use sallyport_policy::sql::{Lineage, Statement, Verb};

use super::Context;
use super::understand::{column_name, reject};
use crate::command::{Asked, Kind};

/// System views that tell of other sessions and of values, by how their names begin.
const TELLING_VIEWS: [&str; 8] = [
    "pg_stat",
    "pg_prepared_",
    "pg_cursors",
    "pg_replication_",
    "pg_hba_",
    "pg_ident_",
    "pg_file_",
    "pg_backend_",
];

/// Those of them that tell how connections are protected, and nothing else: clients ask as they come in.
const TRANSPORT_VIEWS: [&str; 2] = ["pg_stat_gssapi", "pg_stat_ssl"];

/// Why a statement is refused whose names may mean anything.
pub(super) const NAMELESS: &str = "what its names mean is not known here, behind changes of the same unit or since it was prepared: send it on its own, prepared anew";

/// Refuses a statement that profile Strict does not let through.
pub(super) fn refuse(context: &Context<'_>, statements: &[&Statement], lineages: &[Lineage], asked: &mut Asked) {
    if !context.masker.is_strict() {
        return;
    }
    for lineage in lineages {
        lost(context, lineage, asked);
        values(context, lineage, asked);
        definitions(context, statements, lineage, asked);
    }
    hidden(context, lineages, asked);
}

/// Names that could not be followed may mean any column that the statement reaches.
fn lost(context: &Context<'_>, lineage: &Lineage, asked: &mut Asked) {
    let Some(name) = lineage.lost.first() else { return };
    let touched = lineage.touched.iter().find_map(|column| rule_of(context, *column));
    let rule = touched.or_else(|| lineage.any.then(|| any_rule(context)).flatten());
    let words = format!("what {name} means cannot be told here, and it could be a protected column");
    rule_refused(context, rule, words, asked);
}

/// Columns that stand where more than their mask can be learned.
fn values(context: &Context<'_>, lineage: &Lineage, asked: &mut Asked) {
    let why = "it stands in a condition or an expression, by which its values could be learned";
    let worked = lineage.asked.union(&lineage.worked).chain(&lineage.sunk);
    for column in worked {
        column_refused(context, *column, why, asked);
    }
    let guessed = lineage.compared.iter().filter(|sides| !may_be_compared(context, sides));
    for column in guessed.flat_map(|(one, other)| one.iter().chain(other)) {
        column_refused(context, *column, why, asked);
    }
    let copied = lineage.assigned.values().flat_map(|flow| flow.columns().iter());
    let made = lineage.created.iter().filter(|created| !created.view);
    let made = made
        .flat_map(|created| created.columns.iter().flatten())
        .flat_map(|output| output.flow.columns());
    for column in copied.chain(made) {
        column_refused(
            context,
            *column,
            "it would be copied to where the rule does not name it",
            asked,
        );
    }
    for (column, rules) in lineage.moved_on(&context.known.protected) {
        let name = column_name(context, column).unwrap_or_default();
        let words = format!("rows that move to another partition would take protected values to {name}");
        rule_refused(context, context.masker.strict_rule(&rules), words, asked);
    }
    for column in lineage.assigned.keys() {
        let rules = context.known.protected.rules_of(*column);
        if rules.is_some_and(|rules| context.policy.forbids_writes(context.subject, rules).is_some()) {
            column_refused(context, *column, "who may not see its values may not write them", asked);
        }
    }
    if lineage.any {
        let words = "statistics of the planner hold values of protected columns".to_owned();
        rule_refused(context, any_rule(context), words, asked);
    }
}

/// Whether all that a comparison of columns tells is what their keyed hashes tell, and the rules of both allow it. A column that
/// nobody protects may hold guesses.
fn may_be_compared(context: &Context<'_>, (one, other): &(Vec<ColumnId>, Vec<ColumnId>)) -> bool {
    let rules = |side: &[ColumnId]| {
        let mut rules = RuleSet::default();
        let each = side
            .iter()
            .filter_map(|column| context.known.protected.rules_of(*column));
        each.for_each(|more| _ = rules.extend(more));
        rules
    };
    context.masker.compares(&rules(one), &rules(other))
}

/// Where it is not known what names mean, none can be shown to be safe.
pub(super) fn nameless(context: &Context<'_>, asked: &mut Asked) {
    if context.masker.is_strict() {
        rule_refused(context, any_rule(context), NAMELESS.to_owned(), asked);
    }
}

/// Plans and definitions about relations with protected columns.
fn definitions(context: &Context<'_>, statements: &[&Statement], lineage: &Lineage, asked: &mut Asked) {
    let protected = |relation: u32| {
        let mut columns = context.known.snapshot.relation(relation)?.columns.iter();
        columns.find_map(|column| {
            let id = ColumnId {
                relation,
                column: column.attnum,
            };
            rule_of(context, id).map(|_| id)
        })
    };
    for statement in statements {
        if statement.verbs.contains(Verb::Explain)
            && let Some(column) = lineage.relations.iter().copied().find_map(protected)
        {
            column_refused(context, column, "a plan tells of its values", asked);
        }
        // CLUSTER puts rows in the order of an index, and they are read in it.
        let defines = matches!(statement.verb, Verb::Create | Verb::Alter | Verb::Cluster)
            && lineage.created.as_ref().is_none_or(|created| !created.filled);
        if defines && let Some(column) = with_children(context, &lineage.written).into_iter().find_map(protected) {
            let why = "definitions of its relation (checks, indexes, types) can tell of its values";
            column_refused(context, column, why, asked);
        }
    }
}

/// Relations with their children and partitions, whose rows a definition of a parent is tried against, too.
fn with_children(context: &Context<'_>, relations: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<u32> = relations.iter().copied().collect();
    while let Some(oid) = todo.pop() {
        if found.insert(oid) {
            todo.extend(context.known.snapshot.children(oid));
        }
    }
    found
}

/// Code that nobody can see into, and views that tell of other sessions.
fn hidden(context: &Context<'_>, lineages: &[Lineage], asked: &mut Asked) {
    let large = lineages.iter().flat_map(|lineage| lineage.relations.iter()).any(|oid| {
        let relation = context.known.snapshot.relation(*oid);
        relation.is_some_and(|one| one.schema == "pg_catalog" && one.name == "pg_largeobject")
    });
    let opaque = asked.command.opaque.iter().find(|what| !is_harmless(what)).cloned();
    let what = if large {
        Some("pg_largeobject".to_owned())
    } else {
        opaque
    };
    if let Some(what) = what {
        let words = format!("{what} cannot be seen into, and could answer with protected values or copy them");
        rule_refused(context, any_rule(context), words, asked);
    }
}

/// A trigger is not: where nothing comes back, it can still leave values where no rule looks for them, and whoever may replace
/// its function has it do so.
fn is_harmless(what: &str) -> bool {
    // Made earlier in the same unit; detectors look at what comes out of it.
    if what.starts_with("relation ") {
        return true;
    }
    match what.strip_prefix("view ") {
        Some(view) => match view.strip_prefix("pg_catalog.") {
            Some(name) => {
                TRANSPORT_VIEWS.contains(&name) || !TELLING_VIEWS.iter().any(|telling| name.starts_with(telling))
            }
            // No other schema's name can stand for it: views of users that cannot be read are lost, and refused as such.
            None => view.starts_with("information_schema."),
        },
        None => false,
    }
}

fn rule_of(context: &Context<'_>, column: ColumnId) -> Option<RuleId> {
    context.masker.strict_rule(context.known.protected.rules_of(column)?)
}

fn any_rule(context: &Context<'_>) -> Option<RuleId> {
    let mut protected = context.known.protected.iter();
    protected.find_map(|(_, rules)| context.masker.strict_rule(rules))
}

fn column_refused(context: &Context<'_>, column: ColumnId, why: &str, asked: &mut Asked) {
    if let Some(rule) = rule_of(context, column) {
        let name = column_name(context, column).unwrap_or_default();
        rule_refused(
            context,
            Some(rule),
            format!("column {name} is protected by profile Strict: {why}"),
            asked,
        );
    }
}

fn rule_refused(context: &Context<'_>, rule: Option<RuleId>, words: String, asked: &mut Asked) {
    let rule = rule.and_then(|rule| context.policy.masks().rules().get(usize::from(rule)));
    if let Some(rule) = rule {
        reject(asked, Kind::Denied, DeniedBy::Mask(rule.name.clone()), words);
    }
}
