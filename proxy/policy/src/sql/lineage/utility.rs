//! Utility statements: what they compute, try and move by the way, though no rows of it come back.

use crate::catalog::{Column, ColumnId, Events, Relation, RelationKind};
use crate::sql::grammar::{CASCADE, COLUMN_DEFAULT, OBJECT_SCHEMA};
use crate::sql::names::ranged;
use crate::sql::tree::Node;

use super::expression::leaves_values;
use super::statement::itself;
use super::walker::Walker;
use super::{Flow, Grown, of_relation};

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
/// Definitions with expressions that are computed for rows that are there, and for those that come later, or that have functions
/// go by the name of something else: of an operator, an aggregate, a cast.
const APPLIED: [&str; 14] = [
    "AlterDomainStmt",
    "AlterOpFamilyStmt",
    "AlterPolicyStmt",
    "AlterTableStmt",
    "CreateCastStmt",
    "CreateDomainStmt",
    "CreateOpClassStmt",
    "CreatePolicyStmt",
    "CreateSchemaStmt",
    "CreateStatsStmt",
    "CreateStmt",
    "CreateTrigStmt",
    "DefineStmt",
    "RuleStmt",
];
/// How the grammar numbers `ALTER COLUMN … SET EXPRESSION` and `DROP EXPRESSION`.
const SET_EXPRESSION: i64 = 7;
const DROP_EXPRESSION: i64 = 8;
/// Commands of ALTER TABLE: `ADD COLUMN`, `ADD CONSTRAINT`, and those that say whether a column may
/// be NULL.
const ADD_COLUMN: i64 = 1;
const ADD_CONSTRAINT: i64 = 17;
const NULLS: [i64; 2] = [5, 6];
/// `NO INHERIT`, and `DETACH PARTITION` with what finishes it.
const DROP_INHERIT: i64 = 51;
const DETACH: [i64; 2] = [61, 62];
/// `OWNER TO`.
const CHANGE_OWNER: i64 = 27;
/// Those that what is stored makes no difference to, and that say nothing of columns that are there.
const BLIND: [i64; 2] = [ADD_COLUMN, CHANGE_OWNER];
/// Constraints that make no code and read no other column: NULL, NOT NULL, and DEFAULT; PRIMARY KEY and UNIQUE.
const CONSTR_NULLS: [i64; 2] = [1, 2];
const CONSTR_DEFAULT: i64 = 3;
const CONSTR_KEYS: [i64; 2] = [7, 8];

