//! What the writer does between groups: end records that are owed, publication, status.

use std::time::{Duration, Instant};

use sallyport_audit::checkpoint::{Checkpoint, Head};
use sallyport_audit::record::{EndCause, Event, LogEnd, SessionEnd};

use tokio::sync::oneshot;

use super::Writer;
use crate::log::Status;
use crate::log::doors::Vanished;
use crate::log::error::LogError;
use crate::log::publish::{Publication, Published};
use crate::log::state::State;
use crate::log::tree::TileBytes;

impl Writer {
    /// Ends the sessions of doors that did not come back.
    pub(super) fn end_vanished(&mut self) {
        if self.refusal().is_some() {
            return;
        }
        for Vanished {
            instance,
            connection,
            sessions,
        } in self.doors.vanished(Instant::now(), self.config.grace)
        {
            let all = sessions.iter().try_for_each(|(session, began)| {
                let lasted = began.seen.unix_micros().saturating_sub(began.at.unix_micros());
                let end = SessionEnd {
                    cause: EndCause::DoorVanished,
                    commands: began.commands,
                    duration_us: u64::try_from(lasted).unwrap_or(0),
                };
                self.write_own(Some(connection.clone()), Some(session), Event::SessionEnd(end))?;
                self.doors.ended_by_recorder(session);
                Ok::<(), LogError>(())
            });
            match all {
                Ok(()) => self.doors.fence(&instance),
                // Tried again at the next tick.
                Err(error) => tracing::error!(%error, %instance, "end records of a vanished door are owed"),
            }
        }
    }

    pub(super) fn hear_publisher(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.take_report(report);
        }
    }

    fn take_report(&mut self, report: Published) {
        match report {
            Published::Done { size } => {
                self.publishing = false;
                self.published = size;
                self.unpublished = None;
                self.reserve.published();
                self.answer_asked();
                let keep = size - size % sallyport_audit::tiles::WIDTH;
                if let Err(error) = self.wal.trim(self.disk.as_ref(), keep) {
                    tracing::warn!(%error, "an old write-ahead segment stays");
                }
            }
            Published::Failing { reason } => {
                tracing::error!(%reason, "publishing fails");
                self.unpublished = Some(reason);
            }
        }
    }

    pub(super) fn publish_if_due(&mut self) {
        // On a volume that takes nothing they would pile up.
        self.asked.retain(|(_, reply)| !reply.is_closed());
        let due = self
            .last_publication
            .is_none_or(|at| at.elapsed() >= self.config.checkpoint_every)
            || !self.asked.is_empty();
        if due && !self.publishing && self.tree.size() > self.published && self.broken.is_none() {
            self.publish();
        }
    }

    /// Publishes what is on disk now, and tells its head when that is done.
    pub(super) fn publish_for(&mut self, reply: oneshot::Sender<Head>) {
        let head = self.head();
        self.asked.push((head, reply));
        self.answer_asked();
        self.hear_publisher();
        self.publish_if_due();
    }

    fn answer_asked(&mut self) {
        let (done, waiting) = std::mem::take(&mut self.asked)
            .into_iter()
            .partition(|(head, _)| head.size <= self.published);
        self.asked = waiting;
        for (head, reply) in done {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(head);
        }
    }

    /// How many wait for a publication.
    #[cfg(test)]
    pub(in crate::log) fn asked(&self) -> usize {
        self.asked.len()
    }

    fn publish(&mut self) {
        self.doors.forget(self.tree.size());
        let size = self.tree.size();
        let state = match State::to_bytes(size, &self.doors, &self.ages, &self.signer) {
            Ok(state) => state,
            Err(error) => return tracing::error!(%error, "the doors' state does not serialise"),
        };
        let text = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            size,
            root: self.tree.frontier().root(),
        };
        let (full, partial) = (self.tree.take_full(), self.tree.partial());
        let bytes = |tiles: &[TileBytes]| tiles.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        let (growth, on_disk) = self.reserve.publishing(bytes(&full), bytes(&partial));
        let publication = Publication {
            size,
            full,
            partial,
            state,
            checkpoint: text.sign(&self.signer),
            growth,
            on_disk,
        };
        self.publishing = self.publications.send(publication).is_ok();
        self.last_publication = Some(Instant::now());
    }

    /// Writes the end record and publishes everything, as far as the volume allows.
    pub(super) fn end(&mut self, reason: String) {
        self.end_vanished();
        if self.refusal().is_none()
            && let Err(error) = self.write_own(None, None, Event::LogEnd(LogEnd { reason }))
        {
            tracing::error!(%error, "the end record is not written");
        }
        while self.broken.is_none() && (self.publishing || self.published < self.tree.size()) {
            if !self.publishing {
                self.publish();
            }
            match self.reports.recv_timeout(Duration::from_secs(10)) {
                Ok(report @ Published::Done { .. }) => self.take_report(report),
                // The write-ahead files hold it all: the next start publishes.
                Ok(Published::Failing { .. }) | Err(_) => break,
            }
        }
        self.tell();
    }

    pub(super) fn tell(&self) {
        let (doors, sessions) = self.doors.counts();
        let status = Status {
            size: self.tree.size(),
            published: self.published,
            fenced: self.fence.is_shut(),
            problem: self.problem().or_else(|| self.reserve.low()).cloned(),
            broken: self.broken.clone(),
            sessions,
            doors,
        };
        self.config.metrics.standing(&status);
        self.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }
}
