//! Whether a change chooses the rows that it changes.

mod range;
mod reach;
mod scope;

use std::cell::Cell;
use std::collections::BTreeMap;

use super::names::ranged;
use super::parser::{self, Backslash};
use super::statement::Statement;
use super::tree::Node;
use super::verb::Verb;
use crate::catalog::{Catalog, Relation, SearchPath};
use scope::Scope;

const ONCONFLICT_UPDATE: i64 = 3;
const NOT_MATCHED_BY_SOURCE: i64 = 2;
const CMD_UPDATE: i64 = 3;
const CMD_DELETE: i64 = 5;
/// Queries in FROM that are looked into for one statement: an expression of WITH, and a view, is walked each time that it is named.
const MAX_LOOKS: usize = 256;

/// Where names without a relation are looked up.
pub(super) struct Known<'a> {
    catalog: &'a dyn Catalog,
    path: &'a SearchPath,
    /// Common table expressions, wherever they stand: several may have one name.
    expressions: BTreeMap<&'a str, Vec<Node<'a>>>,
    /// Queries in FROM that were looked into.
    looks: Cell<usize>,
}

/// Whether ON CONFLICT changes the row that is there.
pub(super) fn updates(clause: Node<'_>) -> bool {
    clause.int("action") == ONCONFLICT_UPDATE
}

/// Whether an INSERT changes rows that are there.
pub(super) fn is_upsert(insert: Node<'_>) -> bool {
    insert.node("on_conflict_clause").is_some_and(updates)
}

/// Whether every UPDATE, DELETE and MERGE in a statement chooses rows by columns that the catalog says its relation has: which
/// relation a name without one before it belongs to, no text tells.
pub(crate) fn chooses_rows(statement: &Statement, catalog: &dyn Catalog, path: &SearchPath) -> bool {
    let changes = statement.verbs.any(&[Verb::Update, Verb::Delete, Verb::Merge]);
    let Some(root) = statement.root().filter(|_| changes) else {
        return true;
    };
    let mut expressions: BTreeMap<&str, Vec<Node<'_>>> = BTreeMap::new();
    for one in root.all().filter(|node| node.is("CommonTableExpr")) {
        let queries = expressions.entry(one.text("ctename")).or_default();
        queries.extend(one.node("ctequery"));
    }
    let known = Known {
        catalog,
        path,
        expressions,
        looks: Cell::new(0),
    };
    root.all().all(|node| match node.kind() {
        "UpdateStmt" | "DeleteStmt" => is_selective(node, Some(&known)),
        "MergeStmt" => merge_is_selective(node, Some(&known)),
        _ => true,
    })
}

/// Whether an UPDATE or a DELETE chooses its rows by what is in them: `WHERE true`, `WHERE 1 = 1` and `WHERE EXISTS (SELECT 1 FROM u)`
/// choose none, they are for all rows or for none. So is what asks about another relation alone, as `USING u WHERE u.id = 1`.
/// Without a catalog a name that may be a column's of the target counts as one.
pub(super) fn is_selective(change: Node<'_>, known: Option<&Known<'_>>) -> bool {
    selects(change, "where_clause", &Scope::of(change, known))
}

/// The same of a MERGE. Rows that nothing matches are chosen by a condition of their own: `t.id = s.id` leaves all of them.
pub(super) fn merge_is_selective(merge: Node<'_>, known: Option<&Known<'_>>) -> bool {
    let scope = Scope::of(merge, known);
    let left = |clause: &Node<'_>| clause.int("match_kind") == NOT_MATCHED_BY_SOURCE;
    let changes = |clause: &Node<'_>| [CMD_UPDATE, CMD_DELETE].contains(&clause.int("command_type"));
    let mut left_over = merge
        .list("merge_when_clauses")
        .filter(|clause| left(clause) && changes(clause));
    selects(merge, "join_condition", &scope) && left_over.all(|clause| selects(clause, "condition", &scope))
}

/// Functions that make rows of what they are given and no more, or one value of any.
const GIVING: [&str; 16] = [
    "unnest",
    "json_array_elements",
    "json_array_elements_text",
    "json_populate_recordset",
    "json_to_record",
    "json_to_recordset",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_populate_recordset",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "now",
    "clock_timestamp",
    "gen_random_uuid",
    "lower",
    "nextval",
];

