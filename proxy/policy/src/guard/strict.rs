//! Profile Strict: what cannot be shown to be safe is refused, with the reason.
//!
//! A protected column may stand as bare output, optionally cast to text. Whatever else touches it, code that nobody can see
//! into, and whatever tells of values in another way (plans, statistics, activity, large objects) is refused to those for
//! whom the rule is in force.

use std::collections::BTreeSet;

use crate::catalog::{ColumnId, Oid};
use crate::decide::Denial;
use crate::mask::{RuleId, RuleSet};
use crate::sql::{Lineage, Statement, Verb};

use super::Guard;

/// How what was lost begins that is no name: what a rule returns, which tables are clustered.
const QUESTIONS: [&str; 2] = ["what ", "which "];

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

/// Those of them that tell how connections are protected, and nothing else, which clients ask as they come in; and those that count
/// what the server did: names, numbers and times, and nothing that anybody stored or sent. How much it logged is not among it: where
/// pages are compressed, that tells whether a guess stands beside the same value.
///
/// Names of prepared transactions stand in the text of PREPARE TRANSACTION, which no code runs: nothing is computed into one, and
/// transaction managers cannot end what they left without reading them.
const HARMLESS_VIEWS: [&str; 10] = [
    "pg_prepared_xacts",
    "pg_stat_archiver",
    "pg_stat_bgwriter",
    "pg_stat_checkpointer",
    "pg_stat_database",
    "pg_stat_database_conflicts",
    "pg_stat_gssapi",
    "pg_stat_recovery_prefetch",
    "pg_stat_slru",
    "pg_stat_ssl",
];

/// Functions that tell of prepared transactions, and of what extensions lie on the server.
const HARMLESS_FUNCTIONS: [&str; 4] = [
    "pg_available_extension_versions",
    "pg_available_extensions",
    "pg_extension_update_paths",
    "pg_prepared_xact",
];

/// How the names of those end that count what was done to relations (`pg_stat_user_tables`, `pg_statio_all_indexes`).
const COUNTED_RELATIONS: [&str; 3] = ["_tables", "_indexes", "_sequences"];

/// How the functions begin that read one counter.
const COUNTERS: &str = "pg_stat_get_";
/// How those of them begin that count what was done in a database.
const OF_DATABASES: &str = "pg_stat_get_db_";

/// How those of them go on that tell of sessions, of what these send, of what is logged, and of code of users.
const TELLING_COUNTERS: [&str; 9] = [
    "activity",
    "backend_",
    "function_",
    "io",
    "progress_",
    "replication_",
    "subscription",
    "wal",
    "xact_function_",
];

/// Catalogs of the planner's statistics. Frequencies, widths, correlations and dependencies tell which values are the same, how long
/// they are and in which order rows stand, as the values beside them do.
const STATISTICS: [&str; 2] = ["pg_statistic", "pg_statistic_ext_data"];

