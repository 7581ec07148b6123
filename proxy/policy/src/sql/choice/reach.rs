//! Of which rows of a relation a condition may be true.
//!
//! It is decided by what the condition hangs on, never by what values there are: `id > 0` chooses rows though all may pass. What
//! is not understood is taken to be true of all.

use std::collections::BTreeSet;

use super::Known;
use super::range::{MAX_RELATIONS, SYSTEM, below, called, computes_rows, flat, may_hold, qualified};
use crate::catalog::Relation;
use crate::sql::pinned::{AEXPR_OP, AND_EXPR, is_equality};
use crate::sql::tree::Node;

/// Values of the grammar's enumerations.
const NOT_EXPR: i64 = 3;
const AEXPR_NOT_DISTINCT: i64 = 5;
const AEXPR_NULLIF: i64 = 6;
const IS_TRUE: i64 = 1;
const IS_FALSE: i64 = 3;
const IS_NOT_TRUE: i64 = 2;
const IS_NOT_FALSE: i64 = 4;
const EXISTS: i64 = 1;
const ALL: i64 = 2;
const ANY: i64 = 3;

/// Operators whose result is no truth, so that it can be compared with what it is to be.
const COMPUTING: [&str; 14] = [
    "+", "-", "*", "/", "%", "^", "||", "&", "|", "#", "->", "->>", "#>", "#>>",
];
/// The one that is the same in all rows of a table.
const TABLE: &str = "tableoid";

/// Of which rows a condition may be true.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Of none.
    Nothing,
    /// Of those that hold what it asks for.
    Chosen,
    /// Of all, whatever they hold.
    All,
}

/// What the names in a condition mean.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    /// The relation whose rows are chosen, where the statement names it; `None`: columns of any relation count.
    target: Option<Node<'a>>,
    relation: Option<&'a Relation>,
    known: Option<&'a Known<'a>>,
    /// What stands beside it.
    beside: Vec<Node<'a>>,
    /// What the queries read that stand between it and the condition.
    inner: Vec<Node<'a>>,
    /// What has all its rows among those, and whether by the same names.
    copies: Vec<(&'a str, bool)>,
    /// Those of them that stand for the row that is chosen.
    tied: Vec<&'a str>,
}

/// Columns of the relation on which something hangs.
type Columns<'a> = BTreeSet<&'a str>;

// === impl Scope ===

impl<'a> Scope<'a> {
    /// Of the rows that a statement changes.
    pub(super) fn of(change: Node<'a>, known: Option<&'a Known<'a>>) -> Self {
        let target = change.node("relation");
        let lists = ["from_clause", "using_clause"]
            .iter()
            .flat_map(|field| change.list(field));
        let beside = flat(lists.chain(change.node("source_relation")).collect());
        let mut scope = Self {
            target,
            relation: target.and_then(|target| known?.target(target)),
            known,
            ..Self::any()
        };
        scope.copies = scope.copies_in(&beside);
        scope.beside = beside;
        scope
    }

    /// Of the rows of any relation.
    pub(super) fn any() -> Self {
        Self {
            target: None,
            relation: None,
            known: None,
            beside: Vec::new(),
            inner: Vec::new(),
            copies: Vec::new(),
            tied: Vec::new(),
        }
    }

    /// Whether a condition of the statement is true of the rows that hold what it asks for, and of no others. `t.id = o.id AND o.a = 1`
    /// asks that of the rows themselves, where `o` is another name of theirs.
    pub(super) fn selects(&self, condition: Node<'a>) -> bool {
        if self.chooses(condition) {
            return true;
        }
        let tied = self.ties(condition);
        !tied.is_empty() && Self { tied, ..self.clone() }.chooses(condition)
    }

    fn chooses(&self, condition: Node<'a>) -> bool {
        self.reach(condition, true) == Reach::Chosen
    }

