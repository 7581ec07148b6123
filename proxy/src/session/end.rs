//! The one end record of a session.

use std::time::Instant;

use sallyport_audit::Time;
use sallyport_audit::record::{Batch, EndCause, Event, SessionEnd, SessionId};
use sallyport_recorder::client::Evidence;

use crate::metrics;

/// Owes a session's end record from the moment a start record may exist, and pays it when dropped: on return, on an early
/// one, and on a panic (then as [`EndCause::Internal`]). Not `Clone`, so there is exactly one.
pub struct End {
    evidence: Evidence,
    session: SessionId,
    started: Instant,
    cause: EndCause,
    /// Commands judged so far.
    pub(super) commands: u64,
}

impl End {
    pub(super) fn new(evidence: Evidence, session: SessionId) -> Self {
        metrics::get().session_began();
        Self {
            evidence,
            session,
            started: Instant::now(),
            cause: EndCause::Internal,
            commands: 0,
        }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// When it began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Ends the session for a reason.
    pub(super) fn close(mut self, cause: EndCause) {
        self.cause = cause;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        metrics::get().session_ended(self.cause, self.started.elapsed());
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let end = SessionEnd {
            cause: self.cause,
            commands: self.commands,
            duration_us,
        };
        let batch = Batch::of(Time::now(), Some(&self.session), Event::SessionEnd(end));
        let sent = batch
            .map_err(|error| error.to_string())
            .and_then(|batch| self.evidence.send(batch).map_err(|error| error.to_string()));
        if let Err(error) = sent {
            // The recorder writes this end itself once the stream is gone for good.
            metrics::get().evidence_failed();
            tracing::warn!(session = %self.session, %error, "the end of a session could not be recorded");
        }
    }
}
