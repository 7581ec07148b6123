//! Pins what a held unit names, so that it means when it runs what it meant when it was looked at last.
//!
//! PostgreSQL locks the relations that a statement names when it parses it, and those behind views with them, until the
//! transaction ends; outside of one, until Sync or the end of a Query string. So the session's own backend parses the unit's
//! statement first, and the catalog is read then. What is locked can be neither replaced nor altered. Code cannot be locked.

use std::mem;
use std::sync::Arc;

use sallyport_policy::sql::{Statement, Verb};

use super::units::Unit;
use super::{Conversation, Over};
use crate::postgres::forward;
use crate::postgres::judge::{self, Sent};
use crate::postgres::message::Transaction;
use crate::session::Session;

/// What locks when it is parsed, and may follow a statement: SET TRANSACTION and others have to come first.
const ROWS: [Verb; 5] = [Verb::Select, Verb::Insert, Verb::Update, Verb::Delete, Verb::Merge];

/// What became of pinning a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pinned {
    /// It is.
    Yes,
    /// It is none that could be: several commands, or one that locks only when it runs.
    Not,
    /// The target does not take it, as it would not when it runs.
    Failed,
}

impl Conversation {
    /// Pins what a unit names, and then makes sure that what is known of it is fresh. `false`: it cannot be understood, without
    /// a catalog or because the target does not take it.
    pub(super) async fn learn_pinned(&mut self, session: &mut Session, unit: &Unit) -> Result<bool, Over> {
        // The session's own backend is asked first: a question of its own would end what the pin begins.
        if self.learn(session).await?.is_err() {
            return Ok(false);
        }
        match self.pin(session, unit).await? {
            Pinned::Yes => Ok(self.learn(session).await?.is_ok()),
            Pinned::Not => Ok(true),
            Pinned::Failed => Ok(false),
        }
    }

    async fn pin(&mut self, session: &mut Session, unit: &Unit) -> Result<Pinned, Over> {
        if self.state.unsynced || self.state.transaction == Transaction::Failed {
            return Ok(Pinned::Not);
        }
        let Some((text, types)) = self.only_command(unit) else {
            return Ok(Pinned::Not);
        };
        forward::pin(&mut self.state, &text, &types, &mut self.target.out);
        Box::pin(self.answers(session)).await?;
        self.state.pinning = false;
        if !mem::take(&mut self.state.unpinned) {
            return Ok(Pinned::Yes);
        }
        forward::own_sync(&mut self.state, &mut self.target.out);
        Box::pin(self.answers(session)).await?;
        Ok(Pinned::Failed)
    }

    /// The text of a unit's one command, with the types that are stated for its parameters.
    fn only_command(&self, unit: &Unit) -> Option<(Arc<str>, Vec<u32>)> {
        let reads_rows = |statement: &Statement| statement.verbs.within(&ROWS);
        match unit {
            Unit::Query(_, _, text) => {
                let mut readings = text.script.readings();
                let fits = readings.all(|statements| matches!(statements, [one] if reads_rows(one)));
                fits.then(|| (Arc::clone(&text.text), Vec::new()))
            }
            Unit::Pipeline(bytes, heads, _) => {
                let (mut parsed, mut bound) = (Vec::new(), None);
                for (_, message) in judge::sent(bytes, heads).ok()? {
                    match message {
                        Sent::Parse(parse, Ok(Some(stated))) => parsed.push((parse.statement, stated, parse.types)),
                        Sent::Bind(bind) if bound.is_none() => {
                            let here = parsed.iter().rev().find(|(name, ..)| *name == bind.statement);
                            bound = match here {
                                Some((_, stated, types)) => Some((stated.clone(), types.clone())),
                                None => {
                                    let known = self.state.names.statement(bind.statement)?;
                                    Some((known.stated.clone()?, known.types.clone()))
                                }
                            };
                        }
                        Sent::Bind(_) => return None,
                        _ => {}
                    }
                }
                let (stated, types) = bound?;
                let fits = stated.readings().all(reads_rows);
                fits.then_some((stated.text, types))
            }
        }
    }
}