impl Walker<'_> {
    /// REFRESH copies what the view's query gives now, which its name need not have meant when it was made.
    pub(super) fn refreshed(&mut self, node: Node<'_>) {
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
            // One that is made in the same unit is known by its columns alone, and nothing of itself goes to it.
            let flow = &column.flow;
            if flow.any || flow.lost || flow.unknown || flow.columns().iter().any(|from| *from != id) {
                self.assign(id, &column.flow.clone().mixed());
            }
        }
    }

    /// A check, a rule, statistics of an expression or the condition of a trigger may hand what rows hold to a function that leaves it
    /// where no mask follows: what will have been copied there by then, nobody knows. Nor what an operator will be given.
    pub(super) fn applied(&mut self, root: Node<'_>) {
        if !APPLIED.contains(&root.kind()) {
            return;
        }
        let mut todo = vec![root];
        while let Some(node) = todo.pop() {
            if !self.step() {
                return;
            }
            let function = match node.kind() {
                "FuncCall" if names_columns(node) => node.names("funcname"),
                "AIndirection" => node.names("indirection").last().copied().into_iter().collect(),
                "ObjectWithArgs" => node.names("objname"),
                "DefElem" => node.node("arg").map(function_of).unwrap_or_default(),
                _ => Vec::new(),
            };
            if leaves_values(&function) {
                self.found.sunk.any = true;
                return;
            }
            todo.extend(node.children());
        }
    }

    /// Rows of a default partition are tried against what a new one takes, whose bounds are computed and compared.
    pub(super) fn parted(&mut self, node: Node<'_>) {
        if node.has("partbound") {
            self.orders();
        }
        for parent in node.list("inh_relations").filter(|_| node.has("partbound")) {
            let schema = Some(parent.text("schemaname")).filter(|schema| !schema.is_empty());
            if let Some(relation) = self.catalog.resolve(&self.path, schema, parent.text("relname")) {
                self.note_upkeep(relation);
            }
        }
    }

    /// TRUNCATE has triggers of its own; CASCADE runs those of everything that refers to what is emptied, whatever its foreign
    /// keys say of rows that go.
    pub(super) fn truncated(&mut self, node: Node<'_>) {
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
    pub(super) fn column_types(&mut self, node: Node<'_>) {
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

    /// DETACH PARTITION and NO INHERIT: rows that came by the parent stay with the child, and nothing in the catalog tells of it any
    /// more.
    pub(super) fn released(&mut self, node: Node<'_>) {
        let Some(target) = node.node("relation").filter(|_| node.is("AlterTableStmt")) else {
            return;
        };
        for command in node.list("cmds") {
            let other = command.node("def");
            let pair = match command.int("subtype") {
                DROP_INHERIT => other.map(|parent| (parent, target)),
                kind if DETACH.contains(&kind) => other.and_then(|def| def.node("name")).map(|part| (target, part)),
                _ => None,
            };
            if let Some((parent, child)) = pair {
                self.let_go(parent, child);
            }
        }
    }

    fn let_go(&mut self, parent: Node<'_>, child: Node<'_>) {
        let catalog = self.catalog;
        let resolve = |node: Node<'_>| {
            let (schema, name) = ranged(node)?;
            catalog.resolve(&self.path, schema, name)
        };
        let (above, below) = (resolve(parent), resolve(child));
        let of = |relation: &Relation, column: &Column| ColumnId {
            relation: relation.oid,
            column: column.attnum,
        };
        let Some((above, below)) = above.zip(below) else {
            // What is not known was made, or called so, earlier in the same unit.
            let mut flow = Flow::clean();
            match above {
                Some(above) => above.columns.iter().for_each(|column| flow.add(of(above, column))),
                None => flow.any = true,
            }
            self.spill(child, &flow);
            return;
        };
        for column in &below.columns {
            let mut flow = Flow::column(of(below, column));
            // That it is a child may be no older than the unit.
            if let Some(inherited) = above.column(&column.name) {
                flow.add(of(above, inherited));
            }
            self.found.released.entry(of(below, column)).or_default().join(&flow);
        }
    }

    /// ALTER TABLE that only adds columns, keys and defaults: no name means anything else behind it but those of the columns, no code
    /// is made, and nothing that was stored is moved.
    pub(super) fn grows(&mut self, node: Node<'_>) {
        let Some(target) = node.node("relation").filter(|_| node.is("AlterTableStmt")) else {
            return;
        };
        let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
        let Some(relation) = self.catalog.resolve(&self.path, schema, target.text("relname")) else {
            return;
        };
        let stores = matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable);
        // A column that a child has by then is one with it, and comes with whole rows of the parent.
        for column in node.list("cmds").filter(|command| command.int("subtype") == ADD_COLUMN) {
            let name = column.node("def").map_or("", |def| def.text("colname"));
            if relation.column(name).is_some() {
                continue;
            }
            let mut below = Flow::clean();
            self.add_children(relation, name, &mut below);
            self.show(&below);
        }
        let added: Option<Vec<Option<String>>> = node.list("cmds").map(|command| self.added(command)).collect();
        if !stores || !self.found.opaque.is_empty() {
            return;
        }
        let blind = node.list("cmds").all(|command| BLIND.contains(&command.int("subtype")));
        self.found.grown = added.map(|added| Grown {
            relation: relation.oid,
            columns: added.into_iter().flatten().collect(),
            blind,
        });
    }

    /// The column that a command of ALTER TABLE adds, or that it adds none; `None` where it does more than that, but for saying what
    /// is a key, what may be NULL, and what stands where nothing is given.
    fn added(&mut self, command: Node<'_>) -> Option<Option<String>> {
        let (subtype, definition) = (command.int("subtype"), command.node("def"));
        match subtype {
            ADD_COLUMN => {
                let column = definition.filter(|def| def.is("ColumnDef"))?;
                let mut constraints = column.list("constraints");
                let plain = constraints.all(|constraint| match constraint.int("contype") {
                    CONSTR_DEFAULT => constraint.node("raw_expr").is_some_and(|value| self.is_plain(value)),
                    kind => CONSTR_NULLS.contains(&kind),
                });
                plain.then(|| Some(column.text("colname").to_owned()))
            }
            COLUMN_DEFAULT => definition.is_none_or(|value| self.is_plain(value)).then_some(None),
            ADD_CONSTRAINT => {
                let keys = definition.filter(|def| CONSTR_KEYS.contains(&def.int("contype")));
                keys.map(|_| None)
            }
            _ => (subtype == CHANGE_OWNER || NULLS.contains(&subtype)).then_some(None),
        }
    }

    /// Whether a default is a constant, or what a function of PostgreSQL's own makes of nothing.
    fn is_plain(&mut self, value: Node<'_>) -> bool {
        match value.kind() {
            "AConst" | "SqlValueFunction" => true,
            "TypeCast" => {
                let constant = value.node("arg").is_some_and(|arg| arg.is("AConst"));
                constant && value.node("type_name").is_some_and(|to| !self.is_type_of_users(to))
            }
            "FuncCall" => !value.has("args") && !self.is_opaque_call(value),
            _ => false,
        }
    }

    /// A statement of another kind returns no rows, but its errors may quote what it names: all of it counts as touched.
    pub(super) fn everything_below(&mut self, node: Node<'_>) {
        let (upkeep, chooses) = (UPKEEP.contains(&node.kind()), CHOOSING.contains(&node.kind()));
        if node.is("VacuumStmt") && !node.has("rels") {
            self.told_of_all();
        }
        if upkeep {
            self.orders();
        }
        let mut named = false;
        // Of a table that another is made like, only its definition is read.
        let mut alike: Vec<u32> = Vec::new();
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            if !self.step() {
                return;
            }
            self.calls(node);
            if node.is("TableLikeClause") {
                alike.extend(node.node("relation").map(Node::id));
            }
            let referred = self.refers(node);
            if let Some((schema, name)) = ranged(node)
                && let Some(relation) = self.catalog.resolve(&self.path, schema, name)
            {
                let flow = self.rows_of(relation, false).all();
                self.touch(&flow);
                if chooses {
                    self.aside(&flow);
                }
                let only = self.found.written.insert(relation.oid) || self.found.referred.contains(&relation.oid);
                if only && alike.contains(&node.id()) {
                    self.found.referred.insert(relation.oid);
                } else {
                    self.found.referred.remove(&relation.oid);
                }
                if upkeep {
                    self.note_upkeep(relation);
                }
                named = true;
            }
            // By such a class an index, or partitions, are put in order, now and later.
            if node.count("opclass") > 0 && self.catalog.code().functions.contains("operator class") {
                self.runs(format!("operator class {}", node.names("opclass").join(".")));
            }
            // Rows that are there become it.
            if upkeep && node.is("TypeName") {
                self.is_type_of_users(node);
            }
            let children = node.children().into_iter();
            todo.extend(children.filter(|child| Some(child.id()) != referred));
        }
        // All of them, or that of an index, which no catalog names here.
        if upkeep && !named {
            self.any_upkeep();
        }
    }

    /// Notes that code runs which relations compute, if there is one that does: which are meant, no name tells.
    pub(super) fn any_upkeep(&mut self) {
        let catalog = self.catalog;
        if let Some(relation) = catalog.relations().find(|one| one.computes || self.is_typed(one)) {
            self.note_upkeep(relation);
            self.runs_code(relation);
        }
    }

    /// VACUUM and ANALYZE of all tables tell of protected ones what they tell where these are named: how far their pages could be
    /// pressed together, among other things.
    fn told_of_all(&mut self) {
        let catalog = self.catalog;
        for relation in catalog.relations() {
            let columns = relation.columns.iter().map(|column| ColumnId {
                relation: relation.oid,
                column: column.attnum,
            });
            self.found.guarding.extend(columns);
        }
    }

    /// All that is in a schema goes by another name with it, which may have been that of another schema. None of it is read.
    pub(super) fn schema_renamed(&mut self, node: Node<'_>) {
        if !(node.is("RenameStmt") && node.int("rename_type") == OBJECT_SCHEMA) {
            return;
        }
        let (catalog, schema) = (self.catalog, node.text("subname"));
        for relation in catalog.relations().filter(|one| one.schema == schema) {
            self.found.touched.extend(of_relation(relation, catalog).touched);
        }
    }

    /// Whether ALTER TYPE changes the fields of a row, and with them the columns of tables that are made of it.
    pub(super) fn is_composite(&self, node: Node<'_>) -> bool {
        let resolved = node.node("relation").and_then(|target| {
            let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
            self.catalog.resolve(&self.path, schema, target.text("relname"))
        });
        resolved.is_some_and(|relation| relation.kind == RelationKind::CompositeType)
    }
}

/// The function that a definition names, which may be written as a type's name is, or as a text.
fn function_of(argument: Node<'_>) -> Vec<&str> {
    match argument.kind() {
        "TypeName" => argument.names("names"),
        _ => argument.literal().into_iter().collect(),
    }
}

/// Whether a column, or the value that a domain is tried with, stands anywhere below.
fn names_columns(node: Node<'_>) -> bool {
    let mut todo = vec![node];
    while let Some(node) = todo.pop() {
        if node.is("ColumnRef") {
            return true;
        }
        todo.extend(node.children());
    }
    false
}

/// A command of ALTER TABLE that fills a column from others, or has it keep what was made of them.
fn fills(command: Node<'_>) -> bool {
    matches!(command.int("subtype"), SET_EXPRESSION | DROP_EXPRESSION)
        || command.node("def").is_some_and(|def| def.has("raw_default"))
}
