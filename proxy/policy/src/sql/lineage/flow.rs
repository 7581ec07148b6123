//! What flows into one value.

use crate::catalog::ColumnId;

/// What flows into one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    columns: Vec<ColumnId>,
    /// Whether it is a stored column as it stands, unchanged on its way.
    pub bare: bool,
    /// Whether it is such a column cast to text and nothing else.
    pub as_text: bool,
    /// Whether something else flows in that cannot be known: what code answered that nobody can see into.
    pub unknown: bool,
    /// Whether the walk lost the thread: a name that it could not follow may mean any value that the statement reaches.
    pub(super) lost: bool,
    /// Whether values of any column of the database may flow in: statistics of the planner.
    pub any: bool,
}

// === impl Flow ===

impl Flow {
    /// Nothing flows in.
    pub fn clean() -> Self {
        Self::default()
    }

    /// It is not known what flows in.
    pub fn unknown() -> Self {
        Self {
            unknown: true,
            ..Self::default()
        }
    }

    /// The walk lost the thread. What may flow in is filled in when all that the statement reaches is known.
    pub(super) fn lost() -> Self {
        Self {
            lost: true,
            ..Self::unknown()
        }
    }

    /// A stored column as it stands.
    pub fn column(id: ColumnId) -> Self {
        Self {
            columns: vec![id],
            bare: true,
            ..Self::default()
        }
    }

    /// The columns, in order of relation and number.
    pub fn columns(&self) -> &[ColumnId] {
        &self.columns
    }

    /// Whether nothing flows in.
    pub fn is_clean(&self) -> bool {
        self.columns.is_empty() && !self.unknown && !self.any && !self.lost
    }

    /// Whether it is a stored column as it stands, and nothing else may flow in.
    pub(super) fn is_stored(&self) -> bool {
        self.bare && !self.unknown && !self.any && !self.lost
    }

    /// Adds a column; whether the value stands bare does not change.
    pub fn add(&mut self, id: ColumnId) {
        if let Err(at) = self.columns.binary_search(&id) {
            self.columns.insert(at, id);
        }
    }

    /// Lets another value flow in. The result is bare only if the caller says so.
    pub fn join(&mut self, other: &Flow) {
        other.columns.iter().for_each(|column| self.add(*column));
        self.unknown |= other.unknown;
        self.any |= other.any;
        self.lost |= other.lost;
    }

    /// The same values in an expression: no longer bare.
    #[must_use]
    pub fn mixed(mut self) -> Self {
        self.bare = false;
        self.as_text = false;
        self
    }
}
