//! The log on disk: one writer thread, one volume, one key.
//!
//! ```text
//! doors ──▶ writer thread: check → write ahead → fdatasync → answer          (wal/)
//!                 │ at most once an interval
//!                 ▼
//!           publisher thread: tiles → state → signed checkpoint              (log/, state.json)
//! ```
//!
//! Every fdatasync covers all that has arrived while the one before ran, so many doors cost about as much as one. What was
//! answered is in the write-ahead files and survives; what was not answered may or may not, and doors send it again.

mod ages;
mod ahead;
mod attached;
pub mod disk;
mod doors;
mod error;
mod heads;
mod key;
mod open;
mod publish;
mod state;
#[cfg(test)]
mod tests;
mod tree;
mod wal;
mod writer;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sallyport_audit::Digest;
use sallyport_audit::canonical;
use sallyport_audit::checkpoint::Head;
use sallyport_audit::merkle::leaf_hash;
use sallyport_audit::note::VerifierKey;
use sallyport_audit::record::{Attested, Header, Instance, ObjectRef, PodRef};
use sallyport_audit::wire::RefuseCode;
use tokio::sync::{oneshot, watch};

pub(crate) use attached::Attached;
pub use error::{LogError, OpenError};

use crate::metrics::LogMetrics;
use disk::Disk;

/// Whose log it is and how it is kept.
#[derive(Clone)]
pub struct Config {
    /// The AuditSink.
    pub sink: ObjectRef,
    /// The recorder's own Pod.
    pub pod: PodRef,
    /// The longest time between a record and the checkpoint that covers it.
    pub checkpoint_every: Duration,
    /// How long a door whose stream broke may take to come back before the recorder ends its sessions.
    pub grace: Duration,
    /// Whose permit is needed before anything is appended ([`sallyport_audit::permit`]); `None` where nobody outside keeps
    /// the log's head.
    pub witness: Option<VerifierKey>,
    /// How long records are kept; for ever if `None`.
    pub retention: Option<Duration>,
    /// Where counts go.
    pub metrics: LogMetrics,
}

/// How the log stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Records on disk.
    pub size: u64,
    /// Records under the published checkpoint.
    pub published: u64,
    /// Nothing is taken until the operator has vouched for what was found on the volume.
    pub fenced: bool,
    /// In words, why records are refused for now (a full disk).
    pub problem: Option<String>,
    /// In words, why only a restart helps (a failed fdatasync).
    pub broken: Option<String>,
    /// Sessions that are open.
    pub sessions: usize,
    /// Doors with a stream.
    pub doors: usize,
}

/// A handle on the log. Cloneable; the log ends when all are dropped or [`Log::close`] was called.
#[derive(Clone)]
pub struct Log {
    commands: mpsc::Sender<writer::Command>,
    /// The writer itself, until it ends: its thread's, but while somebody appends on their own.
    writer: Arc<Mutex<Option<writer::Writer>>>,
    status: watch::Receiver<Status>,
    key: VerifierKey,
    boot: Instance,
    disk: Arc<dyn Disk>,
}

/// A record whose form was checked, ready for the writer. Making one is the expensive part, and happens on the caller's thread.
#[derive(Debug)]
pub struct Checked {
    bytes: Vec<u8>,
    leaf: Digest,
    header: Header,
    /// What the recorder says right after it, in the same write.
    beside: Option<Box<Attested>>,
}

/// What the log says of records on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Running number of the door's last record on disk.
    pub up_to: u64,
    /// A signed head of the tree that contains it.
    pub head: Head,
}

/// How far a door has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Running number of its last record on disk.
    pub acked: u64,
    /// Its sessions were declared over.
    pub fenced: bool,
    /// The log's newest head.
    pub head: Head,
    /// The operator's permit by which this recorder writes.
    pub permit: Option<String>,
}

