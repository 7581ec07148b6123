//! Which columns a definition is about, where it is about nothing else of its table.

use super::grammar::{CASCADE, COLUMN_DEFAULT, DROP_COLUMN, OBJECT_COLUMN};
use super::tree::Node;

/// Other commands of ALTER TABLE: `DROP NOT NULL` and `SET NOT NULL`.
const DROP_NOT_NULL: i64 = 5;
const SET_NOT_NULL: i64 = 6;

/// Those of an index of plain columns and all rows; the column that gets another name; those that ALTER TABLE takes away, or of which it
/// says whether they may be NULL and which constant stands where nothing is given. `None` for whatever else there is.
pub(super) fn columns(root: Node<'_>) -> Option<Vec<&str>> {
    match root.kind() {
        "IndexStmt" if !root.has("where_clause") => {
            let parts = root.list("index_params").chain(root.list("index_including_params"));
            parts.map(name).collect()
        }
        "RenameStmt" if root.int("rename_type") == OBJECT_COLUMN && root.int("behavior") != CASCADE => {
            Some(vec![root.text("subname")])
        }
        "AlterTableStmt" => root.list("cmds").map(altered).collect(),
        _ => None,
    }
}

/// The column that a command of ALTER TABLE is about.
fn altered(command: Node<'_>) -> Option<&str> {
    let alone = match command.int("subtype") {
        COLUMN_DEFAULT => command.node("def").is_none_or(|value| value.is("AConst")),
        DROP_NOT_NULL | SET_NOT_NULL => true,
        DROP_COLUMN => command.int("behavior") != CASCADE,
        _ => false,
    };
    name(command).filter(|_| alone)
}

fn name(node: Node<'_>) -> Option<&str> {
    Some(node.text("name")).filter(|name| !name.is_empty())
}
