//! One pass over all entries: roots at every checkpoint, tiles, running numbers.

use super::Trust;
use super::entries::Entries;
use super::locate::locate;
use super::numbers::Numbers;
use super::report::{Finding, Report, told};
use crate::Digest;
use crate::canonical;
use crate::checkpoint::Checkpoint;
use crate::merkle::{Frontier, Subtrees, leaf_hash};
use crate::record::{Event, Header, Kind as RecordKind, Pruned, Record, Writer};
use crate::store::{Store, StoreError};
use crate::tiles::{Kind, Tile, TileHashes, WIDTH, read_tile};

/// More findings of one kind say nothing more.
const ENOUGH: usize = 20;

pub(super) fn scan<S: Store>(store: &S, trust: &Trust, visit: impl FnMut(u64, &[u8])) -> Result<Report, StoreError> {
    let mut findings = Vec::new();
    let own = own(store, trust, &mut findings)?;
    let outside = trust.checkpoints.last().map_or(0, |checkpoint| checkpoint.size);
    let size = own.as_ref().map_or(0, |own| own.size).max(outside);
    let mut pass = Pass::new(store, size);
    pass.run(trust, own.as_ref(), visit)?;
    let records = pass.frontier.size();
    if records == 0 && outside > 0 {
        findings = vec![Finding::MissingLog { proven: outside }];
    } else {
        judge(store, trust, own.as_ref(), &pass, &mut findings)?;
        findings.extend(pass.findings);
    }
    let (proven, pruned) = (pass.proven, pass.gone);
    let said = pass.said.filter(|_| pruned > 0);
    Ok(Report {
        origin: trust.key.name().to_owned(),
        records,
        stated: own.map(|own| own.size),
        pruned,
        pruned_after: said.map(|said| said.kept_secs),
        pruned_by: said.map(|said| said.by),
        proven,
        findings,
    })
}

fn own<S: Store>(store: &S, trust: &Trust, findings: &mut Vec<Finding>) -> Result<Option<Checkpoint>, StoreError> {
    let Some(bytes) = store.read("checkpoint")? else {
        findings.push(Finding::NoCheckpoint);
        return Ok(None);
    };
    match Checkpoint::open(&String::from_utf8_lossy(&bytes), &trust.key) {
        Ok(own) => Ok(Some(own)),
        Err(error) => {
            findings.push(Finding::Checkpoint(error));
            Ok(None)
        }
    }
}

/// Findings that follow from comparing the pass with the checkpoints.
fn judge<S: Store>(
    store: &S,
    trust: &Trust,
    own: Option<&Checkpoint>,
    pass: &Pass<'_, S>,
    findings: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    let records = pass.frontier.size();
    let contradicted = pass.contradicted.as_ref();
    if let Some(beyond) = trust
        .checkpoints
        .iter()
        .rev()
        .find(|checkpoint| checkpoint.size > records)
    {
        findings.push(Finding::Truncated {
            left: records,
            stated: beyond.size,
            outside: true,
        });
    } else if let Some(own) = own.filter(|own| own.size > records) {
        findings.push(Finding::Truncated {
            left: records,
            stated: own.size,
            outside: false,
        });
    }
    match contradicted {
        Some((checkpoint, true)) => findings.push(locate(store, pass.proven, pass.gone, checkpoint)?),
        Some((checkpoint, false)) => {
            findings.push(Finding::OwnCheckpointDiffers);
            findings.push(locate(store, pass.proven, pass.gone, checkpoint)?);
        }
        // Too few entries to compare with any checkpoint: their hashes still tell where the first of them went.
        None => {
            let stated = trust
                .checkpoints
                .iter()
                .chain(own)
                .find(|checkpoint| checkpoint.size > records);
            if let Some(checkpoint) = stated
                && let found @ (Finding::Removed { .. } | Finding::Changed(_) | Finding::Moved { .. }) =
                    locate(store, pass.proven, pass.gone, checkpoint)?
            {
                findings.push(found);
            }
        }
    }
    Ok(())
}

/// What a log says of records that were removed.
#[derive(Clone, Copy)]
struct Said {
    /// How long each was kept, at least.
    kept_secs: u64,
    /// Place of the record that speaks of the most.
    by: u64,
}

struct Pass<'a, S> {
    store: &'a S,
    size: u64,
    frontier: Frontier,
    /// Hashes of the unfinished tile of each level.
    rows: Vec<Vec<Digest>>,
    numbers: Numbers,
    /// Records at the beginning of which only the hashes are there.
    gone: u64,
    /// Records at the beginning that the log says were removed.
    told: u64,
    /// What it says of them.
    said: Option<Said>,
    /// Size of the largest outside checkpoint that fits.
    proven: u64,
    /// The first checkpoint that does not fit, and whether it is an outside one.
    contradicted: Option<(Checkpoint, bool)>,
    findings: Vec<Finding>,
}

impl<'a, S: Store> Pass<'a, S> {
    fn new(store: &'a S, size: u64) -> Self {
        let (frontier, numbers) = (Frontier::new(), Numbers::default());
        Self {
            store,
            size,
            frontier,
            rows: Vec::new(),
            numbers,
            gone: 0,
            told: 0,
            said: None,
            proven: 0,
            contradicted: None,
            findings: Vec::new(),
        }
    }

