//! Which setting `set_config(name, …)` changes when its name comes from `pg_settings`.
//!
//! `SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'y'` is how pg_dump and its like set what an older
//! server may not have. The condition leaves one name, so the call is as plain as `set_config('y', …)`, as long as it is PostgreSQL's
//! own view that is read: whose names are computed, a view's or a common table expression's, may have another for each time that it is
//! asked.

use super::tree::Node;

/// PostgreSQL's view of all settings.
pub(crate) const SETTINGS: &str = "pg_settings";

/// The name that the condition of `select` leaves for a `set_config` in its target list, where it leaves one.
pub(super) fn setting<'a>(select: Node<'a>, call: Node<'a>) -> Option<&'a str> {
    let mut from = select.list("from_clause");
    let (settings, None) = (from.next()?, from.next()) else {
        return None;
    };
    let known = settings.is("RangeVar")
        && settings.text("relname") == SETTINGS
        && matches!(settings.text("schemaname"), "" | "pg_catalog")
        && !settings.has("alias");
    let named = call.list("args").next().is_some_and(is_name);
    (known && named)
        .then(|| required(select.node("where_clause")?))
        .flatten()
}

/// The literal that a condition requires the column `name` to equal, by itself or among others that must hold too.
fn required(condition: Node<'_>) -> Option<&str> {
    match condition.kind() {
        "BoolExpr" if condition.int("boolop") == AND_EXPR => condition.list("args").find_map(required),
        "AExpr" if condition.int("kind") == AEXPR_OP && is_equality(&condition.names("name")) => {
            let (left, right) = (condition.node("lexpr")?, condition.node("rexpr")?);
            match (is_name(left), is_name(right)) {
                (true, _) => right.literal(),
                (_, true) => left.literal(),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_name(node: Node<'_>) -> bool {
    let fields = node.names("fields");
    node.is("ColumnRef") && matches!(fields.as_slice(), ["name"] | [SETTINGS, "name"])
}

pub(super) fn is_equality(operator: &[&str]) -> bool {
    matches!(operator, ["="] | ["pg_catalog", "="])
}

/// Values of the grammar's enumerations.
pub(super) const AND_EXPR: i64 = 1;
pub(super) const AEXPR_OP: i64 = 1;