impl Guard<'_> {
    /// Why profile Strict does not let a statement through.
    pub(super) fn strict(&self, statements: &[&Statement], lineages: &[Lineage], opaque: &[String]) -> Option<Denial> {
        if !self.masker.is_strict() {
            return None;
        }
        let refused = lineages.iter().find_map(|lineage| {
            self.lost(lineage)
                .or_else(|| self.values(lineage))
                .or_else(|| self.definitions(statements, lineage))
        });
        refused.or_else(|| self.hidden(lineages, opaque))
    }

    /// Names that could not be followed may mean any column that the statement reaches.
    fn lost(&self, lineage: &Lineage) -> Option<Denial> {
        let name = lineage.lost.first()?;
        let touched = lineage.touched.iter().find_map(|column| self.strict_rule(*column));
        let rule = touched.or_else(|| lineage.any.then(|| self.any_strict_rule()).flatten());
        // A name that a person wrote has no blank, but for quoted ones.
        let mistaken = if name.contains(' ') {
            ""
        } else {
            ": check how it is written"
        };
        let what = match QUESTIONS.iter().any(|question| name.starts_with(question)) {
            true => name.clone(),
            false => format!("what {name} means"),
        };
        let words = format!("{what} cannot be told here, and it could be a protected column{mistaken}");
        self.by_rule(rule, words)
    }

    /// Columns that stand where more than their mask can be learned.
    fn values(&self, lineage: &Lineage) -> Option<Denial> {
        self.learned(lineage)
            .or_else(|| self.copied(lineage))
            .or_else(|| self.moved(lineage))
            .or_else(|| self.guessed(lineage))
            .or_else(|| self.shown(lineage))
            .or_else(|| self.told_by_statistics(lineage))
    }

    /// What a condition or an expression tells of.
    fn learned(&self, lineage: &Lineage) -> Option<Denial> {
        let why = "it stands in a condition or an expression, by which its values could be learned";
        let worked = lineage.asked.union(&lineage.worked).chain(lineage.sunk.columns());
        let compared = lineage.compared.iter().filter(|sides| !self.may_be_compared(sides));
        let compared = compared.flat_map(|(one, other)| one.iter().chain(other));
        worked
            .chain(compared)
            .find_map(|column| self.column_refused(*column, why))
    }

    fn copied(&self, lineage: &Lineage) -> Option<Denial> {
        let copied = lineage.assigned.values().flat_map(|flow| flow.columns().iter());
        let made = lineage.created.iter().filter(|created| !created.view);
        let made = made
            .flat_map(|created| created.columns.iter().flatten())
            .flat_map(|output| output.flow.columns());
        let why = "it would be copied to where the rule does not name it";
        copied.chain(made).find_map(|column| self.column_refused(*column, why))
    }

    fn moved(&self, lineage: &Lineage) -> Option<Denial> {
        lineage.moved_on(self.protected).find_map(|(column, rules)| {
            let name = self.column_name(column);
            let words = format!("rows that move to another partition would take protected values to {name}");
            self.by_rule(self.masker.strict_rule(&rules), words)
        })
    }

    /// A value of one's own choice tells by its mask which others are the same.
    fn guessed(&self, lineage: &Lineage) -> Option<Denial> {
        let forbidden = |column: &&ColumnId| {
            let rules = self.protected.rules_of(**column);
            rules.is_some_and(|rules| self.policy.forbids_writes(self.subject, rules).is_some())
        };
        let why = "who may not see its values may not write them";
        let mut written = lineage.assigned.keys().chain(&lineage.defaulted).filter(forbidden);
        written.find_map(|column| self.column_refused(*column, why))
    }

    /// What hangs on a view asks by conditions that were looked at before it showed these columns.
    fn shown(&self, lineage: &Lineage) -> Option<Denial> {
        let why = "views and policies that were made before would read it here, and could ask about its values: drop them first";
        let mut shown = lineage.shown.iter();
        shown.find_map(|column| self.column_refused(*column, why))
    }

    fn told_by_statistics(&self, lineage: &Lineage) -> Option<Denial> {
        let read = |oid: &Oid| {
            let relation = self.catalog.relation(*oid);
            relation.is_some_and(|one| one.schema == "pg_catalog" && STATISTICS.contains(&one.name.as_str()))
        };
        let told = lineage.any || lineage.relations.iter().any(read);
        let rule = told.then(|| self.any_strict_rule()).flatten();
        let words = "statistics of the planner tell of values of protected columns";
        self.by_rule(rule, words.to_owned())
    }

    /// Whether all that a comparison of columns tells is what their keyed hashes tell, and the rules of both allow it. A column that
    /// nobody protects may hold guesses.
    fn may_be_compared(&self, (one, other): &(Vec<ColumnId>, Vec<ColumnId>)) -> bool {
        let rules = |side: &[ColumnId]| {
            let mut rules = RuleSet::default();
            let each = side.iter().filter_map(|column| self.protected.rules_of(*column));
            each.for_each(|more| _ = rules.extend(more));
            rules
        };
        self.masker.compares(&rules(one), &rules(other))
    }

    /// Plans and definitions about relations with protected columns.
    fn definitions(&self, statements: &[&Statement], lineage: &Lineage) -> Option<Denial> {
        let protected = |relation: Oid, among: Option<&[&str]>| {
            let columns = self.catalog.relation(relation)?.columns.iter();
            let mut columns = columns.filter(|column| among.is_none_or(|among| among.contains(&column.name.as_str())));
            columns.find_map(|column| {
                let id = ColumnId {
                    relation,
                    column: column.attnum,
                };
                self.strict_rule(id).map(|_| id)
            })
        };
        statements.iter().find_map(|statement| {
            if statement.verbs.contains(Verb::Explain)
                && let Some(column) = lineage.relations.iter().find_map(|oid| protected(*oid, None))
            {
                return self.column_refused(column, "a plan tells of its values");
            }
            // CLUSTER puts rows in the order of an index, and they are read in it.
            let defines = matches!(statement.verb, Verb::Create | Verb::Alter | Verb::Cluster)
                && lineage.created.as_ref().is_none_or(|created| !created.filled)
                && lineage.grown.as_ref().is_none_or(|grown| !grown.blind);
            let defined: BTreeSet<Oid> = lineage.written.difference(&lineage.referred).copied().collect();
            let defined = defines.then(|| self.with_children(&defined))?;
            // What is said of other columns alone, or an index of them, holds nothing of it.
            let columns = statement.defined();
            let column = defined.into_iter().find_map(|oid| protected(oid, columns.as_deref()))?;
            let why = "definitions of its relation (checks, indexes, types) can tell of its values";
            self.column_refused(column, why)
        })
    }

    /// Relations with their children and partitions, whose rows a definition of a parent is tried against, too.
    fn with_children(&self, relations: &BTreeSet<Oid>) -> BTreeSet<Oid> {
        let mut found = BTreeSet::new();
        let mut todo: Vec<Oid> = relations.iter().copied().collect();
        while let Some(oid) = todo.pop() {
            if found.insert(oid) {
                todo.extend(self.catalog.children(oid));
            }
        }
        found
    }

    /// Code that nobody can see into, and views that tell of other sessions.
    fn hidden(&self, lineages: &[Lineage], opaque: &[String]) -> Option<Denial> {
        let large = lineages.iter().flat_map(|lineage| lineage.relations.iter()).any(|oid| {
            let relation = self.catalog.relation(*oid);
            relation.is_some_and(|one| one.schema == "pg_catalog" && one.name == "pg_largeobject")
        });
        let what: &str = match large {
            true => "pg_largeobject",
            false => {
                let told = |what: &str| counts_relations(what) && self.may_write_guesses();
                opaque.iter().find(|what| !is_harmless(what) || told(what))?
            }
        };
        let words = format!("{what} cannot be seen into, and could answer with protected values or copy them");
        self.by_rule(self.any_strict_rule(), words)
    }

    /// Whether a protected column may be written by somebody who may not see it: how its relation was changed by that
    /// (`n_tup_hot_upd`) tells whether it held the same before.
    fn may_write_guesses(&self) -> bool {
        let mut protected = self.protected.iter();
        protected.any(|(_, rules)| {
            self.masker.strict_rule(rules).is_some() && self.policy.forbids_writes(self.subject, rules).is_none()
        })
    }

    fn strict_rule(&self, column: ColumnId) -> Option<RuleId> {
        self.masker.strict_rule(self.protected.rules_of(column)?)
    }

    pub(super) fn any_strict_rule(&self) -> Option<RuleId> {
        let mut protected = self.protected.iter();
        protected.find_map(|(_, rules)| self.masker.strict_rule(rules))
    }

    fn column_refused(&self, column: ColumnId, why: &str) -> Option<Denial> {
        let rule = self.strict_rule(column)?;
        let name = self.column_name(column);
        self.by_rule(
            Some(rule),
            format!("column {name} is protected by profile Strict: {why}"),
        )
    }
}

