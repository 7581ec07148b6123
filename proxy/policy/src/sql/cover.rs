//! What of a statement stands against protected columns, to be hidden wherever the statement is shown to others.
//!
//! Which literal goes with which column is told by the parse tree and by names, not by types, and errs to the safe side: a
//! name is innocent only where it can mean nothing but an unprotected column of a table. Everything in an expression in which
//! another name stands is hidden, and so is whatever a subquery, a VALUES list or a function in FROM hands on.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::mask::ProtectedColumns;

use super::parser::Backslash;
use super::secrets::{HIDDEN, Piece, pieces};
use super::tree::Node;
use super::{Lineage, Statement};

/// What of one command is hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    text: Option<Arc<str>>,
    parameters: Parameters,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Parameters {
    #[default]
    None,
    Some(BTreeSet<i64>),
    All,
}

// === impl Cover ===

impl Cover {
    /// The cover of a statement of `script`, by the lineages of all that it runs. `blind`: nobody knows what its names mean.
    pub fn of(
        statements: &[&Statement],
        script: &str,
        lineages: &[Lineage],
        catalog: &dyn Catalog,
        protected: &ProtectedColumns,
        blind: bool,
    ) -> Self {
        let touches = |lineage: &Lineage| {
            !lineage.touched_rules(protected).is_empty() || lineage.assigned_protected(protected).next().is_some()
        };
        if protected.is_empty() || !blind && !lineages.iter().any(touches) {
            return Self::default();
        }
        let [statement] = statements else {
            // Two readings of one text: which literals there are is not known.
            return statements
                .first()
                .map_or_else(Self::default, |one| Self::whole(one.text(script)));
        };
        let text = statement.text(script);
        let root = statement.root().filter(|_| !blind && statement.executes.is_empty());
        let Some(root) = root else {
            return Self::whole(text);
        };
        let mut walk = Walk {
            innocent: innocent(lineages, catalog, protected),
            lineages,
            catalog,
            places: BTreeSet::new(),
            parameters: BTreeSet::new(),
        };
        walk.aliases(root);
        walk.statement(root);
        let start = i64::try_from(statement.range.start).unwrap_or(i64::MAX);
        let places = walk.places.iter().map(|place| usize::try_from(place - start).ok());
        let hidden = match places.collect::<Option<BTreeSet<usize>>>() {
            Some(places) => without(text, &places).unwrap_or_else(|| without_literals(text)),
            None => without_literals(text),
        };
        Self {
            text: (hidden != text).then(|| hidden.into()),
            parameters: match walk.parameters.is_empty() {
                true => Parameters::None,
                false => Parameters::Some(walk.parameters),
            },
        }
    }

    /// Every literal and parameter is hidden.
    fn whole(text: &str) -> Self {
        Self {
            text: Some(without_literals(text).into()),
            parameters: Parameters::All,
        }
    }

    /// The text to show instead; `None` where nothing of it is hidden.
    #[must_use]
    pub fn text(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }

    /// Whether the value of `$number` is hidden.
    #[must_use]
    pub fn hides(&self, number: usize) -> bool {
        match &self.parameters {
            Parameters::None => false,
            Parameters::Some(numbers) => i64::try_from(number).is_ok_and(|number| numbers.contains(&number)),
            Parameters::All => true,
        }
    }
}

/// Names that can mean nothing but an unprotected column of a table.
fn innocent<'c>(lineages: &[Lineage], catalog: &'c dyn Catalog, protected: &ProtectedColumns) -> BTreeSet<&'c str> {
    // What code that nobody can see into returns may go by any name.
    if lineages.iter().any(|lineage| !lineage.opaque.is_empty()) {
        return BTreeSet::new();
    }
    let (mut innocent, mut guilty) = (BTreeSet::new(), BTreeSet::new());
    let named = lineages
        .iter()
        .flat_map(|lineage| lineage.touched.iter().chain(lineage.assigned.keys()));
    for id in named {
        let column = catalog
            .relation(id.relation)
            .and_then(|relation| relation.columns.iter().find(|column| column.attnum == id.column));
        match column {
            Some(column) if protected.contains(*id) => guilty.insert(column.name.as_str()),
            Some(column) => innocent.insert(column.name.as_str()),
            None => false,
        };
    }
    // What a view calls a column may be anything.
    let oids = lineages.iter().flat_map(|lineage| lineage.relations.iter());
    for relation in oids.filter_map(|oid| catalog.relation(*oid)) {
        if relation.is_view() || relation.definition.is_some() {
            guilty.extend(relation.columns.iter().map(|column| column.name.as_str()));
        }
    }
    &innocent - &guilty
}

struct Walk<'a> {
    innocent: BTreeSet<&'a str>,
    lineages: &'a [Lineage],
    catalog: &'a dyn Catalog,
    /// Where the literals begin that are hidden, in bytes of the script.
    places: BTreeSet<i64>,
    parameters: BTreeSet<i64>,
}

