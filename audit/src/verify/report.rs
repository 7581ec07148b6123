//! What verification says.

use std::fmt;

use crate::note::NoteError;
use crate::record::Header;

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// Records that were read.
    pub records: u64,
    /// Size that the log's own checkpoint states.
    pub stated: Option<u64>,
    /// Records at the beginning that are gone because they were kept long enough, as the log itself says. Their hashes are
    /// there.
    pub pruned: u64,
    /// For how long they were kept, in seconds, as the log itself says; the least where it says it several times.
    pub pruned_after: Option<u64>,
    /// Place of the record that says so.
    pub pruned_by: Option<u64>,
    /// Records that an outside checkpoint proves.
    pub proven: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// The answer in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every record up to the outside checkpoint is genuine and in its place.
    Proven,
    /// Nothing is wrong, and nothing outside vouches for it.
    Unproven,
    /// Something was changed, removed, moved, added or cut.
    Refuted,
}

impl Report {
    /// The answer in a word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.findings.is_empty(), self.proven) {
            (false, _) => Verdict::Refuted,
            (true, 0) => Verdict::Unproven,
            (true, _) => Verdict::Proven,
        }
    }

    /// Whether an outside checkpoint proves the record that says that records were kept long enough. Where it does not, whoever has
    /// the log's key may have written it moments ago.
    #[must_use]
    pub fn pruning_proven(&self) -> bool {
        self.pruned_by.is_some_and(|place| place < self.proven)
    }

    /// Records beyond the last outside checkpoint.
    #[must_use]
    pub fn unproven(&self) -> u64 {
        self.records.saturating_sub(self.proven)
    }
}

/// As much of a text of somebody else's as a finding tells.
const TOLD: usize = 200;

/// Text of somebody else's, as it may be printed: a terminal must not obey a forged record, nor hide what is said of it.
pub(super) fn told(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == TOLD {
            out.push('…');
            break;
        }
        match c {
            ' '..='~' => out.push(c),
            _ => out.extend(c.escape_default()),
        }
    }
    out
}

/// A record by what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Its place, from 0.
    pub index: u64,
    /// Its kind, writer, number and time; `None` where it does not read as a record.
    pub says: Option<String>,
}

impl Spot {
    pub(super) fn new(index: u64, entry: Option<&[u8]>) -> Self {
        let says = entry.and_then(|entry| Header::parse(entry).ok()).map(|header| {
            let source = &header.source;
            format!(
                "{} at {}, number {} of {}",
                told(header.kind.as_str()),
                header.time,
                source.seq,
                told(source.instance.as_str())
            )
        });
        Self { index, says }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is no log where an outside checkpoint says that there was one.
    MissingLog {
        /// Records that it had.
        proven: u64,
    },
    /// The log has no checkpoint of its own.
    NoCheckpoint,
    /// The log's own checkpoint is not signed by the key, or speaks of another log.
    Checkpoint(NoteError),
    /// Records at the end are gone.
    Truncated {
        /// Records that are left.
        left: u64,
        /// Records that the checkpoint speaks of.
        stated: u64,
        /// Whether that checkpoint was kept outside.
        outside: bool,
    },
    /// This record is not the one that was written.
    Changed(Spot),
    /// The record that was written here is gone; those after it moved up.
    Removed {
        /// Where it was.
        index: u64,
        /// What stands there now.
        now: Spot,
    },
    /// The record that was written here stands elsewhere.
    Moved {
        /// Where it was.
        index: u64,
        /// Where it is.
        to: Spot,
    },
    /// A record that nobody wrote stands here; those after it moved down.
    Inserted(Spot),
    /// The log was rewritten, hashes included: the first record that differs is one of these.
    Rewritten {
        /// First record that may differ.
        from: u64,
        /// One past the last.
        to: u64,
    },
    /// The log's own checkpoint is signed by its key and speaks of other records than the log holds.
    OwnCheckpointDiffers,
    /// A hash tile is not the one over the records.
    Tile(String),
    /// A bundle of entries holds more than the log does.
    Excess(String),
    /// This does not read as a canonical record.
    NoRecord {
        /// Its place.
        index: u64,
        /// Why.
        why: String,
    },
    /// Records at the beginning are gone, and the log does not say that they were kept long enough.
    Missing {
        /// How many.
        gone: u64,
        /// Of how many the log says it.
        told: u64,
    },
    /// A writer's running number jumps: a record never reached the log, or came twice.
    Gap {
        /// Where it shows.
        index: u64,
        /// The writer's instance, as it may be printed.
        instance: String,
        /// The number that should stand here.
        expected: u64,
        /// The number that does.
        found: u64,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proven => "PROVEN",
            Self::Unproven => "UNPROVEN",
            Self::Refuted => "REFUTED",
        })
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.says {
            Some(says) => write!(f, "record {} ({says})", self.index),
            None => write!(f, "record {}", self.index),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingLog { proven } => write!(f, "the log is missing: it had {proven} records"),
            Self::NoCheckpoint => f.write_str("the log has no checkpoint of its own"),
            Self::Checkpoint(error) => write!(f, "the log's own checkpoint: {error}"),
            Self::Truncated { left, stated, outside } => {
                let whose = if *outside {
                    "the checkpoint kept outside"
                } else {
                    "the log's own checkpoint"
                };
                write!(
                    f,
                    "the tail is cut: {left} records are left, {whose} speaks of {stated}"
                )
            }
            Self::Changed(spot) => write!(f, "{spot} was changed: it is not the one that was written"),
            Self::Removed { index, now } => write!(f, "record {index} was removed: {now} stands in its place"),
            Self::Moved { index, to } => write!(f, "record {index} was moved: it is now {to}"),
            Self::Inserted(spot) => write!(f, "{spot} was inserted: nobody wrote it there"),
            Self::Rewritten { from, to } => {
                write!(
                    f,
                    "the log was rewritten together with its hashes: the first record that differs is one of {from} to {}",
                    to.saturating_sub(1)
                )
            }
            Self::OwnCheckpointDiffers => {
                f.write_str("the log's own checkpoint speaks of other records than the log holds")
            }
            Self::Tile(tile) => write!(f, "the hash tile {tile} does not fit the records"),
            Self::Excess(tile) => write!(f, "the bundle {tile} holds more than the log's records"),
            Self::Missing { gone, told } => write!(
                f,
                "the first {gone} records are gone, and the log says of {told} that they were kept long enough"
            ),
            Self::NoRecord { index, why } => write!(f, "record {index} is none: {why}"),
            Self::Gap {
                index,
                instance,
                expected,
                found,
            } => {
                write!(
                    f,
                    "at record {index}, writer {instance} goes from number {} to {found}: {expected} is not there",
                    expected - 1
                )
            }
        }
    }
}
