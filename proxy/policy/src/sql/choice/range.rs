//! What stands in FROM.

use super::Known;
use crate::sql::tree::Node;

/// Values of the grammar's enumerations.
pub(super) const UNION: i64 = 2;
pub(super) const INTERSECT: i64 = 3;
pub(super) const EXCEPT: i64 = 4;
const JOIN_INNER: i64 = 1;

/// Relations in FROM beyond which nobody looks for a name.
pub(super) const MAX_RELATIONS: usize = 64;
/// Views behind views beyond which nobody looks.
pub(super) const MAX_VIEWS: usize = 8;
/// Columns that every table has, and that differ from row to row.
pub(super) const SYSTEM: [&str; 5] = ["ctid", "xmin", "xmax", "cmin", "cmax"];

/// What stands in FROM, without joins that have no name. What is beyond the bound makes all of it unknown.
pub(super) fn flat(mut items: Vec<Node<'_>>) -> Vec<Node<'_>> {
    let mut found = Vec::new();
    while let Some(item) = items.pop().filter(|_| found.len() <= MAX_RELATIONS) {
        if item.is("JoinExpr") {
            items.extend(sides(item));
        }
        if !item.is("JoinExpr") || item.has("alias") {
            found.push(item);
        }
    }
    found
}

/// What a join joins, and what UNION and its like put together.
pub(super) fn sides(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    [node.node("larg"), node.node("rarg")].into_iter().flatten()
}

/// Whether a join leaves out rows of either side that have no like on the other.
pub(super) fn narrows(join: Node<'_>) -> bool {
    let alike = join.has("using_clause") || join.has("is_natural");
    join.int("jointype") == JOIN_INNER && (alike || join.node("quals").is_some_and(names_columns))
}

/// What is asked of the rows that a query reads: by WHERE, and where it joins them so that what has no like is left out.
pub(super) fn conditions(query: Node<'_>) -> Vec<Node<'_>> {
    let mut found: Vec<Node<'_>> = query.node("where_clause").into_iter().collect();
    let mut todo: Vec<Node<'_>> = query.list("from_clause").collect();
    while let Some(join) = todo.pop() {
        if join.is("JoinExpr") && join.int("jointype") == JOIN_INNER {
            found.extend(join.node("quals"));
            todo.extend(sides(join));
        }
    }
    found
}

/// Whether a condition has any column in it.
pub(super) fn names_columns(condition: Node<'_>) -> bool {
    below(condition).any(|node| node.is("ColumnRef"))
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

/// Whether a query gives the first or the last of what it reads. What is computed beside each row (`OVER`) leaves all of them.
pub(super) fn gives_extreme(query: Node<'_>) -> bool {
    let first = |call: &Node<'_>| matches!(call.names("funcname").last(), Some(&("min" | "max")));
    let mut calls = query
        .list("target_list")
        .flat_map(below)
        .filter(|node| node.is("FuncCall"));
    calls.any(|call| first(&call) && !call.has("over"))
}

/// Whether a query leaves out rows of what it reads.
pub(super) fn picks(query: Node<'_>) -> bool {
    // `LIMIT ALL` is one of NULL, and none.
    let limited = query.node("limit_count").is_some_and(|count| !count.flag("isnull"));
    limited
        || query.has("having_clause")
        || query.has("group_clause")
        || gives_extreme(query)
        // Of those that are alike one each (`DISTINCT ON`), or none that others have, or lack.
        || query.list("distinct_clause").next().is_some()
        || [INTERSECT, EXCEPT].contains(&query.int("op"))
        || query.node("where_clause").is_some_and(names_columns)
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
