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
}

fn is_temporary(schema: Option<&str>) -> bool {
    schema.is_some_and(|schema| schema.starts_with("pg_temp"))
}