    /// The copies a column of which has to be that column of the row.
    fn ties(&self, condition: Node<'a>) -> Vec<&'a str> {
        let parts: Vec<Node<'a>> = match condition.is("BoolExpr") && condition.int("boolop") == AND_EXPR {
            true => condition.list("args").collect(),
            false => vec![condition],
        };
        let ties = |part: &Node<'a>| part.int("kind") == AEXPR_OP && is_equality(&part.names("name"));
        let sides = parts.into_iter().filter(ties).flat_map(|part| {
            let (left, right) = (part.node("lexpr"), part.node("rexpr"));
            [(left, right), (right, left)]
        });
        let tied = sides.filter_map(|(own, other)| {
            let (own, other) = (self.columns(own?), other?);
            let (relation, _) = qualified(other)?;
            (!own.is_empty() && self.is_of_copy(other, &own)).then_some(relation)
        });
        tied.collect()
    }

    /// Of which rows something is `wanted`. What is NULL is neither true nor false.
    fn reach(&self, node: Node<'a>, wanted: bool) -> Reach {
        match node.kind() {
            "CurrentOfExpr" => Reach::Chosen,
            "AConst" => constant(node, wanted),
            "TypeCast" => node.node("arg").map_or(Reach::All, |arg| self.reach(arg, wanted)),
            "BoolExpr" => self.combined(node, wanted),
            "BooleanTest" => self.tested(node, wanted),
            "NullTest" => chosen(node.node("arg").is_some_and(|arg| self.may_be_null(arg))),
            "AExpr" => chosen(self.compares(node)),
            "SubLink" => chosen(self.asks(node)),
            // One of them is what it is.
            "CoalesceExpr" => self.widest(node.list("args"), wanted),
            "CaseExpr" => self.cases(node, wanted),
            _ => chosen(!self.columns(node).is_empty()),
        }
    }

    fn combined(&self, node: Node<'a>, wanted: bool) -> Reach {
        let operator = node.int("boolop");
        if operator == NOT_EXPR {
            return node
                .list("args")
                .next()
                .map_or(Reach::All, |arg| self.reach(arg, !wanted));
        }
        let args = node.list("args");
        if (operator == AND_EXPR) == wanted {
            args.map(|arg| self.reach(arg, wanted)).min().unwrap_or(Reach::All)
        } else {
            self.widest(args, wanted)
        }
    }

    fn widest(&self, parts: impl Iterator<Item = Node<'a>>, wanted: bool) -> Reach {
        parts.map(|part| self.reach(part, wanted)).max().unwrap_or(Reach::All)
    }

    /// `IS NOT TRUE` is true of NULL, too, which what is put together may be of all rows; a column is of some.
    fn tested(&self, node: Node<'a>, wanted: bool) -> Reach {
        let Some(arg) = node.node("arg") else {
            return Reach::All;
        };
        match node.int("booltesttype") {
            IS_TRUE if wanted => self.reach(arg, true),
            IS_FALSE if wanted => self.reach(arg, false),
            IS_TRUE | IS_FALSE | IS_NOT_TRUE | IS_NOT_FALSE => chosen(self.column(arg).is_some()),
            _ => Reach::All,
        }
    }

    /// In each case what it gives has to be what is wanted, and its condition true.
    fn cases(&self, node: Node<'a>, wanted: bool) -> Reach {
        let simple = node.has("arg");
        let cases = node.list("args").map(|when| {
            let part = |field: &str| when.node(field);
            let given = part("result").map_or(Reach::All, |result| self.reach(result, wanted));
            let condition = part("expr").filter(|_| !simple);
            given.min(condition.map_or(Reach::All, |condition| self.reach(condition, true)))
        });
        let otherwise = node.node("defresult");
        let otherwise = otherwise.map_or(Reach::Nothing, |result| self.reach(result, wanted));
        cases.max().unwrap_or(Reach::All).max(otherwise)
    }

    /// Keys and what PostgreSQL keeps of a row itself are NULL in none.
    fn may_be_null(&self, arg: Node<'a>) -> bool {
        self.column(arg).is_some_and(|name| {
            let column = self
                .relation
                .and_then(|relation| Some((relation, relation.column(name)?)));
            !SYSTEM.contains(&name) && column.is_none_or(|(relation, column)| !relation.key.contains(&column.attnum))
        })
    }

