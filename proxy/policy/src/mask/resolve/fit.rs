//! Whether the names in rules fit any column of a catalog, and which column may have been meant where they do not.

use std::collections::BTreeMap;

use super::{ColumnGlob, glob};
use crate::catalog::{Catalog, Relation};
use crate::columns::TEMPORARY;
use crate::mask::rule::Rule;

/// Shorter names are one edit away from too many others.
const MIN_NAME: usize = 3;
/// What other capitals weigh, and any other edit: of those there may be one, of capitals as many as like.
const CAPITALS: u8 = 1;
const EDIT: u8 = 4;

/// What one name in a rule fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Some column of the catalog.
    Column,
    /// None; with the name by which it would fit one, where that is almost the same.
    Nothing(Option<String>),
}

/// What each column name of these rules fits, by the name as it stands there.
pub fn fits(rules: &[Rule], catalog: &dyn Catalog) -> BTreeMap<String, Fit> {
    let globs = rules.iter().flat_map(|rule| &rule.columns);
    globs.map(|glob| (glob.to_string(), glob.fit(catalog))).collect()
}

// === impl ColumnGlob ===

impl ColumnGlob {
    fn fit(&self, catalog: &dyn Catalog) -> Fit {
        let [schema, table, column] = &self.parts;
        let of = |relation: &&Relation| glob(schema, &relation.schema) && glob(table, &relation.name);
        let mut columns = catalog.relations().filter(of).flat_map(|relation| &relation.columns);
        if columns.any(|one| glob(column, &one.name)) {
            return Fit::Column;
        }
        // What is PostgreSQL's own, or a session's, is not what a rule means by another name.
        let meant = |relation: &&Relation| !relation.is_system() && !relation.schema.starts_with(TEMPORARY);
        let near = catalog
            .relations()
            .filter(meant)
            .filter_map(|relation| self.near(relation));
        Fit::Nothing(near.min().map(|(_, name)| name))
    }

    /// The name by which it would fit a column of a relation, and how far that is from what it is; the nearest of several.
    fn near(&self, relation: &Relation) -> Option<(u8, String)> {
        let [schema, table, column] = &self.parts;
        let (schema_off, schema) = other(schema, &relation.schema)?;
        let (table_off, table) = other(table, &relation.name)?;
        let columns = relation.columns.iter().filter_map(|one| {
            let (column_off, column) = other(column, &one.name)?;
            let off = schema_off + table_off + column_off;
            (off < 2 * EDIT).then_some((off, column))
        });
        let (off, column) = columns.min()?;
        Some((off, format!("{schema}.{table}.{column}")))
    }
}

/// What a part of a name has to be so as to fit, and how far that is from what it is.
fn other<'a>(part: &'a str, name: &'a str) -> Option<(u8, &'a str)> {
    if glob(part, name) {
        return Some((0, part));
    }
    // A name with such signs cannot be written in a rule but by a pattern.
    if part.contains('*') || name.contains(['.', '*']) {
        return None;
    }
    let lower = |text: &'a str| text.chars().flat_map(char::to_lowercase);
    if lower(part).eq(lower(name)) {
        return Some((CAPITALS, name));
    }
    is_one_edit(part, name).then_some((EDIT, name))
}

/// Whether one character more, less or instead, or two that change places, make one name of the other.
fn is_one_edit(one: &str, other: &str) -> bool {
    let (length, others) = (one.chars().count(), other.chars().count());
    if length.min(others) < MIN_NAME || length.abs_diff(others) > 1 {
        return false;
    }
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let rest = |count| one.chars().skip(same).skip(count);
    let others = |count| other.chars().skip(same).skip(count);
    let swapped = || rest(0).next() == others(1).next() && rest(1).next() == others(0).next();
    rest(1).eq(others(1)) || rest(1).eq(others(0)) || rest(0).eq(others(1)) || swapped() && rest(2).eq(others(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, Snapshot};
    use crate::mask::action::Action;

    fn relation(oid: u32, schema: &str, name: &str, columns: &[&str]) -> Relation {
        let columns = columns.iter().zip(1..).map(|(name, attnum)| Column {
            attnum,
            name: (*name).to_owned(),
            type_oid: 25,
            generated: None,
        });
        Relation {
            oid,
            schema: schema.into(),
            name: name.into(),
            columns: columns.collect(),
            ..Relation::default()
        }
    }

    fn bank() -> Snapshot {
        Snapshot::new(vec![
            relation(100, "pg_catalog", "pg_user", &["usename"]),
            relation(20_001, "public", "customers", &["id", "ssn", "Email", "a.b"]),
            relation(20_002, "public", "cards", &["number", "owner"]),
            relation(20_003, "pg_temp_3", "scratch", &["iban"]),
            relation(20_004, "sales", "customers", &["ssm", "note"]),
        ])
    }

    fn fit(name: &str) -> Fit {
        let rule = Rule {
            columns: vec![ColumnGlob::parse(name).unwrap()],
            ..crate::mask::testing::rule(Action::Redact)
        };
        fits(&[rule], &bank()).remove(name).unwrap()
    }

    #[test]
    fn what_fits_a_column_fits_it() {
        for name in [
            "public.customers.ssn",
            "public.*.ssn",
            "*.*.note",
            "pg_temp_3.scratch.iban",
            "pg_catalog.pg_user.usename",
            "public.cust*.E*",
        ] {
            assert_eq!(fit(name), Fit::Column, "{name}");
        }
    }

    #[test]
    fn what_may_have_been_meant_is_one_edit_or_capitals_away() {
        for (name, meant) in [
            // A letter instead, too few, too many, two that changed places.
            ("public.customers.snn", Some("public.customers.ssn")),
            ("public.cards.numbr", Some("public.cards.number")),
            ("public.cards.ownner", Some("public.cards.owner")),
            ("public.cards.onwer", Some("public.cards.owner")),
            ("public.cards.numberr", Some("public.cards.number")),
            // In front of the column.
            ("public.customer.ssn", Some("public.customers.ssn")),
            ("publc.cards.owner", Some("public.cards.owner")),
            // Capitals are nearer than letters, and may be others everywhere.
            ("public.customers.email", Some("public.customers.Email")),
            ("Public.Customers.SSN", Some("public.customers.ssn")),
            // The pattern stays where it fits.
            ("*.cust*.noet", Some("*.cust*.note")),
            // Two edits, or another name altogether.
            ("public.customer.snn", None),
            ("Public.Customers.SNN", None),
            ("public.cards.nmbre", None),
            ("public.cards.pan", None),
            ("public.accounts.ssn", None),
            // Nothing that a rule could say so, nothing as short as that, nobody's own, no pattern.
            ("public.customers.ax", None),
            ("public.customers.ie", None),
            ("pg_temp_3.scratch.ibam", None),
            ("pg_catalog.pg_user.username", None),
            ("public.customers.sn*x", None),
        ] {
            assert_eq!(fit(name), Fit::Nothing(meant.map(str::to_owned)), "{name}");
        }
    }

    #[test]
    fn an_empty_catalog_fits_nothing() {
        let rule = Rule {
            columns: vec![ColumnGlob::parse("a.b.c").unwrap(), ColumnGlob::parse("a.*.d").unwrap()],
            ..crate::mask::testing::rule(Action::Redact)
        };
        let found = fits(&[rule], &Snapshot::default());
        assert_eq!(found.len(), 2);
        assert!(found.values().all(|fit| *fit == Fit::Nothing(None)));
    }
}
