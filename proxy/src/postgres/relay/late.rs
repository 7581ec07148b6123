//! What comes so long after the catalog was read that the target may have looked names up in another.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Awaiting, State};
use crate::postgres::catalog::{Footprint, Known};
use crate::postgres::expect::Expect;
use crate::postgres::names::{Change, Stated};
use crate::postgres::rows::View;

/// A description that comes so long after the catalog was read may be of another definition: the target may have waited for
/// a lock, the door for its evidence. Reading the catalog again then costs little beside it; what is answered at once pays
/// nothing.
pub(super) const LATE: Duration = Duration::from_millis(5);

// === impl State ===

impl State {
    /// Whether the catalog has to be read again before a message of this type is passed on, and for what.
    pub(super) fn awaits(&mut self, tag: u8) -> Option<Awaiting> {
        // For this very message it was.
        if std::mem::take(&mut self.looked) {
            return None;
        }
        let (late, awaiting) = match tag {
            b'T' | b'H' => (self.is_late() || self.is_stirred(), Awaiting::Plan),
            b'2' => (self.is_late(), Awaiting::Plan),
            b'C' => (self.copies_late() || self.declares_late(), Awaiting::Plan),
            b'D' | b'd' => (self.reads_late(), Awaiting::Plan),
            b'G' | b's' => (false, Awaiting::Plan),
            b'N' => (self.is_late(), Awaiting::Notice),
            b'E' => (self.is_late() || self.is_stirred(), Awaiting::Error),
            _ => return None,
        };
        let kept_back = self.muted && awaiting != Awaiting::Plan;
        (!kept_back && (late || self.doubts(tag))).then_some(awaiting)
    }

    /// Whether what is about to be described may have been looked up long after the catalog was read.
    fn is_late(&mut self) -> bool {
        let names = self.view().is_some_and(|view| view.names_relations());
        names && self.masker.acts() && self.fresh.elapsed() > LATE
    }

    /// The same for what is about to be told complete, where it copied values: they may be others than those that protection went
    /// on with.
    fn copies_late(&mut self) -> bool {
        (self.astir || self.was_late || self.fresh.elapsed() > LATE) && self.copied().is_some()
    }

    /// Whether what is about to be described stands behind a statement of the same unit that copied other values than was known: it may read
    /// them, and comes at once.
    fn is_stirred(&mut self) -> bool {
        self.astir && self.masker.acts() && self.view().is_some_and(|view| view.names_relations())
    }

    /// The same for a cursor: what its names mean was settled when it was opened, and is asked for no more where its rows are fetched.
    fn declares_late(&mut self) -> bool {
        (self.astir || self.fresh.elapsed() > LATE) && self.masker.acts() && self.declared().is_some()
    }

    /// How the rows of the cursor are understood that is about to be told open.
    fn declared(&mut self) -> Option<&mut Rc<View>> {
        let change = match self.expected.front()? {
            Expect::Query(query) => query.parts.front_mut()?.change.as_mut()?,
            Expect::Execute { change, .. } => change.as_mut()?,
            _ => return None,
        };
        match change {
            Change::Declare(.., view) => Some(view),
            _ => None,
        }
    }

    /// Takes note that a cursor was opened: nobody knows which value is which in its rows where its names meant something else by then. A
    /// trigger, a rule or a CHECK that a table got meanwhile is nothing to what reads it.
    pub(super) fn opened(&mut self) {
        let known = Arc::clone(&self.known);
        let moved = self.declared().filter(|view| !view.masks_alike(&known, || false));
        let moved = moved.map(|view| *view = Rc::new(view.lost()));
        self.astir |= moved.is_some();
    }

    /// The same for a row of what writes or locks rows: such a one waits for others who write them, and reads what they wrote.
    fn reads_late(&mut self) -> bool {
        self.fresh.elapsed() > LATE && self.masker.acts() && self.view().is_some_and(|view| view.reads_latest())
    }

    /// Whether the plan of the rows that are on their way, of what reads them as they are by now, still hides all that it has to.
    pub(super) fn hides_enough(&mut self) -> bool {
        let known = Arc::clone(&self.known);
        let hides = |view: &View, planned_by: &mut Option<Arc<Known>>| {
            let Some(by) = planned_by.replace(Arc::clone(&known)) else {
                return true;
            };
            // By a catalog in which more was protected, all of them were hidden.
            Arc::ptr_eq(&by, &known) || !view.is_as_protected(&by) || view.is_as_protected(&known)
        };
        match self.expected.front() {
            Some(Expect::Query(query)) => match query.parts.front() {
                Some(part) if part.view.reads_latest() => hides(&part.view, &mut query.planned_by),
                _ => true,
            },
            Some(Expect::Execute { portal, .. }) if portal.view.reads_latest() => {
                hides(&portal.view, &mut portal.planned_by.borrow_mut())
            }
            _ => true,
        }
    }

    /// By what catalog that is understood which is about to be described late, and what its meaning hangs on, and that of all that is to
    /// be answered behind it: what is described at once then is not looked at again.
    pub fn late(&mut self) -> Option<(Arc<Known>, Vec<Arc<Footprint>>)> {
        let view = self.view().filter(|_| self.is_late())?;
        let mut footprints = vec![view.known_footprint()?];
        let is_told = |owed: &Rc<View>| {
            let footprint = owed.known_footprint().filter(|_| Arc::ptr_eq(&owed.known, &view.known));
            footprint.is_some_and(|one| one.added_to(&mut footprints))
        };
        let told = self.expected.views().all(is_told);
        told.then(|| (Arc::clone(&view.known), footprints))
    }

    /// The command that is under way, if it copies values: how it was understood, and what it says.
    pub fn copied(&mut self) -> Option<(Rc<View>, Stated)> {
        let (view, stated) = match self.expected.front()? {
            Expect::Query(query) => {
                let part = query.parts.front()?;
                (&part.view, &part.stated)
            }
            Expect::Execute { portal, .. } => (&portal.view, portal.stated.as_ref()?),
            _ => return None,
        };
        view.copies().then(|| (Rc::clone(view), stated.clone()))
    }
}
