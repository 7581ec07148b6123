//! Of which rows of a relation a condition may be true.
//!
//! It is decided by what the condition hangs on, never by what values there are: `id > 0` chooses rows though all may pass. What
//! is not understood is taken to be true of all.

use super::range::{EXCEPT, INTERSECT, UNION, below, computes_rows, conditions, qualified, sides};
use super::scope::{Columns, Scope};
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
const ARRAY: i64 = 7;

/// Operators whose result is no truth, so that it can be compared with what it is to be.
const COMPUTING: [&str; 20] = [
    "+", "-", "*", "/", "%", "^", "@", "||", "&", "|", "#", "->", "->>", "#>", "#>>", "#-", "<->", "<#>", "<=>", "<+>",
];

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

// === impl Scope ===

impl<'a> Scope<'a> {
    /// Whether a condition of the statement is true of the rows that hold what it asks for, and of no others. `t.id = o.id AND o.a = 1`
    /// asks that of the rows themselves, where `o` is another name of theirs.
    pub(super) fn selects(&self, condition: Node<'a>) -> bool {
        if self.chooses(condition) {
            return true;
        }
        let tied = self.ties(condition);
        !tied.is_empty() && self.tied(tied).chooses(condition)
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

    /// `IS NOT TRUE` is true of NULL, too, which what is put together may be of all rows; what is computed of columns is of some.
    fn tested(&self, node: Node<'a>, wanted: bool) -> Reach {
        let Some(arg) = node.node("arg") else {
            return Reach::All;
        };
        match node.int("booltesttype") {
            IS_TRUE if wanted => self.reach(arg, true),
            IS_FALSE if wanted => self.reach(arg, false),
            IS_TRUE | IS_FALSE | IS_NOT_TRUE | IS_NOT_FALSE => chosen(!self.columns(arg).is_empty()),
            _ => chosen(self.may_be_null(arg)),
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

    /// Whether a value is NULL in some rows by what it is computed of. Truths are left out, which are NULL as nobody expects.
    fn may_be_null(&self, value: Node<'a>) -> bool {
        if let Some((_, name)) = self.column(value) {
            return self.may_lack(name);
        }
        let part = |field: &str| value.node(field).is_some_and(|part| self.may_be_null(part));
        let mut args = value.list("args");
        match value.kind() {
            "TypeCast" | "CollateClause" | "AIndirection" => part("arg"),
            "AExpr" => computes(value) && (part("lexpr") || part("rexpr")),
            "FuncCall" | "MinMaxExpr" | "RowExpr" => args.any(|arg| self.may_be_null(arg)),
            "CoalesceExpr" => args.all(|arg| self.may_be_null(arg)),
            "SubLink" => !is_truth(value) && self.asks(value),
            _ => false,
        }
    }

    /// Whether a comparison holds columns of the relation against something else. What a function makes of them is something else:
    /// `email <> lower(email)`.
    fn compares(&self, node: Node<'a>) -> bool {
        let (left, right) = (node.node("lexpr"), node.node("rexpr"));
        let columns = |side: Option<Node<'a>>| side.map(|side| self.columns(side)).unwrap_or_default();
        let (of_left, of_right) = (columns(left), columns(right));
        let makes = |node: Node<'a>| node.is("FuncCall") && !self.columns(node).is_empty();
        let made = |side: Option<Node<'a>>| side.is_some_and(|side| below(side).any(makes));
        let apart = of_left != of_right || !of_left.is_empty() && made(left) != made(right);
        let equal = is_equality(&node.names("name")) || node.int("kind") == AEXPR_NOT_DISTINCT;
        let twin = |other: Option<Node<'a>>, own: &Columns<'a>| {
            equal && other.is_some_and(|other| self.is_of_copy(other, own))
        };
        let gives = |side: Option<Node<'a>>, own: &Columns<'a>| {
            let list = side.filter(|side| side.is("SubLink") && side.int("sub_link_type") == ARRAY);
            let query = list.and_then(|list| list.node("subselect"));
            query.is_some_and(|query| !self.hangs(query) && self.gives_itself(query, own))
        };
        apart && !twin(left, &of_right) && !twin(right, &of_left) && !gives(right, &of_left)
    }

    /// Whether what a query answers differs from row to row.
    fn asks(&self, link: Node<'a>) -> bool {
        let Some(query) = link.node("subselect") else {
            return false;
        };
        let kind = link.int("sub_link_type");
        let hangs = self.hangs(query);
        match kind {
            // An aggregate gives a row of nothing, too.
            EXISTS => hangs && !computes_rows(query),
            ANY | ALL => {
                let test = link.node("testexpr").map(|test| self.columns(test)).unwrap_or_default();
                let within = self.within(query);
                let mut outputs = query.list("target_list").filter(|_| self.is_known());
                let itself = outputs.any(|output| !within.columns(output).is_empty());
                hangs || !test.is_empty() && !itself && !self.gives_itself(query, &test)
            }
            _ => hangs,
        }
    }

    /// Whether which rows a query has hangs on columns of the relation.
    fn hangs(&self, query: Node<'a>) -> bool {
        let mut parts = sides(query).map(|side| self.hangs(side));
        match query.int("op") {
            UNION => return parts.all(|hangs| hangs),
            INTERSECT => return parts.any(|hangs| hangs),
            EXCEPT => return parts.next().unwrap_or(false),
            _ => {}
        }
        let within = self.within(query);
        // Of queries within that, each would be asked twice as often as the one around it.
        let selects = |condition: Node<'a>| match self.is_outermost() {
            true => within.selects(condition),
            false => within.chooses(condition),
        };
        conditions(query).into_iter().any(selects)
            || query.list("from_clause").any(|item| match item.kind() {
                "RangeFunction" => !within.columns(item).is_empty(),
                "RangeSubselect" => item.node("subquery").is_some_and(|query| within.hangs(query)),
                _ => false,
            })
    }

    /// Columns of the relation on which a value hangs. A truth has two values, and both may pass: it hangs on none.
    fn columns(&self, node: Node<'a>) -> Columns<'a> {
        match node.kind() {
            "ColumnRef" | "AIndirection" if self.column(node).is_some() => self.column(node).into_iter().collect(),
            "ColumnRef" | "BoolExpr" | "NullTest" | "BooleanTest" => Columns::new(),
            "AExpr" => self.computed(node),
            "SubLink" if is_truth(node) => Columns::new(),
            "SelectStmt" => self.asked(node),
            _ => self.of_all(node),
        }
    }

    /// What a query answers hangs on what chooses its rows, too. Without a catalog a name alone may be one of its own there, and is
    /// none that could be held against itself.
    fn asked(&self, query: Node<'a>) -> Columns<'a> {
        let within = self.within(query);
        let unsure = within.is_unsure();
        let columns = below(query).filter_map(|part| {
            let alone = unsure && part.count("fields") == 1;
            within.column(part).map(|column| if alone { ("", "") } else { column })
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
        if !computes(node) {
            return Columns::new();
        }
        let side = |field: &str| node.node(field).map(|side| self.columns(side)).unwrap_or_default();
        let (mut more, mut less) = (side("lexpr"), side("rexpr"));
        if less.len() > more.len() {
            std::mem::swap(&mut more, &mut less);
        }
        if less.iter().any(|column| more.contains(column)) {
            return Columns::new();
        }
        more.extend(less);
        more
    }
}

fn constant(node: Node<'_>, wanted: bool) -> Reach {
    match node.node("val") {
        _ if node.flag("isnull") => Reach::Nothing,
        Some(value) if value.is("Boolean") && value.flag("boolval") != wanted => Reach::Nothing,
        _ => Reach::All,
    }
}

/// Whether an operation gives something else than a truth.
fn computes(operation: Node<'_>) -> bool {
    let names = operation.names("name");
    match operation.int("kind") {
        AEXPR_NULLIF => true,
        AEXPR_OP => names.last().is_some_and(|name| COMPUTING.contains(name)),
        _ => false,
    }
}

/// Whether a query is asked for a truth, which has two values.
fn is_truth(link: Node<'_>) -> bool {
    [EXISTS, ANY, ALL].contains(&link.int("sub_link_type"))
}

fn chosen(chooses: bool) -> Reach {
    if chooses { Reach::Chosen } else { Reach::All }
}
