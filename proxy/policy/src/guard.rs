//! What masking rules refuse of a statement, whatever approval policies say to it: values that would leave by a way that no mask
//! follows, or that somebody would write over without seeing them.
//!
//! Like the verdict it is data in, data out: the door asks with the target's catalog, and whoever explains a policy without a
//! target with the catalog that names seem to mean.

mod put_back;
mod strict;

use crate::Policy;
use crate::catalog::{Catalog, ColumnId, Oid, Relation};
use crate::decide::{Denial, DeniedBy};
use crate::mask::{Masker, ProtectedColumns, RuleId};
use crate::sql::lineage::Flow;
use crate::sql::{Lineage, SETTINGS, Statement, Verb};
use crate::subject::Subject;

/// What waits for others who write a row, and goes on with what they wrote.
const REWRITES: [Verb; 3] = [Verb::Update, Verb::Delete, Verb::Merge];

/// Everything that a refusal by masking rules hangs on, apart from the statement.
#[derive(Clone, Copy)]
pub struct Guard<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// The person.
    pub subject: &'a Subject,
    /// The person's masker.
    pub masker: &'a Masker,
    /// The catalog.
    pub catalog: &'a dyn Catalog,
    /// What the rules protect in it.
    pub protected: &'a ProtectedColumns,
}

// === impl Guard ===