impl Checked {
    /// Checks that the bytes are one canonical record.
    ///
    /// # Errors
    /// When they are not.
    pub fn new(bytes: Vec<u8>) -> Result<Self, LogError> {
        let refuse = |reason: String| LogError::new(RefuseCode::Record, reason);
        canonical::check(&bytes).map_err(|error| refuse(error.to_string()))?;
        let header = Header::parse(&bytes).map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            leaf: leaf_hash(&bytes),
            bytes,
            header,
            beside: None,
        })
    }

    /// A record that this process has sealed itself, so that its form and its header are known.
    pub(crate) fn sealed(bytes: Vec<u8>, header: Header) -> Self {
        Self {
            leaf: leaf_hash(&bytes),
            bytes,
            header,
            beside: None,
        }
    }

    /// The record, with what the recorder itself found of it: both come to disk, or neither.
    #[must_use]
    pub fn with(self, attested: Attested) -> Self {
        Self {
            beside: Some(Box::new(attested)),
            ..self
        }
    }

    /// Whose record it is.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The record itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Log {
    /// Opens the log on this volume, or begins it, and starts its threads. Torn tails of a crash are cut; everything that was
    /// ever acknowledged is there, or this fails.
    ///
    /// # Errors
    /// When the volume does not work or holds anything else than this sink's whole log.
    pub fn open(disk: Arc<dyn Disk>, config: Config) -> Result<Self, OpenError> {
        open::open(disk, config)
    }

    /// Hands over records of one door, in sequence. The answer comes when they are on disk; records that are already there are
    /// passed over.
    pub fn append(&self, records: Vec<Checked>, echo: Option<Head>) -> oneshot::Receiver<Result<Receipt, LogError>> {
        let (reply, answer) = oneshot::channel();
        // Without a writer the reply is dropped, which the receiver sees.
        let _ = self
            .commands
            .send(writer::Command::Append(writer::Submission { records, echo, reply }));
        answer
    }

    /// Brings records of one door to disk on the calling thread, which it blocks for an fdatasync: no other thread has to be
    /// woken, and nobody signs a head that nobody reads. For a door in the same process. Gives the running number of its last
    /// record on disk, and the log's size.
    ///
    /// # Errors
    /// As [`Log::append`]'s answer.
    pub(crate) fn append_here(&self, records: Vec<Checked>) -> Result<(u64, u64), LogError> {
        // A writer that panicked is in no state to go on.
        let mut writer = self.writer.lock().map_err(|_| LogError::stopping())?;
        writer.as_mut().ok_or_else(LogError::stopping)?.append(records)
    }

    /// Says what the recorder found of somebody whom a door of this Connection wanted to let in, and whom it did not take.
    pub fn attest(&self, connection: ObjectRef, attested: Attested) {
        // Without a writer nothing is taken anyway.
        let _ = self.commands.send(writer::Command::Attest {
            connection,
            attested: Box::new(attested),
        });
    }

    /// A stream of this door is up.
    ///
    /// # Errors
    /// When the head that it has seen is not in the log, when this recorder may not write (or, by the permit that the door
    /// has seen, not any more), or when the log has ended.
    pub async fn attach(
        &self,
        instance: Instance,
        connection: ObjectRef,
        pod: PodRef,
        echo: Option<Head>,
        permit: Option<String>,
    ) -> Result<Standing, LogError> {
        let (reply, answer) = oneshot::channel();
        let command = writer::Command::Attach {
            instance,
            connection,
            pod,
            echo,
            permit,
            reply,
        };
        self.commands.send(command).map_err(|_| LogError::stopping())?;
        answer.await.map_err(|_| LogError::stopping())?
    }

    /// A stream of this door is gone. With `goodbye` it will not come back, and what it left open is ended at once.
    pub fn detach(&self, instance: Instance, goodbye: bool) {
        // Without a writer there is nothing to end here; the next start ends it.
        let _ = self.commands.send(writer::Command::Detach { instance, goodbye });
    }

    /// Publishes what is on disk now, and gives its signed head once every reader can see it.
    ///
    /// # Errors
    /// When the log has ended.
    pub async fn publish(&self) -> Result<Head, LogError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(writer::Command::Publish { reply })
            .map_err(|_| LogError::stopping())?;
        answer.await.map_err(|_| LogError::stopping())
    }

    /// Hands over the operator's permit, under which this recorder may write.
    ///
    /// # Errors
    /// When it is not for this log as it stands, or not for this start of the recorder.
    pub async fn permit(&self, note: String) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(writer::Command::Permit { note, reply })
            .map_err(|_| LogError::stopping())?;
        answer.await.map_err(|_| LogError::stopping())?
    }

    /// This start of the recorder: permits name it, and its own records carry it.
    #[must_use]
    pub fn boot(&self) -> &Instance {
        &self.boot
    }

    /// Publishes what is on disk, writes the end record, and ends the writer.
    pub async fn close(&self, reason: &str) {
        let (reply, done) = oneshot::channel();
        if self
            .commands
            .send(writer::Command::Close {
                reason: reason.to_owned(),
                reply,
            })
            .is_ok()
        {
            // A writer that is gone has nothing left to write.
            let _ = done.await;
        }
    }

    /// How the log stands, now and whenever it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The log's public key; its name is the log's origin.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Read access to a published file (`checkpoint`, `tile/…`), by its path within the log.
    #[must_use]
    pub fn published(&self) -> Published {
        Published(Arc::clone(&self.disk))
    }
}

/// The published log, for readers.
#[derive(Clone)]
pub struct Published(Arc<dyn Disk>);

impl sallyport_audit::store::Store for Published {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, sallyport_audit::store::StoreError> {
        heads::PublishedLog {
            disk: self.0.as_ref(),
            size: 0,
        }
        .read(path)
    }

    fn list(&self, path: &str) -> Result<Vec<String>, sallyport_audit::store::StoreError> {
        heads::PublishedLog {
            disk: self.0.as_ref(),
            size: 0,
        }
        .list(path)
    }
}
