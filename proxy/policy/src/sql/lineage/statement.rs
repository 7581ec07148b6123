//! Statements: which query's rows come back, and what is made of them.

use std::rc::Rc;

use crate::catalog::{ColumnId, Events, Relation, RelationKind};
use crate::sql::tree::Node;

use super::scope::{Column, Doubt, Item, Rows, Scope, Table};
use super::walker::Walker;
use super::{Created, Flow, Lineage, Output, of_relation};

/// Statements that compute expressions of relations anew: of those that they name, else of any.
const UPKEEP: [&str; 5] = [
    "AlterTableStmt",
    "ClusterStmt",
    "RefreshMatViewStmt",
    "ReindexStmt",
    "VacuumStmt",
];
/// Definitions by whose conditions and queries rows are chosen later, where nobody is asked about them.
const CHOOSING: [&str; 3] = ["AlterPolicyStmt", "CreatePolicyStmt", "RuleStmt"];
/// What ALTER DOMAIN does without a look at any value: a default, one NOT NULL or constraint less.
const UNTRIED: [&str; 3] = ["T", "N", "X"];
/// How the grammar numbers schemas among what is renamed.
const OBJECT_SCHEMA: i64 = 37;
/// How the grammar numbers `ALTER COLUMN … SET EXPRESSION` and `DROP EXPRESSION`.
const SET_EXPRESSION: i64 = 7;
const DROP_EXPRESSION: i64 = 8;
/// How far DROP and TRUNCATE go is numbered from RESTRICT on.
const CASCADE: i64 = 2;