    /// Whether a comparison holds columns of the relation against something else.
    fn compares(&self, node: Node<'a>) -> bool {
        let side = |field: &str| node.node(field);
        let (left, right) = (side("lexpr"), side("rexpr"));
        let columns = |side: Option<Node<'a>>| side.map(|side| self.columns(side)).unwrap_or_default();
        let (of_left, of_right) = (columns(left), columns(right));
        let apart = of_left.is_disjoint(&of_right) && !(of_left.is_empty() && of_right.is_empty());
        let equal = is_equality(&node.names("name")) || node.int("kind") == AEXPR_NOT_DISTINCT;
        let twin = |other: Option<Node<'a>>, own: &Columns<'a>| {
            equal && other.is_some_and(|other| self.is_of_copy(other, own))
        };
        apart && !twin(left, &of_right) && !twin(right, &of_left)
    }

    /// Whether something is the same column of the same relation beside it, which has all its rows.
    fn is_of_copy(&self, other: Node<'a>, own: &Columns<'a>) -> bool {
        let Some((relation, column)) = qualified(other) else {
            return false;
        };
        let copies = |(name, alike): &(&str, bool)| *name == relation && (!alike || own.contains(column));
        self.copies.iter().any(copies)
    }

    fn copies_in(&self, items: &[Node<'a>]) -> Vec<(&'a str, bool)> {
        let copies = items.iter().filter_map(|item| {
            let expression = || self.known?.expression(*item);
            let query = item.node("subquery").or_else(expression);
            let copies = query.map_or_else(|| self.is_target(*item), |query| self.gives_all(query));
            copies.then_some((called(*item), query.is_none()))
        });
        copies.collect()
    }

    /// Whether a relation in FROM is the one whose rows are chosen.
    fn is_target(&self, item: Node<'a>) -> bool {
        let target = self.target.filter(|_| item.is("RangeVar"));
        target.is_some_and(|target| target.text("relname") == item.text("relname"))
    }

    /// Whether what a query answers differs from row to row.
    fn asks(&self, link: Node<'a>) -> bool {
        let Some(query) = link.node("subselect") else {
            return false;
        };
        let kind = link.int("sub_link_type");
        let within = self.within(query);
        let hangs = query.node("where_clause").is_some_and(|found| within.chooses(found))
            || query
                .list("from_clause")
                .any(|item| item.is("RangeFunction") && !within.columns(item).is_empty());
        match kind {
            // An aggregate gives a row of nothing, too.
            EXISTS => hangs && !computes_rows(query),
            ANY | ALL => {
                let test = link.node("testexpr").map(|test| self.columns(test)).unwrap_or_default();
                let mut outputs = query.list("target_list").filter(|_| self.known.is_some());
                let itself = outputs.any(|output| !within.columns(output).is_empty());
                hangs || !test.is_empty() && !itself && !self.gives_all(query)
            }
            _ => hangs,
        }
    }

    /// Whether a query gives the rows of the relation itself, all of them.
    fn gives_all(&self, query: Node<'a>) -> bool {
        let some = ["limit_count", "having_clause"].iter().any(|field| query.has(field));
        let condition = query.node("where_clause");
        let some = some || condition.is_some_and(|found| below(found).any(|node| node.is("ColumnRef")));
        !some && below(query).any(|node| self.is_target(node))
    }

    /// Columns of the relation on which a value hangs. A truth has two values, and both may pass: it hangs on none.
    fn columns(&self, node: Node<'a>) -> Columns<'a> {
        match node.kind() {
            "ColumnRef" | "AIndirection" if self.column(node).is_some() => self.column(node).into_iter().collect(),
            "ColumnRef" | "BoolExpr" | "NullTest" | "BooleanTest" => Columns::new(),
            "AExpr" => self.computed(node),
            "SubLink" if [EXISTS, ANY, ALL].contains(&node.int("sub_link_type")) => Columns::new(),
            "SelectStmt" => self.asked(node),
            _ => self.of_all(node),
        }
    }

    /// What a query answers hangs on what chooses its rows, too. Without a catalog a name alone may be one of its own there, and is
    /// none that could be held against itself.
    fn asked(&self, query: Node<'a>) -> Columns<'a> {
        let within = self.within(query);
        let unsure = self.known.is_none() && !within.inner.is_empty();
        let columns = below(query).filter_map(|part| {
            let alone = unsure && part.count("fields") == 1;
            within.column(part).map(|name| if alone { "" } else { name })
        });
        columns.collect()
    }

    fn of_all(&self, node: Node<'a>) -> Columns<'a> {
        let mut all = Columns::new();
        for child in node.children() {
            let mut found = self.columns(child);
            if found.len() > all.len() {
                std::mem::swap(&mut all, &mut found);
            }
            all.extend(found);
        }
        all
    }

    /// What is computed of one column twice may be the same for all rows: `id - id`.
    fn computed(&self, node: Node<'a>) -> Columns<'a> {
        let kind = node.int("kind");
        let names = node.names("name");
        let computes = names.last().is_some_and(|name| COMPUTING.contains(name));
        if kind != AEXPR_NULLIF && !(kind == AEXPR_OP && computes) {
            return Columns::new();
        }
        let side = |field: &str| node.node(field).map(|side| self.columns(side)).unwrap_or_default();
        let (mut more, mut less) = (side("lexpr"), side("rexpr"));
        if less.len() > more.len() {
            std::mem::swap(&mut more, &mut less);
        }
        if less.iter().any(|name| more.contains(name)) {
            return Columns::new();
        }
        more.extend(less);
        more
    }

    /// The column of the relation that something names.
    fn column(&self, node: Node<'a>) -> Option<&'a str> {
        if node.is("AIndirection") {
            let whole = node.node("arg").filter(|arg| arg.is("ColumnRef"))?;
            let own = self.target.map(called);
            let is_own = whole.count("fields") == 1 && whole.names("fields").first().copied() == own;
            return node
                .names("indirection")
                .last()
                .copied()
                .filter(|_| is_own && !self.is_hidden());
        }
        if !node.is("ColumnRef") {
            return None;
        }
        let names = node.names("fields");
        let place = node.count("fields").checked_sub(1)?;
        let name = names.get(place).copied().filter(|name| *name != TABLE)?;
        let relation = place.checked_sub(1).and_then(|at| names.get(at));
        let Some(target) = self.target else {
            return Some(name);
        };
        let own = match relation {
            Some(relation) => self.tied.contains(relation) || *relation == called(target) && !self.is_hidden(),
            None => self.may_own(name, called(target)),
        };
        own.then_some(name)
    }

    /// Whether a name alone is that of a column of the relation. Without a catalog it may be.
    fn may_own(&self, name: &str, target: &str) -> bool {
        let Some(known) = self.known else { return true };
        let alone = self.beside.is_empty() && name != target;
        let holds = |relation: &Relation| SYSTEM.contains(&name) || relation.column(name).is_some();
        let own = self.relation.map_or(alone, |relation| holds(relation) || alone);
        own && self.inner.len() <= MAX_RELATIONS && !self.inner.iter().any(|item| may_hold(*item, name, known))
    }

    /// Whether a query between it and the condition reads something by the relation's name.
    fn is_hidden(&self) -> bool {
        let own = self.target.map(called);
        self.inner.len() > MAX_RELATIONS || self.inner.iter().any(|item| Some(called(*item)) == own)
    }

    /// What names mean in a query below.
    fn within(&self, query: Node<'a>) -> Self {
        let mut scope = self.clone();
        let items = flat(query.list("from_clause").collect());
        scope.copies.extend(self.copies_in(&items));
        scope.inner.extend(items);
        scope
    }
}

fn constant(node: Node<'_>, wanted: bool) -> Reach {
    match node.node("val") {
        _ if node.flag("isnull") => Reach::Nothing,
        Some(value) if value.is("Boolean") && value.flag("boolval") != wanted => Reach::Nothing,
        _ => Reach::All,
    }
}

fn chosen(chooses: bool) -> Reach {
    if chooses { Reach::Chosen } else { Reach::All }
}