impl Guard<'_> {
    /// Why a statement is refused, if it is. `statements`: each reading of it; `lineages`: where the values of each go, and of what
    /// it runs by name; `opaque`: what in it cannot be seen into.
    #[must_use]
    pub fn refusal(&self, statements: &[&Statement], lineages: &[Lineage], opaque: &[String]) -> Option<Denial> {
        self.unfinished(lineages)
            .or_else(|| self.overwritten(statements, lineages))
            .or_else(|| self.sunk(lineages))
            .or_else(|| self.left_late(statements, lineages))
            .or_else(|| self.settings(lineages))
            .or_else(|| self.pinned(statements.iter().copied(), true))
            .or_else(|| self.databases(statements))
            .or_else(|| self.strict(statements, lineages, opaque))
    }

    /// Why a statement is refused of which it is not known what its names mean (`words` says why): under Strict, none of them can be
    /// shown to be safe.
    #[must_use]
    pub fn nameless(&self, words: &str) -> Option<Denial> {
        self.by_rule(self.any_strict_rule(), words.to_owned())
    }

    /// Where the walk gave up, nobody knows what else a statement writes, copies or hands to a function.
    fn unfinished(&self, lineages: &[Lineage]) -> Option<Denial> {
        let unfinished = lineages.iter().any(|lineage| lineage.unfinished);
        let words = "this query is too large to be followed, and protected values could leave by it: send it in parts";
        (unfinished && !self.protected.is_empty()).then(|| limit(words.to_owned()))
    }

    /// Who may not see a column may not overwrite it: masked values that are written back destroy data.
    fn overwritten(&self, statements: &[&Statement], lineages: &[Lineage]) -> Option<Denial> {
        let overwrites = |statement: &&Statement| statement.verbs.any(&[Verb::Update, Verb::Merge]);
        if !statements.iter().any(overwrites) {
            return None;
        }
        let mut assigned = lineages
            .iter()
            .flat_map(|lineage| lineage.assigned_protected(self.protected));
        assigned.find_map(|(column, rules)| {
            let rule = self.policy.forbids_writes(self.subject, rules)?;
            let name = self.column_name(column);
            let reason = format!("column {name} is masked for you, and who may not see a value may not overwrite it");
            Some(Denial {
                by: DeniedBy::Mask(rule.to_owned()),
                reason,
            })
        })
    }

    /// A value that is left in a setting, a notification, a sequence or a lock comes out where no mask follows.
    fn sunk(&self, lineages: &[Lineage]) -> Option<Denial> {
        let sunk = || lineages.iter().map(|lineage| &lineage.sunk);
        let mut columns = sunk().flat_map(Flow::columns);
        if let Some(column) = columns.find(|column| self.protected.contains(**column)) {
            let name = self.column_name(*column);
            return Some(limit(format!(
                "column {name} is protected, and a function would leave its values where no mask follows"
            )));
        }
        // Statistics of the planner, or what stands behind a view that cannot be read.
        let any = !self.protected.is_empty() && sunk().any(|flow| flow.any);
        let words = "a function would leave what may be values of protected columns where no mask follows";
        any.then(|| limit(words.to_owned()))
    }

    /// The same for values of any column, where nothing holds the statement to what it was looked at by: one that locks or changes rows
    /// waits for who writes them and reads them as they are by then, and of a utility no lock keeps what its names mean. What was left
    /// by then is not taken back.
    fn left_late(&self, statements: &[&Statement], lineages: &[Lineage]) -> Option<Denial> {
        let utility = !statements.iter().all(|statement| statement.is_data());
        // What is only inserted is new, and what it is made of is read as a plain SELECT reads.
        let rewrites = statements.iter().any(|statement| statement.verbs.any(&REWRITES));
        let late = |lineage: &Lineage| {
            let changes = !lineage.written.is_empty() && (rewrites || lineage.ruled);
            lineage.leaves() && (utility || lineage.locks || changes)
        };
        let words = "a function would leave values where no mask follows, and which they are is known only when this runs: send a plain SELECT or INSERT that neither locks nor changes rows";
        let refused = self.protects() && lineages.iter().any(late);
        refused.then(|| limit(words.to_owned()))
    }

    /// The same for values of any column behind statements that may take their time, or where nothing can hold the statement to what it
    /// was looked at by. `is_own`: whether the same unit makes a relation, and fills it by its own text.
    #[must_use]
    pub fn left_behind(&self, lineages: &[Lineage], is_own: impl Fn(Oid) -> bool) -> Option<Denial> {
        let leaves = |lineage: &Lineage| {
            let mut columns = lineage.sunk.columns().iter();
            lineage.sunk.any || columns.any(|column| !is_own(column.relation))
        };
        let words = "a function would leave values where no mask follows, and which they are is known only when what stands before it has run: send it on its own";
        let refused = self.protects() && lineages.iter().any(leaves);
        refused.then(|| limit(words.to_owned()))
    }

    /// Whether anything is hidden from the person here.
    fn protects(&self) -> bool {
        self.masker.acts() && !self.protected.is_empty()
    }

    /// `pg_settings` sets by UPDATE what SET sets, role and encoding among it, and no name of a setting stands in the text.
    fn settings(&self, lineages: &[Lineage]) -> Option<Denial> {
        let named = |oid: &Oid| {
            let relation = self.catalog.relation(*oid);
            relation.is_some_and(|one| one.is_system() && one.name == SETTINGS)
        };
        let through = |oid: &Oid| self.catalog.relation(*oid).is_some_and(Relation::is_view);
        let sets = |lineage: &Lineage| {
            lineage.written.iter().any(named)
                || lineage.written.iter().any(through) && lineage.relations.iter().any(named)
        };
        let words = "settings are changed by SET or set_config at this door, not through pg_settings";
        lineages.iter().any(sets).then(|| limit(words.to_owned()))
    }

    /// Why a statement is refused of which it is not known what setting it changes: somebody else's `pg_settings` may compute another
    /// name each time that it is asked, and their type `text` cuts one.
    #[must_use]
    pub fn pinned<'s>(&self, statements: impl IntoIterator<Item = &'s Statement>, fresh: bool) -> Option<Denial> {
        let another = |one: &Relation| one.name == SETTINGS && !one.is_system();
        let taken = || self.catalog.relations().any(another) || self.catalog.code().has_type("text");
        let pins = statements.into_iter().any(|statement| statement.pins);
        let words =
            "which setting this changes is not known here: write its name as a plain literal, and send it on its own";
        (pins && (!fresh || taken())).then(|| limit(words.to_owned()))
    }

    /// Columns that were renamed, and those that protected values were copied into, are known by the name of their database: in a copy
    /// of it, or under another name, nobody would know them.
    fn databases(&self, statements: &[&Statement]) -> Option<Denial> {
        let taken = self.masker.acts() && statements.iter().any(|statement| statement.takes_database());
        let words = "what is protected in a database by what happened there would not be known in a copy, or under another name";
        taken.then(|| limit(words.to_owned()))
    }

    /// A column as the person reads it.
    fn column_name(&self, id: ColumnId) -> String {
        let column = self.catalog.relation(id.relation).and_then(|relation| {
            let column = relation.columns.iter().find(|column| column.attnum == id.column)?;
            // A session's own schema has a number that says nothing to anybody.
            let schema = if relation.schema.starts_with("pg_temp_") {
                "pg_temp"
            } else {
                &relation.schema
            };
            Some(format!("{schema}.{}.{}", relation.name, column.name))
        });
        column.unwrap_or_default()
    }

    fn by_rule(&self, rule: Option<RuleId>, reason: String) -> Option<Denial> {
        let rule = self.policy.masks().rules().get(usize::from(rule?))?;
        Some(Denial {
            by: DeniedBy::Mask(rule.name.clone()),
            reason,
        })
    }
}

fn limit(reason: String) -> Denial {
    Denial {
        by: DeniedBy::Limit,
        reason,
    }
}

#[cfg(test)]
mod tests;
