//! What can go wrong with a log.

use std::io;

use sallyport_audit::note::NoteError;
use sallyport_audit::record::{HeaderError, RecordError, SessionId};
use sallyport_audit::store::StoreError;
use sallyport_audit::wire::RefuseCode;

/// Why a log cannot be opened. None of these is mended by the recorder itself: evidence is at stake, a person decides.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The volume does not work.
    #[error("the volume: {0}")]
    Io(#[from] io::Error),
    /// The volume holds another sink's log.
    #[error("this volume holds the log {found}, not {wanted}: give the recorder its own volume")]
    OtherLog {
        /// What is there.
        found: String,
        /// What was expected.
        wanted: String,
    },
    /// A recorder of a newer version wrote it. Nothing is lost: that one goes on with it.
    #[error(
        "{file} on the volume has format {format}, which this version does not know: run the recorder that wrote it; nothing was changed"
    )]
    Newer {
        /// Which file.
        file: String,
        /// Its format.
        format: u32,
    },
    /// Files that contradict each other: something was lost or changed behind the recorder's back.
    #[error(
        "the log on the volume is damaged: {0}; verify it against the checkpoint kept outside before anything else"
    )]
    Damaged(String),
    /// The key cannot be used.
    #[error("the log's key: {0}")]
    Key(#[from] NoteError),
    /// A published file cannot be read.
    #[error("the log on the volume is damaged: {0}")]
    Store(#[from] StoreError),
    /// A record cannot be read back.
    #[error("the log on the volume is damaged: {0}")]
    Header(#[from] HeaderError),
    /// The recorder's own record cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a log did not take records.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct LogError {
    /// For programs.
    pub code: RefuseCode,
    /// For people.
    pub reason: String,
    /// The session that will never be taken, where that is why.
    pub session: Option<SessionId>,
}

impl LogError {
    pub(crate) fn new(code: RefuseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            session: None,
        }
    }

    /// Said of the start of this session.
    pub(crate) fn of(self, session: &SessionId) -> Self {
        Self {
            session: Some(session.clone()),
            ..self
        }
    }

    pub(crate) fn stopping() -> Self {
        Self::new(RefuseCode::Stopping, "the recorder is stopping")
    }
}
