//! From a group to the disk: the only place that appends to the tree.

use std::sync::Arc;
use std::time::Instant;

use sallyport_audit::checkpoint::Head;
use sallyport_audit::record::{Batch, Event, ObjectRef, Origin, Seal, SessionId, Writer as Author};
use sallyport_audit::wire::RefuseCode;
use sallyport_audit::{Digest, Time};

use super::{Group, Writer};
use crate::log::doors::Undo;
use crate::log::error::LogError;
use crate::log::wal::AppendError;
use crate::log::{Checked, Receipt};

impl Writer {
    /// Brings a group to disk and answers.
    pub(super) fn commit(&mut self, group: Group) {
        let Group {
            records,
            own,
            undo,
            waiting,
        } = group;
        if waiting.is_empty() {
            return;
        }
        let result = self.write_or_undo(&records, own, undo).map(|()| self.head());
        for (up_to, reply) in waiting {
            let answer = result.clone().map(|head| Receipt { up_to, head });
            // The stream may be gone: the door will come back and be told what is here.
            let _ = reply.send(answer);
        }
    }

    /// As [`Log::append_here`].
    ///
    /// [`Log::append_here`]: crate::log::Log::append_here
    pub(in crate::log) fn append(&mut self, records: Vec<Checked>) -> Result<(u64, u64), LogError> {
        self.write_start();
        let taken = self.admit(records, None, self.own)?;
        self.write_or_undo(&taken.records, taken.own, taken.undo)?;
        Ok((taken.up_to, self.tree.size()))
    }

    /// `own`: how many of the records are the recorder's.
    fn write_or_undo(&mut self, records: &[(Vec<u8>, Digest)], own: u64, undo: Vec<Undo>) -> Result<(), LogError> {
        if records.is_empty() {
            return Ok(());
        }
        let written = self.write(records);
        match &written {
            Ok(()) => self.own += own,
            Err(_) => undo.into_iter().rev().for_each(|step| self.doors.undo(step)),
        }
        written
    }

    /// The log's head now, signed when somebody asks for it.
    pub(super) fn head(&mut self) -> Head {
        let size = self.tree.size();
        if self.signed.size != size {
            let root = self.tree.frontier().root();
            self.signed = Head::sign(self.signer.verifier().name(), size, root, &self.signer);
        }
        self.signed
    }

    pub(super) fn write(&mut self, records: &[(Vec<u8>, Digest)]) -> Result<(), LogError> {
        let started = Instant::now();
        let written = match self.wal.rotate(self.disk.as_ref(), self.tree.size()) {
            Ok(()) => self.wal.append(records),
            Err(error) => Err(AppendError::Unwritten(error)),
        };
        if let Err(error) = written {
            let error = match error {
                AppendError::Unwritten(error) => {
                    let reason = format!("the volume takes no more: {error}");
                    self.problem = Some(reason.clone());
                    LogError::new(RefuseCode::Storage, reason)
                }
                AppendError::Lost(error) => {
                    let reason = format!("the volume lost a write ({error}): the recorder must be restarted");
                    tracing::error!(%error, "a write was lost; refusing everything until a restart");
                    self.broken = Some(reason.clone());
                    LogError::new(RefuseCode::Storage, reason)
                }
            };
            self.config.metrics.refused(error.code);
            return Err(error);
        }
        for (record, leaf) in records {
            self.tree.push(record, *leaf);
        }
        self.heads.push(self.tree.size(), self.tree.frontier().root());
        self.problem = None;
        self.reserve
            .wrote(records.iter().map(|(record, _)| record.len() as u64).sum());
        self.config.metrics.committed(records.len(), started.elapsed());
        Ok(())
    }

    /// Writes a record of the recorder itself.
    pub(super) fn write_own(
        &mut self,
        connection: Option<ObjectRef>,
        session: Option<&SessionId>,
        event: Event,
    ) -> Result<(), LogError> {
        let records = self.seal_own(connection.map(Arc::new), session, event, self.own)?;
        self.write(&records)?;
        self.own += records.len() as u64;
        Ok(())
    }

    /// A record of the recorder itself, numbered after `own`; whoever brings it to disk counts it.
    pub(super) fn seal_own(
        &self,
        connection: Option<Arc<ObjectRef>>,
        session: Option<&SessionId>,
        event: Event,
        own: u64,
    ) -> Result<Vec<(Vec<u8>, Digest)>, LogError> {
        let defect = |error: sallyport_audit::record::RecordError| LogError::new(RefuseCode::Record, error.to_string());
        let batch = Batch::of(Time::now(), session, event).map_err(defect)?;
        let origin = Origin {
            connection,
            instance: self.instance.clone(),
            pod: Arc::new(self.config.pod.clone()),
            writer: Author::Recorder,
        };
        let seal = Seal::new(&origin).map_err(defect)?;
        let mut records = Vec::new();
        for (seq, draft) in (own + 1..).zip(batch.drafts()) {
            let checked = Checked::new(seal.seal(draft, seq).map_err(defect)?)?;
            records.push((checked.bytes, checked.leaf));
        }
        Ok(records)
    }

    /// The record of this start, before any other.
    pub(super) fn write_start(&mut self) {
        if self.fence.is_shut() || self.broken.is_some() {
            return;
        }
        let Some(mut start) = self.start.clone() else { return };
        start.epoch = self.fence.epoch();
        if self.write_own(None, None, Event::LogStart(start)).is_ok() {
            self.start = None;
        }
    }
}
