//! What a statement reaches that it does not name: what hangs on something, is in a schema or the database, or belongs to a role.

use super::grammar::{CASCADE, OBJECT_SCHEMA};
use super::statement::Statement;
use super::tree::Node;

/// What CASCADE takes along, as long as nobody has looked.
pub(crate) const CASCADES: &str = "what CASCADE takes along (leave it out where nothing hangs on this)";
/// The same, where somebody has.
pub(crate) const NOT_FOLLOWED: &str =
    "what CASCADE takes along by functions, types and the like (leave it out where nothing hangs on this)";

/// What is read where the planner keeps samples of tables.
pub(crate) const SAMPLED: &str = "which tables the planner's statistics hold values of";

/// What GRANT is about is numbered from a single object on.
const ALL_IN_SCHEMA: i64 = 2;
/// Kinds of objects, as the grammar numbers them.
const ATTRIBUTE: i64 = 5;
const EXTENSION: i64 = 16;
const TYPE: i64 = 50;
const DATABASE: i64 = 10;
/// Those of them with which no column goes: indexes, policies, rules, triggers.
const BARE: [i64; 4] = [21, 29, 36, 45];
/// What DISCARD takes that no column hangs on: plans, and what sequences gave.
const LIGHT: [i64; 2] = [2, 3];
/// `ON COMMIT DROP`.
const ONCOMMIT_DROP: i64 = 4;
/// Databases of which others are made that hold nobody's rows.
const TEMPLATES: [&str; 2] = ["template0", "template1"];

/// What of one node reaches further than its words, for the person.
pub(super) fn of(node: Node<'_>) -> Option<&'static str> {
    Some(match node.kind() {
        "DropStmt" | "TruncateStmt" | "RenameStmt" | "AlterTableCmd" if node.int("behavior") == CASCADE => CASCADES,
        // Somebody may have added a table to it.
        "DropStmt" if node.int("remove_type") == EXTENSION => "what belongs to the extension",
        "AlterObjectSchemaStmt" if node.int("object_type") == EXTENSION => "what belongs to the extension",
        "DropOwnedStmt" | "ReassignOwnedStmt" => "what the role owns",
        "RenameStmt" if node.int("rename_type") == OBJECT_SCHEMA => "what is in the schema",
        "GrantStmt" if node.int("targtype") == ALL_IN_SCHEMA => "what is in the schema",
        "AlterTableMoveAllStmt" => "what is in the tablespace",
        "ReindexStmt" | "ClusterStmt" if !node.has("relation") => "what is in the database",
        "VacuumStmt" if node.count("rels") == 0 => "what is in the database",
        "DropdbStmt" => "what is in the database",
        // Rows of every table that holds such values read otherwise from here on.
        "AlterEnumStmt" if !node.text("old_val").is_empty() => "what holds values of the type",
        "AlterTableStmt" if node.int("objtype") == TYPE => "what holds values of the type",
        _ => return None,
    })
}

/// Whether a statement copies a database, or has one go by another name.
pub(super) fn takes_database(root: Node<'_>) -> bool {
    match root.kind() {
        "CreatedbStmt" => {
            let mut options = root.list("options");
            options.any(|option| {
                let template = option.node("arg").and_then(Node::literal);
                option.text("defname") == "template" && template.is_some_and(|name| !TEMPLATES.contains(&name))
            })
        }
        "RenameStmt" => root.int("rename_type") == DATABASE,
        _ => false,
    }
}

impl Statement {
    /// Whether it says CASCADE, and may take along what it does not name.
    pub fn cascades(&self) -> bool {
        self.beyond == Some(CASCADES)
    }

    /// Whether columns of tables that stay may go with what it drops: with a type that they are of, a function that makes them, a schema
    /// that holds either. What is temporary may be a type, too.
    pub fn takes_columns(&self) -> bool {
        self.root().is_some_and(|root| match root.kind() {
            "DropStmt" => root.int("behavior") == CASCADE && !BARE.contains(&root.int("remove_type")),
            "DiscardStmt" => !LIGHT.contains(&root.int("target")),
            kind => kind == "DropOwnedStmt",
        })
    }

    /// Whether it changes what attributes a row type has, or what they are called: the columns of tables that are made of it, which no name
    /// tells.
    pub fn alters_attributes(&self) -> bool {
        self.root().is_some_and(|root| match root.kind() {
            "AlterTableStmt" => root.int("objtype") == TYPE,
            "RenameStmt" => root.int("rename_type") == ATTRIBUTE,
            _ => false,
        })
    }

    /// Whether it makes a table that is gone when its transaction is committed, with all that hangs on it.
    pub fn goes_on_commit(&self) -> bool {
        let goes = |node: Node<'_>| {
            let fields = ["oncommit", "on_commit"].into_iter();
            fields.map(|field| node.int(field)).any(|what| what == ONCOMMIT_DROP)
        };
        self.root().is_some_and(|root| root.all().any(goes))
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::parse;

    #[test]
    fn columns_go_with_what_they_hang_on() {
        for (sql, takes) in [
            ("drop domain d cascade", true),
            ("drop type d cascade", true),
            ("drop schema s cascade", true),
            ("drop table d cascade", true),
            ("drop view d cascade", true),
            ("drop collation c cascade", true),
            ("drop function f(int) cascade", true),
            ("drop extension e cascade", true),
            ("drop owned by r cascade", true),
            ("discard temp", true),
            ("discard all", true),
            ("discard plans", false),
            ("discard sequences", false),
            ("drop domain d", false),
            ("drop table d", false),
            ("drop index i cascade", false),
            ("drop trigger g on t cascade", false),
            ("drop policy p on t cascade", false),
            ("drop rule r on t cascade", false),
            ("truncate t cascade", false),
            ("alter table t drop column c cascade", false),
            ("select 1", false),
        ] {
            let script = parse(sql).unwrap();
            assert_eq!(script.statements[0].takes_columns(), takes, "{sql}");
        }
    }

    #[test]
    fn what_is_gone_when_its_transaction_is_committed() {
        for (sql, goes) in [
            ("create temp table t (a int) on commit drop", true),
            ("create temp table t on commit drop as select 1 as a", true),
            (
                "explain analyze create temp table t on commit drop as select 1 as a",
                true,
            ),
            ("create temp table t (a int)", false),
            ("create temp table t (a int) on commit delete rows", false),
            ("create temp table t on commit preserve rows as select 1 as a", false),
            ("create table t (a int)", false),
            ("select 1 as a into temp t", false),
        ] {
            let script = parse(sql).unwrap();
            assert_eq!(script.statements[0].goes_on_commit(), goes, "{sql}");
        }
    }

    #[test]
    fn attributes_are_columns_of_other_tables() {
        for (sql, alters) in [
            ("alter type t rename attribute a to b cascade", true),
            ("alter type t rename attribute a to b", true),
            ("alter type t add attribute a int cascade", true),
            ("alter type t drop attribute a cascade", true),
            ("alter type t alter attribute a type text cascade", true),
            ("alter type t rename to u", false),
            ("alter type t add value 'a'", false),
            ("alter type t rename value 'a' to 'b'", false),
            ("alter type t owner to r", false),
            ("alter table t rename a to b", false),
            ("alter table t add a int", false),
        ] {
            let script = parse(sql).unwrap();
            assert_eq!(script.statements[0].alters_attributes(), alters, "{sql}");
        }
    }
}
