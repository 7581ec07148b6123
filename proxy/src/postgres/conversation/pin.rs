//! Pins what a unit names, so that it means when it runs what it meant when it was looked at last.
//!
//! PostgreSQL locks the relations that a statement names when it parses it, and those behind views with them, until the
//! transaction ends; outside of one, until Sync or the end of a Query string. So the session's own backend parses the unit's
//! statements first, and the catalog is read then. What is locked can be neither replaced nor altered. Code cannot be locked.
//!
//! That goes for what was held, for what writes or copies rows or leaves values where no mask follows, and for what reads them by a name in front of which another relation
//! could be made: a wait for a lock is over before they are looked at last. Rows that are read otherwise are looked at where they
//! come late. Nor is what runs the code of a type as it is parsed: that would run once more than the client has it run, and before
//! anything holds it to reading.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use sallyport_policy::catalog::Catalog as _;
use sallyport_policy::columns::TEMPORARY;
use sallyport_policy::sql::{Statement, Verb};

use super::units::Unit;
use super::{Conversation, Over};
use crate::command::Recorded;
use crate::postgres::after::After;
use crate::postgres::forward::{self, Pin};
use crate::postgres::judge::{self, Act, Plan, Sent, Step};
use crate::postgres::message::Transaction;
use crate::postgres::names::{Portal, Stated};
use crate::postgres::rows::View;
use crate::session::Session;

/// What locks when it is parsed, and may follow a statement: SET TRANSACTION and others have to come first.
const ROWS: [Verb; 5] = [Verb::Select, Verb::Insert, Verb::Update, Verb::Delete, Verb::Merge];
/// What writes rows. That it was done to others than it was judged by cannot be mended by a mask.
const WRITES: [Verb; 4] = [Verb::Insert, Verb::Update, Verb::Delete, Verb::Merge];
/// What takes locks that others wait at in turn.
const LOCKS: [Verb; 2] = [Verb::Lock, Verb::Truncate];
/// Bytes of a text before a statement that are made up for, so that errors say where they are. Beyond, it would take their square.
const MAX_BEFORE: usize = 4 * 1024;

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

/// What a last look at a unit found, whose intent is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// Nothing of it has to be pinned, or can be.
    Unpinned,
    /// It means what it was judged by, and goes on to.
    Holds,
    /// What it was judged by may have changed.
    Moved,
    /// The target did not take this command of it, with this SQLSTATE, and the client was told.
    Failed(Option<(usize, String)>),
}

