//! From column names in rules to (relation OID, attribute number).

mod fit;

use std::collections::HashMap;
use std::fmt;

pub use fit::{Fit, fits};

use super::rule::{Rule, RuleId, RuleSet};
use crate::catalog::{Catalog, Column, ColumnId, Relation};
use crate::columns::ByRule;

/// `schema.table.column` with `*` for any text within one part.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ColumnGlob {
    parts: [String; 3],
}

/// A column name that is not three parts separated by dots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the column as schema.table.column, with * for any text within a part")]
pub struct GlobError;

/// The columns that rules protect, as far as the catalog has been seen.
///
/// A name becomes a column once and stays it: what was found under a generation of a rule remains protected under that
/// generation whatever it is renamed to (POSTGRES.md 12).
#[derive(Clone, Debug, Default)]
pub struct ProtectedColumns {
    /// uid and generation of each rule, by [`RuleId`].
    rules: Vec<(String, i64)>,
    columns: HashMap<ColumnId, RuleSet>,
}

// === impl ColumnGlob ===

impl ColumnGlob {
    /// Reads `schema.table.column`.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        let parts: [String; 3] = parts.try_into().map_err(|_| GlobError)?;
        if parts.iter().any(String::is_empty) {
            Err(GlobError)
        } else {
            Ok(Self { parts })
        }
    }

    /// Whether it names this column of this relation. Names compare as stored: unquoted names in SQL are lower case.
    pub fn matches(&self, relation: &Relation, column: &Column) -> bool {
        let [schema, table, name] = &self.parts;
        glob(schema, &relation.schema) && glob(table, &relation.name) && glob(name, &column.name)
    }
}

impl fmt::Display for ColumnGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("."))
    }
}

impl fmt::Debug for ColumnGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Whether `text` is `pattern` with each `*` standing for any text. Linear in practice, quadratic at worst; names have 63
/// bytes.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => {
            let Some(mut left) = text.strip_prefix(head) else {
                return false;
            };
            let parts: Vec<&str> = rest.split('*').collect();
            let Some((last, middle)) = parts.split_last() else {
                return true;
            };
            for part in middle {
                match left.split_once(part) {
                    Some((_, after)) => left = after,
                    None => return false,
                }
            }
            left.ends_with(last)
        }
    }
}

// === impl ProtectedColumns ===

impl ProtectedColumns {
    /// What `rules` protect in `catalog`, together with what `before` holds under the same generations and what is kept for
    /// them beyond this process.
    ///
    /// Protection goes on to the same column of children and partitions, to generated columns made from it, and to columns that
    /// refer to it ON UPDATE CASCADE. Views and materialised views are for lineage; what it finds for a materialised view comes
    /// in by [`ProtectedColumns::add`].
    pub fn resolve(rules: &[Rule], catalog: &dyn Catalog, before: Option<&ProtectedColumns>, kept: &ByRule) -> Self {
        let mut found = Self {
            rules: rules.iter().map(|rule| (rule.uid.clone(), rule.generation)).collect(),
            columns: before.map(|before| before.carried_over(rules)).unwrap_or_default(),
        };
        for (id, rule) in (0..).zip(rules) {
            let columns = kept.get(&rule.uid).into_iter();
            for column in columns.flat_map(|kept| kept.numbers(rule.generation)) {
                found.add(column, &RuleSet::one(id));
            }
        }
        for relation in catalog.relations() {
            for column in &relation.columns {
                let named = rules
                    .iter()
                    .enumerate()
                    .filter(|(_, rule)| rule.columns.iter().any(|glob| glob.matches(relation, column)));
                let named: RuleSet = named.filter_map(|(id, _)| RuleId::try_from(id).ok()).collect();
                found.add(
                    ColumnId {
                        relation: relation.oid,
                        column: column.attnum,
                    },
                    &named,
                );
            }
        }
        found.spread(catalog);
        found
    }

    /// The names by which rules are known beyond one revision.
    pub fn uids(&self, rules: &RuleSet) -> Vec<String> {
        let named = rules.iter().filter_map(|id| self.rules.get(usize::from(id)));
        named.map(|(uid, _)| uid.clone()).collect()
    }

    /// uid and generation of a rule.
    pub fn name_of(&self, rule: RuleId) -> Option<(&str, i64)> {
        let (uid, generation) = self.rules.get(usize::from(rule))?;
        Some((uid, *generation))
    }

