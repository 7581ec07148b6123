//! A unit whose intent is durable, and refusals.

use std::collections::VecDeque;

use sallyport_audit::record::{Fate, NotRun};
use sallyport_policy::decide::Verdict;
use sallyport_recorder::client::Durable;

use super::{Decided, Running};
use crate::session::Session;

/// The right to run what of a unit is not refused. Made only after its records were accepted; not `Clone`.
pub struct Recorded {
    /// Held so that the proof lives as long as the right that it gives.
    _durable: Durable,
    running: VecDeque<Running>,
    refused: Option<(usize, Refused)>,
}

/// Why something is refused, in words for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which kind of refusal, for the protocol's own code.
    pub kind: Kind,
    /// What.
    pub message: String,
    /// By whom, by which rule, or the request's name.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A rule, or nobody, allows it.
    Denied,
    /// It asks for a setting that the door does not let through.
    Setting,
    /// It names something that does not exist in this session.
    Unknown,
    /// A second person has to say yes first.
    Pending,
    /// A second person said no, nobody said anything in time, or the question was not taken.
    NotApproved,
    /// The asker took it back.
    Withdrawn,
    /// Somebody or something that has to be asked is away: it may pass when it is sent again.
    Unavailable,
    /// Evidence cannot be written.
    NoEvidence,
}

// === impl Recorded ===

impl Recorded {
    pub(super) fn new(
        session: &Session,
        decided: Decided,
        refused: Option<(usize, Refused)>,
        durable: Durable,
    ) -> Self {
        let from = refused.as_ref().map_or(usize::MAX, |(from, _)| *from);
        let mut running = VecDeque::new();
        for (index, judged) in decided.commands.iter().enumerate() {
            let mut owed = Running::new(session, judged.number, judged.decision.verdict.read_only());
            owed.held = matches!(judged.decision.verdict, Verdict::Hold(_));
            match &judged.decision.verdict {
                _ if index < from => running.push_back(owed),
                // A denied command's own record says all; what merely stood beside it never ran.
                Verdict::Deny(_) => owed.waive(),
                _ => owed.not_run(NotRun::SentWithRefused),
            }
        }
        Self {
            _durable: durable,
            running,
            refused,
        }
    }

    /// What owes the outcome of the next command of the unit.
    pub fn next_running(&mut self) -> Option<Running> {
        self.running.pop_front()
    }

    /// Takes back what was passed on and did not run.
    pub fn give_back(&mut self, running: Vec<Running>) {
        self.running.extend(running);
    }

    /// What it was judged by is no longer so: nothing of it ran.
    pub fn take_back(self) {
        for running in self.running {
            running.not_run(NotRun::JudgedAgain);
        }
    }

    /// The door refuses it after all: nothing of it ran.
    pub fn refuse(self) {
        for running in self.running {
            running.not_run(NotRun::SentWithRefused);
        }
    }

    /// The target did not take one of its commands, with an SQLSTATE: none was sent to run. `transaction`: the one that they stand in.
    pub fn failed(self, failed: Option<(usize, String)>, transaction: Option<u64>) {
        let (at, sqlstate) = failed.unzip();
        for (index, mut running) in self.running.into_iter().enumerate() {
            running.transaction = transaction;
            if index == at.unwrap_or_default() {
                running.finish(Fate::Failed, sqlstate.clone());
            } else {
                running.not_run(NotRun::EarlierFailed);
            }
        }
    }

    /// Whether a rule asks for an approval of any of it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.running.iter().any(|running| running.held)
    }

    /// From which command on the unit is refused, and with what words.
    #[must_use]
    pub fn refused(&self) -> Option<&(usize, Refused)> {
        self.refused.as_ref()
    }
}

// === impl Refused ===

impl Refused {
    /// A refusal.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// Adds a detail.
    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Self {
        self.detail = Some(text.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }
}
