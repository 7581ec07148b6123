//! What names mean in a session: prepared statements, portals and cursors.
//!
//! PostgreSQL keeps one space of names for statements prepared by Parse and by PREPARE, and one for portals made by Bind
//! and by DECLARE. Changes that a unit asks for are seen by the rest of the unit at once, and become true when the target
//! says that they happened.

mod room;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use sallyport_policy::mask::RowPlan;
use sallyport_policy::sql::{Effect, Script, Statement};

use self::room::Held;
use super::after::After;
use super::catalog::Known;
use super::meant::Meant;
use super::rows::View;
use crate::command::Running;

/// A portal that was bound is executed within so many seconds, or bound again.
const BEGINS_WITHIN: i64 = 60;

/// One statement of a text, with all its readings at hand.
#[derive(Clone, Debug)]
pub struct Stated {
    /// The text as sent.
    pub text: Arc<str>,
    /// What it says.
    pub script: Arc<Script>,
    /// Which of its statements.
    pub index: usize,
}

/// A prepared statement.
#[derive(Debug)]
pub struct Prepared {
    /// Its one statement; `None` for an empty text.
    pub stated: Option<Stated>,
    /// Whether it was made by SQL (PREPARE), not by Parse.
    pub by_sql: bool,
    /// Types that Parse states for its parameters, by OID; 0, or none, where it leaves one to the server. Those that SQL
    /// states stand in its text.
    pub types: Vec<u32>,
    /// What its names meant.
    pub meant: Meant,
}

/// A statement with its parameters, ready to be executed.
pub struct Portal {
    /// How its rows are masked.
    pub view: Rc<View>,
    /// Formats of the result as Bind asked for them.
    pub formats: Vec<i16>,
    /// The statement.
    pub stated: Option<Stated>,
    /// What follows when it ran.
    pub after: After,
    /// Its rows' plan, once they were described.
    pub plan: RefCell<Option<Rc<RowPlan>>>,
    /// The catalog by which that, or how a COPY is masked, hides all that it has to.
    pub planned_by: RefCell<Option<Arc<Known>>>,
    /// What owes its outcome; taken when it is complete.
    pub running: RefCell<Option<Running>>,
    /// Whether a rule runs it read-only, also when it is resumed in a later unit.
    pub read_only: Cell<bool>,
    /// When it was judged.
    pub judged: Moment,
    /// Whether it was let through by an approval, or without one that it needs.
    pub held: Cell<bool>,
    /// Whether it was executed: its rows come to their end as they began.
    pub begun: Cell<bool>,
    /// Whether the target passed over it before it began: it is on record as not run, and is not run any more.
    pub over: Cell<bool>,
    /// Whether its names meant something else by the time that it was bound than what it was judged by.
    pub moved: Cell<bool>,
}

/// Under which rules something is judged, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Their revision.
    pub revision: u64,
    /// In seconds since 1970.
    pub at: i64,
}

/// One change of names.
#[derive(Clone)]
pub enum Change {
    /// A statement was prepared.
    Prepare(String, Rc<Prepared>),
    /// One was forgotten, or all of them.
    Deallocate(Option<String>),
    /// A portal was bound.
    Bind(String, Rc<Portal>),
    /// A portal was closed.
    ClosePortal(String),
    /// A cursor was declared; its rows come from this statement, as it was understood there.
    Declare(String, Stated, Rc<View>),
    /// A cursor was closed, or all of them.
    CloseCursor(Option<String>),
    /// `DISCARD ALL`.
    Discard,
}

/// The names in use, and the changes of the unit that is being judged.
#[derive(Default)]
pub struct Names {
    statements: HashMap<String, Rc<Prepared>>,
    portals: HashMap<String, Rc<Portal>>,
    cursors: HashMap<String, (Stated, Rc<View>)>,
    /// What these names hold.
    held: Held,
    pending: Vec<Change>,
    /// What the pending changes would add.
    wanted: Held,
}

// === impl Portal ===

impl Portal {
    /// One of no statement, of which nothing is known but how its rows are masked; nothing has become of it yet.
    #[must_use]
    pub fn new(view: Rc<View>, judged: Moment) -> Self {
        Self {
            view,
            formats: Vec::new(),
            stated: None,
            after: After::default(),
            plan: RefCell::default(),
            planned_by: RefCell::default(),
            running: RefCell::default(),
            read_only: Cell::new(false),
            judged,
            held: Cell::new(false),
            begun: Cell::new(false),
            over: Cell::new(false),
            moved: Cell::new(false),
        }
    }

