//! The name of an output column that has no alias, as PostgreSQL makes it up (`FigureColname`).

use crate::sql::tree::Node;

/// What PostgreSQL calls a column that it knows no better name for.
const NO_NAME: &str = "?column?";

/// The name; `None` where it hangs on more than the tree tells.
pub(super) fn of(node: Node<'_>) -> Option<String> {
    match find(node) {
        Found::Certain(name) | Found::Weak(name) => Some(name),
        Found::Nothing => Some(NO_NAME.to_owned()),
        Found::Unclear => None,
    }
}

/// A name and how much PostgreSQL thinks of it.
enum Found {
    /// It stands.
    Certain(String),
    /// It yields to a better one.
    Weak(String),
    Nothing,
    /// It is there, and not in the tree.
    Unclear,
}

fn find(node: Node<'_>) -> Found {
    let certain = |name: &str| Found::Certain(name.to_owned());
    let last = |field: &str| match node.names(field).last() {
        Some(name) => certain(name),
        None => Found::Nothing,
    };
    let of_argument = |field: &str| node.node(field).map_or(Found::Nothing, find);
    match node.kind() {
        "ColumnRef" => last("fields"),
        "AIndirection" => match last("indirection") {
            Found::Nothing => of_argument("arg"),
            name => name,
        },
        "FuncCall" => last("funcname"),
        "TypeCast" => match of_argument("arg") {
            weak @ (Found::Weak(_) | Found::Nothing) => {
                let names = node.node("type_name").map(|to| to.names("names")).unwrap_or_default();
                names.last().map_or(weak, |name| Found::Weak((*name).to_owned()))
            }
            name => name,
        },
        "CollateClause" => of_argument("arg"),
        "CaseExpr" => match of_argument("defresult") {
            Found::Weak(_) | Found::Nothing => Found::Weak("case".to_owned()),
            name => name,
        },
        "AArrayExpr" => certain("array"),
        "RowExpr" => certain("row"),
        "CoalesceExpr" => certain("coalesce"),
        "MinMaxExpr" => certain(if node.int("op") == LEAST { "least" } else { "greatest" }),
        "GroupingFunc" => certain("grouping"),
        "MergeSupportFunc" => certain("merge_action"),
        "AExpr" if node.int("kind") == NULLIF => certain("nullif"),
        "SubLink" => match node.int("sub_link_type") {
            EXISTS => certain("exists"),
            ARRAY => certain("array"),
            EXPRESSION => subquery(node).map_or(Found::Unclear, Found::Certain),
            _ => Found::Nothing,
        },
        "AConst" | "AExpr" | "BoolExpr" | "ParamRef" | "NullTest" | "BooleanTest" => Found::Nothing,
        "SqlValueFunction" => usize::try_from(node.int("op"))
            .ok()
            .and_then(|op| VALUES.get(op))
            .map_or(Found::Unclear, |name| certain(name)),
        // XMLFOREST, JSON_OBJECT and their like have names of their own.
        _ => Found::Unclear,
    }
}

/// It is called as the first column of its query is.
fn subquery(node: Node<'_>) -> Option<String> {
    let query = node.node("subselect")?;
    if query.node("larg").is_some() || query.has("values_lists") {
        return None;
    }
    let first = query.list("target_list").next()?;
    let value = first.node("val")?;
    let star = |field: &str| value.list(field).any(|part| part.is("AStar"));
    match first.text("name") {
        "" if star("fields") || star("indirection") => None,
        "" => of(value),
        name => Some(name.to_owned()),
    }
}

/// By their number in the grammar.
const VALUES: [&str; 16] = [
    NO_NAME,
    "current_date",
    "current_time",
    "current_time",
    "current_timestamp",
    "current_timestamp",
    "localtime",
    "localtime",
    "localtimestamp",
    "localtimestamp",
    "current_role",
    "current_user",
    "user",
    "session_user",
    "current_catalog",
    "current_schema",
];
const LEAST: i64 = 2;
const NULLIF: i64 = 6;
const EXISTS: i64 = 1;
const EXPRESSION: i64 = 5;
const ARRAY: i64 = 7;