impl Conversation {
    /// Pins what a unit names, and then makes sure that what is known of it is fresh. `false`: it cannot be understood, without
    /// a catalog or because the target does not take it. `plan`: as it was understood last.
    pub(super) async fn learn_pinned(&mut self, session: &mut Session, unit: &Unit, plan: &Plan) -> Result<bool, Over> {
        // The session's own backend is asked first: a question of its own would end what the pin begins.
        if self.learn(session).await?.is_err() {
            return Ok(false);
        }
        if plan.views().any(|view| view.runs_parsed) {
            return Ok(true);
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

    /// Pins those commands of a unit that it matters for, just before they run, and looks whether the catalog is the one that they
    /// were judged by. What the target has to say against one of them is its answer.
    pub(super) async fn look_last(
        &mut self,
        session: &mut Session,
        unit: &Unit,
        plan: &Plan,
        recorded: &Recorded,
    ) -> Result<Last, Over> {
        let (held, refused) = (recorded.is_held(), recorded.refused().map(|(from, _)| *from));
        let pins = self.pins(unit, plan, held, refused);
        if pins.is_empty() {
            return Ok(Last::Unpinned);
        }
        forward::pin_all(&mut self.state, pins, &mut self.target.out);
        Box::pin(self.answers(session)).await?;
        let failed = self.state.not_pinned.take();
        if self.state.skipping {
            return Ok(Last::Failed(failed));
        }
        // What others define has nothing to do with it, mostly: a unit is not judged for that a third time, nor is anybody asked anew.
        let strictly = !held && !self.judged_again;
        Ok(self.is_as_judged(session, plan, strictly).await)
    }

    /// The end of a unit that the target did not take where it was pinned, but for its first `ran` commands: the client has its error.
    /// A transaction that these open is open and failed by now. What the client sends next is part of it, and must not run by itself.
    pub(super) fn failed_pinned(&mut self, unit: &Unit, plan: &Plan, ran: usize) {
        let none_opened = matches!(self.state.transaction, Transaction::Idle | Transaction::Unsynced);
        if none_opened && plan.opens(ran) {
            forward::fail_opened(&mut self.state, &mut self.target.out);
        }
        match unit.is_closed() {
            true => self.sync(),
            false => self.state.unsynced = true,
        }
    }

    /// Whether the catalog, read now, is the one that a unit was judged by; or, not `strictly`, what its names mean in it is the same.
    async fn is_as_judged(&mut self, session: &Session, plan: &Plan, strictly: bool) -> Last {
        let before = self.near.guess(session.open().policy.revision()).cloned();
        let footprints = before.as_ref().map(|known| plan.footprints(known));
        let (footprints, asked) = (footprints.unwrap_or_default(), Instant::now());
        let now = self
            .catalogs
            .fresh(&mut self.near, &self.dialled, &self.database, session, &footprints)
            .await;
        let Ok(now) = now else { return Last::Moved };
        // Where the path is not known, nothing was judged by it.
        let moved = self.path.is_some() && now.schemas != self.schemas;
        if moved || !self.own.is_current(&now) {
            return Last::Moved;
        }
        let same = before.is_some_and(|before| Arc::ptr_eq(&before, &now));
        if !same {
            let known = self.own.over(&now, session, &self.database);
            if strictly || !plan.views().all(|view| view.holds(&known)) {
                return Last::Moved;
            }
            self.state.known = known;
        }
        self.state.fresh = asked;
        Last::Holds
    }

    /// The commands of a unit that have to be pinned before they run: up to the first that changes what names mean, or keeps no
    /// locks, and before the first that is refused. `all`: not only those that somebody else could make something else of.
    pub(super) fn pins(&self, unit: &Unit, plan: &Plan, all: bool, refused: Option<usize>) -> Vec<Pin> {
        match unit {
            _ if self.state.transaction == Transaction::Failed => Vec::new(),
            Unit::Query(..) if refused.is_some() => Vec::new(),
            Unit::Query(..) => self.pins_of_string(plan, all),
            Unit::Pipeline(bytes, heads, _) => {
                let refuses = |step: &&Step| matches!((step.command, refused), (Some(one), Some(from)) if one >= from);
                let steps = plan.steps.iter().take_while(|step| !refuses(step));
                let pinned = |portal: &Portal| {
                    let stated = portal.stated.as_ref();
                    stated.is_some_and(|stated| self.is_pinned(stated, &portal.view, all))
                };
                // Mostly none is, and then nothing is read again.
                if !steps
                    .clone()
                    .any(|step| matches!(&step.act, Act::Bind(_, portal) if pinned(portal)))
                {
                    return Vec::new();
                }
                // Read once before, so it can be read.
                let messages = judge::sent(bytes, heads).unwrap_or_default();
                self.pins_of_pipeline(messages.into_iter().map(|(_, message)| message).zip(steps), all)
            }
        }
    }

    fn pins_of_string(&self, plan: &Plan, all: bool) -> Vec<Pin> {
        let mut pins = Vec::new();
        let Some(Act::Query(parts)) = plan.steps.first().map(|step| &step.act) else {
            return pins;
        };
        for (command, part) in parts.iter().enumerate() {
            if self.is_pinned(&part.stated, &part.view, all) {
                let Some(text) = alone(&part.stated, parts.len() == 1) else {
                    break;
                };
                pins.push(Pin::new(text, Vec::new(), command, &part.stated, &part.view));
            }
            if unsettles(&part.stated, &part.after) {
                break;
            }
        }
        pins
    }

    fn pins_of_pipeline<'a>(&self, sent: impl Iterator<Item = (Sent<'a>, &'a Step)>, all: bool) -> Vec<Pin> {
        let (mut pins, mut parsed) = (Vec::new(), Vec::new());
        for (message, step) in sent {
            let (bind, portal) = match (message, &step.act) {
                (Sent::Parse(parse, _), _) => {
                    parsed.push((parse.statement, parse.types));
                    continue;
                }
                (Sent::Bind(bind), Act::Bind(_, portal)) => (bind, portal),
                _ => continue,
            };
            if let Some(stated) = &portal.stated
                && self.is_pinned(stated, &portal.view, all)
            {
                let here = parsed.iter().rev().find(|(name, _)| *name == bind.statement);
                let known = || self.state.names.statement(bind.statement).map(|one| one.types.clone());
                let types = here.map(|(_, types)| types.clone()).or_else(known);
                let (text, types) = (stated.text.to_string(), types.unwrap_or_default());
                pins.push(Pin::new(
                    text,
                    types,
                    step.command.unwrap_or_default(),
                    stated,
                    &portal.view,
                ));
            }
            if portal
                .stated
                .as_ref()
                .is_some_and(|stated| unsettles(stated, &portal.after))
            {
                break;
            }
        }
        pins
    }

    /// Whether it matters that a command means when it runs what it was judged by, and a lock on what it names sees to that.
    fn is_pinned(&self, stated: &Stated, view: &View, all: bool) -> bool {
        let sinks = || self.state.masker.acts() && view.sinks();
        let matters = stated.is_data() && (all || writes(stated) || self.may_be_overtaken(stated) || sinks());
        (matters || view.copies()) && !view.runs_parsed
    }

    /// Whether somebody could make a relation in front of one that a statement names: then the lock on that one, for which it would
    /// wait, does not keep its name.
    fn may_be_overtaken(&self, stated: &Stated) -> bool {
        let Some(path) = self.path.as_ref().filter(|_| self.state.masker.acts()) else {
            return false;
        };
        let taken = |schema: &String| schema != "pg_catalog" && !schema.starts_with(TEMPORARY);
        let mut schemas = path.schemas().iter().filter(|schema| taken(schema));
        let (Some(first), Some(_)) = (schemas.next(), schemas.next()) else {
            return false;
        };
        let relations = stated.readings().flat_map(|statement| &statement.relations);
        let mut bare = relations.filter(|relation| relation.schema.is_none());
        bare.any(|relation| {
            let found = self.state.known.snapshot.resolve(path, None, &relation.name);
            found.is_some_and(|found| found.schema != *first && taken(&found.schema))
        })
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

fn writes(stated: &Stated) -> bool {
    stated.readings().any(|statement| statement.verbs.any(&WRITES))
}

/// Whether what stands behind a statement is not to be pinned before it: other relations may have its names by then, no lock may be
/// left, or the statement has to come first, as one has to that the client waits at: who holds what stands behind it by then may be
/// whom the other waits for.
fn unsettles(stated: &Stated, after: &After) -> bool {
    let changes = after.stale.any() || after.moves || after.imports || after.commits;
    let waits = stated.readings().any(|statement| statement.verbs.any(&LOCKS));
    changes || waits || !stated.readings().all(Statement::keeps_locks)
}

/// The text of one statement, where it stood. `None`: it is not certain where it ends.
fn alone(stated: &Stated, only: bool) -> Option<String> {
    if only {
        return Some(stated.text.to_string());
    }
    let range = stated.statement()?.range.clone();
    let before = stated.text.get(..range.start)?;
    let before = if before.len() <= MAX_BEFORE {
        before.chars().count()
    } else {
        0
    };
    let text = stated.text.get(range).filter(|_| !stated.script.is_ambiguous())?;
    Some(format!("{}{text}", " ".repeat(before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(text: &str, index: usize) -> Stated {
        Stated {
            text: text.into(),
            script: Arc::new(sallyport_policy::sql::parse(text).unwrap()),
            index,
        }
    }

    #[test]
    fn a_statement_is_pinned_alone_and_where_it_stood() {
        let text = "select 'ä'; delete from v; select 1";
        for (index, pinned) in [
            (0, "select 'ä'"),
            (1, "            delete from v"),
            (2, "                           select 1"),
        ] {
            assert_eq!(alone(&stated(text, index), false).as_deref(), Some(pinned));
        }
        assert_eq!(alone(&stated(text, 1), true).as_deref(), Some(text));
        let either = r"select 'a\\'; select 'b'";
        assert_eq!(alone(&stated(either, 1), false), None);
    }

    #[test]
    fn nothing_is_locked_before_what_locks() {
        for (sql, does) in [
            ("lock table v in exclusive mode", true),
            ("truncate v", true),
            ("select pg_advisory_xact_lock(1)", true),
            ("savepoint s", true),
            ("begin", false),
            ("delete from v", false),
        ] {
            assert_eq!(unsettles(&stated(sql, 0), &After::default()), does, "{sql}");
        }
    }

    #[test]
    fn what_writes_anywhere_writes() {
        for (sql, does) in [
            ("delete from v", true),
            ("with d as (delete from v returning *) select * from d", true),
            ("insert into t select 1", true),
            ("select * from v for update", false),
        ] {
            assert_eq!(writes(&stated(sql, 0)), does, "{sql}");
        }
    }
}