    /// Something is sent that runs it, or may.
    pub fn runs(&self) {
        if let Some(running) = self.running.borrow_mut().as_mut() {
            running.bound = false;
        }
    }

    /// What owes its outcome, unless that is paid.
    fn owed(&self) -> Option<Running> {
        self.running.borrow_mut().take()
    }
}

// === impl Stated ===

impl Stated {
    /// The statement, as PostgreSQL reads it by default.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        self.script.statements.get(self.index)
    }

    /// The statement in every way that the text can be read.
    pub fn readings(&self) -> impl Iterator<Item = &Statement> {
        self.script
            .readings()
            .filter_map(|statements| statements.get(self.index))
    }

    /// Whether it does no more than read and write rows, whichever way it is read.
    #[must_use]
    pub fn is_data(&self) -> bool {
        self.readings().all(Statement::is_data)
    }
}

// === impl Moment ===

impl Moment {
    /// Whether what was judged then would be judged so now: by the same rules, which may ask for the time of day and for how long
    /// ago somebody logged in.
    #[must_use]
    pub fn is_as_good_as(self, now: Self) -> bool {
        self.revision == now.revision && now.at.saturating_sub(self.at) <= BEGINS_WITHIN
    }
}

// === impl Names ===

impl Names {
    /// The statement of a name, pending changes included.
    #[must_use]
    pub fn statement(&self, name: &str) -> Option<Rc<Prepared>> {
        for change in self.pending.iter().rev() {
            match change {
                Change::Prepare(known, prepared) if known == name => return Some(Rc::clone(prepared)),
                Change::Deallocate(Some(gone)) if gone == name => return None,
                Change::Deallocate(None) | Change::Discard => return None,
                _ => {}
            }
        }
        self.statements.get(name).cloned()
    }

    /// The portal of a name, pending changes included.
    #[must_use]
    pub fn portal(&self, name: &str) -> Option<Rc<Portal>> {
        for change in self.pending.iter().rev() {
            match change {
                Change::Bind(known, portal) if known == name => return Some(Rc::clone(portal)),
                Change::Declare(taken, ..) if taken == name => return None,
                Change::ClosePortal(gone) | Change::CloseCursor(Some(gone)) if gone == name => return None,
                Change::CloseCursor(None) | Change::Discard => return None,
                _ => {}
            }
        }
        self.portals.get(name).cloned()
    }

    /// The query of a cursor and how its rows are masked, pending changes included.
    #[must_use]
    pub fn cursor(&self, name: &str) -> Option<(Stated, Rc<View>)> {
        for change in self.pending.iter().rev() {
            match change {
                Change::Declare(known, stated, view) if known == name => {
                    return Some((stated.clone(), Rc::clone(view)));
                }
                Change::Bind(known, portal) if known == name => return of_portal(portal),
                Change::ClosePortal(gone) | Change::CloseCursor(Some(gone)) if gone == name => return None,
                Change::CloseCursor(None) | Change::Discard => return None,
                _ => {}
            }
        }
        let portal = || self.portals.get(name).and_then(of_portal);
        self.cursors.get(name).cloned().or_else(portal)
    }

    /// Notes a change that a unit asks for.
    pub fn expect(&mut self, change: Change) {
        self.wanted.add(change.stated());
        self.pending.push(change);
    }

    /// Forgets what a unit asked for: from now on only what happened counts.
    pub fn settle(&mut self) {
        self.pending.clear();
        self.wanted = Held::default();
    }

    /// Open portals, by name.
    pub fn portals(&self) -> impl Iterator<Item = (&str, &Rc<Portal>)> {
        self.portals.iter().map(|(name, portal)| (name.as_str(), portal))
    }

    /// Whether anything has no name: a Query takes that away.
    #[must_use]
    pub fn any_unnamed(&self) -> bool {
        self.statements.contains_key("") || self.portals.contains_key("")
    }

