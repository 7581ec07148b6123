//! Why a record was not accepted.

use std::time::Duration;

use sallyport_audit::record::RecordError;

/// Why a record was not accepted. Every one of them means: do not go on.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The recorder did not answer in time. A later try may pass.
    #[error("the recorder did not confirm the record within {} s", waited.as_secs_f32())]
    Unavailable {
        /// How long was waited.
        waited: Duration,
    },
    /// The queue is at its bound. A later try may pass.
    #[error("{records} records wait for the recorder: the bound is reached")]
    Full {
        /// Records that wait.
        records: u64,
    },
    /// The oldest record of an `Async` sink is on its way for longer than the sink allows. A later try may pass.
    #[error("records are on their way to the recorder for {} s: the sink's maxLag is reached", lag.as_secs_f32())]
    Lagging {
        /// For how long.
        lag: Duration,
    },
    /// The recorder declared this session over (the stream was broken for too long, and it wrote the end record).
    #[error("the recorder has declared this session over")]
    SessionOver,
    /// The recorder refused the record, in its words (a full disk, a record that names another door…).
    #[error("the recorder refused: {0}")]
    Refused(String),
    /// The recorder checks tokens itself, and does not take this one.
    #[error("the recorder does not take the token: {reason}")]
    Unvouched {
        /// Nobody could be asked: a later try may pass.
        later: bool,
        /// In its words.
        reason: String,
    },
    /// The record cannot be written down.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The handle was closed, or its task ended.
    #[error("the way to the recorder is closed")]
    Closed,
    /// The way could not be set up.
    #[error("the way to the recorder cannot be set up: {0}")]
    Setup(String),
}
