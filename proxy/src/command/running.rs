//! A command that may run, and the record of what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sallyport_audit::Time;
use sallyport_audit::record::{
    Batch, Closed, Copied, Event, Fate, NotRun, Outcome, SessionId, TransactionEnd, TransactionFate,
};
use sallyport_policy::mask::Counts;
use sallyport_recorder::client::Evidence;

use crate::metrics;
use crate::session::Session;

/// Where outcomes go. A record that cannot be handed over is a gap in the evidence, so the session has to end.
#[derive(Clone)]
pub struct Ledger {
    evidence: Evidence,
    session: SessionId,
    broken: Arc<AtomicBool>,
}

/// Owes the outcome of one command, and pays it when dropped: as [`Fate::Unknown`] if nobody said what came of it.
pub struct Running {
    ledger: Ledger,
    command: u64,
    started: Instant,
    /// Rows returned or affected, as far as answers are complete.
    rows: u64,
    /// Rows that the client got of an answer that is not.
    streamed: u64,
    /// Bytes of result sent to the client.
    pub bytes: u64,
    /// What COPY moved.
    pub copied: Option<Copied>,
    /// The transaction that it ran in.
    pub transaction: Option<u64>,
    /// Whether a rule wants it run read-only.
    pub read_only: bool,
    /// Whether a rule asks for an approval of it.
    pub held: bool,
    /// Whether it is bound to a portal, and nothing was sent that may run it.
    pub bound: bool,
    /// Whether its portal was left with rows to be read.
    pub unread: bool,
    masked: BTreeMap<String, u64>,
    paid: bool,
}

// === impl Ledger ===

impl Ledger {
    /// For the outcomes of one session.
    #[must_use]
    pub fn new(evidence: Evidence, session: SessionId) -> Self {
        Self {
            evidence,
            session,
            broken: Arc::default(),
        }
    }

    /// Whether a record could not be handed over.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Records how a transaction ended.
    pub fn transaction(&self, transaction: u64, fate: TransactionFate) {
        self.write(Event::TransactionEnd(TransactionEnd { fate, transaction }));
    }

    /// Records that a grant was taken back while something ran by it.
    pub fn closed_grant(&self, closed: Closed) {
        self.write(Event::Revoked(closed));
    }

    pub(super) fn write(&self, event: Event) {
        let sent = Batch::of(Time::now(), Some(&self.session), event).map_err(|error| error.to_string());
        if let Err(error) = sent.and_then(|batch| self.evidence.send(batch).map_err(|error| error.to_string())) {
            self.broken.store(true, Ordering::Relaxed);
            metrics::get().evidence_failed();
            tracing::warn!(session = %self.session, %error, "an outcome could not be recorded");
        }
    }
}

// === impl Running ===

impl Running {
    pub(super) fn new(session: &Session, command: u64, read_only: bool) -> Self {
        Self {
            ledger: session.ledger().clone(),
            command,
            read_only,
            held: false,
            bound: false,
            unread: false,
            started: Instant::now(),
            rows: 0,
            streamed: 0,
            bytes: 0,
            copied: None,
            transaction: None,
            masked: BTreeMap::new(),
            paid: false,
        }
    }

    /// A row went to the client, in so many bytes.
    pub fn row(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.streamed += 1;
    }

    /// An answer, or a piece of one, is complete. `counted`: rows as the target states them, which it does not do for each piece.
    pub fn answered(&mut self, counted: u64) {
        self.rows += counted.max(std::mem::take(&mut self.streamed));
    }

    /// Adds what was masked, and clears the counters.
    pub fn masked(&mut self, counts: &mut Counts) {
        if counts.is_zero() {
            return;
        }
        for (label, n) in counts.iter() {
            let observed = if label.observed { "observed/" } else { "" };
            let key = if label.rule.is_empty() {
                label.kind.clone()
            } else {
                format!("{observed}{}/{}", label.rule, label.kind)
            };
            *self.masked.entry(key).or_default() += n;
            if !label.observed {
                metrics::get().masked(&label.kind, n);
            }
        }
        counts.clear();
    }

    /// Records what came of it.
    pub fn finish(mut self, fate: Fate, sqlstate: Option<String>) {
        self.pay(fate, sqlstate, None);
    }

    /// Records that it did not run, and why.
    pub fn not_run(mut self, why: NotRun) {
        self.pay(Fate::NotRun, None, Some(why));
    }

    /// Nothing is owed: the command's own record says that it was denied.
    pub(super) fn waive(mut self) {
        self.paid = true;
    }

    fn pay(&mut self, fate: Fate, sqlstate: Option<String>, why: Option<NotRun>) {
        self.paid = true;
        // What broke off: the client has these rows.
        self.answered(0);
        // However a portal goes away, and whoever is gone: what nobody had executed did not run.
        let (fate, why) = match fate {
            Fate::Executed | Fate::Unknown if self.bound => (Fate::NotRun, Some(NotRun::NeverExecuted)),
            fate => (fate, why),
        };
        let took = self.started.elapsed();
        metrics::get().outcome(fate, took);
        self.ledger.write(Event::Outcome(Outcome {
            bytes: self.bytes,
            command: self.command,
            copy: self.copied.take(),
            duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            fate,
            masked: std::mem::take(&mut self.masked),
            rows: self.rows,
            sqlstate,
            transaction: self.transaction,
            unread: self.unread,
            why,
        }));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.paid {
            self.pay(Fate::Unknown, None, None);
        }
    }
}
