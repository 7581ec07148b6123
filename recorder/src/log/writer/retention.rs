//! Old records: removed after the time that the sink says, once the log itself tells that they are gone.

use std::time::Duration;

use sallyport_audit::Time;
use sallyport_audit::record::{Event, Pruned};
use sallyport_audit::tiles::{Kind, Tile, WIDTH};

use super::Writer;
use crate::log::publish::FOLDER;

impl Writer {
    /// Notes the log's age, says what is to go, and removes what was said to go.
    pub(super) fn remove_old(&mut self) {
        let Some(kept) = self.config.retention else { return };
        if self.refusal().is_some() {
            return;
        }
        let now = Time::now();
        self.ages.mark(now, self.tree.size(), kept);
        match self.removal {
            None => self.announce(now, kept),
            Some((before, told)) if self.published >= told => self.remove(before),
            Some(_) => {}
        }
    }

    fn announce(&mut self, now: Time, kept: Duration) {
        let Some(before) = self.ages.due(now, kept) else { return };
        // What is not published yet is in no bundle.
        if before > self.published {
            return;
        }
        let pruned = Pruned {
            before,
            kept_secs: kept.as_secs(),
        };
        match self.write_own(None, None, Event::Pruned(pruned)) {
            Ok(()) => self.removal = Some((before, self.tree.size())),
            Err(error) => tracing::warn!(%error, "old records stay for now"),
        }
    }

    fn remove(&mut self, before: u64) {
        let bundles = self.ages.pruned / WIDTH..before / WIDTH;
        for index in bundles {
            let Some(tile) = Tile::at(Kind::Entries, index, before) else {
                continue;
            };
            if let Err(error) = self.disk.remove(&format!("{FOLDER}/{tile}")) {
                tracing::warn!(%error, "a bundle of old records stays for now");
                return;
            }
        }
        // What was written ahead goes with its segment: the next publication removes those that are whole.
        if let Err(error) = self.wal.begin_anew(self.disk.as_ref(), self.tree.size()) {
            tracing::warn!(%error, "old records stay written ahead for now");
        }
        tracing::info!(before, "old records are removed");
        self.ages.pruned = before;
        self.removal = None;
    }
}