/// Functions of PostgreSQL's own that make rows, wherever they stand: VALUES has as many as they make.
const MULTIPLYING: [&str; 21] = [
    "generate_series",
    "generate_subscripts",
    "json_array_elements",
    "json_array_elements_text",
    "json_each",
    "json_each_text",
    "json_object_keys",
    "json_populate_recordset",
    "json_to_recordset",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_keys",
    "jsonb_path_query",
    "jsonb_populate_recordset",
    "jsonb_to_recordset",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
    "unnest",
];

/// Whether an upsert changes no more rows than are given with it, or chooses them by a condition. A query that reads no relation, and
/// calls nothing that could make more rows, gives what is written out or bound: `SELECT * FROM unnest($1, $2)`.
pub(super) fn gives_its_rows(insert: Node<'_>) -> bool {
    let any = Scope::any();
    let source = insert.node("select_stmt");
    let more = |node: Node<'_>| {
        let called = node.names("funcname");
        ranged(node).is_some() || node.is("FuncCall") && !called.last().is_some_and(|name| GIVING.contains(name))
    };
    let reads = |source: Node<'_>| range::below(source).any(more);
    let multiplies = |node: &Node<'_>| {
        let called = node.names("funcname");
        node.is("FuncCall") && called.last().is_some_and(|name| MULTIPLYING.contains(name))
    };
    // What one row of VALUES reads fills that row, but where it is made rows of.
    let lists = |source: Node<'_>| source.has("values_lists") && !range::below(source).filter(multiplies).any(reads);
    let given = source.is_none_or(|source| lists(source) || !reads(source) || selects(source, "where_clause", &any));
    let clause = insert.node("on_conflict_clause");
    given || clause.is_some_and(|clause| selects(clause, "where_clause", &any))
}

fn selects(node: Node<'_>, field: &str, scope: &Scope<'_>) -> bool {
    node.node(field).is_some_and(|condition| scope.selects(condition))
}

// === impl Known ===

impl<'a> Known<'a> {
    /// The stored relation that a name in FROM means. `None` for a common table expression and what the catalog does not know.
    fn relation(&self, range: Node<'_>) -> Option<&'a Relation> {
        self.target(range).filter(|_| self.called_so(range).is_empty())
    }

    /// Queries of the common table expressions that a name in FROM may mean.
    fn called_so(&self, range: Node<'_>) -> &[Node<'a>] {
        let plain = range.is("RangeVar") && !range.has("schemaname");
        let queries = self.expressions.get(range.text("relname")).filter(|_| plain);
        queries.map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether one more query in FROM may be looked into; it counts as looked into then.
    fn may_look(&self) -> bool {
        self.looks.set(self.looks.get() + 1);
        self.looks.get() <= MAX_LOOKS
    }

    /// The relation that is changed: never a common table expression.
    fn target(&self, range: Node<'_>) -> Option<&'a Relation> {
        let schema = range.text("schemaname");
        self.named((!schema.is_empty()).then_some(schema), range.text("relname"))
    }

    /// Whether a view shows all rows of a relation. What it joins that to may leave out some: it has to stand alone, or before a
    /// comma.
    fn shows_all(&self, view: &Relation, own: &Relation, depth: usize) -> bool {
        let Some(definition) = view.definition.as_deref().filter(|_| view.is_view()) else {
            return false;
        };
        // Each may name many others, and each of these is read anew. What nobody has looked into may show all.
        if depth == 0 || !self.may_look() {
            return true;
        }
        let parsed = parser::parse(definition, Backslash::Literal).ok();
        let root = parsed.as_ref().and_then(|raws| raws.first()?.tree.root());
        let Some(query) = root.filter(|query| query.is("SelectStmt") && !range::picks(*query)) else {
            return false;
        };
        let path = SearchPath::within(&view.schema);
        query.list("from_clause").filter_map(ranged).any(|(schema, name)| {
            let found = self.catalog.resolve(&path, schema, name);
            found.is_some_and(|found| found.oid == own.oid || self.shows_all(found, own, depth - 1))
        })
    }

    /// The stored relation of a name.
    fn named(&self, schema: Option<&str>, name: &str) -> Option<&'a Relation> {
        self.catalog.resolve(self.path, schema, name)
    }
}
