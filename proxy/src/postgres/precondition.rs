//! A unit's precondition: it runs only where nothing was written since the catalog was read by which it was judged.
//!
//! The session's own backend checks it, in one flight with the unit: a statement goes in front that fails unless the
//! position is the one that was given. What stands behind a failure does not run: the rest of a Query string, and in the
//! extended protocol everything up to the next Sync (chapter "Message Flow", "Extended Query"). So a unit that was judged by
//! what is not so any more is looked at again, and judged again where a catalog changed.
//!
//! Outside a transaction only, where a failure undoes nothing; and only in front of what reads and writes rows: some of the
//! rest has to stand first in its transaction. In front of a Query string it is part of the string: since PostgreSQL 18 what
//! follows an Execute is in a block, which a Query of one statement would leave open.

use std::mem;

use sallyport_policy::sql::{Statement, Verb};

use super::ask::Answer;
use super::catalog::POSITION;
use super::expect::{Expect, Part};
use super::frame;
use super::message::Transaction;
use super::names::Change;
use super::relay::State;
use crate::command::Running;

/// Name of the statement. It begins as [`RESERVED`] does, which is refused to clients.
///
/// [`RESERVED`]: super::refuse::RESERVED
const NAME: &str = "\u{1}sallyport position";
/// What the target's log shows of a position that moved.
const WORDS: &str = "the catalog is read again by sallyport";
/// The SQLSTATE of that: the words are no number.
const MOVED: &str = "22P02";
/// Class of errors by which somebody intervenes: they are meant for whatever runs.
const INTERVENTION: &str = "57";
/// OID of the parameter's type.
const TEXT: u32 = 25;
/// A longer unit is not kept to be judged again.
const MAX_BYTES: usize = 64 * 1024;
/// What may stand behind it.
const BEHIND: [Verb; 5] = [Verb::Select, Verb::Insert, Verb::Update, Verb::Delete, Verb::Merge];

/// What a session knows of its precondition's statement, and how the last one ended.
#[derive(Default)]
pub struct Precondition {
    /// Whether the backend has the statement, and nobody can have put another in its place.
    pub prepared: bool,
    /// Whether the unit under way has one.
    pub sent: bool,
    /// Whether the unit was passed over.
    pub unmet: bool,
    /// What owes the outcomes of what was passed over.
    pub owed: Vec<Running>,
    /// Whether the target waits for a Sync that the unit does not have.
    pub resync: bool,
}

/// Whether one may stand in front of a statement.
#[must_use]
pub fn may_precede(statement: &Statement) -> bool {
    statement.verbs.within(&BEHIND)
}

/// Whether a unit of so many bytes may have one now: where a failure undoes nothing, and nothing else is under way.
#[must_use]
pub fn is_possible(state: &State, bytes: usize) -> bool {
    let alone = state.transaction == Transaction::Idle && !state.unsynced && state.expected.is_empty();
    alone && bytes <= MAX_BYTES
}

/// Whether a change of names may take the statement away, or put another in its place.
#[must_use]
pub fn is_touched_by(change: &Change) -> bool {
    match change {
        Change::Prepare(name, _) | Change::Deallocate(Some(name)) => name == NAME,
        Change::Deallocate(None) | Change::Discard => true,
        _ => false,
    }
}

/// Appends the precondition of a pipeline, which has to follow at once.
pub fn put(state: &mut State, position: &str, out: &mut Vec<u8>) {
    prepare(state, out);
    // Outside a transaction nobody has an unnamed portal that this could replace.
    frame::put(out, b'B', |out| {
        frame::put_cstr(out, "");
        frame::put_cstr(out, NAME);
        // One parameter, as text.
        out.extend_from_slice(&[0, 0, 0, 1]);
        let length = i32::try_from(position.len()).unwrap_or_default();
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(position.as_bytes());
        out.extend_from_slice(&[0, 0]);
    });
    frame::put(out, b'E', |out| out.extend_from_slice(&[0; 5]));
    state.expected.push(Expect::Precondition(b'2'));
    state.expected.push(Expect::Precondition(b'C'));
}

/// Appends what the precondition of a Query string needs, and gives the statement that the string has to begin with.
#[must_use]
pub fn leading(state: &mut State, position: &str, out: &mut Vec<u8>) -> String {
    prepare(state, out);
    // No quote and no backslash stands in a position: see `is_plain`.
    format!("EXECUTE \"{NAME}\"('{position}')")
}

/// Whether a position says nothing that would have to be escaped in a text.
#[must_use]
pub fn is_plain(position: &str) -> bool {
    position
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'/' | b' ' | b':' | b','))
}

fn prepare(state: &mut State, out: &mut Vec<u8>) {
    state.precondition.sent = true;
    if mem::replace(&mut state.precondition.prepared, true) {
        return;
    }
    frame::put(out, b'C', |out| {
        out.push(b'S');
        frame::put_cstr(out, NAME);
    });
    frame::put(out, b'P', |out| {
        frame::put_cstr(out, NAME);
        frame::put_cstr(out, &statement());
        out.extend_from_slice(&1u16.to_be_bytes());
        out.extend_from_slice(&TEXT.to_be_bytes());
    });
    state.expected.push(Expect::Precondition(b'3'));
    state.expected.push(Expect::Precondition(b'1'));
}

/// Answers without a row. Neither the words nor the position are known when it is planned, so it fails when it runs. A cast
/// would not do: a database may have one of its own from text to int4, which takes any words.
fn statement() -> String {
    format!(
        "SELECT WHERE pg_catalog.int4in(pg_catalog.textout(CASE WHEN {POSITION} OPERATOR(pg_catalog.=) $1 \
         THEN '0' ELSE '{WORDS}' END)) OPERATOR(pg_catalog.=) 1"
    )
}

// === impl State ===

impl State {
    /// An error came. `true` where it was a precondition's own, and its unit is to be judged again.
    pub(super) fn unmet(&mut self, code: &str) -> bool {
        let leads = |part: &Part| part.precondition;
        match self.expected.front() {
            Some(Expect::Precondition(_)) => {
                self.expected.drop_precondition();
                self.precondition.resync = !self.expected.has_sync();
            }
            Some(Expect::Query(query)) if query.parts.front().is_some_and(leads) => {}
            _ => return false,
        }
        // Where it failed otherwise, the statement may not be there.
        self.precondition.prepared = code == MOVED;
        if code.starts_with(INTERVENTION) {
            return false;
        }
        let (skipped, synced) = self.expected.skip();
        let owed = skipped.into_iter().flat_map(Expect::into_running);
        self.precondition.owed.extend(owed);
        if synced {
            self.expected.pop();
        }
        // The end of what was passed over, which the client does not see.
        self.expected.push(Expect::Own(Answer::default()));
        self.precondition.unmet = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_and_writes_rows_stands_behind_one() {
        for (sql, may) in [
            ("select 1", true),
            ("with a as (delete from t returning *) select * from a", true),
            ("insert into t values (1); update t set a = 2", true),
            ("begin isolation level serializable", false),
            ("select 1; commit", false),
            ("vacuum t", false),
            ("create table t (a int)", false),
            ("copy t to stdout", false),
            ("call p()", false),
            ("execute p", false),
            ("deallocate all", false),
        ] {
            let script = sallyport_policy::sql::parse(sql).unwrap();
            assert_eq!(script.readings().flatten().all(may_precede), may, "{sql}");
        }
    }
}
