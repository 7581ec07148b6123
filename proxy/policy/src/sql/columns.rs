//! Which names in a tree are those of columns.

use std::collections::BTreeSet;

use super::tree::{Node, Tree};

/// See [`Statement::column_names`](super::Statement::column_names).
pub(super) fn names(tree: &Tree) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut alone: BTreeSet<&str> = BTreeSet::new();
    let mut rows: BTreeSet<&str> = BTreeSet::new();
    for node in tree.nodes() {
        match node.kind() {
            "ColumnRef" if !ends_in_star(node) => match node.names("fields").as_slice() {
                [name] => _ = alone.insert(*name),
                fields => names.extend(fields.iter().skip(1).copied()),
            },
            "AIndirection" => names.extend(node.names("indirection")),
            "InsertStmt" => names.extend(node.list("cols").map(|column| column.text("name"))),
            "UpdateStmt" | "OnConflictClause" | "MergeWhenClause" => {
                names.extend(node.list("target_list").map(|column| column.text("name")));
            }
            "CopyStmt" => names.extend(node.names("attlist")),
            "JoinExpr" => names.extend(node.names("using_clause")),
            "IndexElem" | "AlterTableCmd" => _ = names.insert(node.text("name")),
            "RangeVar" => _ = rows.insert(node.text("relname")),
            "Alias" => _ = rows.insert(node.text("aliasname")),
            _ => {}
        }
    }
    names.extend(alone.difference(&rows));
    names.remove("");
    names
}

fn ends_in_star(node: Node<'_>) -> bool {
    node.list("fields").any(|field| field.is("AStar"))
}