    /// The rules of these names.
    pub fn of_uids(&self, uids: &[String]) -> RuleSet {
        let ids = self.rules.iter().enumerate().filter(|(_, (uid, _))| uids.contains(uid));
        ids.filter_map(|(id, _)| RuleId::try_from(id).ok()).collect()
    }

    /// All rules that protect anything.
    pub fn all(&self) -> RuleSet {
        let mut rules = RuleSet::default();
        self.columns.values().for_each(|more| _ = rules.extend(more));
        rules
    }

    /// Protects one more column; true if that was new.
    pub fn add(&mut self, column: ColumnId, rules: &RuleSet) -> bool {
        !rules.is_empty() && self.columns.entry(column).or_default().extend(rules)
    }

    /// Hands protection on to children, generated columns and columns that foreign keys write to until nothing changes.
    pub fn spread(&mut self, catalog: &dyn Catalog) {
        let mut todo: Vec<ColumnId> = self.columns.keys().copied().collect();
        while let Some(id) = todo.pop() {
            let rules = self.rules_of(id).cloned().unwrap_or_default();
            let Some(relation) = catalog.relation(id.relation) else {
                continue;
            };
            let Some(column) = relation.columns.iter().find(|column| column.attnum == id.column) else {
                continue;
            };
            let generated = generated_from(relation, &column.name);
            let children = catalog.children(relation.oid).iter().filter_map(|child| {
                let attnum = catalog.relation(*child)?.column(&column.name)?.attnum;
                Some(ColumnId {
                    relation: *child,
                    column: attnum,
                })
            });
            let carried = relation.carried.iter().filter(|(from, _)| *from == id.column);
            let carried = carried.map(|(_, to)| *to);
            let reached: Vec<ColumnId> = generated.chain(children).chain(carried).collect();
            todo.extend(reached.into_iter().filter(|reached| self.add(*reached, &rules)));
        }
    }

    /// Adds what `before` holds of these relations under the same generations of `rules`.
    pub fn carry(&mut self, before: &Self, rules: &[Rule], catalog: &dyn Catalog, of: impl Fn(&Relation) -> bool) {
        for (column, set) in before.carried_over(rules) {
            if catalog.relation(column.relation).is_some_and(&of) {
                self.add(column, &set);
            }
        }
        self.spread(catalog);
    }

    fn carried_over(&self, rules: &[Rule]) -> HashMap<ColumnId, RuleSet> {
        let renumber = |id: RuleId| {
            let (uid, generation) = self.rules.get(usize::from(id))?;
            let at = rules
                .iter()
                .position(|rule| rule.uid == *uid && rule.generation == *generation)?;
            RuleId::try_from(at).ok()
        };
        let carried = self
            .columns
            .iter()
            .map(|(column, set)| (*column, set.iter().filter_map(renumber).collect()));
        carried.filter(|(_, set): &(_, RuleSet)| !set.is_empty()).collect()
    }

    /// The rules that protect a column.
    pub fn rules_of(&self, column: ColumnId) -> Option<&RuleSet> {
        self.columns.get(&column)
    }

    /// Whether any rule protects the column.
    pub fn contains(&self, column: ColumnId) -> bool {
        self.columns.contains_key(&column)
    }

    /// All protected columns with their rules.
    pub fn iter(&self) -> impl Iterator<Item = (ColumnId, &RuleSet)> {
        self.columns.iter().map(|(column, rules)| (*column, rules))
    }

    /// Number of protected columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether no column is protected.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
}

/// The columns of a relation that are generated from the one of this name.
pub fn generated_from<'a>(relation: &'a Relation, name: &'a str) -> impl Iterator<Item = ColumnId> + 'a {
    let generated = relation.columns.iter().filter(move |other| {
        let expression = other.generated.as_deref();
        expression.is_some_and(|expression| mentions(expression, name))
    });
    generated.map(move |other| ColumnId {
        relation: relation.oid,
        column: other.attnum,
    })
}

/// Whether an expression as PostgreSQL prints it mentions a column. Names within strings or functions count too: more is
/// protected than need be, never less.
fn mentions(expression: &str, column: &str) -> bool {
    let printed = column.replace('"', "\"\"");
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
    expression.match_indices(&printed).any(|(at, name)| {
        let (before, after) = (expression.get(..at), expression.get(at.saturating_add(name.len())..));
        !word(before.and_then(|text| text.chars().next_back())) && !word(after.and_then(|text| text.chars().next()))
    })
}

#[cfg(test)]
mod tests;