impl Walker<'_> {
    /// The lineage of a whole statement.
    pub(super) fn statement(mut self, root: Node<'_>) -> Lineage {
        self.fill(root.size());
        let rows = self.outputs(root);
        if let Some(rows) = &rows {
            self.touch(&rows.all());
        }
        self.found.outputs = rows.and_then(|rows| outputs(&rows));
        self.settle();
        self.found
    }

    /// The lineage of all rows of a relation.
    pub(super) fn whole(mut self, relation: &Relation) -> Lineage {
        let rows = self.rows_of(relation, false);
        self.touch(&rows.all());
        self.found.outputs = outputs(&rows);
        self.settle();
        self.found
    }

    /// The rows that come back; `None` if the statement does not say.
    fn outputs(&mut self, node: Node<'_>) -> Option<Rows> {
        let query = |field: &str| node.node(field);
        match node.kind() {
            "SelectStmt" => {
                let rows = self.query(node, &Scope::default());
                match node.node("into_clause").or_else(|| leftmost_into(node)) {
                    Some(into) => self.create(into.node("rel"), &into.names("col_names"), rows, false),
                    None => Some(rows),
                }
            }
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => Some(self.query(node, &Scope::default())),
            "CreateTableAsStmt" => {
                let rows = query("query")
                    .and_then(|query| self.outputs(query))
                    .unwrap_or_else(Rows::lost);
                let into = query("into")?;
                let returned = self.create(into.node("rel"), &into.names("col_names"), rows, false);
                if let Some(created) = &mut self.found.created {
                    created.if_absent = node.flag("if_not_exists");
                }
                returned
            }
            "ViewStmt" => {
                let rows = query("query").map_or_else(Rows::lost, |query| self.query(query, &Scope::default()));
                self.create(query("view"), &node.names("aliases"), rows, true)
            }
            "PrepareStmt" | "DeclareCursorStmt" => {
                node.list("argtypes")
                    .for_each(|argument| _ = self.is_type_of_users(argument));
                // The statement itself returns nothing; its query's rows come later, by EXECUTE or FETCH.
                query("query").and_then(|query| self.outputs(query))
            }
            "ExplainStmt" => {
                query("query").and_then(|query| self.outputs(query));
                Some(plan())
            }
            "CreateStmt" => {
                // Of a relation that is called as the new one, nothing is read or changed.
                let target = node.node("relation").map(Node::id);
                let named = node.children().into_iter();
                named
                    .filter(|child| Some(child.id()) != target)
                    .for_each(|child| self.everything_below(child));
                self.parted(node);
                self.found.created = empty(node);
                Some(Rows::default())
            }
            "RefreshMatViewStmt" => {
                self.everything_below(node);
                self.refreshed(node);
                Some(Rows::default())
            }
            "TruncateStmt" => {
                self.everything_below(node);
                self.truncated(node);
                Some(Rows::default())
            }
            // Every table that was ever put in an order is put in it again.
            "ClusterStmt" if !node.has("relation") => {
                self.lose_all("which tables are clustered");
                Some(Rows::default())
            }
            // A new check is tried against every value of the type, wherever it is stored.
            "AlterDomainStmt" if !UNTRIED.contains(&node.text("subtype")) => {
                self.lose_all("which columns are of this domain");
                Some(Rows::default())
            }
            "AlterTableStmt" if self.is_composite(node) => {
                self.lose_all("which tables are of this type");
                Some(Rows::default())
            }
            "CopyStmt" => Some(self.copy(node)),
            "ExecuteStmt" | "FetchStmt" | "CallStmt" | "VariableShowStmt" => {
                self.expressions(node);
                None
            }
            _ => {
                self.everything_below(node);
                self.column_types(node);
                self.schema_renamed(node);
                Some(Rows::default())
            }
        }
    }

    /// All that is in a schema goes by another name with it, which may have been that of another schema. None of it is read.
    fn schema_renamed(&mut self, node: Node<'_>) {
        if !(node.is("RenameStmt") && node.int("rename_type") == OBJECT_SCHEMA) {
            return;
        }
        let (catalog, schema) = (self.catalog, node.text("subname"));
        for relation in catalog.relations().filter(|one| one.schema == schema) {
            self.found.touched.extend(of_relation(relation, catalog).touched);
        }
    }

    /// Whether ALTER TYPE changes the fields of a row, and with them the columns of tables that are made of it.
    fn is_composite(&self, node: Node<'_>) -> bool {
        let resolved = node.node("relation").and_then(|target| {
            let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
            self.catalog.resolve(&self.path, schema, target.text("relname"))
        });
        resolved.is_some_and(|relation| relation.kind == RelationKind::CompositeType)
    }

    fn expressions(&mut self, node: Node<'_>) {
        let flow = self.below(node, &Scope::default());
        self.touch(&flow);
    }

    fn create(&mut self, relation: Option<Node<'_>>, names: &[&str], mut rows: Rows, view: bool) -> Option<Rows> {
        self.touch(&rows.all());
        rows.rename(names.iter().copied());
        let relation = relation?;
        let schema = Some(relation.text("schemaname")).filter(|schema| !schema.is_empty());
        self.found.created = Some(Created {
            schema: schema.map(str::to_owned),
            name: relation.text("relname").to_owned(),
            temporary: is_temporary(relation),
            view,
            filled: true,
            if_absent: false,
            columns: outputs(&rows).filter(|_| rows.columns.iter().all(|column| column.doubt == Doubt::None)),
        });
        Some(Rows::default())
    }

    fn copy(&mut self, node: Node<'_>) -> Rows {
        if let Some(query) = node.node("query") {
            return self.query(query, &Scope::default());
        }
        let Some(target) = node.node("relation") else {
            return Rows::lost();
        };
        let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
        let Some(relation) = self.catalog.resolve(&self.path, schema, target.text("relname")) else {
            self.unresolved(target.text("relname").to_owned());
            return Rows::lost();
        };
        // COPY of a table reads that table alone, but partitions are read through their parent nowhere either.
        let rows = self.rows_of(relation, false);
        let named = node.names("attlist");
        let chosen = relation.columns.iter().filter(|column| match named.is_empty() {
            // Generated columns are left out unless they are named.
            true => column.generated.is_none(),
            false => named.contains(&column.name.as_str()),
        });
        let ids: Vec<(String, ColumnId)> = chosen
            .map(|column| {
                (
                    column.name.clone(),
                    ColumnId {
                        relation: relation.oid,
                        column: column.attnum,
                    },
                )
            })
            .collect();
        if node.flag("is_from") {
            self.found.written.insert(relation.oid);
            self.note_writes(relation, Events::INSERT);
            ids.iter().for_each(|(_, id)| self.assign(*id, &Flow::clean()));
            // Partitions take the rows.
            let below = ids.iter().filter_map(|(name, _)| rows.named(name));
            let below: Vec<ColumnId> = below.flat_map(|flow| flow.columns().to_vec()).collect();
            below.iter().for_each(|id| self.assign(*id, &Flow::clean()));
            let scope = itself(relation, rows);
            self.conditions(node.node("where_clause"), &scope);
            return Rows::default();
        }
        copied(&rows, &named, &ids)
    }

    /// REFRESH copies what the view's query gives now, which its name need not have meant when it was made.
    fn refreshed(&mut self, node: Node<'_>) {
        let Some(target) = node.node("relation") else { return };
        let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
        let Some(relation) = self.catalog.resolve(&self.path, schema, target.text("relname")) else {
            return;
        };
        let rows = self.rows_of(relation, false);
        for (stored, column) in relation.columns.iter().zip(&rows.columns) {
            let id = ColumnId {
                relation: relation.oid,
                column: stored.attnum,
            };
            self.assign(id, &column.flow.clone().mixed());
        }
    }

    /// Rows of a default partition are tried against what a new one takes.
    fn parted(&mut self, node: Node<'_>) {
        for parent in node.list("inh_relations").filter(|_| node.has("partbound")) {
            let schema = Some(parent.text("schemaname")).filter(|schema| !schema.is_empty());
            if let Some(relation) = self.catalog.resolve(&self.path, schema, parent.text("relname")) {
                self.note_upkeep(relation);
            }
        }
    }

    /// TRUNCATE has triggers of its own; CASCADE runs those of everything that refers to what is emptied, whatever its foreign
    /// keys say of rows that go.
    fn truncated(&mut self, node: Node<'_>) {
        for target in node.list("relations") {
            let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
            if let Some(relation) = self.catalog.resolve(&self.path, schema, target.text("relname")) {
                self.note_writes(relation, Events::TRUNCATE);
            }
        }
        if node.int("behavior") == CASCADE {
            self.opaque("triggers of what TRUNCATE CASCADE empties".to_owned());
        }
    }

    /// `ALTER COLUMN … TYPE … USING` moves values from column to column. So does an expression that is set; a column that loses its
    /// expression keeps what that made of others, and nothing in the catalog tells any more.
    fn column_types(&mut self, node: Node<'_>) {
        let Some(target) = node.node("relation").filter(|_| node.is("AlterTableStmt")) else {
            return;
        };
        let commands: Vec<Node<'_>> = node.list("cmds").filter(|command| fills(*command)).collect();
        if commands.is_empty() {
            return;
        }
        let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
        let Some(relation) = self.catalog.resolve(&self.path, schema, target.text("relname")) else {
            // Behind a change of names it may be any.
            let name = target.text("relname");
            self.unresolved(name.to_owned());
            let flow = self.lose(name);
            self.spill(target, &flow);
            return;
        };
        let rows = self.rows_of(relation, false);
        let all = rows.all();
        let scope = itself(relation, rows);
        for command in commands {
            let name = command.text("name");
            let expression = command.node("def").and_then(|def| match command.int("subtype") {
                SET_EXPRESSION => Some(def),
                _ => def.node("raw_default"),
            });
            let flow = match expression {
                Some(expression) => self.expression(expression, &scope),
                None => scope.column(name).unwrap_or_else(|| all.clone()),
            };
            // Where it is not there, it came, or was called so, earlier in the same unit.
            if relation.column(name).is_none() {
                self.spill(target, &flow);
                continue;
            }
            // Those of children, too.
            let filled = scope.column(name).unwrap_or_default();
            filled.columns().iter().for_each(|id| self.assign(*id, &flow));
        }
    }

    /// A statement of another kind returns no rows, but its errors may quote what it names: all of it counts as touched.
    fn everything_below(&mut self, node: Node<'_>) {
        let (upkeep, chooses) = (UPKEEP.contains(&node.kind()), CHOOSING.contains(&node.kind()));
        let mut named = false;
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            if !self.step() {
                return;
            }
            if node.is("RangeVar") {
                let schema = Some(node.text("schemaname")).filter(|schema| !schema.is_empty());
                if let Some(relation) = self.catalog.resolve(&self.path, schema, node.text("relname")) {
                    let flow = self.rows_of(relation, false).all();
                    self.touch(&flow);
                    if chooses {
                        self.aside(&flow);
                    }
                    self.found.written.insert(relation.oid);
                    if upkeep {
                        self.note_upkeep(relation);
                    }
                    named = true;
                }
            }
            // Rows that are there become it.
            if upkeep && node.is("TypeName") {
                self.is_type_of_users(node);
            }
            todo.extend(node.children());
        }
        // All of them, or that of an index, which no catalog names here.
        let catalog = self.catalog;
        if upkeep
            && !named
            && let Some(relation) = catalog.relations().find(|one| one.computes || self.is_typed(one))
        {
            self.note_upkeep(relation);
            self.runs_code(relation);
        }
    }
}

