//! What the names in a condition mean: which of them are columns of the rows that are chosen.

use std::collections::BTreeSet;

use super::Known;
use super::range::{MAX_RELATIONS, MAX_VIEWS, SYSTEM, called, flat, may_hold, narrows, picks, qualified, sides};
use crate::catalog::Relation;
use crate::sql::tree::Node;

/// The one that is the same in all rows of a table.
const TABLE: &str = "tableoid";

/// A column of the rows that are chosen: the relation before its name where columns of any count, and its name.
pub(super) type Column<'a> = (&'a str, &'a str);

/// Columns on which something hangs.
pub(super) type Columns<'a> = BTreeSet<Column<'a>>;

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
    /// Whether a query stands between it and the condition, which may read nothing.
    nested: bool,
}

// === impl Scope ===

impl<'a> Scope<'a> {
    /// Of the rows that a statement changes.
    pub(super) fn of(change: Node<'a>, known: Option<&'a Known<'a>>) -> Self {
        let target = change.node("relation");
        let lists = ["from_clause", "using_clause"]
            .iter()
            .flat_map(|field| change.list(field));
        let beside: Vec<Node<'a>> = lists.chain(change.node("source_relation")).collect();
        let mut scope = Self {
            target,
            relation: target.and_then(|target| known?.target(target)),
            known,
            ..Self::any()
        };
        scope.copies = scope.copies_in(&beside);
        scope.beside = flat(beside);
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
            nested: false,
        }
    }

    /// What names mean in a query below.
    pub(super) fn within(&self, query: Node<'a>) -> Self {
        let mut scope = Self {
            nested: true,
            ..self.clone()
        };
        let items: Vec<Node<'a>> = query.list("from_clause").collect();
        scope.copies.extend(self.copies_in(&items));
        scope.inner.extend(flat(items));
        scope
    }

    /// The same, where some copies stand for the row that is chosen.
    pub(super) fn tied(&self, copies: Vec<&'a str>) -> Self {
        Self {
            tied: copies,
            ..self.clone()
        }
    }

    /// Whether no query stands between the relation and the condition.
    pub(super) fn is_outermost(&self) -> bool {
        !self.nested
    }

    /// Whether the catalog tells whose a name alone is.
    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Whether a name alone may as well be that of a column of a query in between.
    pub(super) fn is_unsure(&self) -> bool {
        !self.is_known() && !self.inner.is_empty()
    }

    /// Whether a column may be NULL. Keys and what PostgreSQL keeps of a row itself are in no row.
    pub(super) fn may_lack(&self, name: &str) -> bool {
        let relation = self.relation;
        let is_key = relation.is_some_and(|relation| {
            let column = relation.column(name);
            column.is_some_and(|column| relation.key.contains(&column.attnum))
        });
        !SYSTEM.contains(&name) && !is_key
    }

    /// The column of the relation that something names.
    pub(super) fn column(&self, node: Node<'a>) -> Option<Column<'a>> {
        if node.is("AIndirection") {
            let whole = node.node("arg").filter(|arg| arg.is("ColumnRef"))?;
            let own = self.target.map(called);
            let is_own = whole.count("fields") == 1 && whole.names("fields").first().copied() == own;
            let name = node.names("indirection").last().copied();
            return name.filter(|_| is_own && !self.is_hidden()).map(|name| ("", name));
        }
        if !node.is("ColumnRef") {
            return None;
        }
        let names = node.names("fields");
        let place = node.count("fields").checked_sub(1)?;
        let name = names.get(place).copied().filter(|name| *name != TABLE)?;
        let before = |steps: usize| place.checked_sub(steps).and_then(|at| names.get(at)).copied();
        let relation = before(1);
        let Some(target) = self.target else {
            return Some((relation.unwrap_or_default(), name));
        };
        let own = match relation {
            Some(relation) if self.tied.contains(&relation) => true,
            Some(relation) => match before(2) {
                Some(schema) => self.is_itself(target, schema, relation),
                None => relation == called(target) && !self.is_hidden(),
            },
            None => self.may_own(name, called(target)),
        };
        own.then_some(("", name))
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

    /// Whether a name with its schema means the relation, by which nothing goes that was given another name.
    fn is_itself(&self, target: Node<'a>, schema: &str, name: &str) -> bool {
        let found = self.known.and_then(|known| known.named(Some(schema), name));
        let same = match (self.relation, found) {
            (Some(own), Some(found)) => own.oid == found.oid,
            _ => target.text("relname") == name && ["", schema].contains(&target.text("schemaname")),
        };
        let hides = |item: &Node<'a>| self.is_target(*item) && !item.has("alias");
        let hidden = self.inner.len() > MAX_RELATIONS || self.inner.iter().any(hides);
        same && !target.has("alias") && !hidden
    }

    /// Whether something is the same column of the same relation beside it, which has all its rows.
    pub(super) fn is_of_copy(&self, other: Node<'a>, own: &Columns<'a>) -> bool {
        let Some((relation, column)) = qualified(other) else {
            return false;
        };
        let copies = |(name, alike): &(&str, bool)| *name == relation && (!*alike || own.contains(&("", column)));
        self.copies.iter().any(copies)
    }

    /// What of a FROM has all rows of the relation. What is joined to something that may lack them has not.
    fn copies_in(&self, items: &[Node<'a>]) -> Vec<(&'a str, bool)> {
        let (mut copies, mut todo) = (Vec::new(), items.to_vec());
        while let Some(item) = todo.pop() {
            if item.is("JoinExpr") {
                todo.extend(sides(item).filter(|_| !narrows(item)));
                continue;
            }
            let (query, named) = (item.node("subquery"), self.called_so(item));
            let mut queries = query.into_iter().chain(named.iter().copied());
            let shown = self.shows_target(item);
            if shown || self.is_target(item) || queries.any(|query| self.may_give_all(query)) {
                copies.push((called(item), query.is_none() && named.is_empty() && !shown));
            }
        }
        copies
    }

    /// Whether a query gives the rows of the relation itself, all of them.
    pub(super) fn gives_all(&self, query: Node<'a>) -> bool {
        let all = || query.list("from_clause").any(|item| self.has_all(item));
        !picks(query) && (sides(query).any(|side| self.gives_all(side)) || all())
    }

    /// Whether that is, for each row, what it holds itself by one of these columns: `parent IN (SELECT id FROM t)` is not.
    pub(super) fn gives_itself(&self, query: Node<'a>, columns: &Columns<'a>) -> bool {
        let renames = |item: Node<'a>| item.node("alias").is_some_and(|alias| alias.has("colnames"));
        let plain = |item: Node<'a>| {
            item.is("RangeVar") && !renames(item) && self.called_so(item).is_empty() && !self.shows_target(item)
        };
        let differs = |output: Node<'a>| {
            let value = output.node("val").filter(|value| value.is("ColumnRef"));
            let place = value.and_then(|value| value.count("fields").checked_sub(1));
            let name = value
                .zip(place)
                .and_then(|(value, place)| value.names("fields").get(place).copied());
            name.is_some_and(|name| !columns.contains(&("", name)))
        };
        let others = query.list("from_clause").all(plain) && query.list("target_list").any(differs);
        self.gives_all(query) && !others
    }

    fn has_all(&self, item: Node<'a>) -> bool {
        match item.kind() {
            "JoinExpr" => !narrows(item) && sides(item).any(|side| self.has_all(side)),
            "RangeSubselect" => item.node("subquery").is_some_and(|query| self.gives_all(query)),
            // An expression of the relation's own name need not be one that is in reach here.
            _ => {
                let expressions = self.called_so(item);
                self.is_target(item)
                    || self.shows_target(item)
                    || expressions.iter().any(|query| self.may_give_all(*query))
            }
        }
    }

    /// The same of a query that a name may lead to again and again: what nobody has looked into may give all.
    fn may_give_all(&self, query: Node<'a>) -> bool {
        !self.known.is_none_or(Known::may_look) || self.gives_all(query)
    }

    /// Queries of the common table expressions that a name in FROM may mean.
    fn called_so(&self, item: Node<'a>) -> &'a [Node<'a>] {
        self.known.map(|known| known.called_so(item)).unwrap_or_default()
    }

    /// Whether a view in FROM shows all rows of the relation, by whatever names.
    fn shows_target(&self, item: Node<'a>) -> bool {
        let Some((known, own)) = self.known.zip(self.relation).filter(|_| item.is("RangeVar")) else {
            return false;
        };
        let view = known.target(item).filter(|_| self.called_so(item).is_empty());
        view.is_some_and(|view| known.shows_all(view, own, MAX_VIEWS))
    }

    /// Whether a relation in FROM is the one whose rows are chosen. One of its name in another schema is not.
    fn is_target(&self, item: Node<'a>) -> bool {
        let Some(target) = self.target.filter(|_| item.is("RangeVar")) else {
            return false;
        };
        let alike = |field: &str| target.text(field) == item.text(field);
        match (self.relation, self.known.and_then(|known| known.target(item))) {
            (Some(own), Some(other)) => own.oid == other.oid,
            _ => alike("relname") && alike("schemaname"),
        }
    }
}
