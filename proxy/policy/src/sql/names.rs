//! Names as a statement writes them, before anything is resolved.

use std::fmt;

/// What a statement does with a relation it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Rows are read.
    Read,
    /// Rows are added, changed or removed.
    Write,
    /// The relation itself is made, changed or removed.
    Define,
}

/// A relation as written. Names are folded as PostgreSQL folds them; common table expressions are left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelationRef {
    /// Schema, if the text gives one.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// What happens to it.
    pub access: Access,
}

/// A function or operator as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunctionRef {
    /// Schema, if the text gives one.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
}

/// Splits a possibly qualified name into schema and name. A third part in front is the database, which can only be the
/// present one.
pub(super) fn qualified(parts: &[&str]) -> Option<(Option<String>, String)> {
    match parts {
        [name] => Some((None, (*name).to_owned())),
        [.., schema, name] => Some((Some((*schema).to_owned()), (*name).to_owned())),
        [] => None,
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, schema: Option<&str>, name: &str) -> fmt::Result {
    match schema {
        Some(schema) => write!(f, "{schema}.{name}"),
        None => f.write_str(name),
    }
}

impl fmt::Display for RelationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.schema.as_deref(), &self.name)
    }
}

impl fmt::Display for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.schema.as_deref(), &self.name)
    }
}
