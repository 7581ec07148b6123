//! How much a session may hold by its names: a statement stays as long as its name does, or a portal of it, and its tree takes
//! many times the bytes of its text.

use super::{Change, Names, Portal, Prepared, Stated};

/// Names that a session may have in use: beyond it, new ones are refused.
const MAX_NAMES: usize = 10_000;
/// What they may hold before one more is refused, in nodes of trees: about a hundred megabytes.
const MAX_WEIGHT: usize = 400_000;
/// A text weighs as much as a node of its tree for so many of its bytes.
const BYTES_OF_A_NODE: usize = 128;

// === impl Stated ===

impl Stated {
    /// What it takes to keep it, in nodes of trees. Whoever keeps one statement of a text keeps all of it.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.script.size() + self.text.len() / BYTES_OF_A_NODE
    }
}

// === impl Prepared ===

impl Prepared {
    pub(super) fn weight(&self) -> usize {
        self.stated.as_ref().map_or(0, Stated::weight)
    }
}

// === impl Portal ===

impl Portal {
    /// A portal keeps its statement, though another may have taken the name of that.
    pub(super) fn weight(&self) -> usize {
        self.stated.as_ref().map_or(0, Stated::weight)
    }
}

// === impl Change ===

impl Change {
    /// Whether another name comes into use by it.
    #[must_use]
    pub fn opens(&self) -> bool {
        matches!(self, Self::Prepare(..) | Self::Bind(..) | Self::Declare(..))
    }

    /// What it adds to what a session holds.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Prepare(_, prepared) => prepared.weight(),
            Self::Bind(_, portal) => portal.weight(),
            Self::Declare(_, stated, _) => stated.weight(),
            _ => 0,
        }
    }
}

// === impl Names ===

impl Names {
    /// Whether another name may come into use. A single statement may weigh what it likes: its text has a limit of its own.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let count = self.statements.len() + self.portals.len() + self.cursors.len() + self.pending.len();
        count < MAX_NAMES && self.weight + self.pending_weight < MAX_WEIGHT
    }

    /// Weighs anew what is held.
    pub(super) fn weigh(&mut self) {
        let statements = self.statements.values().map(|prepared| prepared.weight());
        let portals = self.portals.values().map(|portal| portal.weight());
        let cursors = self.cursors.values().map(|(stated, _)| stated.weight());
        self.weight = statements.chain(portals).chain(cursors).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;

    use super::*;
    use crate::postgres::meant::Meant;

    fn prepared(text: &str) -> Rc<Prepared> {
        let script = Arc::new(sallyport_policy::sql::parse(text).unwrap());
        Rc::new(Prepared {
            stated: Some(Stated {
                text: text.into(),
                script,
                index: 0,
            }),
            by_sql: false,
            types: Vec::new(),
            meant: Meant::default(),
        })
    }

    /// A statement of some hundred thousand nodes.
    fn heavy() -> Rc<Prepared> {
        prepared(&format!("select 1 where 1 in ({}1)", "1, ".repeat(60_000)))
    }

    #[test]
    fn what_is_held_is_bounded_by_what_it_weighs() {
        let (heavy, mut names) = (heavy(), Names::default());
        let name = |n: usize| format!("s{n}");
        let many = (0..100).take_while(|n| {
            let room = names.has_room();
            if room {
                names.apply(Change::Prepare(name(*n), Rc::clone(&heavy)));
            }
            room
        });
        let many = many.count();
        assert!((1..20).contains(&many), "{many}");
        // One in the place of another takes no more room, and one that goes makes room.
        names.apply(Change::Prepare(name(0), prepared("select 1")));
        assert!(names.has_room());
        names.apply(Change::Prepare(name(0), Rc::clone(&heavy)));
        assert!(!names.has_room());
        names.apply(Change::Deallocate(Some(name(0))));
        assert!(names.has_room());
        names.apply(Change::Discard);
        assert_eq!(names.weight, 0);
    }

    #[test]
    fn a_unit_counts_what_it_is_about_to_hold() {
        let (heavy, mut names) = (heavy(), Names::default());
        for _ in 0..20 {
            names.expect(Change::Prepare(String::new(), Rc::clone(&heavy)));
        }
        assert!(!names.has_room());
        names.settle();
        assert!(names.has_room());
    }

    #[test]
    fn a_query_string_makes_room_by_the_unnamed_statement_that_it_takes_away() {
        let mut names = Names::default();
        names.apply(Change::Prepare(String::new(), prepared("select 1")));
        assert!(names.weight > 0);
        names.query_ran();
        assert_eq!(names.weight, 0);
    }
}
