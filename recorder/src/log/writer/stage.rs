//! From a submission to the group: what is checked before anything goes to disk.

use sallyport_audit::Digest;
use sallyport_audit::checkpoint::Head;
use sallyport_audit::record::{Attested, Event, ObjectRef, Writer as Author};
use sallyport_audit::wire::RefuseCode;

use super::{Group, Submission, Writer};
use crate::log::Checked;
use crate::log::doors::Undo;
use crate::log::error::LogError;

/// A submission that was found in order.
#[derive(Default)]
pub(super) struct Taken {
    /// Running number of its last record.
    pub(super) up_to: u64,
    pub(super) records: Vec<(Vec<u8>, Digest)>,
    /// How many of them are the recorder's own.
    pub(super) own: u64,
    pub(super) undo: Vec<Undo>,
}

impl Writer {
    /// Checks a submission and puts it into the group; one that is refused leaves no trace.
    pub(super) fn stage(&mut self, submission: Submission, group: &mut Group) {
        let Submission { records, echo, reply } = submission;
        match self.admit(records, echo, self.own + group.own) {
            Ok(taken) => {
                group.records.extend(taken.records);
                group.own += taken.own;
                group.undo.extend(taken.undo);
                group.waiting.push((taken.up_to, reply));
            }
            // The stream may be gone already.
            Err(error) => _ = reply.send(Err(error)),
        }
    }

    /// Checks records of a door. `own`: the recorder's own number so far.
    pub(super) fn admit(&mut self, records: Vec<Checked>, echo: Option<Head>, own: u64) -> Result<Taken, LogError> {
        let refused = self.refusal().map_or(Ok(()), Err);
        let taken = refused
            .and_then(|()| echo.map_or(Ok(()), |head| self.check_echo(&head)))
            .and_then(|()| self.room_for(&records))
            .and_then(|()| self.take(records, own));
        taken.inspect_err(|error| self.config.metrics.refused(error.code))
    }

    fn take(&mut self, records: Vec<Checked>, own: u64) -> Result<Taken, LogError> {
        let mut taken = Taken::default();
        for record in records {
            taken.up_to = record.header.source.seq;
            if let Err(error) = self.take_one(record, own, &mut taken) {
                taken.undo.into_iter().rev().for_each(|step| self.doors.undo(step));
                return Err(error);
            }
        }
        Ok(taken)
    }

    fn take_one(&mut self, record: Checked, own: u64, taken: &mut Taken) -> Result<(), LogError> {
        let Checked {
            bytes,
            leaf,
            header,
            beside,
        } = record;
        let (last, _) = self.doors.standing(&header.source.instance);
        if header.source.seq <= last && header.source.writer == Author::Proxy {
            return Ok(());
        }
        let undo = self.doors.apply(&header, self.tree.size())?;
        self.ages.heard(header.time);
        taken.undo.extend(undo);
        taken.records.push((bytes, leaf));
        if let Some(attested) = beside {
            let event = Event::Attested(attested);
            let records = self.seal_own(
                header.source.connection,
                header.session.as_ref(),
                event,
                own + taken.own,
            )?;
            taken.own += records.len() as u64;
            taken.records.extend(records);
        }
        Ok(())
    }

    /// Writes down whom the recorder did not take. A door that tries again and again gets nothing of the room that is kept
    /// for what ends things.
    pub(super) fn attest(&mut self, connection: ObjectRef, attested: Box<Attested>) {
        self.look_at_room();
        let full = self.reserve.low();
        let full = full.map(|reason| LogError::new(RefuseCode::Storage, reason.clone()));
        let written = match self.refusal().or(full) {
            Some(refused) => Err(refused),
            None => self.write_own(Some(connection), None, Event::Attested(attested)),
        };
        if let Err(error) = written {
            tracing::error!(%error, "that somebody was not taken is not on record");
        }
    }
}
