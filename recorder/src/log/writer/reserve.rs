//! Room that is kept back on the volume: what is already on record must still get its end, and all of it its tiles and
//! checkpoint, when there is no room for anything new.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sallyport_audit::wire::RefuseCode;

use super::Writer;
use crate::log::Checked;
use crate::log::disk::{Room, put};
use crate::log::error::LogError;

/// The reserve is this part of the volume,
const PART: u64 = 16;
/// within these bounds.
const LEAST: u64 = 1024 * 1024;
const MOST: u64 = 64 * 1024 * 1024;
/// The volume is not asked more often than this.
const LOOK: Duration = Duration::from_millis(50);
/// Nor for more than this many bytes without a look.
const UNSEEN: u64 = 256 * 1024;
/// Between two tries of a volume that takes nothing.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// What is tried: more than one record, so that the answer is worth something.
const PROBE: &str = "probe";
const PROBE_BYTES: usize = 64 * 1024;

/// What is known of the volume's room.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    looked: Option<Instant>,
    /// Bytes written since.
    written: u64,
    /// By how much the publication on its way has made the published log larger so far: see [`Publication::on_disk`].
    ///
    /// [`Publication::on_disk`]: crate::log::publish::Publication::on_disk
    on_disk: Arc<AtomicU64>,
    /// By how much it will have done so; nothing while there is none.
    growth: u64,
    /// Bytes of unfinished tiles that are published, or about to be: the next ones are written beside them.
    partial: u64,
    low: Option<String>,
    tried: Option<Instant>,
}

impl Reserve {
    /// Of a log of which these bytes of unfinished tiles may be published.
    pub(super) fn new(partial: u64) -> Self {
        Self {
            partial,
            ..Self::default()
        }
    }

    /// Bytes were written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written += bytes;
    }

    /// So many bytes of full and of unfinished tiles are about to be published. Gives the growth, and where it is told.
    pub(super) fn publishing(&mut self, full: u64, partial: u64) -> (u64, Arc<AtomicU64>) {
        self.growth = (full + partial).saturating_sub(self.partial);
        self.partial = partial;
        self.on_disk.store(0, Ordering::Release);
        (self.growth, Arc::clone(&self.on_disk))
    }

    /// They are.
    pub(super) fn published(&mut self) {
        self.growth = 0;
        self.on_disk.store(0, Ordering::Release);
    }

    /// What is free but for what is being published: that comes and goes while it is written.
    fn rests(&self, free: u64) -> u64 {
        free.saturating_add(self.on_disk.load(Ordering::Acquire))
    }

    /// In words, why nothing new is taken.
    pub(super) fn low(&self) -> Option<&String> {
        self.low.as_ref()
    }
}

impl Writer {
    /// Whether these records may use the room that there is.
    pub(super) fn room_for(&mut self, records: &[Checked]) -> Result<(), LogError> {
        self.look_at_room();
        match self.reserve.low() {
            Some(reason) if !records.iter().all(|record| record.header.kind.closes()) => {
                Err(LogError::new(RefuseCode::Storage, reason.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Asks the volume, now and then.
    pub(super) fn look_at_room(&mut self) {
        let fresh = self.reserve.looked.is_some_and(|at| at.elapsed() < LOOK);
        if fresh && self.reserve.written < UNSEEN {
            return;
        }
        self.reserve.looked = Some(Instant::now());
        self.reserve.written = 0;
        let Ok(Some(Room { free, total })) = self.disk.room() else {
            self.reserve.low = None;
            return;
        };
        // What is not published makes the published log longer, and unfinished tiles are always written beside those that they replace.
        let (full, partial) = (self.tree.waiting_bytes() as u64, self.tree.partial_bytes() as u64);
        let longer = self.reserve.growth + full + partial.saturating_sub(self.reserve.partial);
        let tiles = longer + partial;
        let kept = (total / PART).clamp(LEAST.min(total / 4), MOST) + tiles;
        let low = (self.reserve.rests(free) < kept).then(|| {
            let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
            format!(
                "the volume is full: {} MiB of {} are free, and that is kept for what is already on record; give it more room",
                mib(free),
                mib(total)
            )
        });
        if low.is_some() != self.reserve.low.is_some() {
            match &low {
                Some(reason) => tracing::error!("{reason}"),
                None => tracing::info!("the volume takes records again"),
            }
        }
        self.reserve.low = low;
    }

    /// A volume that took nothing is tried again now and then: nobody may come to try.
    pub(super) fn try_volume_again(&mut self) {
        let due = self.reserve.tried.is_none_or(|at| at.elapsed() >= TRY_AGAIN);
        if self.problem.is_none() || self.broken.is_some() || !due {
            return;
        }
        self.reserve.tried = Some(Instant::now());
        let room = put(self.disk.as_ref(), PROBE, &[0; PROBE_BYTES]);
        // A probe that stays behind is overwritten by the next.
        let _ = self.disk.remove(PROBE);
        if room.is_ok() {
            tracing::info!("the volume takes records again");
            self.problem = None;
        }
    }
}
