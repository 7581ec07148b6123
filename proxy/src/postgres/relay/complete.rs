//! Ends: of a message, of a command, of a transaction.

use std::mem;

use sallyport_audit::record::{Fate, NotRun, TransactionFate};
use sallyport_policy::sql;

use super::{Broken, State, words};
use crate::command::Running;
use crate::postgres::after::{After, Stale};
use crate::postgres::errors::{self, Reader};
use crate::postgres::expect::{Expect, Query};
use crate::postgres::frame::Body;
use crate::postgres::message::{self, Transaction};
use crate::postgres::names::Change;
use crate::postgres::precondition;

/// The longest command tag that PostgreSQL has is far shorter.
const MAX_TAG: usize = 64;

/// ParseComplete, BindComplete, CloseComplete.
pub(super) fn simple(state: &mut State, tag: u8, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    if state.expected.take_quiet(tag) {
        return Ok(());
    }
    state.guard();
    let (change, ran) = match (tag, state.expected.pop()) {
        (b'1', Some(Expect::Parse(change, _, ran))) => (change, ran),
        (b'2', Some(Expect::Bind(change))) | (b'3', Some(Expect::Close(change))) => (change, None),
        _ => return Err(Broken::Unasked(tag)),
    };
    if let Change::Bind(_, portal) = &change
        && state.masker.acts()
        && !portal.view.holds(&state.known)
    {
        portal.moved.set(true);
    }
    state.apply(change);
    if let Some((running, after)) = ran {
        state.ran(&after);
        state.pay(running, None);
    }
    out.extend_from_slice(bytes);
    Ok(())
}

/// CommandComplete, EmptyQueryResponse, PortalSuspended.
pub(super) fn command(
    state: &mut State,
    tag: u8,
    body: Body<'_>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Broken> {
    let text = if tag == b'C' { command_tag(body)? } else { "" };
    if state.expected.take_quiet(tag) {
        return Ok(());
    }
    if state.copy_out.is_some() {
        return Err(Broken::Unasked(tag));
    }
    state.guard();
    state.opened();
    state.defines();
    let copied = state.copy_in.take().map(|copy| copy.tally.copied());
    let n = rows(text);
    state.with_running(|running, counts| {
        running.answered(n);
        running.unread = tag == b's';
        if copied.is_some() {
            running.copied = copied;
        }
        running.masked(counts);
    });
    match (tag, state.expected.front()) {
        (b'C' | b'I', Some(Expect::Query(query))) if !query.failed => {
            query.plan = None;
            if let Some(part) = query.parts.pop_front() {
                if part.own {
                    return Ok(());
                }
                state.reported.stated(&part.stated);
                state.channels.stated(&part.stated);
                state.completed(part.running, &part.after, part.change, text);
            } else if tag == b'C' {
                return Err(Broken::Unasked(tag));
            }
        }
        (b'C' | b'I', Some(Expect::Execute { .. })) => {
            if let Some(Expect::Execute { portal, after, change }) = state.expected.pop() {
                if let Some(stated) = &portal.stated {
                    state.reported.stated(stated);
                    state.channels.stated(stated);
                }
                portal.begun.set(true);
                let running = portal.running.borrow_mut().take();
                state.commits |= after.commits;
                state.completed(running, &after, change, text);
            }
        }
        // Its outcome is owed until the portal is complete, closed, or gone with its transaction.
        (b's', Some(Expect::Execute { .. })) => {
            if let Some(Expect::Execute { portal, after, .. }) = state.expected.pop() {
                portal.begun.set(true);
                // What the rows so far changed is changed, though more are to come.
                state.commits |= after.commits;
                state.ran(&after);
            }
        }
        _ => return Err(Broken::Unasked(tag)),
    }
    out.extend_from_slice(bytes);
    Ok(())
}

/// A command's tag: words and numbers and nothing that could be a value.
fn command_tag(body: Body<'_>) -> Result<&str, Broken> {
    let tag = message::command_complete(body)?;
    let lawful = tag.len() <= MAX_TAG
        && tag
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
    if lawful { Ok(tag) } else { Err(Broken::Unasked(b'C')) }
}