impl Walk<'_> {
    /// A name that the statement itself gives may mean anything. What an UPDATE or INSERT assigns are columns.
    fn aliases(&mut self, node: Node<'_>) {
        let assigned: Vec<u32> = match node.kind() {
            "UpdateStmt" | "OnConflictClause" | "MergeWhenClause" => node.list("target_list").map(Node::id).collect(),
            "InsertStmt" => node.list("cols").map(Node::id).collect(),
            _ => Vec::new(),
        };
        for child in node.children() {
            let names = match child.kind() {
                "ResTarget" if !assigned.contains(&child.id()) => vec![child.text("name")],
                "Alias" => child.names("colnames"),
                "CommonTableExpr" => child.names("aliascolnames"),
                "ColumnDef" | "RangeTableFuncCol" => vec![child.text("colname")],
                "JsonTableColumn" => vec![child.text("name")],
                _ => Vec::new(),
            };
            self.innocent.retain(|name| !names.contains(name));
            self.aliases(child);
        }
    }

    fn statement(&mut self, node: Node<'_>) {
        match node.kind() {
            "SelectStmt" => self.select(node, false, false),
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => self.visit(node, false),
            "PrepareStmt" | "ExplainStmt" | "DeclareCursorStmt" | "CopyStmt" | "CreateTableAsStmt" | "ViewStmt" => {
                node.children().into_iter().for_each(|child| self.statement(child));
            }
            // What else names protected columns is not taken apart.
            _ => self.visit(node, true),
        }
    }

    /// `hot`: all below goes with a protected column.
    fn visit(&mut self, node: Node<'_>, hot: bool) {
        match node.kind() {
            "AConst" if hot => _ = self.places.insert(node.int("location")),
            "ParamRef" if hot => _ = self.parameters.insert(node.int("number")),
            "SelectStmt" => self.select(node, hot, false),
            "CommonTableExpr" => {
                self.below(node, "ctequery", hot);
                // What marks a cycle comes out as a column, which may be compared with a protected one.
                if let Some(cycle) = node.node("cycle_clause") {
                    self.all(cycle);
                }
            }
            "RangeSubselect" => self.below(node, "subquery", hot),
            "RangeFunction" | "RangeTableFunc" | "JsonTable" | "MergeWhenClause" => self.all(node),
            "InsertStmt" => self.insert(node, hot),
            "UpdateStmt" | "OnConflictClause" => self.assignments(node, hot),
            "DeleteStmt" | "MergeStmt" | "JoinExpr" => {
                node.children().into_iter().for_each(|child| self.clause(child, hot));
            }
            _ => node.children().into_iter().for_each(|child| self.visit(child, hot)),
        }
    }

    fn all(&mut self, node: Node<'_>) {
        node.children().into_iter().for_each(|child| self.visit(child, true));
    }

    /// What a subquery in FROM or WITH hands on may be compared with anything.
    fn below(&mut self, node: Node<'_>, field: &str, hot: bool) {
        match node.node(field) {
            Some(query) if query.is("SelectStmt") => self.select(query, hot, true),
            Some(query) => self.visit(query, hot),
            None => {}
        }
    }

    /// `feeds`: what it returns is used by the statement itself.
    fn select(&mut self, node: Node<'_>, hot: bool, feeds: bool) {
        let branches: Vec<Node<'_>> = ["larg", "rarg"].iter().filter_map(|field| node.node(field)).collect();
        // A set operation compares what its branches return.
        branches.iter().for_each(|branch| self.select(*branch, hot, true));
        let results: Vec<Node<'_>> = node.list("target_list").chain(node.list("values_lists")).collect();
        for child in node.children() {
            if branches.iter().any(|branch| branch.id() == child.id()) {
                continue;
            }
            let result = results.iter().any(|result| result.id() == child.id());
            self.clause(child, hot || feeds && result);
        }
    }

    /// One condition or expression: all of its literals go together, those of each part of AND and OR by themselves.
    fn clause(&mut self, node: Node<'_>, hot: bool) {
        if hot {
            return self.visit(node, true);
        }
        match node.kind() {
            "BoolExpr" => node.children().into_iter().for_each(|part| self.clause(part, false)),
            // Lists of a VALUES, and what has clauses of its own.
            "List" | "WithClause" | "RangeSubselect" | "JoinExpr" => self.visit(node, false),
            _ => {
                let hot = self.is_hot(node);
                self.visit(node, hot);
            }
        }
    }

    /// Whether a protected column may stand in an expression, or come out of a subquery in it.
    fn is_hot(&self, node: Node<'_>) -> bool {
        match node.kind() {
            "ColumnRef" => !self.is_innocent(node),
            "SelectStmt" => {
                let results = node.list("target_list").chain(node.list("values_lists"));
                let branches = ["larg", "rarg"].into_iter().filter_map(|field| node.node(field));
                results.chain(branches).any(|part| self.is_hot(part))
            }
            _ => node.children().into_iter().any(|child| self.is_hot(child)),
        }
    }

    fn is_innocent(&self, column: Node<'_>) -> bool {
        let parts = column.list("fields").count();
        let names = column.names("fields");
        // `t.*` and a whole row have no name of their own.
        names.len() == parts && names.last().is_some_and(|name| self.innocent.contains(name))
    }

    /// VALUES by their place, all else as a whole.
    fn insert(&mut self, node: Node<'_>, hot: bool) {
        let columns = self.columns(node);
        let source = node.node("select_stmt");
        for child in node.children() {
            if source.is_none_or(|source| source.id() != child.id()) {
                self.visit(child, hot);
            }
        }
        let Some(source) = source else { return };
        let rows: Vec<Node<'_>> = source.list("values_lists").collect();
        let lists: Vec<Vec<Node<'_>>> = match rows.is_empty() {
            false => rows.iter().map(|row| row.list("items").collect()).collect(),
            true if source.has("larg") => Vec::new(),
            true => vec![source.list("target_list").collect()],
        };
        let star = |node: &Node<'_>| {
            node.node("val")
                .is_some_and(|value| value.list("fields").any(|field| field.is("AStar")))
        };
        if lists.is_empty() || lists.iter().flatten().any(star) {
            return self.visit(source, true);
        }
        let taken: BTreeSet<u32> = rows
            .iter()
            .chain(lists.iter().flatten())
            .map(|node| node.id())
            .collect();
        for list in lists {
            for (index, value) in list.into_iter().enumerate() {
                let safe = columns
                    .get(index)
                    .is_some_and(|name| self.innocent.contains(name.as_str()));
                self.clause(value, hot || !safe);
            }
        }
        for child in source.children() {
            if !taken.contains(&child.id()) {
                self.clause(child, hot);
            }
        }
    }

    /// The columns that an INSERT fills, in order; none where they are not known.
    fn columns(&self, node: Node<'_>) -> Vec<String> {
        let named: Vec<String> = node.list("cols").map(|column| column.text("name").to_owned()).collect();
        if !named.is_empty() {
            return named;
        }
        let name = node.node("relation").map_or("", |relation| relation.text("relname"));
        let written = self.lineages.iter().flat_map(|lineage| lineage.written.iter());
        let mut found = written
            .filter_map(|oid| self.catalog.relation(*oid))
            .filter(|relation| relation.name == name);
        match (found.next(), found.next()) {
            (Some(relation), None) => relation.columns.iter().map(|column| column.name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    fn assignments(&mut self, node: Node<'_>, hot: bool) {
        let targets: Vec<Node<'_>> = node.list("target_list").collect();
        for child in node.children() {
            let assigned = targets.iter().any(|target| target.id() == child.id());
            let several = child.node("val").is_some_and(|value| value.is("MultiAssignRef"));
            let safe = self.innocent.contains(child.text("name")) && !several;
            self.clause(child, hot || assigned && !safe);
        }
    }
}

/// The text without the literals that begin at these places; `None` where no literal begins at one of them.
fn without(text: &str, places: &BTreeSet<usize>) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut found) = (0, 0);
    for piece in pieces(text, Backslash::Literal) {
        match piece {
            Piece::Literal(literal) => {
                let hide = places.contains(&at);
                found += usize::from(hide);
                let body = if hide { HIDDEN } else { literal.body };
                out.extend([literal.open, body, literal.close]);
                at += literal.open.len() + literal.body.len() + literal.close.len();
            }
            Piece::Comment(comment) => {
                out.push_str(comment);
                at += comment.len();
            }
            Piece::Code(code) => {
                let mut done = 0;
                for place in places.range(at..at + code.len()) {
                    let from = place - at;
                    let len = number(code.get(from..)?)?;
                    out.push_str(code.get(done..from)?);
                    out.push_str(HIDDEN);
                    done = from + len;
                    found += 1;
                }
                out.push_str(code.get(done..)?);
                at += code.len();
            }
        }
    }
    (found == places.len()).then_some(out)
}

