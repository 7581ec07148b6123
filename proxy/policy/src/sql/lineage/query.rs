//! Queries: SELECT, VALUES, set operations, and statements with RETURNING in their place.

use crate::sql::tree::Node;

use super::Flow;
use super::label;
use super::scope::{Column, Rows, Scope};
use super::walker::Walker;

/// Set operations are numbered from UNION on.
const UNION: i64 = 2;

impl Walker<'_> {
    /// The rows of a query within `outer`.
    pub(super) fn query(&mut self, node: Node<'_>, outer: &Scope<'_>) -> Rows {
        if !self.step() {
            return Rows::lost();
        }
        let rows = self.rows_within(node, outer);
        self.pay(&rows);
        rows
    }

    fn rows_within(&mut self, node: Node<'_>, outer: &Scope<'_>) -> Rows {
        self.orders();
        match node.kind() {
            "SelectStmt" => {
                self.found.locks |= node.has("locking_clause");
                let mut scope = Scope::below(outer);
                self.with(node, &mut scope);
                self.select(node, scope)
            }
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => self.change(node, outer),
            _ => {
                let what = format!("a {} as a query", node.kind());
                self.opaque(what.clone());
                Rows::open(self.lose_all(&what))
            }
        }
    }

    /// Notes code of users that puts values of PostgreSQL's own types in order. DISTINCT, ORDER BY, a comparison of arrays and their
    /// like do that, and statistics and indexes: by which types, the text need not say.
    pub(super) fn orders(&mut self) {
        if self.catalog.code().functions.contains("default order") {
            self.runs("default order of a type".to_owned());
        }
    }

    fn select(&mut self, node: Node<'_>, scope: Scope<'_>) -> Rows {
        if node.int("op") >= UNION {
            return self.set_operation(node, &scope);
        }
        if node.has("values_lists") {
            return self.values(node, &scope);
        }
        self.plain_select(node, scope)
    }

    fn set_operation(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Rows {
        let side = |walker: &mut Self, field: &str| {
            node.node(field)
                .map_or_else(Rows::lost, |query| walker.query(query, scope))
        };
        let mut rows = side(self, "larg");
        let right = side(self, "rarg");
        rows.join(&right);
        self.work(&rows.all());
        self.after(node, &rows, scope);
        rows
    }

    fn values(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Rows {
        let mut rows: Option<Rows> = None;
        for list in node.list("values_lists") {
            let row = self.listed(list.list("items"), scope);
            let flows = row.columns.iter().map(|column| &column.flow);
            flows.chain(&row.open).for_each(|flow| self.work(flow));
            match &mut rows {
                Some(rows) => rows.join(&row),
                None => rows = Some(row),
            }
        }
        let rows = rows.unwrap_or_default();
        self.after(node, &rows, scope);
        rows
    }

    /// The row that a list of VALUES gives. `t.*` and `(row).*` stand for several values there, too, or for none, and then any value may
    /// have any place.
    pub(super) fn listed<'n>(&mut self, items: impl Iterator<Item = Node<'n>>, scope: &Scope<'_>) -> Rows {
        let (mut columns, mut several) = (Vec::new(), false);
        for (index, item) in items.enumerate() {
            let expansion = self.expansion(item, scope);
            several |= expansion.is_some();
            let flow = expansion.map_or_else(|| self.expression(item, scope), |rows| rows.all());
            columns.push(Column::named(format!("column{}", index + 1), flow.mixed()));
        }
        let row = Rows::of(columns);
        if several { Rows::open(row.all()) } else { row }
    }

    fn plain_select(&mut self, node: Node<'_>, mut scope: Scope<'_>) -> Rows {
        let item = self.from(node.list("from_clause"), &scope);
        scope.item = item;
        for window in node.list("window_clause") {
            let flow = self.expression(window, &scope);
            scope.windows.push((window.text("name").into(), flow));
        }
        let rows = self.targets(node.list("target_list"), &scope);
        self.conditions(node.node("where_clause"), &scope);
        self.conditions(node.node("having_clause"), &scope);
        self.choose(node.list("group_clause"), &rows, &scope, Self::group);
        // The first row of each group is shown, in the order that rows are sorted in: that asks for more than what is equal.
        self.choose(node.list("distinct_clause"), &rows, &scope, Self::aside);
        // DISTINCT without ON compares whole rows.
        if node.has("distinct_clause") && node.list("distinct_clause").next().is_none() {
            let open = rows.open.iter();
            let columns = rows.columns.iter().map(|column| &column.flow);
            columns.chain(open).for_each(|flow| self.group(flow));
        }
        self.after(node, &rows, &scope);
        rows
    }

    /// ORDER BY and LIMIT, which may speak of outputs.
    fn after(&mut self, node: Node<'_>, rows: &Rows, scope: &Scope<'_>) {
        self.choose(node.list("sort_clause"), rows, scope, Self::aside);
        self.conditions(node.node("limit_count"), scope);
        self.conditions(node.node("limit_offset"), scope);
    }

    /// Rows are put together by a value: it is compared with itself.
    fn group(&mut self, flow: &Flow) {
        self.compare(flow, flow);
    }

    /// Expressions that may name an output by its alias or number instead, each of which is `noted`.
    fn choose<'n>(
        &mut self,
        nodes: impl Iterator<Item = Node<'n>>,
        rows: &Rows,
        scope: &Scope<'_>,
        noted: fn(&mut Self, &Flow),
    ) {
        for node in nodes {
            let inner = if node.is("SortBy") {
                node.node("node")
            } else {
                Some(node)
            };
            // ROLLUP, CUBE and lists in GROUP BY name outputs too.
            if let Some(group) = inner.filter(|inner| matches!(inner.kind(), "GroupingSet" | "RowExpr")) {
                self.choose(group.list("content").chain(group.list("args")), rows, scope, noted);
                continue;
            }
            if let Some(flow) = inner.and_then(|inner| output(inner, rows)) {
                noted(self, &flow);
                // An output's alias is often a column's name too: the column is looked at as well, if there is one.
                if inner.is_some_and(|inner| self.row_of(inner, scope).is_none() && !is_column(inner, scope)) {
                    continue;
                }
            }
            let flow = self.expression(node, scope);
            noted(self, &flow);
        }
    }

    /// The outputs of a target list.
    pub(super) fn targets<'n>(&mut self, targets: impl Iterator<Item = Node<'n>>, scope: &Scope<'_>) -> Rows {
        let mut rows = Rows::default();
        let mut expansions = 0usize;
        for target in targets {
            let Some(value) = target.node("val") else { continue };
            if let Some(expanded) = self.expansion(value, scope) {
                let worked = expanded.columns.iter().filter(|column| !column.flow.bare);
                worked.for_each(|column| self.work(&column.flow));
                // Of what a table's `*` stands for the catalog may know too little by now: where there is another, it would not be noticed.
                expansions = expansions.saturating_add(1);
                let alone = expansions == 1 && expanded.columns.is_empty() && expanded.open.is_some();
                rows.place = alone.then_some(rows.columns.len());
                rows.columns.extend(expanded.columns);
                if let Some(open) = expanded.open {
                    rows.open.get_or_insert_with(Flow::clean).join(&open);
                }
                continue;
            }
            let mut flow = self.expression(value, scope);
            flow.bare &= value.is("ColumnRef");
            if !flow.bare && !flow.as_text {
                self.work(&flow);
            }
            rows.columns.push(match (target.text("name"), label::of(value)) {
                ("", Some(label)) => Column::named(label, flow),
                ("", None) => Column::unnamed(flow),
                (name, _) => Column::named(name, flow),
            });
        }
        rows
    }

    /// What is [`expanded`](Self::expanded), paid for and noted.
    fn expansion(&mut self, value: Node<'_>, scope: &Scope<'_>) -> Option<Rows> {
        let mut expanded = self.expanded(value, scope)?;
        if !self.pay(&expanded) {
            expanded = Rows::lost();
        }
        self.touch(&expanded.all());
        Some(expanded)
    }

    /// `*`, `t.*` and `(row).*` stand for several outputs.
    fn expanded(&mut self, value: Node<'_>, scope: &Scope<'_>) -> Option<Rows> {
        match value.kind() {
            "ColumnRef" if value.list("fields").any(|field| field.is("AStar")) => {
                Some(self.star(&value.names("fields"), scope))
            }
            "AIndirection" if value.list("indirection").last().is_some_and(|last| last.is("AStar")) => {
                let row = match value.count("indirection") {
                    1 => value.node("arg").and_then(|arg| self.row_of(arg, scope)),
                    _ => None,
                };
                // The number of fields of a composite value is not in the tree.
                Some(row.unwrap_or_else(|| {
                    let mut flow = self.below(value, scope);
                    self.work(&flow);
                    flow.unknown = true;
                    Rows::open(flow)
                }))
            }
            _ => None,
        }
    }
}

/// The output that an item of ORDER BY, GROUP BY or DISTINCT ON names.
fn output(node: Node<'_>, rows: &Rows) -> Option<Flow> {
    match node.kind() {
        "ColumnRef" => match node.names("fields").as_slice() {
            [name] => rows.named(name),
            _ => None,
        },
        "AConst" => {
            let number = node.node("val").filter(|value| value.is("Integer"))?.int("ival");
            let index = usize::try_from(number).ok()?.checked_sub(1)?;
            // Where rows stand in the place of columns, any may have this number.
            if rows.is_shifted_at(index) {
                return Some(rows.all());
            }
            rows.columns.get(index).map(|column| column.flow.clone())
        }
        _ => None,
    }
}

fn is_column(node: Node<'_>, scope: &Scope<'_>) -> bool {
    matches!(node.names("fields").as_slice(), [name] if scope.column(name).is_some())
}