/// The number at the end of a tag.
fn rows(tag: &str) -> u64 {
    tag.rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// ErrorResponse.
pub(super) fn error(state: &mut State, body: Body<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
    let fields = errors::fields(body)?;
    let code = errors::code(&fields).unwrap_or_default().to_owned();
    // Whoever is ended for good reads nothing any more.
    let lives = fields.iter().any(|field| field.code == b'V' && field.text == b"ERROR");
    if lives && matches!(state.expected.front(), Some(Expect::GoesOn)) {
        return Err(Broken::Overtaken);
    }
    if state.pinning {
        state.expected.skip();
        state.unpinned = true;
        return Ok(());
    }
    if state.unmet(&code) {
        return Ok(());
    }
    state.copy_in = None;
    state.copy_out = None;
    state.erred = true;
    if let Some(Expect::Refusal {
        said,
        code: provoked,
        query,
        met,
    }) = state.expected.front()
        && !*met
        && *provoked == code
    {
        said.put(out);
        *met = true;
        let query = *query;
        if !query {
            state.fail_pipeline(&code);
        }
        return Ok(());
    }
    let guarded = state.fails_guarded() || words::quotes_protected(state, &fields);
    let moved = words::moved_position(state, &fields);
    let fields = errors::with_position(&fields, moved.as_deref());
    let late = state.guarded && state.ends_unsaid();
    let failed = state.expected.front().map(|expect| &*expect);
    let names = words::names(failed).filter(|_| !late);
    let reader = Reader {
        masker: &state.masker,
        catalog: &state.known.snapshot,
        guarded,
        text: words::text(failed),
        names: names.as_ref(),
    };
    reader.put(b'E', &fields, out, &mut state.counts);
    match state.expected.front() {
        // The refusal was overtaken: by a cancel, or by the target's own end.
        Some(Expect::Refusal { query: true, met, .. }) => *met = true,
        Some(Expect::Query(_)) => state.fail_query(&code),
        // At a Sync the transaction itself fails: a deferred constraint.
        Some(Expect::Sync) => state.end_unopened(TransactionFate::RolledBack),
        Some(Expect::Pin { command, .. }) => {
            state.not_pinned = Some((*command, code.clone()));
            state.fail_pipeline(&code);
        }
        Some(_) => state.fail_pipeline(&code),
        // A session that the target ends says so before it closes.
        None => {}
    }
    Ok(())
}

/// ReadyForQuery.
pub(super) fn ready(state: &mut State, body: Body<'_>, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let transaction = message::ready(body)?;
    match state.expected.pop() {
        Some(Expect::Query(Query { parts, failed, .. })) if failed || parts.is_empty() => state.query_ran(),
        Some(
            Expect::Refusal {
                query: true, met: true, ..
            }
            | Expect::Sync,
        ) => {}
        _ => return Err(Broken::Unasked(b'Z')),
    }
    state.skipping = false;
    state.pinned = false;
    state.pins.clear();
    state.defined.clear();
    state.told = false;
    state.muted = false;
    let transaction = match transaction {
        Transaction::Idle => Transaction::Idle,
        open => state.stays_open(open),
    };
    // It takes no savepoint, and ends with an error: nothing of the door's own may stand in it.
    state.unsynced = transaction == Transaction::Unsynced || !state.expected.is_empty();
    state.pay_done();
    let erred = mem::take(&mut state.erred);
    if transaction == Transaction::Idle {
        state.guarded = false;
        state.imported = false;
        let changed = mem::take(&mut state.changed);
        state.stale.add(changed);
        for mut running in state.names.transaction_ended() {
            running.transaction = running.transaction.or(state.number);
            running.finish(Fate::Executed, None);
        }
        // COMMIT and ROLLBACK have said how it ended; what ends a transaction otherwise is a failure, or code that hides it.
        if let Some(number) = state.number.take() {
            let fate = if erred {
                TransactionFate::RolledBack
            } else {
                TransactionFate::Unknown
            };
            state.ledger.transaction(number, fate);
        }
    }
    state.transaction = transaction;
    out.extend_from_slice(bytes);
    Ok(())
}

// === impl State ===

impl State {
    /// A command is complete: its effects on names and transactions are true now.
    fn completed(&mut self, running: Option<Running>, after: &After, change: Option<Change>, tag: &str) {
        if let Some(change) = change {
            self.apply(change);
        }
        self.ran(after);
        self.begins(after, tag);
        let ends = self.ends(after, tag);
        if ends.is_some() || matches!(after.transaction, Some(sql::Transaction::RollbackTo(_))) {
            self.stale.add(self.changed);
        }
        if ends.is_some() {
            self.changed = Stale::default();
            // No lock of its own keeps others from it any more: what it was in between nobody knows.
            self.defined.clear();
        }
        if let Some(running) = running {
            self.pay(running, ends);
        }
    }

    /// A change happened. A portal that it took away is complete, as far as it ever will be.
    fn apply(&mut self, change: Change) {
        if precondition::is_touched_by(&change) {
            self.precondition.forget();
        }
        for running in self.names.apply(change) {
            self.pay(running, None);
        }
    }

    /// A Query string is over, and took the unnamed portal away.
    fn query_ran(&mut self) {
        if let Some(running) = self.names.query_ran() {
            self.pay(running, None);
        }
    }

    /// A statement ran, or began to: what it may have changed has to be looked up again.
    fn ran(&mut self, after: &After) {
        self.stale.add(after.stale);
        self.changed.add(after.stale);
        self.imported |= after.imports;
        // Code that nobody sees into may put another statement in the place of the door's.
        if after.stale.names {
            self.precondition.forget();
        }
    }

    /// A Query string failed: the statement that was under way failed, those after it never ran.
    fn fail_query(&mut self, code: &str) {
        let Some(Expect::Query(query)) = self.expected.front() else {
            return;
        };
        query.failed = true;
        query.plan = None;
        let parts = mem::take(&mut query.parts);
        for (index, part) in parts.into_iter().enumerate() {
            if index == 0 {
                self.ran(&part.after);
            }
            self.failed(part.running, index == 0, code);
        }
        self.end_unopened(TransactionFate::RolledBack);
    }

    /// A message of a pipeline failed: the target passes over the rest up to the next Sync.
    fn fail_pipeline(&mut self, code: &str) {
        let (skipped, synced) = self.expected.skip();
        self.skipping = !synced;
        for (index, expect) in skipped.into_iter().enumerate() {
            match expect {
                Expect::Parse(_, _, Some((running, after))) => {
                    if index == 0 {
                        self.ran(&after);
                    }
                    self.failed(Some(running), index == 0, code);
                }
                Expect::Bind(Change::Bind(_, portal)) => {
                    let running = portal.running.borrow_mut().take();
                    self.failed(running, index == 0, code);
                }
                // What began before goes on or ends with its transaction, and owes its outcome until then.
                Expect::Execute { portal, .. } if index > 0 && portal.begun.get() => {}
                Expect::Execute { portal, after, .. } => {
                    if index == 0 {
                        self.commits |= after.commits;
                        self.ran(&after);
                    } else {
                        portal.over.set(true);
                    }
                    let running = portal.running.borrow_mut().take();
                    self.failed(running, index == 0, code);
                }
                _ => {}
            }
        }
        self.end_unopened(TransactionFate::RolledBack);
    }

    fn failed(&mut self, running: Option<Running>, first: bool, code: &str) {
        let Some(mut running) = running else { return };
        running.transaction = running.transaction.or(self.number);
        if first {
            running.masked(&mut self.counts);
            running.finish(Fate::Failed, Some(code.to_owned()));
        } else {
            running.not_run(NotRun::EarlierFailed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_hold_words_and_numbers() {
        for (tag, n) in [
            ("INSERT 0 2", 2),
            ("SELECT 10", 10),
            ("BEGIN", 0),
            ("CREATE TABLE", 0),
            ("", 0),
        ] {
            let body = [tag.as_bytes(), b"\0"].concat();
            assert_eq!(rows(command_tag(Body::new(&body)).unwrap()), n, "{tag}");
        }
        for bad in ["536-90-4399", "select 1", "INSERT\t0"] {
            let body = [bad.as_bytes(), b"\0"].concat();
            assert!(command_tag(Body::new(&body)).is_err(), "{bad}");
        }
    }
}
