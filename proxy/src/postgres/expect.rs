//! What the target still owes: one entry for each message that was forwarded and is answered, in order.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use sallyport_policy::mask::RowPlan;

use super::after::After;
use super::ask::Answer;
use super::catalog::Known;
use super::errors::Said;
use super::names::{Change, Portal, Stated};
use super::rows::View;
use crate::command::Running;

/// One statement of a Query string.
pub struct Part {
    /// What owes its outcome.
    pub running: Option<Running>,
    /// How its answer is masked.
    pub view: Rc<View>,
    /// The statement.
    pub stated: Stated,
    /// What follows when it ran.
    pub after: After,
    /// Names that it changes.
    pub change: Option<Change>,
    /// Whether it is the door's own: then the client does not see the answer.
    pub own: bool,
    /// Whether it is what has to hold for the rest to run.
    pub precondition: bool,
}

/// A Query string under way.
#[derive(Default)]
pub struct Query {
    /// Its statements that have not answered yet.
    pub parts: VecDeque<Part>,
    /// The plan for the rows of the first of them, once they were described.
    pub plan: Option<Rc<RowPlan>>,
    /// The catalog by which that, or how a COPY is masked, hides all that it has to.
    pub planned_by: Option<Arc<Known>>,
    /// Whether it failed: nothing but ReadyForQuery follows.
    pub failed: bool,
    /// What the door put into the text; see [`unshifted`](super::readonly::unshifted).
    pub shifts: Vec<(usize, usize)>,
}

/// An answer that is awaited.
pub enum Expect {
    /// To a Query string; ends with ReadyForQuery.
    Query(Query),
    /// ParseComplete; how words about it are masked, where code that nobody can see into may choose them; what owes the outcome, and
    /// what follows, where to parse it is a command.
    Parse(Change, Option<Rc<View>>, Option<(Running, After)>),
    /// BindComplete.
    Bind(Change),
    /// CloseComplete.
    Close(Change),
    /// ParameterDescription, then RowDescription or NoData.
    DescribeStatement {
        /// How names of columns are masked.
        view: Rc<View>,
        /// Whether the parameters were described.
        parameters: bool,
    },
    /// RowDescription or NoData.
    DescribePortal {
        /// The portal.
        portal: Rc<Portal>,
        /// Whether the door asked for it itself: then the client does not see the answer.
        own: bool,
    },
    /// Rows and their end.
    Execute {
        /// The portal.
        portal: Rc<Portal>,
        /// What follows when it ran.
        after: After,
        /// Names that it changes.
        change: Option<Change>,
    },
    /// An error that was provoked, and what is said in its place.
    Refusal {
        /// What.
        said: Box<Said>,
        /// The SQLSTATE that the target gives.
        code: &'static str,
        /// Whether it is a Query of its own, which ReadyForQuery follows.
        query: bool,
        /// Whether the error has come.
        met: bool,
    },
    /// The answer to a message of the door's own within a pipeline, by its type. The client does not see it.
    Quiet(u8),
    /// ParseComplete for a command that is pinned before it runs, which the client does not see. An error is the command's own.
    Pin {
        /// How words about it are masked.
        view: Rc<View>,
        /// The statement.
        stated: Stated,
        /// Which command of its unit it is.
        command: usize,
    },
    /// CloseComplete in front of what goes on with something begun. An error that comes instead is about what was begun.
    GoesOn,
    /// As [`Expect::Quiet`], to a message of the unit's precondition.
    Precondition(u8),
    /// ReadyForQuery, for a Sync.
    Sync,
    /// The answer to a question of the door's own, which the client does not see.
    Own(Answer),
}

/// What the target owes, in order.
#[derive(Default)]
pub struct Expected {
    queue: VecDeque<Expect>,
}

// === impl Part ===

impl Part {
    /// Whether a rule wants it run read-only, and that makes a difference.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.read_only) && super::readonly::runs_code(&self.stated)
    }
}

// === impl Expect ===

