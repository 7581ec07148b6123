//! Code of users that the expressions of a definition run: of an index, a check, a default, the bounds of a partition. No rows are
//! followed there, and what is computed comes back in errors alone.

use crate::sql::names::qualified;
use crate::sql::tree::Node;

use super::Flow;
use super::expression::{NAMES_A_STEP, spelled_out};
use super::walker::Walker;

/// Names of rows that definitions have besides relations.
const ROWS: [&str; 3] = ["new", "old", "excluded"];

impl Walker<'_> {
    /// Notes what all expressions below a node run.
    pub(super) fn calls_below(&mut self, node: Node<'_>) {
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            if !self.step() {
                return;
            }
            self.calls(node);
            todo.extend(node.children());
        }
    }

    /// Notes what one node of an expression runs: what goes by a name of PostgreSQL's own, too, an operator, a cast, and a call that is
    /// written as a field.
    pub(super) fn calls(&mut self, node: Node<'_>) {
        match node.kind() {
            "FuncCall" => {
                self.is_opaque_call(node);
                // Also what the grammar makes of `JSON_OBJECT(…)`.
                if let ["pg_catalog", name @ "json_object"] = node.names("funcname")[..] {
                    self.is_call_of_users(&[name]);
                }
            }
            "AExpr" => _ = self.operator(&node.names("name")),
            "SortBy" => _ = self.operator(&node.names("use_op")),
            // CASE x WHEN compares by `=`.
            "CaseExpr" if node.has("arg") => _ = self.operator(&["="]),
            "SubLink" if node.has("testexpr") => {
                let named = node.names("oper_name");
                self.operator(if named.is_empty() { &["="] } else { &named });
            }
            "TypeCast" => _ = node.node("type_name").map(|to| self.is_type_of_users(to)),
            "AIndirection" => {
                for name in node.names("indirection") {
                    self.field(name, &Flow::clean());
                }
            }
            "ColumnRef" if !node.list("fields").any(|field| field.is("AStar")) => {
                self.called_as_column(&node.names("fields"));
            }
            // One that is made with its schema.
            "CreateStmt" => self.parted(node),
            "IndexStmt" => self.orders(),
            kind => _ = self.is_call_of_users(spelled_out(kind)),
        }
    }

    /// `t.f` calls `f(t)` if t has no column f.
    fn called_as_column(&mut self, names: &[&str]) {
        let Some((column, table)) = names.split_last() else {
            return;
        };
        let Some((schema, name)) = qualified(table).filter(|(_, name)| !ROWS.contains(&name.as_str())) else {
            return;
        };
        let found = self.catalog.resolve(&self.path, schema.as_deref(), &name);
        let columns = found.map_or(0, |relation| relation.columns.len());
        if !self.spend(columns / NAMES_A_STEP) {
            return;
        }
        if found.is_none_or(|relation| relation.column(column).is_none()) {
            self.field(column, &Flow::clean());
        }
    }
}