/// A relation that expressions are about, with its own name before its columns or without.
fn itself(relation: &Relation, rows: Rows) -> Scope<'static> {
    let item = Item::of(Table {
        alias: relation.name.as_str().into(),
        relation: Some(relation.oid),
        rows: Rc::new(rows),
        stored: true,
    });
    Scope {
        item,
        ..Scope::default()
    }
}

/// A generated column, whose expression is not followed here; an identity has none.
fn is_generated(constraint: Node<'_>) -> bool {
    constraint.has("generated_when") && constraint.has("raw_expr")
}

/// A foreign key by which what is written to another table is written here, too.
fn is_carried(constraint: Node<'_>) -> bool {
    constraint.text("fk_upd_action") == "c"
}

fn is_filled(constraint: Node<'_>) -> bool {
    is_generated(constraint) || is_carried(constraint)
}

/// A command of ALTER TABLE that fills a column from others, or has it keep what was made of them.
fn fills(command: Node<'_>) -> bool {
    matches!(command.int("subtype"), SET_EXPRESSION | DROP_EXPRESSION)
        || command.node("def").is_some_and(|def| def.has("raw_default"))
}

fn is_temporary(relation: Node<'_>) -> bool {
    relation.text("relpersistence") == "t" || relation.text("schemaname") == "pg_temp"
}

