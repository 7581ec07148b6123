//! What profile Strict has to know before anything of an answer is told.
//!
//! How many rows come, or whether an error does, tells of values as the rows do, and no mask hides it. So a statement is judged by what
//! its course would tell; and where its names have come to mean something else by the time that the target looked them up, that was
//! another statement.

use std::collections::HashSet;
use std::rc::Rc;

use sallyport_policy::catalog::Oid;
use sallyport_policy::sql::{Statement, Verb};

use super::State;
use super::describe::as_it_holds;
use super::late::LATE;
use crate::postgres::catalog::Known;
use crate::postgres::expect::Expect;
use crate::postgres::names::{Change, Stated};
use crate::postgres::rows::View;

/// Messages that tell something of rows.
const TELLING: [u8; 9] = [b'T', b'H', b'G', b'D', b'd', b'C', b's', b'E', b'N'];
/// Utilities that read rows by names which they look up when they run, and whose end, or whose error, tells of them. What PREPARE prepared
/// may be bound, and is then known by that.
const READS: [Verb; 9] = [
    Verb::CopyFrom,
    Verb::CopyTo,
    Verb::Call,
    Verb::Do,
    Verb::Prepare,
    Verb::Execute,
    Verb::Declare,
    Verb::Fetch,
    Verb::Explain,
];

/// Something of which the next message tells, and that may be something else by now than it was judged as.
pub struct Doubt {
    /// How it was understood.
    pub view: Rc<View>,
    /// What it says.
    pub stated: Stated,
    /// Whether only what is in its rows may be another: what its names mean is certain, or changed by itself.
    named: bool,
    /// Whether it reads what the same unit made of other values than was known.
    unmade: bool,
}

// === impl Doubt ===

impl Doubt {
    /// Whether it is what it was judged as, as far as this catalog tells.
    #[must_use]
    pub fn holds(&self, known: &Known) -> bool {
        let same = || match self.named {
            true => self.view.is_as_protected(known),
            false => Rc::ptr_eq(
                &as_it_holds(&self.view, Some(&self.stated), known, true, false),
                &self.view,
            ),
        };
        !self.unmade && same()
    }

    /// Whether it may have been something else for a moment, whatever it is by now. `defined`: what the unit itself defined.
    #[must_use]
    pub fn was_another(&self, known: &Known, defined: &HashSet<Oid>) -> bool {
        self.unmade || !self.named && !self.view.is_undisturbed(known, defined)
    }
}

// === impl State ===

impl State {
    /// Whether profile Strict has to know more before a message of this type is passed on.
    pub(super) fn doubts(&mut self, tag: u8) -> bool {
        let doubt = self.doubt(tag);
        doubt.is_some_and(|doubt| self.fresh.elapsed() > LATE || !doubt.holds(&self.known))
    }

    /// What a message of this type would tell of, under profile Strict.
    pub fn doubt(&mut self, tag: u8) -> Option<Doubt> {
        if !self.masker.is_strict() {
            return None;
        }
        let (view, stated, settled) = match self.expected.front()? {
            Expect::Query(query) if TELLING.contains(&tag) && !query.failed => {
                let part = query.parts.front()?;
                // What the door itself put there reads nothing.
                if part.own || part.precondition {
                    return None;
                }
                (&part.view, &part.stated, self.told)
            }
            Expect::Bind(Change::Bind(_, portal)) if matches!(tag, b'2' | b'E' | b'N') => {
                (&portal.view, portal.stated.as_ref()?, false)
            }
            Expect::DescribePortal { portal, .. } if matches!(tag, b'T' | b'E' | b'N') => {
                (&portal.view, portal.stated.as_ref()?, false)
            }
            // What its names mean was looked up when it was bound, unless it is a utility.
            Expect::Execute { portal, .. } if TELLING.contains(&tag) => {
                let stated = portal.stated.as_ref()?;
                (&portal.view, stated, self.told || stated.is_data())
            }
            _ => return None,
        };
        let settled = settled || self.pins.iter().any(|pinned| Rc::ptr_eq(pinned, view));
        let reads = |statement: &Statement| statement.is_data() || READS.contains(&statement.verb);
        // Rows come of nothing else.
        let reads = matches!(tag, b'T' | b'H' | b'D' | b'd') || stated.readings().all(reads);
        // What locks or writes rows reads them as they are by now, whatever was settled before.
        let doubted = view.names_relations() && (!settled || view.reads_latest());
        doubted.then(|| Doubt {
            view: Rc::clone(view),
            stated: stated.clone(),
            named: settled || !reads,
            unmade: self.astir && view.reads_unmade(),
        })
    }

    /// Takes note that a message of this type was passed on: what its answer comes from is settled from the first on that tells something
    /// of it.
    pub(super) fn tells(&mut self, tag: u8) {
        let answers = match self.expected.front() {
            Some(Expect::Query(_)) => matches!(tag, b'T' | b'H' | b'G' | b'D' | b'd'),
            // What was described before is described by another message.
            Some(Expect::Execute { .. }) => matches!(tag, b'H' | b'G' | b'D' | b'd'),
            _ => false,
        };
        match tag {
            _ if answers => self.told = true,
            b'C' | b'I' | b's' | b'E' => self.told = false,
            _ => {}
        }
    }

    /// Takes note of what the command that is about to be told complete has defined: that it is another by now is no news.
    pub(super) fn defines(&mut self) {
        let (view, after) = match self.expected.front() {
            Some(Expect::Query(query)) => match query.parts.front() {
                Some(part) => (&part.view, &part.after),
                None => return,
            },
            Some(Expect::Execute { portal, after, .. }) => (&portal.view, &*after),
            _ => return,
        };
        if after.stale.any() && self.masker.is_strict() {
            let written = view.lineages.iter().flat_map(|lineage| &lineage.written);
            self.defined.extend(written);
        }
    }
}
