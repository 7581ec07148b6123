//! Statements: which query's rows come back, and what is made of them.

use std::rc::Rc;

use crate::catalog::{ColumnId, Events, Relation};
use crate::sql::effect::runs_explained;
use crate::sql::tree::Node;

use super::scope::{Column, Doubt, Item, Rows, Scope, Table};
use super::walker::Walker;
use super::{Created, Flow, Lineage, Output, Spread, of_relation};

/// What ALTER DOMAIN does without a look at any value: one NOT NULL or constraint less.
const UNTRIED: [&str; 2] = ["N", "X"];
/// How it sets a default, or takes one away.
const DEFAULT: &str = "T";
/// How the grammar numbers materialised views among what is made of a query.
const MATERIALISED: i64 = 24;
/// What everybody calls their own schema, and how the names of all such begin.
const TEMPORARY: &str = "pg_temp";

impl Walker<'_> {
    /// The lineage of a whole statement.
    pub(super) fn statement(mut self, root: Node<'_>) -> Lineage {
        self.fill(root.size());
        self.applied(root);
        let rows = self.outputs(root);
        if let Some(rows) = &rows {
            self.touch(&rows.all());
        }
        self.found.spread = rows.as_ref().and_then(spread);
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
                    created.refreshed = node.int("objtype") == MATERIALISED;
                }
                returned
            }
            "ViewStmt" => {
                let rows = query("query").map_or_else(Rows::lost, |query| self.query(query, &Scope::default()));
                if node.flag("replace") {
                    self.replaces(query("view"), &rows);
                }
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
                // What is only planned makes nothing, and names go on to mean what they did.
                if !runs_explained(node) {
                    self.found.created = None;
                }
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
                self.found.created = self.empty(node);
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
            // Of a view, what its query reads is locked as well.
            "LockStmt" => {
                self.everything_below(node);
                self.found.written.extend(&self.found.relations);
                Some(Rows::default())
            }
            // Every table that was ever put in an order is put in it again.
            "ClusterStmt" if !node.has("relation") => {
                self.lose_all("which tables are clustered");
                self.any_upkeep();
                self.orders();
                Some(Rows::default())
            }
            // A new check is tried against every value of the type, wherever it is stored; a default is written where it is stored.
            "AlterDomainStmt" if is_tried(node) => {
                self.lose_all("which columns are of this domain");
                // Its checks may be code, one that is validated now, too, which the text does not name.
                if let Some(name) = node.names("type_name").last() {
                    self.is_cast(name);
                }
                self.calls_below(node);
                self.orders();
                Some(Rows::default())
            }
            "AlterTableStmt" if self.is_composite(node) => {
                self.lose_all("which tables are of this type");
                Some(Rows::default())
            }
            // What it names are constraints, and words about it are about what was put off.
            "ConstraintsSetStmt" => {
                self.everything_below(node);
                self.found.relations.clear();
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
                self.released(node);
                self.tried(node);
                self.grows(node);
                self.schema_renamed(node);
                Some(Rows::default())
            }
        }
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
            refreshed: false,
            if_absent: false,
            brings_code: false,
            columns: outputs(&rows).filter(|_| rows.columns.iter().all(|column| column.doubt == Doubt::None)),
        });
        Some(Rows::default())
    }

    /// A view that takes the place of another may show columns that the other did not, and what hangs on it reads them from here on.
    /// Without a schema it is made in the first of the path, or in the session's own, which a path may begin with in so many words.
    fn replaces(&mut self, view: Option<Node<'_>>, rows: &Rows) {
        let Some(view) = view else { return };
        let is_own = |schema: &&String| schema.starts_with(TEMPORARY);
        let mut lawful = self
            .path
            .schemas()
            .iter()
            .filter(|schema| schema.as_str() != "pg_catalog");
        let places = match view.text("schemaname") {
            "" if is_temporary(view) => vec![TEMPORARY.to_owned()],
            "" => {
                let first = lawful.find(|schema| !is_own(schema)).cloned();
                first.into_iter().chain([TEMPORARY.to_owned()]).collect()
            }
            schema => vec![schema.to_owned()],
        };
        let catalog = self.catalog;
        for place in places {
            let found = catalog.resolve(&self.path, Some(&place), view.text("relname"));
            // What hangs on one that was replaced in the same unit is not known.
            let Some(replaced) = found.filter(|one| !one.is_view() || !one.hanging.is_empty()) else {
                continue;
            };
            let before = of_relation(replaced, catalog).outputs.unwrap_or_default();
            let mut all = Flow::clean();
            before.iter().for_each(|output| all.join(&output.flow));
            // What reads its rows as a whole reads columns that are added, too.
            for (index, column) in rows.columns.iter().enumerate() {
                let had = before.get(index).map_or(&all, |output| &output.flow);
                let gained = column.flow.columns().iter().filter(|id| !had.columns().contains(id));
                self.found.shown.extend(gained.copied());
            }
            if let Some(open) = &rows.open {
                self.show(open);
            }
        }
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
            // Checks, generated columns and partitions compare what comes, as conditions do.
            self.orders();
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

    /// The table that a CREATE TABLE makes.
    fn empty(&self, node: Node<'_>) -> Option<Created> {
        let relation = node.node("relation")?;
        let schema = Some(relation.text("schemaname")).filter(|schema| !schema.is_empty());
        let stores = self.stores_code(node);
        Some(Created {
            schema: schema.map(str::to_owned),
            name: relation.text("relname").to_owned(),
            temporary: is_temporary(relation),
            view: false,
            filled: false,
            refreshed: false,
            if_absent: node.flag("if_not_exists"),
            brings_code: stores || self.is_made_of_code(node),
            // Where nothing is given, a default of the type's own is stored, which may be of protected values.
            columns: said(node).filter(|_| !stores),
        })
    }

    /// Whether code of users comes with what a table is made of: with a parent, with what it is made like, or with a row type. Triggers
    /// and rules come to partitions alone.
    fn is_made_of_code(&self, table: Node<'_>) -> bool {
        let runs = |one: Node<'_>, part: bool| {
            let schema = Some(one.text("schemaname")).filter(|schema| !schema.is_empty());
            let found = self.catalog.resolve(&self.path, schema, one.text("relname"));
            found.is_none_or(|one| {
                let own = one.active || one.fires != Events::NONE;
                part && own || one.computes || self.is_typed(one)
            })
        };
        let alike = table.list("table_elts").filter(|element| element.is("TableLikeClause"));
        let mut alike = alike.filter_map(|like| like.node("relation"));
        let typed = |of: Node<'_>| {
            let name = of.names("names").last().copied();
            name.is_some_and(|name| self.catalog.code().has_type(name))
        };
        let part = table.has("partbound");
        let mut parents = table.list("inh_relations");
        table.node("of_typename").is_some_and(typed)
            || parents.any(|parent| runs(parent, part))
            || alike.any(|like| runs(like, false))
    }

    /// Whether a column of a table that is made is of a type with which code of users runs.
    fn stores_code(&self, table: Node<'_>) -> bool {
        let runs = |to: Node<'_>| {
            let name = to.names("names").last().copied();
            name.is_some_and(|name| self.catalog.code().has_type(name))
        };
        let mut types = table.list("table_elts").filter_map(|element| element.node("type_name"));
        types.any(runs)
    }
}

