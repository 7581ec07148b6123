//! Whether a change chooses the rows that it changes.

use super::pinned::AND_EXPR;
use super::tree::Node;

/// Values of the grammar's enumerations. NOT chooses where what it denies does.
const NOT_EXPR: i64 = 3;

const ONCONFLICT_UPDATE: i64 = 3;
const NOT_MATCHED_BY_SOURCE: i64 = 2;
const CMD_UPDATE: i64 = 3;
const CMD_DELETE: i64 = 5;

/// Whether ON CONFLICT changes the row that is there.
pub(super) fn updates(clause: Node<'_>) -> bool {
    clause.int("action") == ONCONFLICT_UPDATE
}

/// Whether an INSERT changes rows that are there.
pub(super) fn is_upsert(insert: Node<'_>) -> bool {
    insert.node("on_conflict_clause").is_some_and(updates)
}

/// Whether an UPDATE or a DELETE chooses its rows by what is in them: `WHERE true`, `WHERE 1 = 1` and `WHERE EXISTS (SELECT 1 FROM u)`
/// choose none, they are for all rows or for none. So is what asks about another relation alone, as `USING u WHERE u.id = 1`.
pub(super) fn is_selective(change: Node<'_>) -> bool {
    selects(change, "where_clause", target(change))
}

/// The same of a MERGE. Rows that nothing matches are chosen by a condition of their own: `t.id = s.id` leaves all of them.
pub(super) fn merge_is_selective(merge: Node<'_>) -> bool {
    let target = target(merge);
    let left = |clause: &Node<'_>| clause.int("match_kind") == NOT_MATCHED_BY_SOURCE;
    let changes = |clause: &Node<'_>| [CMD_UPDATE, CMD_DELETE].contains(&clause.int("command_type"));
    let mut left_over = merge
        .list("merge_when_clauses")
        .filter(|clause| left(clause) && changes(clause));
    selects(merge, "join_condition", target) && left_over.all(|clause| selects(clause, "condition", target))
}

/// What columns of the relation that is changed are called by.
fn target(change: Node<'_>) -> Option<&str> {
    let relation = change.node("relation")?;
    let alias = relation.node("alias").map(|alias| alias.text("aliasname"));
    Some(alias.unwrap_or_else(|| relation.text("relname")))
}

fn selects(node: Node<'_>, field: &str, target: Option<&str>) -> bool {
    node.node(field).is_some_and(|condition| chooses(condition, target))
}

/// Whether an upsert changes no more rows than are written out in it, or chooses them by a condition.
pub(super) fn gives_its_rows(insert: Node<'_>) -> bool {
    let source = insert.node("select_stmt");
    let given = source.is_none_or(|source| source.has("values_lists") || selects(source, "where_clause", None));
    let clause = insert.node("on_conflict_clause");
    given || clause.is_some_and(|clause| selects(clause, "where_clause", None))
}

fn chooses(condition: Node<'_>, target: Option<&str>) -> bool {
    let chooses = |part: Node<'_>| chooses(part, target);
    let mut parts = condition.list("args");
    match condition.kind() {
        "CurrentOfExpr" => true,
        "ColumnRef" => may_be_of(condition, target),
        "BoolExpr" if [AND_EXPR, NOT_EXPR].contains(&condition.int("boolop")) => parts.any(chooses),
        // Of parts one of which is enough, each may be true of all rows.
        "BoolExpr" => parts.all(chooses),
        "AExpr" if compares_with_itself(condition) => false,
        _ => condition.children().into_iter().any(chooses),
    }
}

/// Whether a column may be the target's: one without a relation before it may.
fn may_be_of(column: Node<'_>, target: Option<&str>) -> bool {
    let names = column.names("fields");
    let relation = column.count("fields").checked_sub(2).and_then(|at| names.get(at));
    relation.is_none_or(|relation| target.is_none_or(|target| target == *relation))
}

/// `id = id`.
fn compares_with_itself(operation: Node<'_>) -> bool {
    let column = |field: &str| operation.node(field).filter(|node| node.is("ColumnRef"));
    let (Some(left), Some(right)) = (column("lexpr"), column("rexpr")) else {
        return false;
    };
    left.names("fields") == right.names("fields")
}
