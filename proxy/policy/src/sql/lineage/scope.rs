//! What names mean at one place of a query.

use std::rc::Rc;

use crate::catalog::Oid;

use super::Flow;

/// A column of a row source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: Rc<str>,
    pub(super) flow: Flow,
    pub(super) doubt: Doubt,
}

/// What is not known of a column. Names that no column certainly has may mean one that is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    None,
    /// What it is called.
    Name,
    /// Where it stands: what is before it may be a row.
    Place,
    /// Whether it is one: it may be a row, and its fields stand in its place.
    Width,
}

/// Rows: their columns, and whether there are more that are not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) columns: Vec<Column>,
    /// Set: there may be other columns, into each of which this flows.
    pub(super) open: Option<Flow>,
    /// Where in an output list all of those stand, if the text gives every other column one place.
    pub(super) place: Option<usize>,
}

/// Something in FROM that columns can be qualified with.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// What it is called; `None` where that hangs on more than the tree tells.
    pub(super) alias: Option<Rc<str>>,
    /// The relation, if it was not given an alias: a name with a schema means that, whatever others are called.
    pub(super) relation: Option<Oid>,
    pub(super) rows: Rc<Rows>,
    /// Whether it has system columns (`ctid`, `tableoid`).
    pub(super) stored: bool,
}

/// What FROM, or one item of it, makes visible.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    pub(super) tables: Vec<Table>,
    /// Columns that need no qualification, in the order of `*`.
    pub(super) rows: Rows,
}

/// A level of a query.
#[derive(Default)]
pub(super) struct Scope<'p> {
    pub(super) parent: Option<&'p Scope<'p>>,
    pub(super) item: Item,
    pub(super) ctes: Vec<(Rc<str>, Rows)>,
    pub(super) windows: Vec<(Rc<str>, Flow)>,
}

/// The most columns that a query may have (MaxTupleAttributeNumber): PostgreSQL refuses names of more.
const MAX_COLUMNS: usize = 1_664;
/// System columns. They say where a row is, not what is in it.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

// === impl Column ===

impl Column {
    /// A column whose name is certain.
    pub(super) fn named(name: impl Into<Rc<str>>, flow: Flow) -> Self {
        Self {
            name: name.into(),
            flow,
            doubt: Doubt::None,
        }
    }

    /// A column whose name is not known.
    pub(super) fn unnamed(flow: Flow) -> Self {
        Self {
            doubt: Doubt::Name,
            ..Self::named("", flow)
        }
    }

    /// A column whose name is certain, and which of the columns it is not.
    fn placed(name: &str, flow: Flow) -> Self {
        Self {
            doubt: Doubt::Place,
            ..Self::named(name, flow)
        }
    }

    /// One column of this name, or the fields of a row.
    pub(super) fn row(name: impl Into<Rc<str>>, flow: Flow) -> Self {
        Self {
            doubt: Doubt::Width,
            ..Self::named(name, flow)
        }
    }
}

// === impl Rows ===

impl Rows {
    /// Rows of which nothing is known.
    pub(super) fn lost() -> Self {
        Self::open(Flow::lost())
    }

    /// Rows of these columns and no others.
    pub(super) fn of(columns: Vec<Column>) -> Self {
        Self {
            columns,
            ..Self::default()
        }
    }

    /// Rows of columns that are not known, into each of which this flows.
    pub(super) fn open(flow: Flow) -> Self {
        Self {
            columns: Vec::new(),
            open: Some(flow),
            place: None,
        }
    }

    /// What it takes to keep them, in steps of a walk: one for each column, and for each few that flow into one.
    pub(super) fn weight(&self) -> usize {
        let weights = self.columns.iter().map(|column| 1 + column.flow.weight());
        weights.sum()
    }

    /// Everything that flows into any column.
    pub(super) fn all(&self) -> Flow {
        let mut flow = Flow::clean();
        self.columns.iter().for_each(|column| flow.join(&column.flow));
        if let Some(open) = &self.open {
            flow.join(open);
        }
        flow
    }

    /// Whether a column is certainly called so.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut named = self.columns.iter().filter(|column| &*column.name == name);
        named.any(|column| matches!(column.doubt, Doubt::None | Doubt::Place))
    }

    /// Whether a column is called so that may be the first field of a row, with others behind it.
    pub(super) fn may_be_row(&self, name: &str) -> bool {
        let mut named = self.columns.iter().filter(|column| &*column.name == name);
        named.any(|column| column.doubt >= Doubt::Place)
    }

    /// The column of a name. Of several, all: PostgreSQL refuses an ambiguous name. A name that only what may be a row has from
    /// its alias may be that of a field of another such row.
    pub(super) fn named(&self, name: &str) -> Option<Flow> {
        let mut found = self.columns.iter().filter(|column| &*column.name == name);
        let mut flow = found.next()?.flow.clone();
        let doubtful = self.unnamed().filter(|_| !self.has(name));
        for other in found.map(|column| &column.flow).chain(&doubtful) {
            flow.join(other);
            flow.bare = false;
        }
        Some(flow)
    }

    /// What a name may mean that no column certainly has: the columns that are not known.
    pub(super) fn unnamed(&self) -> Option<Flow> {
        let mut doubtful = self
            .columns
            .iter()
            .filter(|column| column.doubt > Doubt::None)
            .peekable();
        if self.open.is_none() && doubtful.peek().is_none() {
            return None;
        }
        let mut flow = self.open.clone().unwrap_or_default();
        doubtful.for_each(|column| flow.join(&column.flow));
        Some(flow.mixed())
    }

    /// Whether it is not known which place any column has.
    pub(super) fn is_shifted(&self) -> bool {
        self.open.is_some() || self.columns.iter().any(|column| column.doubt >= Doubt::Place)
    }

    /// Whether it is not known which column has this place, counted from 0.
    pub(super) fn is_shifted_at(&self, index: usize) -> bool {
        self.is_shifted() && self.place.is_none_or(|place| place <= index)
    }

    /// Gives the columns other names, from the first on.
    pub(super) fn rename<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        self.place = None;
        let anywhere = self.is_shifted().then(|| self.all());
        for (index, name) in names.take(MAX_COLUMNS).enumerate() {
            match (self.columns.get_mut(index), &anywhere) {
                (Some(column), None) => {
                    column.name = name.into();
                    column.doubt = Doubt::None;
                }
                (Some(column), Some(all)) => *column = Column::placed(name, all.clone()),
                (None, Some(all)) => self.columns.push(Column::placed(name, all.clone())),
                (None, None) => {}
            }
        }
    }

    /// Lets rows of a set operation flow in, by position.
    pub(super) fn join(&mut self, other: &Rows) {
        if self.is_shifted() || other.is_shifted() || self.columns.len() != other.columns.len() {
            let mut all = self.all();
            all.join(&other.all());
            self.columns.iter_mut().for_each(|column| column.flow = all.clone());
            self.open = Some(all);
            self.place = None;
            return;
        }
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            column.flow.join(&other.flow);
            column.flow.bare = false;
        }
    }
}

