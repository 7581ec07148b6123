//! FROM: tables, subqueries, functions and joins.

use std::rc::Rc;

use crate::sql::functions::Safety;
use crate::sql::names::{qualified, ranged};
use crate::sql::tree::Node;

use super::Flow;
use super::expression::NAMES_A_STEP;
use super::label;
use super::scope::{Column, Doubt, Item, Rows, Scope, Table};
use super::walker::Walker;

/// Functions that return a set of one column, which is called as they are, or as their alias is.
const ONE_COLUMN: [&str; 12] = [
    "generate_series",
    "generate_subscripts",
    "regexp_split_to_table",
    "regexp_matches",
    "string_to_table",
    "json_object_keys",
    "jsonb_object_keys",
    "jsonb_path_query",
    "jsonb_path_query_tz",
    "now",
    "current_setting",
    "version",
];
/// Functions that return a set of one column that is called `value`, whatever their alias.
const VALUE: [&str; 4] = [
    "json_array_elements",
    "json_array_elements_text",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
];
/// Functions that return a set of `key` and `value`.
const KEY_VALUE: [&str; 4] = ["json_each", "json_each_text", "jsonb_each", "jsonb_each_text"];
/// Functions that return an array of texts.
const TEXT_ARRAYS: [&str; 3] = ["string_to_array", "regexp_split_to_array", "regexp_match"];

