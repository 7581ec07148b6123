//! How much a session may hold by its names: a statement stays as long as its name does, or a portal of it, and its tree takes
//! many times the bytes of its text.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use sallyport_policy::sql::Script;

use super::{Change, Names, Prepared, Stated};

/// Names that a session may have in use: beyond it, new ones are refused.
const MAX_NAMES: usize = 10_000;
/// What they may hold before one more is refused, in nodes of trees: about a hundred megabytes.
const MAX_WEIGHT: usize = 400_000;
/// A text weighs as much as a node of its tree for so many of its bytes.
const BYTES_OF_A_NODE: usize = 128;

/// Scripts that are held: by whom how often, and what each weighs. Whoever keeps one statement of a text keeps all of it, and
/// its statements, and portals of them, share it.
#[derive(Default)]
pub(super) struct Held {
    scripts: HashMap<*const Script, (usize, usize)>,
    weight: usize,
}

// === impl Stated ===

impl Stated {
    /// What it takes to keep its text and the trees of that, in nodes of trees.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.script.size() + self.text.len() / BYTES_OF_A_NODE
    }
}

// === impl Prepared ===

impl Prepared {
    /// What it takes to keep the types of its parameters, in nodes of trees: a text of a few bytes may come with 65,535 of them.
    fn weight(&self) -> usize {
        size_of_val(self.types.as_slice()) / BYTES_OF_A_NODE
    }
}

// === impl Change ===

impl Change {
    /// Whether another name comes into use by it.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.stated().is_some()
    }

    /// The statement that is held by the name that it makes.
    pub(super) fn stated(&self) -> Option<&Stated> {
        match self {
            Self::Prepare(_, prepared) => prepared.stated.as_ref(),
            Self::Bind(_, portal) => portal.stated.as_ref(),
            Self::Declare(_, stated, _) => Some(stated),
            _ => None,
        }
    }
}

// === impl Held ===

impl Held {
    /// One more holds the script of this statement.
    pub(super) fn add(&mut self, stated: Option<&Stated>) {
        let Some(stated) = stated else { return };
        let (holders, weight) = self.scripts.entry(Arc::as_ptr(&stated.script)).or_default();
        if *holders == 0 {
            *weight = stated.weight();
            self.weight += *weight;
        }
        *holders += 1;
    }

    /// One less holds it.
    pub(super) fn take(&mut self, stated: Option<&Stated>) {
        let Some(script) = stated.map(|stated| Arc::as_ptr(&stated.script)) else {
            return;
        };
        let Some((holders, weight)) = self.scripts.get_mut(&script) else {
            return;
        };
        *holders -= 1;
        if *holders == 0 {
            self.weight -= *weight;
            self.scripts.remove(&script);
        }
    }

    /// A statement was prepared, whose script is held already.
    pub(super) fn add_types(&mut self, prepared: &Prepared) {
        self.weight += prepared.weight();
    }

    /// A prepared statement has no name any more.
    pub(super) fn forget(&mut self, prepared: Option<&Rc<Prepared>>) {
        let Some(prepared) = prepared else { return };
        self.take(prepared.stated.as_ref());
        self.weight -= prepared.weight();
    }
}

// === impl Names ===

impl Names {
    /// Whether another name may come into use. A single text may weigh what it likes: it has a limit of its own.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let count = self.statements.len() + self.portals.len() + self.cursors.len() + self.pending.len();
        count < MAX_NAMES && self.held.weight + self.wanted.weight < MAX_WEIGHT
    }

    /// Weighs anew what is held.
    pub(super) fn weigh(&mut self) {
        self.held = Held::default();
        for prepared in self.statements.values() {
            self.held.add(prepared.stated.as_ref());
            self.held.add_types(prepared);
        }
        for portal in self.portals.values() {
            self.held.add(portal.stated.as_ref());
        }
        for (stated, _) in self.cursors.values() {
            self.held.add(Some(stated));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::meant::Meant;

    /// The statements of a text, prepared.
    fn prepared(text: &str) -> Vec<Rc<Prepared>> {
        let script = Arc::new(sallyport_policy::sql::parse(text).unwrap());
        let one = |index| {
            Rc::new(Prepared {
                stated: Some(Stated {
                    text: text.into(),
                    script: Arc::clone(&script),
                    index,
                }),
                by_sql: false,
                types: Vec::new(),
                meant: Meant::default(),
            })
        };
        (0..script.statements.len()).map(one).collect()
    }

    /// A statement of some ten thousand nodes.
    fn heavy() -> Rc<Prepared> {
        prepared(&format!("select 1 where 1 in ({}1)", "1, ".repeat(20_000))).remove(0)
    }

    fn prepare(names: &mut Names, n: usize, prepared: Rc<Prepared>) {
        names.apply(Change::Prepare(format!("s{n}"), prepared));
    }

    #[test]
    fn types_of_parameters_weigh_as_texts_do() {
        let typed = || {
            Rc::new(Prepared {
                stated: None,
                by_sql: false,
                types: vec![23; 65_535],
                meant: Meant::default(),
            })
        };
        let mut names = Names::default();
        let mut many = 0;
        while names.has_room() {
            prepare(&mut names, many, typed());
            many += 1;
        }
        assert!((100..300).contains(&many), "{many}");
        // In the place of another it weighs no more.
        let full = names.held.weight;
        prepare(&mut names, 0, typed());
        assert_eq!(names.held.weight, full);
        names.apply(Change::Deallocate(Some("s0".to_owned())));
        assert!(names.has_room());
        names.weigh();
        assert_eq!(names.held.weight, full - typed().weight());
        names.apply(Change::Deallocate(None));
        assert_eq!(names.held.weight, 0);
    }

    #[test]
    fn what_is_held_is_bounded_by_what_it_weighs() {
        let mut names = Names::default();
        let mut many = 0;
        while names.has_room() {
            prepare(&mut names, many, heavy());
            many += 1;
            assert!(many < 100);
        }
        // One in the place of another takes no more room, and one that goes makes room.
        prepare(&mut names, 0, prepared("select 1").remove(0));
        assert!(names.has_room());
        prepare(&mut names, 0, heavy());
        assert!(!names.has_room());
        names.apply(Change::Deallocate(Some("s0".to_owned())));
        assert!(names.has_room());
        names.apply(Change::Discard);
        assert_eq!((names.held.weight, names.held.scripts.len()), (0, 0));
    }

    #[test]
    fn what_several_names_share_is_held_once() {
        let mut names = Names::default();
        let text = "select 1 as a, 2 as b; ".repeat(2_000);
        for (n, one) in prepared(&text).into_iter().enumerate() {
            prepare(&mut names, n, one);
        }
        assert!(names.has_room());
        let weight = names.held.weight;
        names.apply(Change::Deallocate(Some("s0".to_owned())));
        assert_eq!(names.held.weight, weight, "the others hold the text");
    }

    #[test]
    fn a_unit_counts_what_it_is_about_to_hold() {
        let mut names = Names::default();
        for _ in 0..100 {
            if names.has_room() {
                names.expect(Change::Prepare(String::new(), heavy()));
            }
        }
        assert!(!names.has_room());
        names.settle();
        assert!(names.has_room());
    }

    #[test]
    fn a_query_string_makes_room_by_the_unnamed_statement_that_it_takes_away() {
        let mut names = Names::default();
        names.apply(Change::Prepare(String::new(), prepared("select 1").remove(0)));
        assert!(names.held.weight > 0);
        names.query_ran();
        assert_eq!(names.held.weight, 0);
    }
}
