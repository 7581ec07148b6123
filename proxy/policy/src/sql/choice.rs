//! Whether a change chooses the rows that it changes.

use super::pinned::AND_EXPR;
use super::tree::Node;

/// Values of the grammar's enumerations. NOT chooses where what it denies does.
const NOT_EXPR: i64 = 3;

const ONCONFLICT_UPDATE: i64 = 3;

/// Whether ON CONFLICT changes the row that is there.
pub(super) fn updates(clause: Node<'_>) -> bool {
    clause.int("action") == ONCONFLICT_UPDATE
}

/// Whether an INSERT changes rows that are there.
pub(super) fn is_upsert(insert: Node<'_>) -> bool {
    insert.node("on_conflict_clause").is_some_and(updates)
}

/// Whether a condition hangs on what is in rows: `WHERE true`, `WHERE 1 = 1` and `WHERE EXISTS (SELECT 1 FROM u)` choose none, they
/// are for all rows or for none.
pub(super) fn is_selective(node: Node<'_>, field: &str) -> bool {
    node.node(field).is_some_and(chooses)
}

/// Whether an upsert changes no more rows than are written out in it, or chooses them by a condition.
pub(super) fn gives_its_rows(insert: Node<'_>) -> bool {
    let source = insert.node("select_stmt");
    let given = source.is_none_or(|source| source.has("values_lists") || is_selective(source, "where_clause"));
    let clause = insert.node("on_conflict_clause");
    given || clause.is_some_and(|clause| is_selective(clause, "where_clause"))
}

fn chooses(condition: Node<'_>) -> bool {
    let mut parts = condition.list("args");
    match condition.kind() {
        "ColumnRef" | "CurrentOfExpr" => true,
        "BoolExpr" if [AND_EXPR, NOT_EXPR].contains(&condition.int("boolop")) => parts.any(chooses),
        // Of parts one of which is enough, each may be true of all rows.
        "BoolExpr" => parts.all(chooses),
        "AExpr" if compares_with_itself(condition) => false,
        _ => condition.children().into_iter().any(chooses),
    }
}

/// `id = id`.
fn compares_with_itself(operation: Node<'_>) -> bool {
    let column = |field: &str| operation.node(field).filter(|node| node.is("ColumnRef"));
    let (Some(left), Some(right)) = (column("lexpr"), column("rexpr")) else {
        return false;
    };
    left.names("fields") == right.names("fields")
}