impl Expect {
    /// What owes the outcomes of commands that will not be answered.
    #[must_use]
    pub fn into_running(self) -> Vec<Running> {
        match self {
            Self::Query(query) => query.parts.into_iter().filter_map(|part| part.running).collect(),
            Self::Parse(_, _, ran) => ran.into_iter().map(|(running, _)| running).collect(),
            Self::Bind(Change::Bind(_, portal)) | Self::Execute { portal, .. } => {
                portal.running.borrow_mut().take().into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

// === impl Query ===

impl Query {
    /// A Query string that was just sent.
    #[must_use]
    pub fn new(parts: impl Into<VecDeque<Part>>) -> Self {
        Self {
            parts: parts.into(),
            ..Self::default()
        }
    }
}

// === impl Expected ===

impl Expected {
    /// Something more is owed.
    pub fn push(&mut self, expect: Expect) {
        self.queue.push_back(expect);
    }

    /// What is owed next.
    pub fn front(&mut self) -> Option<&mut Expect> {
        self.queue.front_mut()
    }

    /// It came.
    pub fn pop(&mut self) -> Option<Expect> {
        self.queue.pop_front()
    }

    /// Whether this message answers one of the door's own beside the client's; then it is paid.
    pub fn take_quiet(&mut self, tag: u8) -> bool {
        let quiet = match self.queue.front() {
            Some(Expect::Quiet(awaited) | Expect::Precondition(awaited)) => *awaited == tag,
            Some(Expect::Pin { .. }) => tag == b'1',
            Some(Expect::GoesOn) => tag == b'3',
            _ => false,
        };
        if quiet {
            self.queue.pop_front();
        }
        quiet
    }

    /// Takes out what is left of a precondition, which failed.
    pub fn drop_precondition(&mut self) {
        self.queue.retain(|expect| !matches!(expect, Expect::Precondition(_)));
    }

    /// Portals whose Bind is not answered, by name.
    pub fn bound(&self) -> impl Iterator<Item = (&str, &Rc<Portal>)> {
        self.queue.iter().filter_map(|expect| match expect {
            Expect::Bind(Change::Bind(name, portal)) => Some((name.as_str(), portal)),
            _ => None,
        })
    }

    /// How what is to be answered with rows was understood, but what the door asks itself.
    pub fn views(&self) -> impl Iterator<Item = &Rc<View>> {
        self.queue.iter().flat_map(|expect| {
            let (parts, bound) = match expect {
                Expect::Query(query) => (Some(&query.parts), None),
                Expect::Bind(Change::Bind(_, portal))
                | Expect::DescribePortal { portal, .. }
                | Expect::Execute { portal, .. } => (None, Some(&portal.view)),
                _ => (None, None),
            };
            let clients = parts
                .into_iter()
                .flatten()
                .filter(|part| !part.own && !part.precondition);
            clients.map(|part| &part.view).chain(bound)
        })
    }

    /// Whether a Sync was sent that is not answered.
    #[must_use]
    pub fn has_sync(&self) -> bool {
        self.queue.iter().any(|expect| matches!(expect, Expect::Sync))
    }

    /// Nothing of it is answered any more. Gives what owes the outcomes.
    pub fn give_up(&mut self) -> Vec<Running> {
        self.queue.drain(..).flat_map(Expect::into_running).collect()
    }

    /// Whether nothing is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether something that was sent, and is not answered yet, may commit the transaction that is open, or leave its work
    /// for another to commit. `opened`: in so many words, so that neither the end of a unit nor a procedure does.
    #[must_use]
    pub fn may_commit(&self, opened: bool) -> bool {
        self.queue.iter().any(|expect| match expect {
            Expect::Query(query) => {
                let commits = query.parts.iter().any(|part| part.after.may_commit(opened));
                !query.failed && (commits || !opened)
            }
            Expect::Execute { after, .. } => after.may_commit(opened),
            Expect::Sync => !opened,
            _ => false,
        })
    }

    /// After an error in a pipeline: the target passes over everything up to the next Sync. Gives what is passed over, and
    /// whether a Sync was among what was sent.
    pub fn skip(&mut self) -> (Vec<Expect>, bool) {
        let mut skipped = Vec::new();
        while let Some(next) = self.queue.front() {
            if matches!(next, Expect::Sync) {
                return (skipped, true);
            }
            skipped.extend(self.queue.pop_front());
        }
        (skipped, false)
    }

    /// While a COPY from the client runs, the target ignores Sync: those that were sent along are not answered.
    pub fn drop_syncs(&mut self) {
        self.queue.retain(|expect| !matches!(expect, Expect::Sync));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_unit_commits_what_nobody_opened() {
        let failed = Query {
            failed: true,
            ..Query::default()
        };
        for (what, expect, outside) in [
            ("a Sync", Expect::Sync, true),
            ("a Query string", Expect::Query(Query::default()), true),
            ("one that failed", Expect::Query(failed), false),
            ("a door's own message", Expect::Quiet(b'3'), false),
        ] {
            let mut expected = Expected::default();
            expected.push(expect);
            assert!(!expected.may_commit(true), "{what}");
            assert_eq!(expected.may_commit(false), outside, "{what}");
        }
    }
}
