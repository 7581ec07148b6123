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

/// Columns that a walk carries along in one step.
const COLUMNS_A_STEP: usize = 8;

/// Two lists in order, as one.
fn merged(one: &[ColumnId], other: &[ColumnId]) -> Vec<ColumnId> {
    let mut merged = Vec::with_capacity(one.len().saturating_add(other.len()));
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    while let Some(next) = match (one.peek(), other.peek()) {
        (Some(left), Some(right)) if left > right => other.next(),
        (Some(left), Some(right)) => {
            if left == right {
                other.next();
            }
            one.next()
        }
        (Some(_), None) => one.next(),
        (None, _) => other.next(),
    } {
        merged.push(*next);
    }
    merged
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

    /// What it takes to keep it, in steps of a walk.
    pub(super) fn weight(&self) -> usize {
        self.columns.len() / COLUMNS_A_STEP
    }

    /// Lets another value flow in. The result is bare only if the caller says so.
    pub fn join(&mut self, other: &Flow) {
        match other.columns.len() {
            0..COLUMNS_A_STEP => other.columns.iter().for_each(|column| self.add(*column)),
            _ if self.columns == other.columns => {}
            _ => self.columns = merged(&self.columns, &other.columns),
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flow(columns: &[u32]) -> Flow {
        let mut flow = Flow::clean();
        let ids = columns.iter().map(|relation| ColumnId {
            relation: *relation,
            column: 1,
        });
        ids.for_each(|id| flow.add(id));
        flow
    }

    proptest! {
        #[test]
        fn flows_join_as_column_by_column(one in prop::collection::vec(0..40_u32, 0..30), other in prop::collection::vec(0..40_u32, 0..30)) {
            let mut joined = flow(&one);
            joined.join(&flow(&other));
            prop_assert_eq!(joined, flow(&[one, other].concat()));
        }
    }
}