/// The table that a CREATE TABLE makes.
fn empty(node: Node<'_>) -> Option<Created> {
    let relation = node.node("relation")?;
    let schema = Some(relation.text("schemaname")).filter(|schema| !schema.is_empty());
    Some(Created {
        schema: schema.map(str::to_owned),
        name: relation.text("relname").to_owned(),
        temporary: is_temporary(relation),
        view: false,
        filled: false,
        if_absent: node.flag("if_not_exists"),
        columns: said(node),
    })
}

/// Its columns, where the text says all of them, that it was not there before, and that nothing writes to them but who names them.
fn said(node: Node<'_>) -> Option<Vec<Output>> {
    let others = ["inh_relations", "partbound", "of_typename"];
    if node.flag("if_not_exists") || others.iter().any(|field| node.has(field)) {
        return None;
    }
    let mut columns = Vec::new();
    for element in node.list("table_elts") {
        match element.kind() {
            "ColumnDef" if !element.list("constraints").any(is_filled) => columns.push(Output {
                name: element.text("colname").to_owned(),
                flow: Flow::clean(),
            }),
            "Constraint" if !is_carried(element) => {}
            _ => return None,
        }
    }
    Some(columns)
}

/// `SELECT … INTO` of a set operation stands in its first part.
fn leftmost_into(node: Node<'_>) -> Option<Node<'_>> {
    let left = node.node("larg")?;
    left.node("into_clause").or_else(|| leftmost_into(left))
}

/// COPY gives columns in the order that the statement names them, else in the table's.
fn copied(rows: &Rows, named: &[&str], ids: &[(String, ColumnId)]) -> Rows {
    let names: Vec<&str> = match named.is_empty() {
        true => ids.iter().map(|(name, _)| name.as_str()).collect(),
        false => named.to_vec(),
    };
    let columns = names
        .into_iter()
        .map(|name| Column::named(name, rows.named(name).unwrap_or_else(Flow::lost)));
    Rows {
        columns: columns.collect(),
        open: None,
    }
}

/// EXPLAIN prints conditions with constants folded by user code.
fn plan() -> Rows {
    Rows {
        columns: vec![Column::named("QUERY PLAN", Flow::unknown())],
        open: None,
    }
}

fn outputs(rows: &Rows) -> Option<Vec<Output>> {
    // A row of no fields would move what comes after it, if another has two.
    let rows_of_rows = rows.columns.iter().filter(|column| column.doubt >= Doubt::Place);
    if rows.open.is_some() || rows_of_rows.count() > 1 {
        return None;
    }
    let each = rows.columns.iter().map(|column| Output {
        name: column.name.to_string(),
        flow: column.flow.clone(),
    });
    Some(each.collect())
}