    /// A change happened. Gives what owes outcomes of portals that it took away.
    pub fn apply(&mut self, change: Change) -> Vec<Running> {
        let mut gone: Vec<Rc<Portal>> = Vec::new();
        let all = matches!(
            change,
            Change::Deallocate(None) | Change::CloseCursor(None) | Change::Discard
        );
        self.held.add(change.stated());
        match change {
            Change::Prepare(name, prepared) => {
                self.held.add_types(&prepared);
                let old = self.statements.insert(name, prepared);
                self.held.forget(old.as_ref());
            }
            Change::Deallocate(Some(name)) => {
                let old = self.statements.remove(&name);
                self.held.forget(old.as_ref());
            }
            Change::Deallocate(None) => self.statements.retain(|name, _| name.is_empty()),
            // A savepoint that is rolled back takes portals and cursors of its own away, and no answer says so. Who gets the name
            // after that has the one space to itself.
            Change::Bind(name, portal) => {
                let old = self.cursors.remove(&name);
                self.held.take(old.as_ref().map(|(stated, _)| stated));
                gone.extend(self.portals.insert(name, portal));
            }
            Change::ClosePortal(name) | Change::CloseCursor(Some(name)) => {
                gone.extend(self.portals.remove(&name));
                let old = self.cursors.remove(&name);
                self.held.take(old.as_ref().map(|(stated, _)| stated));
            }
            Change::Declare(name, stated, view) => {
                gone.extend(self.portals.remove(&name));
                let old = self.cursors.insert(name, (stated, view));
                self.held.take(old.as_ref().map(|(stated, _)| stated));
            }
            Change::CloseCursor(None) => {
                let unnamed = self.portals.remove_entry("");
                gone.extend(self.portals.drain().map(|(_, portal)| portal));
                self.portals.extend(unnamed);
                self.cursors.clear();
            }
            Change::Discard => {
                self.statements.clear();
                gone.extend(self.portals.drain().map(|(_, portal)| portal));
                self.cursors.clear();
            }
        }
        if all {
            self.weigh();
        } else {
            gone.iter().for_each(|portal| self.held.take(portal.stated.as_ref()));
        }
        gone.iter().filter_map(|portal| portal.owed()).collect()
    }

    /// A transaction ended: its portals are gone, and its cursors but those that outlive it (WITH HOLD). Each holds the catalog that
    /// it was declared under, and programs that never close them call each by another name. Gives what owes outcomes of portals that
    /// were never run to their end.
    pub fn transaction_ended(&mut self) -> Vec<Running> {
        let outlives = |one: &Statement| matches!(one.effect, Effect::Declare { hold: true, .. });
        self.cursors.retain(|_, (stated, _)| {
            let stays = stated.readings().any(outlives);
            self.held.take(Some(&*stated).filter(|_| !stays));
            stays
        });
        let gone = self.portals.drain().map(|(_, portal)| portal);
        let owed = gone.filter_map(|portal| {
            self.held.take(portal.stated.as_ref());
            portal.owed()
        });
        owed.collect()
    }

    /// What owes outcomes of open portals, where no number says yet which transaction they are part of.
    pub fn unnumbered(&self) -> impl Iterator<Item = RefMut<'_, Running>> {
        self.portals.values().filter_map(|portal| {
            RefMut::filter_map(portal.running.borrow_mut(), |running| {
                running.as_mut().filter(|running| running.transaction.is_none())
            })
            .ok()
        })
    }

    /// The oldest rules by which a portal that was executed may still give rows.
    #[must_use]
    pub fn oldest_begun(&self) -> Option<u64> {
        let begun = |portal: &&Rc<Portal>| portal.begun.get() && portal.running.borrow().is_some();
        self.portals
            .values()
            .filter(begun)
            .map(|portal| portal.judged.revision)
            .min()
    }

    /// A Query string takes the unnamed statement and portal away. Gives what owes the outcome of that.
    pub fn query_ran(&mut self) -> Option<Running> {
        let statement = self.statements.remove("");
        let portal = self.portals.remove("");
        self.held.forget(statement.as_ref());
        self.held.take(portal.as_ref().and_then(|one| one.stated.as_ref()));
        portal?.owed()
    }

    /// The statements that SQL prepared, as the target itself lists them: after code that nobody could see into. Whatever
    /// the target does not list any more, or lists with another text, is no longer what it was.
    pub fn reread(&mut self, listed: Vec<(String, Rc<Prepared>)>) {
        self.statements.retain(|_, prepared| !prepared.by_sql);
        self.statements.extend(listed);
        self.weigh();
    }
}

/// A portal, as a cursor.
fn of_portal(portal: &Rc<Portal>) -> Option<(Stated, Rc<View>)> {
    Some((portal.stated.clone()?, Rc::clone(&portal.view)))
}

#[cfg(test)]
mod tests;