impl Walker<'_> {
    /// All items of a FROM list, each seeing those before it where the grammar lets it.
    pub(super) fn from<'n>(&mut self, items: impl Iterator<Item = Node<'n>>, outer: &Scope<'_>) -> Item {
        let mut all = Item::default();
        for node in items {
            let item = self.item_in_from(node, outer, &all);
            all.extend(item);
        }
        all
    }

    /// One item. `beside` is what LATERAL sees.
    pub(super) fn item_in_from(&mut self, node: Node<'_>, outer: &Scope<'_>, beside: &Item) -> Item {
        if !self.step() {
            return Item {
                tables: Vec::new(),
                rows: Rows::lost(),
            };
        }
        match node.kind() {
            "RangeVar" => {
                let item = self.range_var(node, outer);
                self.pay(&item.rows);
                item
            }
            "RangeSubselect" => {
                let scope = self.lateral(outer, beside, node.flag("lateral"));
                let rows = node
                    .node("subquery")
                    .map_or_else(Rows::lost, |query| self.query(query, &scope));
                let item = aliased(node, Some(""), rows, false);
                self.pay(&item.rows);
                item
            }
            "RangeFunction" => {
                let scope = self.lateral(outer, beside, true);
                let item = self.functions(node, &scope);
                self.pay(&item.rows);
                match ranged(node) {
                    Some(_) => self.either(&item.rows, node, outer),
                    None => item,
                }
            }
            "RangeTableFunc" | "JsonTable" => {
                let scope = self.lateral(outer, beside, true);
                let flow = self.below(node, &scope);
                self.work(&flow);
                let columns = columns_of(node)
                    .into_iter()
                    .map(|name| Column::named(name, flow.clone()))
                    .collect();
                let name = if node.is("JsonTable") { "json_table" } else { "xmltable" };
                aliased(node, Some(name), Rows::of(columns), false)
            }
            "RangeTableSample" => {
                let scope = Scope::below(outer);
                let aside: Vec<Node<'_>> = node.list("args").chain(node.node("repeatable")).collect();
                self.conditions(aside, &scope);
                node.node("relation")
                    .map(|inner| self.item_in_from(inner, outer, beside))
                    .unwrap_or_default()
            }
            "JoinExpr" => self.joined(node, outer, beside),
            _ => {
                let what = format!("a {} in FROM", node.kind());
                self.opaque(what.clone());
                Item {
                    tables: Vec::new(),
                    rows: Rows::open(self.lose_all(&what)),
                }
            }
        }
    }

    fn lateral<'p>(&mut self, outer: &'p Scope<'p>, beside: &Item, sees: bool) -> Scope<'p> {
        let mut scope = Scope::below(outer);
        if sees && self.pay(&beside.rows) {
            scope.item = beside.clone();
        } else if sees {
            scope.item.rows = Rows::lost();
        }
        scope
    }

    fn range_var(&mut self, node: Node<'_>, outer: &Scope<'_>) -> Item {
        let Some((schema, name)) = ranged(node) else {
            return Item::default();
        };
        if schema.is_none()
            && let Some(rows) = outer.cte(name)
        {
            return aliased(node, Some(name), rows.clone(), false);
        }
        // A word that once was a name has no ONLY.
        let rows = self.relation(schema, name, node.is("RangeVar") && !node.flag("inh"));
        let found = self.catalog.resolve(&self.path, schema, name);
        let stored = found.is_some_and(|relation| !relation.is_view());
        let mut item = aliased(node, Some(name), rows, stored);
        if let (Some(table), None) = (item.tables.first_mut(), node.node("alias")) {
            table.relation = found.map(|relation| relation.oid);
        }
        item
    }

    /// What is a function to this grammar, and the rows of a relation to an older server: nobody knows here what is asked.
    fn either(&mut self, rows: &Rows, node: Node<'_>, outer: &Scope<'_>) -> Item {
        let mut item = self.range_var(node, outer);
        let mut flow = item.rows.all();
        flow.join(&rows.all());
        let mut rows = Rows::open(flow.mixed());
        rows.rename(
            node.node("alias")
                .map(|alias| alias.names("colnames"))
                .unwrap_or_default()
                .into_iter(),
        );
        for table in &mut item.tables {
            table.rows = Rc::new(rows.clone());
        }
        item.rows = rows;
        item
    }

    /// `ROWS FROM (f(), g())`, or one function.
    fn functions(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Item {
        let mut rows = Rows::default();
        let mut first_name = None;
        for function in node.list("functions") {
            // Each is a list of the call and its column definitions.
            let mut parts = function.list("items");
            let Some(call) = parts.next() else { continue };
            let definitions: Vec<Node<'_>> = parts
                .flat_map(|list| list.list("items"))
                .chain(node.list("coldeflist"))
                .collect();
            let one = self.function_rows(call, &definitions, scope);
            // All of them go by the name of the first.
            first_name.get_or_insert_with(|| label::of(call));
            rows.columns.extend(one.columns);
            if let Some(open) = one.open {
                rows.open.get_or_insert_with(Flow::clean).join(&open);
            }
        }
        if node.flag("ordinality") && rows.open.is_none() {
            rows.columns.push(Column::named("ordinality", Flow::clean()));
        }
        let name: Option<String> = first_name.flatten();
        // `FROM f() x` calls the one column of a scalar function x, if the function itself has no name for it.
        let alias = node.node("alias").map(|alias| alias.text("aliasname"));
        let scalar = usize::from(node.flag("ordinality")) + 1;
        if let (Some(alias), None) = (alias, &rows.open)
            && node.count("coldeflist") == 0
            && rows.columns.len() == scalar
            && let Some(first) = rows.columns.first_mut()
            && name.as_deref().is_none_or(|name| &*first.name == name)
        {
            first.name = alias.into();
        }
        aliased(node, name.as_deref(), rows, false)
    }

    fn function_rows(&mut self, call: Node<'_>, definitions: &[Node<'_>], scope: &Scope<'_>) -> Rows {
        let mut flow = self.expression(call, scope).mixed();
        for definition in definitions {
            flow.join(&self.below(*definition, scope));
        }
        self.work(&flow);
        let column = |name: &str| Column::named(name, flow.clone());
        if !definitions.is_empty() {
            let columns = definitions
                .iter()
                .map(|definition| column(definition.text("colname")))
                .collect();
            return Rows::of(columns);
        }
        let names = call.names("funcname");
        let Some((schema, name)) = qualified(&names) else {
            // CURRENT_DATE and its like stand here as nodes of their own, and casts, which may be to a row.
            return Rows::of(vec![Column::row(label::of(call).unwrap_or_default(), flow)]);
        };
        let known = self.safety(schema.as_deref(), &name) == Safety::Safe;
        let one = |column: Column| Rows::of(vec![column]);
        if known && ONE_COLUMN.contains(&name.as_str()) {
            return one(column(&name));
        }
        if known && VALUE.contains(&name.as_str()) {
            return one(column("value"));
        }
        // The elements of an array may be rows.
        if known && name == "unnest" && call.count("args") == 1 {
            let texts = call.list("args").all(|argument| self.is_array_of_texts(argument));
            return one(match texts {
                true => column(&name),
                false => Column::row(name, flow.clone()),
            });
        }
        if known && KEY_VALUE.contains(&name.as_str()) {
            return Rows::of(vec![column("key"), column("value")]);
        }
        Rows::open(flow)
    }

    fn joined(&mut self, node: Node<'_>, outer: &Scope<'_>, beside: &Item) -> Item {
        let empty = Item::default();
        let left = node
            .node("larg")
            .map(|left| self.item_in_from(left, outer, beside))
            .unwrap_or_default();
        let mut seen = beside.clone();
        seen.extend(left.clone());
        let right = node
            .node("rarg")
            .map(|right| self.item_in_from(right, outer, &seen))
            .unwrap_or(empty);

        let shared = self.shared_names(node, &left.rows, &right.rows);
        let mut merged = self.merge(&shared, &left.rows, &right.rows);
        // USING and NATURAL compare by `=`.
        if !merged.is_empty() && self.operator(&["="]) {
            merged.iter_mut().for_each(|column| column.flow.unknown = true);
        }
        let keep = |rows: &Rows| {
            let own = rows
                .columns
                .iter()
                .filter(|column| !shared.contains(&column.name))
                .cloned();
            own.collect::<Vec<_>>()
        };
        let columns = merged
            .iter()
            .cloned()
            .chain(keep(&left.rows))
            .chain(keep(&right.rows))
            .collect();
        let mut both = Item {
            tables: Vec::new(),
            rows: Rows::of(columns),
        };
        for open in [&left.rows.open, &right.rows.open].into_iter().flatten() {
            both.rows.open.get_or_insert_with(Flow::clean).join(open);
        }
        // Columns that are not known may be shared: those that are known are compared with them, or are one with them, at
        // another place.
        if node.flag("is_natural") && (left.rows.unnamed().is_some() || right.rows.unnamed().is_some()) {
            let mut any = left.rows.all();
            any.join(&right.rows.all());
            self.touch(&any);
            self.aside(&any);
            for column in &mut both.rows.columns {
                column.flow.join(&any);
                column.flow.bare = false;
            }
            both.rows.open = Some(any);
        }
        both.tables = left.tables;
        both.tables.extend(right.tables);
        if let Some(alias) = node.node("join_using_alias") {
            let rows = Rc::new(Rows::of(merged));
            both.tables.push(Table {
                alias: Some(alias.text("aliasname").into()),
                relation: None,
                rows,
                stored: false,
            });
        }
        if let Some(condition) = node.node("quals") {
            let mut scope = Scope::below(outer);
            scope.item = both.clone();
            self.conditions([condition], &scope);
        }
        match node.node("alias") {
            Some(_) => aliased(node, Some(""), both.rows, false),
            None => both,
        }
    }

    /// Whether an expression is an array whose elements are certainly no rows.
    fn is_array_of_texts(&self, node: Node<'_>) -> bool {
        let names = node.names("funcname");
        node.is("FuncCall")
            && qualified(&names).is_some_and(|(schema, name)| {
                self.safety(schema.as_deref(), &name) == Safety::Safe && TEXT_ARRAYS.contains(&name.as_str())
            })
    }

    fn shared_names(&mut self, node: Node<'_>, left: &Rows, right: &Rows) -> Vec<Rc<str>> {
        if node.flag("is_natural") {
            // What may be a row shares its fields, if anything, and not the name from its alias.
            let certain = |column: &&Column| left.has(&column.name) && right.has(&column.name);
            let common = left.columns.iter().filter(certain);
            return common.map(|column| Rc::clone(&column.name)).collect();
        }
        node.names("using_clause").into_iter().map(Rc::from).collect()
    }

    /// Columns that both sides of a join share: conditions, and one output of either.
    fn merge(&mut self, shared: &[Rc<str>], left: &Rows, right: &Rows) -> Vec<Column> {
        let mut merged = Vec::new();
        let columns = left.columns.len().saturating_add(right.columns.len());
        for name in shared {
            let goes_on = self.spend(columns / NAMES_A_STEP);
            let [one, other] = [left, right].map(|side| {
                if !goes_on {
                    return Flow::lost();
                }
                let own = side.named(name).or_else(|| side.unnamed());
                own.unwrap_or_else(|| self.lose(name))
            });
            let mut flow = Flow::clean();
            flow.join(&one);
            flow.join(&other);
            self.touch(&flow);
            self.compare(&one, &other);
            let mut column = Column::named(Rc::clone(name), flow);
            // A row may have other fields beside the one that is shared.
            if left.may_be_row(name) || right.may_be_row(name) {
                column.doubt = Doubt::Width;
            }
            merged.push(column);
        }
        merged
    }
}

/// The item of some rows, with the alias and column names that the node gives. `name`: what it is called without an alias, if that
/// is known.
fn aliased(node: Node<'_>, name: Option<&str>, mut rows: Rows, stored: bool) -> Item {
    let alias = node.node("alias");
    if let Some(alias) = alias {
        rows.rename(alias.names("colnames").into_iter());
    }
    let alias = alias.map(|alias| alias.text("aliasname")).or(name);
    Item::of(Table {
        alias: alias.map(Rc::from),
        relation: None,
        rows: Rc::new(rows),
        stored,
    })
}

/// Column names of XMLTABLE and JSON_TABLE, nested ones included, in order.
fn columns_of(node: Node<'_>) -> Vec<Rc<str>> {
    let mut names = Vec::new();
    for column in node.list("columns") {
        let nested = columns_of(column);
        match nested.is_empty() {
            false => names.extend(nested),
            true => names.push(Rc::from(match column.text("colname") {
                "" => column.text("name"),
                name => name,
            })),
        }
    }
    names
}
