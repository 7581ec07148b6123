//! What stands in FROM.

use super::Known;
use crate::sql::tree::Node;

/// Relations in FROM beyond which nobody looks for a name.
pub(super) const MAX_RELATIONS: usize = 64;
/// Columns that every table has, and that differ from row to row.
pub(super) const SYSTEM: [&str; 5] = ["ctid", "xmin", "xmax", "cmin", "cmax"];

/// What stands in FROM, without joins that have no name. What is beyond the bound makes all of it unknown.
pub(super) fn flat(mut items: Vec<Node<'_>>) -> Vec<Node<'_>> {
    let mut found = Vec::new();
    while let Some(item) = items.pop().filter(|_| found.len() <= MAX_RELATIONS) {
        if item.is("JoinExpr") {
            items.extend(["larg", "rarg"].iter().filter_map(|side| item.node(side)));
        }
        if !item.is("JoinExpr") || item.has("alias") {
            found.push(item);
        }
    }
    found
}

/// Whether what stands in FROM may have a column of a name.
pub(super) fn may_hold(item: Node<'_>, name: &str, known: &Known<'_>) -> bool {
    let renamed = item.node("alias").is_some_and(|alias| alias.has("colnames"));
    let relation = known.relation(item).filter(|_| item.is("RangeVar") && !renamed);
    relation.is_none_or(|relation| SYSTEM.contains(&name) || relation.column(name).is_some())
}

/// What columns of a relation in FROM are called by.
pub(super) fn called(item: Node<'_>) -> &str {
    let alias = item.node("alias").map(|alias| alias.text("aliasname"));
    alias.unwrap_or_else(|| item.text("relname"))
}

/// The relation and the column of a name that has both.
pub(super) fn qualified(node: Node<'_>) -> Option<(&str, &str)> {
    let names = node.names("fields");
    let whole = node.is("ColumnRef") && names.len() == node.count("fields");
    let (column, relations) = names.split_last().filter(|_| whole)?;
    Some((relations.last().copied()?, *column))
}

/// Whether a query may have rows whatever it reads.
pub(super) fn computes_rows(query: Node<'_>) -> bool {
    query.has("group_clause")
        || query
            .list("target_list")
            .any(|output| below(output).any(|node| node.is("FuncCall")))
}

/// A node and all below it.
pub(super) fn below(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let mut todo = vec![node];
    std::iter::from_fn(move || {
        let node = todo.pop()?;
        todo.extend(node.children());
        Some(node)
    })
}
