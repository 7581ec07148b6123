//! How transactions end, for the evidence: what a command's own success says nothing about.
//!
//! One that was opened in so many words has a number from its BEGIN on. One that nobody opened, a Query string's or a
//! pipeline's, needs none where it ends well together with its unit; it gets one where something else ends it.

use std::mem;

use sallyport_audit::record::{Fate, TransactionFate};
use sallyport_policy::sql::Transaction as Control;

use super::State;
use crate::command::Running;
use crate::postgres::after::After;
use crate::postgres::message::Transaction;

/// How a command ended the transaction that it stands in, and whether the next one begins with it.
pub(super) type Ends = (TransactionFate, bool);

impl State {
    /// Takes note of BEGIN. What its unit did before it is part of the transaction that it opens.
    pub(super) fn begins(&mut self, after: &After, tag: &str) {
        let began = matches!(after.transaction, Some(Control::Begin)) && matches!(tag, "BEGIN" | "START TRANSACTION");
        if began && self.transaction == Transaction::Unsynced {
            self.transaction = Transaction::Open;
        }
        if began && self.number.is_none() {
            if self.commits {
                // What may have been ended before is not what is opened here.
                self.end_unopened(TransactionFate::Unknown);
            }
            let number = self.new_number();
            self.pay_as(number);
            self.number = Some(number);
        }
    }

    /// Takes note that the target says of a transaction that it is open, and gives what it is. Where nobody opened one in so many
    /// words, it goes on with a pipeline's own: PostgreSQL does not commit a Query that stands behind an Execute without Sync.
    pub(super) fn stays_open(&mut self, said: Transaction) -> Transaction {
        let goes_on = said == Transaction::Open && self.transaction == Transaction::Unsynced;
        if self.number.is_some() {
            return if goes_on { Transaction::Unsynced } else { said };
        }
        if self.commits {
            self.end_unopened(TransactionFate::Unknown);
        }
        let number = self.new_number();
        self.pay_as(number);
        self.number = Some(number);
        match (said, self.transaction) {
            // One that failed where it was opened was opened by the door, in the client's words, and goes on with AND CHAIN.
            (Transaction::Open, Transaction::Failed) => Transaction::Open,
            (Transaction::Open, _) => Transaction::Unsynced,
            (said, _) => said,
        }
    }

    /// Whether a command ended a transaction.
    pub(super) fn ends(&self, after: &After, tag: &str) -> Option<Ends> {
        let chain = match after.transaction.as_ref()? {
            Control::Commit { chain } | Control::Rollback { chain } => *chain,
            // The work waits for COMMIT PREPARED, by whomever.
            Control::Prepare if tag == "PREPARE TRANSACTION" => return Some((TransactionFate::Unknown, false)),
            // PostgreSQL 15 commits a pipeline here, and answers ROLLBACK all the same.
            Control::Prepare if self.number.is_none() => return Some((TransactionFate::Unknown, false)),
            Control::Prepare => false,
            _ => return None,
        };
        // COMMIT of a failed transaction answers ROLLBACK.
        match tag {
            "COMMIT" => Some((TransactionFate::Committed, chain)),
            "ROLLBACK" => Some((TransactionFate::RolledBack, chain)),
            _ => None,
        }
    }

    /// Pays for a command that is complete, as soon as it is known what it was part of.
    pub(super) fn pay(&mut self, mut running: Running, ends: Option<Ends>) {
        // A portal whose transaction took it away, and what came of that is on record.
        if running.transaction.is_some() && ends.is_none() {
            return running.finish(Fate::Executed, None);
        }
        running.transaction = self.number;
        match (self.number, ends) {
            (Some(_), None) => running.finish(Fate::Executed, None),
            (Some(number), Some((fate, chain))) => {
                running.finish(Fate::Executed, None);
                self.pay_as(number);
                self.ledger.transaction(number, fate);
                self.number = chain.then(|| self.new_number());
            }
            (None, None) => self.done.push(running),
            // PostgreSQL warns that there is no transaction, and yet ends the one that the unit is.
            (None, Some((fate, _))) if self.is_under_way() => {
                self.done.push(running);
                self.end_unopened(fate);
            }
            (None, Some(_)) => running.finish(Fate::Executed, None),
        }
    }

    /// A transaction that nobody opened in so many words ended otherwise than well together with its unit.
    pub(super) fn end_unopened(&mut self, fate: TransactionFate) {
        let commits = mem::take(&mut self.commits);
        if self.number.is_some() || !self.is_under_way() {
            return;
        }
        let number = self.new_number();
        self.pay_as(number);
        let fate = if commits { TransactionFate::Unknown } else { fate };
        self.ledger.transaction(number, fate);
    }

    /// Pays what is complete: the transaction that it was part of ended well.
    pub(super) fn pay_done(&mut self) {
        self.commits = false;
        for running in self.done.drain(..) {
            running.finish(Fate::Executed, None);
        }
    }

    /// The target is gone, or the client: what is open ends as nobody knows, or, where nothing that was sent could commit it,
    /// as PostgreSQL ends it.
    pub fn abandon(&mut self, target_lost: bool) {
        let opened = self.number.is_some() && self.transaction != Transaction::Unsynced;
        let fate = if target_lost || self.expected.may_commit(opened) {
            TransactionFate::Unknown
        } else {
            TransactionFate::RolledBack
        };
        let number = self.number.take();
        match number {
            Some(number) => self.ledger.transaction(number, fate),
            None => self.end_unopened(fate),
        }
        // Of what is not answered nobody knows what came. Of a portal that waits to be read further all is known.
        drop(self.expected.give_up());
        for mut running in self.names.transaction_ended() {
            running.transaction = running.transaction.or(number);
            running.finish(Fate::Executed, None);
        }
    }

    /// Whether a transaction that nobody opened holds anything.
    fn is_under_way(&self) -> bool {
        !self.done.is_empty() || self.names.unnumbered().next().is_some()
    }

    /// Pays what is complete under the number of its transaction. Open portals end with it, and are paid when they are gone.
    fn pay_as(&mut self, number: u64) {
        for mut running in self.done.drain(..) {
            running.transaction = Some(number);
            running.finish(Fate::Executed, None);
        }
        for mut running in self.names.unnumbered() {
            running.transaction = Some(number);
        }
    }

    fn new_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}
