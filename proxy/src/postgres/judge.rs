//! Understanding what a client sent: which commands a unit is, what the rules have to know of each, how its answers are
//! masked.
//!
//! Nothing here decides, waits or sends. [`understand`] makes one [`Understood`] of one statement with its parameters;
//! [`query`] and [`pipeline`] make of a unit the list of commands that are decided and the list of messages to forward.

mod hazard;
mod kept;
mod losing;
mod named;
mod nameless;
mod parameters;
mod pipeline;
mod query;
mod remembered;
mod sent;
mod strict;
mod types;
mod understand;
mod unfold;
mod values;

use std::rc::Rc;
use std::sync::Arc;

use sallyport_policy::Policy;
use sallyport_policy::Subject;
use sallyport_policy::catalog::SearchPath;
use sallyport_policy::guard::Guard;
use sallyport_policy::mask::Masker;
use sallyport_policy::sql::Transaction;

use super::after::After;
use super::catalog::{Footprint, Known};
use super::errors::Said;
use super::frame::Head;
use super::names::{Change, Moment, Names, Portal, Stated};
use super::rows::View;
use crate::command::Asked;

pub use pipeline::{misencoded, misread, pipeline};
pub use query::query;
pub use sent::{Sent, sent};
pub use types::any_of_users;
pub use understand::{Understood, understand, understand_alone};

/// By what a unit is understood.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// The person.
    pub subject: &'a Subject,
    /// The person's masker.
    pub masker: &'a Arc<Masker>,
    /// The catalog.
    pub known: &'a Arc<Known>,
    /// How unqualified names are looked up; `None` where it is not known.
    pub path: Option<&'a SearchPath>,
    /// The database.
    pub database: &'a str,
    /// The door's own role there.
    pub role: &'a str,
    /// Whether code ran since the target last said its settings that may have changed how it reads text.
    pub unsettled: bool,
    /// Whether a transaction is open.
    pub in_transaction: bool,
    /// Whether one is that somebody opened in so many words, as far as the target has said.
    pub opened: bool,
    /// The moment, in seconds since 1970.
    pub at: i64,
    /// Whether the catalog is what all sessions see, so that what is understood by it serves others.
    pub shared: bool,
    /// Whether it holds what the open transaction made or changed, which may be taken back.
    pub uncommitted: bool,
}

impl Context<'_> {
    /// Under which rules something is judged by it, and when.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment {
            revision: self.policy.revision(),
            at: self.at,
        }
    }

    /// By what masking rules refuse.
    fn guard(&self) -> Guard<'_> {
        Guard {
            policy: self.policy,
            subject: self.subject,
            masker: self.masker,
            catalog: &*self.known.snapshot,
            protected: &self.known.protected,
        }
    }
}

/// A unit, understood.
#[derive(Default)]
pub struct Plan {
    /// Its commands, in order.
    pub asked: Vec<Asked>,
    /// Its messages, in order. A Query string is one.
    pub steps: Vec<Step>,
}

impl Plan {
    /// What the meaning of the unit hangs on, where that is less than the whole catalog, by which it was understood.
    #[must_use]
    pub fn footprints(&self, known: &Arc<Known>) -> Vec<Arc<Footprint>> {
        let of = |view: &View, stated: &Stated, after: &After| {
            let shared = Arc::ptr_eq(&view.known, known);
            shared.then(|| view.footprint(stated, after)).flatten()
        };
        let is_bound = |parsed: &Stated| {
            let mut bound = self.steps.iter().filter_map(|step| step.act.bound());
            bound.any(|stated| Arc::ptr_eq(&stated.script, &parsed.script) && stated.index == parsed.index)
        };
        let mut found = Vec::new();
        for step in &self.steps {
            let whole = match &step.act {
                Act::Query(parts) => parts.iter().all(|part| {
                    let footprint = of(&part.view, &part.stated, &part.after);
                    footprint.is_some_and(|one| one.added_to(&mut found))
                }),
                Act::Bind(_, portal) => {
                    let stated = portal.stated.as_ref();
                    let footprint = stated.and_then(|stated| of(&portal.view, stated, &portal.after));
                    footprint.is_some_and(|one| one.added_to(&mut found))
                }
                // What is parsed and not bound has been judged, too.
                Act::Parse {
                    change: Change::Prepare(_, prepared),
                    ..
                } => prepared.stated.as_ref().is_none_or(is_bound),
                _ => true,
            };
            if !whole {
                return Vec::new();
            }
        }
        found
    }

    /// Whether any of its first commands opens a transaction in so many words.
    #[must_use]
    pub fn opens(&self, commands: usize) -> bool {
        let begins = |after: &After| matches!(after.transaction, Some(Transaction::Begin));
        let before = |step: &&Step| step.command.is_none_or(|command| command < commands);
        self.steps.iter().take_while(before).any(|step| match &step.act {
            Act::Query(parts) => parts.iter().take(commands).any(|part| begins(&part.after)),
            Act::Execute { after, .. } => begins(after),
            _ => false,
        })
    }

    /// How its commands are understood.
    pub fn views(&self) -> impl Iterator<Item = &Rc<View>> {
        self.steps.iter().flat_map(|step| {
            let (parts, bound) = match &step.act {
                Act::Query(parts) => (parts.as_slice(), None),
                Act::Bind(_, portal) => (&[][..], Some(&portal.view)),
                _ => (&[][..], None),
            };
            parts.iter().map(|part| &part.view).chain(bound)
        })
    }
}

/// One message of a unit.
pub struct Step {
    /// Where it stands.
    pub head: Head,
    /// Index of the command whose refusal begins with this message.
    pub command: Option<usize>,
    /// What it does.
    pub act: Act,
}

/// What a message does.
pub enum Act {
    /// Query.
    Query(Vec<Understood>),
    /// Parse.
    Parse {
        /// The statement that it prepares.
        change: Change,
        /// Whether a rule wants it read-only, and code that nobody sees into may run as it is parsed.
        guarded: bool,
        /// How words about it are masked, where such code stands in it.
        view: Option<Rc<View>>,
        /// Where it is a command itself, since it runs code of a type that it names: how its answer is masked, and what follows.
        runs: Option<(Rc<View>, After)>,
    },
    /// Bind; the command.
    Bind(String, Rc<Portal>),
    /// Describe of a statement.
    DescribeStatement(Rc<View>),
    /// Describe of a portal.
    DescribePortal(Rc<Portal>),
    /// Execute.
    Execute {
        /// The portal.
        portal: Rc<Portal>,
        /// Whether its rows have to be described first, for the door itself.
        describe: Option<String>,
        /// What follows when it ran.
        after: After,
        /// Names that it changes.
        change: Option<Change>,
    },
    /// Close.
    Close(Change),
    /// Sync.
    Sync,
    /// Flush.
    Flush,
    /// Fails, as it would at the target: a text that does not parse, a name that does not exist.
    Fail(Box<Said>),
}

impl Act {
    /// The statement that a Bind opens a portal of.
    fn bound(&self) -> Option<&Stated> {
        match self {
            Self::Bind(_, portal) => portal.stated.as_ref(),
            _ => None,
        }
    }
}
