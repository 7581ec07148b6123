//! What of a statement may be written over what a row holds.

use super::statement::Statement;
use super::tree::Node;

/// What a client gives to a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given<'a> {
    /// A constant of its text.
    Text(&'a str),
    /// The value bound to the parameter of this number (`$n`).
    Parameter(u32),
}

/// Conditions, by the structures that they stand in: they choose rows, and nothing of them goes into one.
const CONDITIONS: [(&str, &str); 6] = [
    ("SelectStmt", "where_clause"),
    ("UpdateStmt", "where_clause"),
    ("DeleteStmt", "where_clause"),
    ("OnConflictClause", "where_clause"),
    ("MergeStmt", "join_condition"),
    ("MergeWhenClause", "condition"),
];

// === impl Statement ===

impl Statement {
    /// Whether a text stands in it: as soon as it is parsed, that becomes a value of whatever type it is used as.
    pub fn states_text(&self) -> bool {
        let root = self.root();
        root.is_some_and(|root| root.all().any(|node| node.is("AConst") && node.literal().is_some()))
    }
}

/// Whether a node changes rows that are there already.
pub(super) fn replaces(node: Node<'_>) -> bool {
    match node.kind() {
        "UpdateStmt" | "MergeStmt" => true,
        "OnConflictClause" => node.count("target_list") > 0,
        _ => false,
    }
}

/// Whether what is meant stands anywhere below a node but in conditions.
pub(super) fn holds(node: Node<'_>, is_meant: &impl Fn(Given<'_>) -> bool) -> bool {
    let given = match node.kind() {
        "AConst" => node.literal().map(Given::Text),
        "ParamRef" => Some(Given::Parameter(u32::try_from(node.int("number")).unwrap_or(0))),
        _ => None,
    };
    let condition = CONDITIONS
        .iter()
        .find(|(kind, _)| node.is(kind))
        .and_then(|(_, field)| node.node(field))
        .map(Node::id);
    given.is_some_and(is_meant)
        || node
            .children()
            .into_iter()
            .any(|child| Some(child.id()) != condition && holds(child, is_meant))
}
