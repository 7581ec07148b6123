//! Names as a statement writes them, before anything is resolved.

use std::fmt;

use super::tree::Node;

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

/// What a statement does to a relation that stands directly in one of its fields.
pub(super) fn access(parent: Node<'_>, relation: Node<'_>) -> Access {
    match parent.kind() {
        "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "TruncateStmt" => {
            let target = ["relation", "relations"];
            let is_target = target.iter().any(|field| {
                parent.node(field).is_some_and(|node| node.id() == relation.id())
                    || parent.list(field).any(|node| node.id() == relation.id())
            });
            if is_target { Access::Write } else { Access::Read }
        }
        "CopyStmt" if parent.flag("is_from") => Access::Write,
        "CopyStmt" | "LockStmt" | "VacuumRelation" | "SelectStmt" => Access::Read,
        "IntoClause" => Access::Define,
        kind if kind.ends_with("Stmt") => Access::Define,
        _ => Access::Read,
    }
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

/// A word of the grammar since PostgreSQL 16, before that a name like any other.
pub(super) const SYSTEM_USER: &str = "system_user";

/// Schema and name of a relation that something in FROM is, or is to a server that does not know the word that stands there.
pub(super) fn ranged(item: Node<'_>) -> Option<(Option<&str>, &str)> {
    if item.is("RangeVar") {
        let schema = Some(item.text("schemaname")).filter(|schema| !schema.is_empty());
        return Some((schema, item.text("relname")));
    }
    let mut functions = item
        .list("functions")
        .filter_map(|function| function.list("items").next());
    let (call, None) = (functions.next()?, functions.next()) else {
        return None;
    };
    let is_word = item.is("RangeFunction") && call.names("funcname") == ["pg_catalog", SYSTEM_USER];
    is_word.then_some((None, SYSTEM_USER))
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
