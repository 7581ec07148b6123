//! Code of users that runs where a text names something of PostgreSQL's own: overloads, operators, casts, checks of domains.
//!
//! A call of `lower(x)` is PostgreSQL's own unless somebody made a better match for the type of `x`, and a text does not say
//! types. So where such a match is there at all, every call by that name counts as code that nobody can see into.

use std::collections::{BTreeMap, BTreeSet};

use super::Oid;

/// What a text could take for PostgreSQL's own and is not its own, written in SQL or another language of users. What
/// extensions bring in C is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Names of all functions and aggregates: one that this PostgreSQL does not have, a later one may.
    pub functions: BTreeSet<String>,
    /// Names of functions for which one argument is enough and nobody vouches, whoever made them: what looks like a field
    /// may be a call.
    pub fields: BTreeSet<String>,
    /// Names of operators.
    pub operators: BTreeSet<String>,
    /// Names of functions that came with an extension of which is known [what it does](crate::sql::EXTENSIONS), and that nobody else
    /// has a function by: PostgreSQL itself at most one that can be vouched for by its name.
    pub known_functions: BTreeSet<String>,
    /// Names of operators that run such functions, and that nobody else has an operator by, but PostgreSQL itself.
    pub known_operators: BTreeSet<String>,
    /// Names of those functions, and of those operators, that somebody made in pg_catalog: there a name is not PostgreSQL's own
    /// even with that schema before it.
    pub system_functions: BTreeSet<String>,
    /// See [`Code::system_functions`].
    pub system_operators: BTreeSet<String>,
    /// Types whose casts, checks, defaults or order run code, and all that hold one of them, with their names.
    pub types: BTreeMap<Oid, String>,
    /// Names of event triggers that are enabled: they run at whatever defines anything.
    pub event_triggers: BTreeSet<String>,
    /// Names of foreign data wrappers whose validator is code: it runs at whatever gives options to a server, a user or a table.
    pub wrappers: BTreeSet<String>,
}

// === impl Code ===

impl Code {
    /// Whether a type of this name runs code when something becomes one.
    pub fn has_type(&self, name: &str) -> bool {
        self.types.values().any(|known| known == name)
    }

    /// Whether a function by this name can only be one of a known extension. What is in temporary schemas is not
    /// looked up by a name alone, and so was not looked for.
    pub fn vouches_for_function(&self, schema: Option<&str>, name: &str) -> bool {
        !is_temporary(schema) && self.known_functions.contains(name)
    }

    /// The same for an operator.
    pub fn vouches_for_operator(&self, schema: Option<&str>, name: &str) -> bool {
        !is_temporary(schema) && self.known_operators.contains(name)
    }

    /// What is code by either of two catalogs, each of which may lack some of the other's. Only what both vouch for is vouched for.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        type Names = BTreeSet<String>;
        let either = |one: &Names, other: &Names| one.union(other).cloned().collect::<Names>();
        let both = |one: &Names, other: &Names| one.intersection(other).cloned().collect::<Names>();
        let types = self.types.iter().chain(&other.types);
        Self {
            functions: either(&self.functions, &other.functions),
            fields: either(&self.fields, &other.fields),
            operators: either(&self.operators, &other.operators),
            known_functions: both(&self.known_functions, &other.known_functions),
            known_operators: both(&self.known_operators, &other.known_operators),
            system_functions: either(&self.system_functions, &other.system_functions),
            system_operators: either(&self.system_operators, &other.system_operators),
            types: types.map(|(oid, name)| (*oid, name.clone())).collect(),
            event_triggers: either(&self.event_triggers, &other.event_triggers),
            wrappers: either(&self.wrappers, &other.wrappers),
        }
    }
}

fn is_temporary(schema: Option<&str>) -> bool {
    schema.is_some_and(|schema| schema.starts_with("pg_temp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_either_counts_and_what_both_vouch_for() {
        let own = Code {
            functions: ["lower".to_owned(), "similarity".to_owned()].into(),
            types: [(900, "money2".to_owned())].into(),
            ..Code::default()
        };
        let theirs = Code {
            functions: ["similarity".to_owned(), "upper".to_owned()].into(),
            known_functions: ["similarity".to_owned()].into(),
            types: [(901, "mood".to_owned())].into(),
            ..Code::default()
        };
        for joined in [own.joined(&theirs), theirs.joined(&own)] {
            let functions: Vec<&str> = joined.functions.iter().map(String::as_str).collect();
            assert_eq!(functions, ["lower", "similarity", "upper"]);
            assert!(joined.has_type("money2") && joined.has_type("mood"));
            assert!(!joined.vouches_for_function(None, "similarity"));
        }
        assert!(theirs.joined(&theirs).vouches_for_function(None, "similarity"));
        assert_eq!(theirs.joined(&theirs), theirs);
    }
}
