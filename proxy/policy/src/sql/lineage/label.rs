//! The name of an output column that has no alias, as PostgreSQL makes it up.

use crate::sql::tree::Node;

/// The name; `?column?` where PostgreSQL knows no better one. A name that is guessed wrong is only not found again, and
/// then counts as unknown.
pub(super) fn of(node: Node<'_>) -> String {
    find(node).unwrap_or_else(|| "?column?".to_owned())
}

fn find(node: Node<'_>) -> Option<String> {
    let last = |field: &str| node.names(field).last().map(|name| (*name).to_owned());
    match node.kind() {
        "ColumnRef" => last("fields"),
        "AIndirection" => last("indirection").or_else(|| node.node("arg").and_then(find)),
        "FuncCall" => last("funcname"),
        "TypeCast" => node.node("arg").and_then(find).or_else(|| {
            node.node("type_name")?
                .names("names")
                .last()
                .map(|name| (*name).to_owned())
        }),
        "CollateClause" => node.node("arg").and_then(find),
        "CaseExpr" => node
            .node("defresult")
            .and_then(find)
            .or_else(|| Some("case".to_owned())),
        "AArrayExpr" => Some("array".to_owned()),
        "RowExpr" => Some("row".to_owned()),
        "CoalesceExpr" => Some("coalesce".to_owned()),
        "MinMaxExpr" => Some(if node.int("op") == 2 { "least" } else { "greatest" }.to_owned()),
        "GroupingFunc" => Some("grouping".to_owned()),
        "AExpr" if node.int("kind") == NULLIF => Some("nullif".to_owned()),
        "SubLink" => sublink(node),
        _ => None,
    }
}

const NULLIF: i64 = 6;
const EXISTS: i64 = 1;
const EXPRESSION: i64 = 5;
const ARRAY: i64 = 7;

fn sublink(node: Node<'_>) -> Option<String> {
    match node.int("sub_link_type") {
        EXISTS => Some("exists".to_owned()),
        ARRAY => Some("array".to_owned()),
        EXPRESSION => {
            let target = node.node("subselect")?.list("target_list").next()?;
            match target.text("name") {
                "" => target.node("val").and_then(find),
                name => Some(name.to_owned()),
            }
        }
        _ => None,
    }
}
