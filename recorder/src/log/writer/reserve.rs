//! Room that is kept back on the volume: what is already on record must still get its end, and all of it its tiles and
//! checkpoint, when there is no room for anything new.

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
/// What is written ahead and not yet published takes as much room again, and a little for hashes.
const AGAIN: u64 = 2;
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
    /// Bytes written and not yet published.
    unpublished: u64,
    low: Option<String>,
    tried: Option<Instant>,
}

impl Reserve {
    /// Bytes were written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written += bytes;
        self.unpublished += bytes;
    }

    /// Everything is published.
    pub(super) fn published(&mut self) {
        self.unpublished = 0;
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
        let kept = (total / PART).clamp(LEAST.min(total / 4), MOST) + self.reserve.unpublished.saturating_mul(AGAIN);
        let low = (free < kept).then(|| {
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