    fn run(
        &mut self,
        trust: &Trust,
        own: Option<&Checkpoint>,
        mut visit: impl FnMut(u64, &[u8]),
    ) -> Result<(), StoreError> {
        let mut marks: Vec<(&Checkpoint, bool)> =
            trust.checkpoints.iter().map(|checkpoint| (checkpoint, true)).collect();
        marks.extend(trust.signed.iter().chain(own).map(|signed| (signed, false)));
        // An outside checkpoint of the same size is looked at first: it is the one that proves.
        marks.sort_by_key(|(checkpoint, outside)| (checkpoint.size, !outside));
        let mut marks = marks.into_iter().peekable();
        let mut entries = Entries::new(self.store, self.size);
        let mut tiles = TileHashes::new(self.store, self.size);
        for index in 0..self.size {
            if let Some(entry) = entries.get(index)? {
                visit(index, entry);
                self.record(index, entry);
                self.push(leaf_hash(entry))?;
            } else if let Some(leaf) = self.pruned(index, &mut tiles)? {
                self.push(leaf)?;
            } else {
                break;
            }
            while let Some((checkpoint, outside)) = marks.next_if(|(checkpoint, _)| checkpoint.size <= index + 1) {
                self.compare(checkpoint, outside);
            }
        }
        if let Some(tile) = entries.excess() {
            self.findings.push(Finding::Excess(tile.to_string()));
        }
        self.finish()
    }

    /// The hash of a record that is gone, where it may be: in whole bundles from the beginning on. Whether it was to go is
    /// judged at the end, when the log has been heard.
    fn pruned(&mut self, index: u64, tiles: &mut TileHashes<'_, S>) -> Result<Option<Digest>, StoreError> {
        if index != self.gone {
            return Ok(None);
        }
        // A bundle is gone whole or not at all: one that is cut short is damaged.
        if index.is_multiple_of(WIDTH) {
            let bundle = Tile::at(Kind::Entries, index / WIDTH, self.size).filter(|tile| tile.is_full());
            let Some(bundle) = bundle else { return Ok(None) };
            if self.store.read(&bundle.to_string())?.is_some() {
                return Ok(None);
            }
        }
        match tiles.subtree(0, index) {
            Ok(leaf) => {
                self.gone += 1;
                Ok(Some(leaf))
            }
            Err(StoreError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn compare(&mut self, checkpoint: &Checkpoint, outside: bool) {
        // A checkpoint of size 0 says nothing about any record.
        if checkpoint.size != self.frontier.size() {
            return;
        }
        if self.frontier.root() != checkpoint.root {
            self.contradicted.get_or_insert((checkpoint.clone(), outside));
        } else if outside && self.contradicted.is_none() {
            self.proven = checkpoint.size;
        }
    }

    fn record(&mut self, index: u64, entry: &[u8]) {
        if self.findings.len() >= ENOUGH {
            return;
        }
        let header = canonical::check(entry).map_err(|error| error.to_string());
        let header = header.and_then(|()| Header::parse(entry).map_err(|error| error.to_string()));
        match header {
            Ok(header) => {
                let gone = self.gone > 0;
                self.findings.extend(self.numbers.take(index, &header, gone));
                let own = header.source.writer == Writer::Recorder && header.kind.as_str() == RecordKind::PRUNED;
                // Of whichever version: what was removed by a newer recorder is no hole.
                let read = || serde_json::from_slice(entry).map(|record: Record| record.event);
                if let Some(Ok(Event::Pruned(pruned))) = own.then(read) {
                    self.was_told(index, pruned);
                }
            }
            Err(why) => {
                let why = told(&why);
                self.findings.push(Finding::NoRecord { index, why });
            }
        }
    }

    /// The record at `index` says that old ones were removed.
    fn was_told(&mut self, index: u64, pruned: Pruned) {
        let Pruned { before, kept_secs } = pruned;
        let more = before > self.told;
        self.told = self.told.max(before);
        self.said = Some(match self.said {
            Some(said) => Said {
                kept_secs: said.kept_secs.min(kept_secs),
                by: if more { index } else { said.by },
            },
            None => Said { kept_secs, by: index },
        });
    }

    fn push(&mut self, leaf: Digest) -> Result<(), StoreError> {
        let (mut index, mut hash) = (self.frontier.size(), leaf);
        self.frontier.push(leaf);
        for level in 0..8_u8 {
            let at = usize::from(level);
            if self.rows.len() == at {
                self.rows.push(Vec::new());
            }
            let Some(row) = self.rows.get_mut(at) else { break };
            row.push(hash);
            if row.len() < 256 {
                break;
            }
            let row = std::mem::take(row);
            self.check_tile(
                Tile {
                    kind: Kind::Hashes(level),
                    index: index / WIDTH,
                    width: 256,
                },
                &row,
            )?;
            let mut top = Frontier::new();
            row.into_iter().for_each(|hash| top.push(hash));
            (hash, index) = (top.root(), index / WIDTH);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        if self.gone > self.told {
            let (gone, told) = (self.gone, self.told);
            self.findings.push(Finding::Missing { gone, told });
        }
        let size = self.frontier.size();
        for (level, row) in (0..8_u8).zip(std::mem::take(&mut self.rows)) {
            let kind = Kind::Hashes(level);
            let last = (size >> (8 * u32::from(level))) / WIDTH;
            if let Some(tile) = Tile::at(kind, last, size) {
                self.check_tile(tile, &row)?;
            }
        }
        Ok(())
    }

    fn check_tile(&mut self, tile: Tile, row: &[Digest]) -> Result<(), StoreError> {
        if self.findings.len() >= ENOUGH {
            return Ok(());
        }
        let fits = match read_tile(self.store, tile) {
            Ok(bytes) => crate::tiles::hashes(&bytes).eq(row.iter().copied()) && bytes.len() == row.len() * 32,
            Err(StoreError::Missing(_)) => false,
            Err(error) => return Err(error),
        };
        if !fits {
            self.findings.push(Finding::Tile(tile.to_string()));
        }
        Ok(())
    }
}