/// A trigger is not: where nothing comes back, it can still leave values where no rule looks for them, and whoever may replace
/// its function has it do so.
fn is_harmless(what: &str) -> bool {
    // Made earlier in the same unit; detectors look at what comes out of it.
    if what.starts_with("relation ") {
        return true;
    }
    if let Some(name) = what.strip_prefix("system function ") {
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        let counter = name.strip_prefix(COUNTERS);
        let counts = counter.is_some_and(|rest| !TELLING_COUNTERS.iter().any(|telling| rest.starts_with(telling)));
        return counts || HARMLESS_FUNCTIONS.contains(&name);
    }
    match what.strip_prefix("view ") {
        Some(view) => match view.strip_prefix("pg_catalog.") {
            Some(name) => {
                let counts = counts_relations(what);
                let tells = TELLING_VIEWS.iter().any(|telling| name.starts_with(telling));
                counts || HARMLESS_VIEWS.contains(&name) || !tells
            }
            // No other schema's name can stand for it: views of users that cannot be read are lost, and refused as such.
            None => view.starts_with("information_schema."),
        },
        None => false,
    }
}

/// Whether it counts what was done to relations.
fn counts_relations(what: &str) -> bool {
    if let Some(view) = what.strip_prefix("view pg_catalog.") {
        return view.starts_with("pg_stat") && COUNTED_RELATIONS.iter().any(|end| view.ends_with(end));
    }
    let function = what.strip_prefix("system function ");
    let name = function.map(|name| name.strip_prefix("pg_catalog.").unwrap_or(name));
    name.is_some_and(|name| name.starts_with(COUNTERS) && !name.starts_with(OF_DATABASES))
}
