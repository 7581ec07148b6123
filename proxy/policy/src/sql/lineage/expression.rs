//! Expressions: whatever stands below flows in.

use crate::sql::functions::{Safety, runs_texts, safety};
use crate::sql::names::{SYSTEM_USER, qualified};
use crate::sql::pinned::{AEXPR_OP, AND_EXPR, is_equality};
use crate::sql::tree::Node;

use super::Flow;
use super::scope::{Rows, Scope, Table};
use super::walker::Walker;

const EXISTS: i64 = 1;
/// Among the options of a frame: that it goes by values.
const FRAME_RANGE: i64 = 2;

/// Functions without a verb that keep what they are given: a seed comes out again in what `random` gives, statistics in the
/// catalogs of relations and columns, the limit of `pg_trgm` in `show_limit` and its setting, the bit of `isn` in what it says next. The
/// last two put a text together of what they are given, and run it.
const KEEPS: [&str; 7] = [
    "setseed",
    "pg_restore_attribute_stats",
    "pg_restore_relation_stats",
    "set_limit",
    "isn_weak",
    "connectby",
    "xpath_table",
];

/// Functions that the grammar spells out, by the kind of node that it makes of them. To a server older than the grammar they
/// are calls of whatever is called so.
pub(in crate::sql) fn spelled_out(kind: &str) -> &'static [&'static str] {
    match kind {
        "JsonParseExpr" => &["json"],
        "JsonScalarExpr" => &["json_scalar"],
        "JsonSerializeExpr" => &["json_serialize"],
        "JsonFuncExpr" => &["json_exists", "json_query", "json_value"],
        "JsonObjectConstructor" => &["json_object"],
        "JsonArrayConstructor" | "JsonArrayQueryConstructor" => &["json_array"],
        "JsonObjectAgg" => &["json_objectagg"],
        "JsonArrayAgg" => &["json_arrayagg"],
        "MergeSupportFunc" => &["merge_action"],
        _ => &[],
    }
}

/// Whether a function leaves what it is given where no mask follows: its effect lasts longer than the statement.
pub(super) fn leaves_values(names: &[&str]) -> bool {
    let known = qualified(names).map(|(schema, name)| safety(schema.as_deref(), &name));
    let keeps = names.last().is_some_and(|name| KEEPS.contains(name));
    keeps || matches!(known, Some(Safety::Effect(_)))
}

/// Columns among which a name is looked up in one step.
pub(super) const NAMES_A_STEP: usize = 64;

