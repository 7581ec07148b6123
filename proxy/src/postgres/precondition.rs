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
/// What a Query string begins with that has one.
pub const LEADING: &str = "EXECUTE \"\u{1}sallyport position\"";
/// What the target's log shows of a position that moved.
const WORDS: &str = "the catalog is read again by sallyport";
/// The SQLSTATE of that: the words are no boolean.
const MOVED: &str = "22P02";
/// Class of errors by which somebody intervenes: they are meant for whatever runs.
const INTERVENTION: &str = "57";
/// A longer unit is not kept to be judged again.
const MAX_BYTES: usize = 64 * 1024;
/// What may stand behind it.
const BEHIND: [Verb; 5] = [Verb::Select, Verb::Insert, Verb::Update, Verb::Delete, Verb::Merge];

/// What a session knows of its precondition's statement, and how the last one ended.
#[derive(Default)]
pub struct Precondition {
    /// The position of the statement that the backend has, where nobody can have put another in its place.
    prepared: Option<Box<str>>,
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
    prepare(state, position, out);
    // Outside a transaction nobody has an unnamed portal that this could replace.
    frame::put(out, b'B', |out| {
        frame::put_cstr(out, "");
        frame::put_cstr(out, NAME);
        // No parameters and no columns, so no formats.
        out.extend_from_slice(&[0; 6]);
    });
    frame::put(out, b'E', |out| out.extend_from_slice(&[0; 5]));
    state.expected.push(Expect::Precondition(b'2'));
    state.expected.push(Expect::Precondition(b'C'));
}

/// Whether a position says nothing that would have to be escaped in a text.
#[must_use]
pub fn is_plain(position: &str) -> bool {
    position
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'/' | b' ' | b':' | b','))
}

/// Appends the statement itself, which [`LEADING`] executes, unless the backend has it. The position stands in it: a parameter
/// would have to be read each time, and positions move far less often than statements come.
pub fn prepare(state: &mut State, position: &str, out: &mut Vec<u8>) {
    state.precondition.sent = true;
    if state.precondition.prepared.as_deref() == Some(position) {
        return;
    }
    state.precondition.prepared = Some(position.into());
    frame::put(out, b'C', |out| {
        out.push(b'S');
        frame::put_cstr(out, NAME);
    });
    frame::put(out, b'P', |out| {
        frame::put_cstr(out, NAME);
        frame::put_cstr(out, &statement(position));
        out.extend_from_slice(&[0; 2]);
    });
    state.expected.push(Expect::Precondition(b'3'));
    state.expected.push(Expect::Precondition(b'1'));
}

/// Answers without a row. Where the database stands is not known when it is planned, so it fails when it runs: the words are no
/// boolean. A cast of a value would not do, since a database may have its own, which takes any words.
fn statement(position: &str) -> String {
    // No quote and no backslash stands in a position: see `is_plain`.
    let is_there = at_rest(position).unwrap_or_else(|| format!("{POSITION} OPERATOR(pg_catalog.=) '{position}'"));
    format!(
        "SELECT WHERE pg_catalog.boolin(CASE WHEN {is_there} THEN 'f'::pg_catalog.cstring \
         ELSE '{WORDS}'::pg_catalog.cstring END)"
    )
}

/// Whether the database stands at a position in which no transaction was under way that others have overtaken: what is seen there
/// changes no more until the next one ends, and that raises the snapshot's upper bound. Two numbers are compared in a third of the
/// time that it takes to print them. `None` for other positions, and for those of a standby.
fn at_rest(position: &str) -> Option<String> {
    let (log, snapshot) = position.split_once(' ')?;
    let mut bounds = snapshot.split(':');
    let (lower, upper, None | Some("")) = (bounds.next()?, bounds.next()?, bounds.next()) else {
        return None;
    };
    (lower == upper).then(|| {
        format!(
            "pg_catalog.pg_current_wal_insert_lsn() OPERATOR(pg_catalog.=) '{log}'::pg_catalog.pg_lsn \
             AND pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) OPERATOR(pg_catalog.=) '{upper}'::pg_catalog.xid8"
        )
    })
}

// === impl Precondition ===

impl Precondition {
    /// The backend may not have the statement any more, or another by its name.
    pub fn forget(&mut self) {
        self.prepared = None;
    }
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
        if code != MOVED {
            self.precondition.forget();
        }
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
    fn a_position_at_rest_is_compared_by_its_numbers() {
        let by_numbers = statement("0/1A2B 735:735:");
        assert!(by_numbers.contains("'0/1A2B'::pg_catalog.pg_lsn") && by_numbers.contains("'735'::pg_catalog.xid8"));
        for other in ["0/1A2B 734:736:734", "0/1A2B 734:735:", "0/1A2B", "0/1A2B 735:735:735"] {
            assert!(at_rest(other).is_none(), "{other}");
            assert!(statement(other).contains(&format!(") '{other}' THEN")), "{other}");
        }
    }

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