/// A relation that expressions are about, with its own name before its columns or without.
pub(super) fn itself(relation: &Relation, rows: Rows) -> Scope<'static> {
    let item = Item::of(Table {
        alias: Some(relation.name.as_str().into()),
        relation: Some(relation.oid),
        rows: Rc::new(rows),
        stored: true,
    });
    Scope {
        item,
        ..Scope::default()
    }
}

/// A generated column, whose expression is not followed here: it may hang on any other of its table. An identity has none.
fn is_generated(constraint: Node<'_>) -> bool {
    constraint.has("generated_when") && constraint.has("raw_expr")
}

/// A foreign key by which what is written to another table is written here, too.
fn is_carried(constraint: Node<'_>) -> bool {
    constraint.text("fk_upd_action") == "c"
}

fn is_temporary(relation: Node<'_>) -> bool {
    relation.text("relpersistence") == "t" || relation.text("schemaname") == "pg_temp"
}

/// Whether ALTER DOMAIN has values tried, or a guess written where a unique key tries it.
fn is_tried(node: Node<'_>) -> bool {
    match node.text("subtype") {
        DEFAULT => node.has("def"),
        subtype => !UNTRIED.contains(&subtype),
    }
}

/// Its columns, where the text says all of them, and that nothing writes to them but who names them, or names what they are generated
/// from. Whether it was there before, IF NOT EXISTS leaves open.
fn said(node: Node<'_>) -> Option<Vec<Output>> {
    let others = ["inh_relations", "partbound", "of_typename"];
    if others.iter().any(|field| node.has(field)) {
        return None;
    }
    let named = node.list("table_elts").filter(|element| element.is("ColumnDef"));
    let named: Vec<String> = named.map(|column| quoted(column.text("colname"))).collect();
    let mut columns = Vec::new();
    for element in node.list("table_elts") {
        match element.kind() {
            "ColumnDef" if !element.list("constraints").any(is_carried) => {
                let generated = element.list("constraints").any(is_generated);
                columns.push(Output {
                    name: element.text("colname").to_owned(),
                    flow: Flow::clean(),
                    generated: generated.then(|| named.join(", ")),
                });
            }
            "Constraint" if !is_carried(element) => {}
            _ => return None,
        }
    }
    Some(columns)
}

/// A name as PostgreSQL prints one that needs quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
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
    Rows::of(columns.collect())
}

/// EXPLAIN prints conditions with constants folded by user code.
fn plan() -> Rows {
    Rows::of(vec![Column::named("QUERY PLAN", Flow::unknown())])
}

fn outputs(rows: &Rows) -> Option<Vec<Output>> {
    // A row of no fields would move what comes after it, if another has two.
    let rows_of_rows = rows.columns.iter().filter(|column| column.doubt >= Doubt::Place);
    if rows.open.is_some() || rows_of_rows.count() > 1 {
        return None;
    }
    Some(rows.columns.iter().map(output).collect())
}

/// Outputs of which the text gives each but one a place.
fn spread(rows: &Rows) -> Option<Spread> {
    let (place, open) = rows.place.zip(rows.open.as_ref())?;
    let (before, after) = rows.columns.split_at_checked(place)?;
    let fields = Column::unnamed(open.clone());
    let each = before.iter().chain([&fields]).chain(after).map(output);
    Some(Spread {
        outputs: each.collect(),
        place,
    })
}

fn output(column: &Column) -> Output {
    Output {
        name: column.name.to_string(),
        flow: column.flow.clone(),
        generated: None,
    }
}