impl Walker<'_> {
    /// What flows into an expression. Bare only if it is a column and nothing else.
    pub(super) fn expression(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        if !self.step() {
            return Flow::lost();
        }
        match node.kind() {
            "ColumnRef" => self.column_ref(node, scope),
            "SubLink" => self.sublink(node, scope),
            "SelectStmt" => self.query(node, scope).all().mixed(),
            "AIndirection" => self.indirection(node, scope),
            "FuncCall" => {
                let mut flow = self.below(node, scope);
                // What the text that is run does to a setting or a lock lasts. What the function itself answers does not count.
                if node.names("funcname").last().is_some_and(|name| runs_texts(name)) {
                    self.found.sunk.join(&flow);
                }
                flow.unknown |= self.is_opaque_call(node);
                self.sink(&node.names("funcname"), &flow);
                match node.names("funcname")[..] {
                    ["pg_catalog", SYSTEM_USER] => flow.join(&self.as_a_name(SYSTEM_USER, scope)),
                    // Also what the grammar makes of `JSON_OBJECT(…)`.
                    ["pg_catalog", name @ "json_object"] => flow.unknown |= self.is_call_of_users(&[name]),
                    _ => {}
                }
                flow
            }
            "AExpr" => {
                let mut flow = self.below(node, scope);
                flow.unknown |= self.operator(&node.names("name"));
                flow
            }
            // CASE x WHEN compares by `=`.
            "CaseExpr" if node.has("arg") => {
                let mut flow = self.below(node, scope);
                flow.unknown |= self.operator(&["="]);
                flow
            }
            "WindowDef" => {
                let mut flow = self.below(node, scope);
                flow.unknown |= self.is_framed_by_users(node);
                for name in [node.text("name"), node.text("refname")] {
                    if let Some(window) = scope.window(name) {
                        flow.join(window);
                    }
                }
                flow
            }
            "TypeCast" => self.cast(node, scope),
            "TypeName" => {
                let mut flow = self.below(node, scope);
                flow.unknown |= self.is_type_of_users(node);
                flow
            }
            kind => {
                let mut flow = self.below(node, scope);
                flow.unknown |= self.is_call_of_users(spelled_out(kind));
                flow
            }
        }
    }

    /// Whether code of users says which rows are in a frame of values. It is found by their types alone, behind a view, too.
    fn is_framed_by_users(&mut self, window: Node<'_>) -> bool {
        let of_values = window.int("frame_options") & FRAME_RANGE != 0;
        let framed = of_values && (window.has("start_offset") || window.has("end_offset"));
        let runs = framed && self.catalog.code().functions.contains("in_range");
        if runs {
            self.runs("function in_range".to_owned());
        }
        runs
    }

    /// What a word of the grammar is to a server that does not know it: a column or a table of that name, if there is one.
    fn as_a_name(&mut self, word: &str, scope: &Scope<'_>) -> Flow {
        let named = scope.column(word);
        let row = || scope.table(word).map(|table| table.rows.all());
        let flow = named.or_else(row).unwrap_or_default();
        self.touch(&flow);
        flow.mixed()
    }

    /// Whether users have a function by one of these names, which an older server would call; notes it then.
    pub(super) fn is_call_of_users(&mut self, names: &[&str]) -> bool {
        let own = &self.catalog.code().functions;
        let Some(name) = names.iter().find(|name| self.views.is_empty() && own.contains(**name)) else {
            return false;
        };
        self.runs(format!("function {name}"));
        true
    }

    /// Whether code of users runs where something becomes this type; notes it then.
    pub(super) fn is_type_of_users(&mut self, node: Node<'_>) -> bool {
        node.names("names").last().is_some_and(|name| self.is_cast(name))
    }

    /// Whether what is cast to a type of this name runs code of users; notes it then.
    pub(super) fn is_cast(&mut self, name: &str) -> bool {
        let runs = self.catalog.code().has_type(name);
        if runs {
            self.runs(format!("type {name}"));
        }
        runs
    }

    /// The same for what is written as a call or a field: PostgreSQL prefers a cast of a literal to functions that it would have to
    /// choose from. Definitions of views write casts as such.
    fn is_called_cast(&mut self, name: &str) -> bool {
        self.views.is_empty() && self.is_cast(name)
    }

    /// A stored column may be cast to text and still be shown as it stands.
    fn cast(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        let mut flow = self.below(node, scope);
        let is_column = node.node("arg").is_some_and(|arg| arg.is("ColumnRef"));
        let to_text = node.node("type_name").is_some_and(|to| {
            matches!(
                to.names("names")[..],
                ["text"] | ["pg_catalog", "varchar" | "text"] | ["varchar"]
            ) && !to.has("typmods")
                && !to.has("array_bounds")
        });
        if is_column && to_text {
            let bare = node.node("arg").map(|arg| self.expression(arg, scope).bare);
            flow.as_text = bare == Some(true);
        }
        flow
    }

    /// A function that leaves values takes these along.
    fn sink(&mut self, names: &[&str], flow: &Flow) {
        if leaves_values(names) {
            self.found.sunk.join(flow);
        }
    }

    /// Everything that flows into any part of a node.
    pub(super) fn below(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        let mut flow = Flow::clean();
        for child in node.children() {
            flow.join(&self.expression(child, scope));
        }
        flow
    }

    /// Expressions that choose, order or group: they touch columns, and nothing of them comes out.
    pub(super) fn conditions<'n>(&mut self, nodes: impl IntoIterator<Item = Node<'n>>, scope: &Scope<'_>) {
        for node in nodes {
            match node.kind() {
                "BoolExpr" if node.int("boolop") == AND_EXPR => self.conditions(node.list("args"), scope),
                "AExpr" if node.int("kind") == AEXPR_OP && is_equality(&node.names("name")) => {
                    self.equality(node, scope)
                }
                _ => {
                    let flow = self.expression(node, scope);
                    self.aside(&flow);
                }
            }
        }
    }

    /// `a = b` as a condition.
    fn equality(&mut self, node: Node<'_>, scope: &Scope<'_>) {
        let mut side = |field: &str| {
            node.node(field)
                .map_or_else(Flow::clean, |side| self.expression(side, scope))
        };
        let (mut one, other) = (side("lexpr"), side("rexpr"));
        one.unknown |= self.operator(&node.names("name"));
        self.compare(&one, &other);
    }

    /// Whether a call may run what nobody can see into; notes it then.
    pub(super) fn is_opaque_call(&mut self, node: Node<'_>) -> bool {
        let names = node.names("funcname");
        let Some((schema, name)) = qualified(&names) else {
            return false;
        };
        let casts = schema.as_deref() != Some("pg_catalog") && self.is_called_cast(&name);
        let called = names.join(".");
        match self.safety(schema.as_deref(), &name) {
            Safety::Safe | Safety::Effect(_) => return casts,
            // PostgreSQL's own is the same in a view as in the text, whoever made the view.
            Safety::Telling => self.opaque(format!("system function {called}")),
            Safety::Opaque => self.runs(format!("function {called}")),
        }
        true
    }

    /// Whether an operator may run code of users; notes it then.
    pub(super) fn operator(&mut self, names: &[&str]) -> bool {
        let Some((schema, name)) = qualified(names) else {
            return false;
        };
        let opaque = self.is_opaque_operator(schema.as_deref(), &name);
        if opaque {
            self.runs(format!("operator {}", names.join(".")));
        }
        opaque
    }

    fn sublink(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        let rows = node
            .node("subselect")
            .map_or_else(Rows::lost, |query| self.query(query, scope));
        let mut flow = node
            .node("testexpr")
            .map(|test| self.expression(test, scope))
            .unwrap_or_default()
            .mixed();
        if node.has("testexpr") {
            let named = node.names("oper_name");
            flow.unknown |= self.operator(if named.is_empty() { &["="] } else { &named });
        }
        // EXISTS says that there is a row, not what is in it.
        if node.int("sub_link_type") != EXISTS {
            flow.join(&rows.all());
        }
        flow
    }

    /// A column, a whole row, or a function in disguise: `t.f` calls `f(t)` if t has no column f.
    fn column_ref(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        if !self.spend(scope.item.rows.columns.len() / NAMES_A_STEP) {
            return Flow::lost();
        }
        let names = node.names("fields");
        let star = node.list("fields").any(|field| field.is("AStar"));
        let flow = match (names.as_slice(), star) {
            (names, true) => self.star(names, scope).all(),
            ([name], false) => scope.column(name).unwrap_or_else(|| self.whole_row(name, scope)),
            ([table, column], false) => self.qualified_column(None, table, column, scope),
            ([.., schema, table, column], false) => self.qualified_column(Some(schema), table, column, scope),
            ([], false) => self.lose("a column without a name"),
        };
        self.touch(&flow);
        flow
    }

    /// The rows that `*` or `table.*` stands for.
    pub(super) fn star(&mut self, names: &[&str], scope: &Scope<'_>) -> Rows {
        let table = match names {
            [] => return scope.item.rows.clone(),
            [table] => scope.table(table),
            [.., schema, table] => self.table(Some(schema), table, scope),
        };
        match table {
            Some(table) => (*table.rows).clone(),
            None => Rows::open(self.lose(&names.join("."))),
        }
    }

    /// The table that a qualification means: PostgreSQL looks a name with a schema up by the relation that it is.
    fn table<'s>(&self, schema: Option<&str>, name: &str, scope: &'s Scope<'_>) -> Option<&'s Table> {
        match schema {
            Some(_) => scope.relation(self.catalog.resolve(&self.path, schema, name)?.oid),
            None => scope.table(name),
        }
    }

    fn whole_row(&mut self, name: &str, scope: &Scope<'_>) -> Flow {
        match scope.table(name) {
            Some(table) => table.rows.all().mixed(),
            None => self.lose(name),
        }
    }

    fn qualified_column(&mut self, schema: Option<&str>, table: &str, column: &str, scope: &Scope<'_>) -> Flow {
        let Some(found) = self.table(schema, table, scope) else {
            return self.lose(&format!("{table}.{column}"));
        };
        if let Some(mut flow) = found.column(column) {
            if !found.has(column) {
                flow.unknown |= self.field(column, &flow);
            }
            return flow;
        }
        let mut flow = found.rows.all();
        self.sink(&[column], &flow);
        self.note_field(column);
        flow.unknown |= self.safety(None, column) != Safety::Safe;
        if flow.unknown {
            self.runs(format!("function {column}"));
        }
        flow.mixed()
    }

    /// `(row).field`, `(row).*` and subscripts. A field of a whole row is the column; anything else is all of it.
    fn indirection(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Flow {
        if let Some(flow) = self.field_of_row(node, scope) {
            self.touch(&flow);
            return flow;
        }
        let mut flow = self.below(node, scope);
        for name in node.names("indirection") {
            self.field(name, &flow);
            flow.unknown = true;
        }
        flow
    }

    /// Whether a field that no whole row has may be a function again, which is noted: `(x).f` is `f(x)` if x has no field f.
    /// Definitions of views write no call so.
    pub(super) fn field(&mut self, name: &str, value: &Flow) -> bool {
        self.sink(&[name], value);
        if runs_texts(name) {
            self.found.sunk.join(value);
        }
        self.note_field(name);
        let code = self.catalog.code();
        let calls = self.views.is_empty() && (code.fields.contains(name) || code.functions.contains(name));
        if calls {
            self.runs(format!("function {name}"));
        }
        self.is_called_cast(name) || calls
    }

    /// Notes that what is written as a field may call a function of PostgreSQL's own, or one that runs a text. The text of a view
    /// calls none so.
    fn note_field(&mut self, name: &str) {
        let known = safety(None, name) != Safety::Opaque || runs_texts(name);
        if self.views.is_empty() && known {
            self.found.fields.insert(name.to_owned());
        }
    }

    fn field_of_row(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Option<Flow> {
        let rows = self.row_of(node.node("arg")?, scope)?;
        let mut steps = node.list("indirection");
        let (first, None) = (steps.next()?, steps.next()) else {
            return None;
        };
        match first.kind() {
            "String" => rows.named(first.text("sval")).map(Flow::mixed),
            "AStar" => Some(rows.all()),
            _ => None,
        }
    }

    /// The row that a reference to a whole table stands for.
    pub(super) fn row_of(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Option<Rows> {
        if !node.is("ColumnRef") || node.count("fields") != 1 {
            return None;
        }
        let [name] = node.names("fields")[..] else { return None };
        if scope.column(name).is_some() {
            return None;
        }
        scope.table(name).map(|table| (*table.rows).clone())
    }
}