// === impl Table ===

impl Table {
    /// Whether a column is certainly called so.
    pub(super) fn has(&self, name: &str) -> bool {
        self.is_system_column(name) || self.rows.has(name)
    }

    fn is_system_column(&self, name: &str) -> bool {
        self.stored && SYSTEM_COLUMNS.contains(&name)
    }

    /// What `table.name` is: a column, a system column, or, if neither, `None`.
    pub(super) fn column(&self, name: &str) -> Option<Flow> {
        if let Some(flow) = self.rows.named(name) {
            return Some(flow);
        }
        if self.is_system_column(name) {
            return Some(Flow::clean());
        }
        // A function in disguise works on the whole row.
        self.rows.unnamed().map(|_| self.rows.all())
    }
}

// === impl Item ===

impl Item {
    /// Puts another item beside this one.
    pub(super) fn extend(&mut self, other: Item) {
        self.tables.extend(other.tables);
        self.rows.columns.extend(other.rows.columns);
        if let Some(more) = other.rows.open {
            self.rows.open.get_or_insert_with(Flow::clean).join(&more);
        }
    }

    /// The item of one table.
    pub(super) fn of(table: Table) -> Self {
        let rows = (*table.rows).clone();
        Self {
            tables: vec![table],
            rows,
        }
    }
}

// === impl Scope ===

impl<'p> Scope<'p> {
    /// A level below another.
    pub(super) fn below(parent: &'p Scope<'p>) -> Self {
        Self {
            parent: Some(parent),
            ..Self::default()
        }
    }

    /// What an unqualified name means: a column, or where none is certainly called so, maybe the row of a table.
    pub(super) fn column(&self, name: &str) -> Option<Flow> {
        let mut found = self.column_or_doubt(name)?;
        if !self.has(name)
            && let Some(table) = self.nearest(&|table| table.alias.as_deref() == Some(name))
        {
            found.join(&table.rows.all());
            found = found.mixed();
        }
        Some(found)
    }

    /// What it means as a column.
    fn column_or_doubt(&self, name: &str) -> Option<Flow> {
        let rows = &self.item.rows;
        if rows.has(name) {
            return rows.named(name);
        }
        let outer = self.parent.and_then(|parent| parent.column_or_doubt(name));
        let is_system = || SYSTEM_COLUMNS.contains(&name) && self.item.tables.iter().any(|table| table.stored);
        // A field of a composite type may be called as a system column is, and goes before it in a join.
        let mut own = match rows.unnamed() {
            Some(unnamed) => unnamed,
            None if is_system() => Flow::clean(),
            None => return outer,
        };
        // It may not be there after all; then the name means what it means outside.
        if let Some(outer) = outer {
            own.join(&outer);
        }
        Some(own.mixed())
    }

    /// Whether a column, here or outside, is certainly called so: it goes before any table's row.
    fn has(&self, name: &str) -> bool {
        self.item.rows.has(name) || self.parent.is_some_and(|parent| parent.has(name))
    }

    /// The table that a name without a schema means; `None`, too, where that may be one of which nobody knows what it is called.
    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        let mut own = self.item.tables.iter().rev();
        let found = own.find(|table| table.alias.as_deref() == Some(name));
        let nameless = || self.item.tables.iter().any(|table| table.alias.is_none());
        match self.parent {
            Some(parent) if found.is_none() && !nameless() => parent.table(name),
            _ => found,
        }
    }

    /// The table that is this relation by no other name.
    pub(super) fn relation(&self, oid: Oid) -> Option<&Table> {
        self.nearest(&|table| table.relation == Some(oid))
    }

    fn nearest(&self, is: &dyn Fn(&Table) -> bool) -> Option<&Table> {
        let own = self.item.tables.iter().rev().find(|table| is(table));
        own.or_else(|| self.parent.and_then(|parent| parent.nearest(is)))
    }

    /// The common table expression of a name.
    pub(super) fn cte(&self, name: &str) -> Option<&Rows> {
        let own = self
            .ctes
            .iter()
            .rev()
            .find(|(cte, _)| &**cte == name)
            .map(|(_, rows)| rows);
        own.or_else(|| self.parent.and_then(|parent| parent.cte(name)))
    }

    /// What a named window is ordered and partitioned by.
    pub(super) fn window(&self, name: &str) -> Option<&Flow> {
        self.windows
            .iter()
            .find(|(window, _)| &**window == name)
            .map(|(_, flow)| flow)
    }
}