/// The length of the number, or of the word of a truth value, that a text begins with.
fn number(text: &str) -> Option<usize> {
    let unsigned = text.trim_start_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
    let sign = text.len() - unsigned.len();
    let mut before = ' ';
    let end = unsigned.find(|c: char| {
        let exponent = matches!(c, '-' | '+') && matches!(before, 'e' | 'E');
        before = c;
        !(c.is_alphanumeric() || matches!(c, '_' | '.') || exponent)
    });
    let len = end.unwrap_or(unsigned.len());
    (len > 0).then_some(sign + len)
}

/// The text without any literal.
fn without_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text, Backslash::Literal) {
        match piece {
            Piece::Literal(literal) => out.extend([literal.open, HIDDEN, literal.close]),
            Piece::Comment(comment) => out.push_str(comment),
            Piece::Code(code) => out.push_str(&without_numbers(code)),
        }
    }
    out
}

fn without_numbers(code: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut rest, mut before) = (code, ' ');
    while let Some(c) = rest.chars().next() {
        let begins = c.is_ascii_digit() && !(before.is_alphanumeric() || matches!(before, '_' | '$' | '"'));
        let len = if begins {
            number(rest).unwrap_or(1)
        } else {
            c.len_utf8()
        };
        let (piece, after) = rest.split_at(len);
        out.push_str(if begins { HIDDEN } else { piece });
        before = piece.chars().next_back().unwrap_or(' ');
        rest = after;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
