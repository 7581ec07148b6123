//! The tree in memory: its right edge, and the tiles that are not full yet.

use sallyport_audit::Digest;
use sallyport_audit::merkle::{Frontier, empty_root, subtree_hash};
use sallyport_audit::store::{Store, StoreError};
use sallyport_audit::tiles::{Kind, Tile, TileHashes, WIDTH, hashes, push_entry, read_tile};

/// A tile and its bytes.
pub(super) type TileBytes = (Tile, Vec<u8>);

/// Everything that grows with an append. O(levels * 256) hashes and at most 255 records.
#[derive(Debug, Default)]
pub(super) struct Tree {
    frontier: Frontier,
    /// Hashes of the unfinished tile of each level.
    levels: Vec<Vec<Digest>>,
    /// The unfinished entry bundle.
    bundle: Vec<u8>,
    /// Tiles that became full and are not yet handed out.
    full: Vec<TileBytes>,
    full_bytes: usize,
}

impl Tree {
    /// The tree of `size` records (a multiple of 256), from published tiles.
    pub(super) fn load<S: Store>(size: u64, store: &S) -> Result<Self, StoreError> {
        let mut tree = Self::default();
        let mut found = TileHashes::new(store, size);
        let peaks = Frontier::peak_names(size)
            .into_iter()
            .map(|(level, index)| sallyport_audit::merkle::Subtrees::subtree(&mut found, level, index))
            .collect::<Result<_, _>>()?;
        tree.frontier = Frontier::from_peaks(size, peaks).unwrap_or_default();
        for level in 0..8_u8 {
            let filled = size >> (8 * u32::from(level));
            if filled == 0 {
                break;
            }
            let tile = Tile::at(Kind::Hashes(level), filled / WIDTH, size);
            tree.levels.push(match tile {
                Some(tile) => hashes(&read_tile(store, tile)?).take(usize::from(tile.width)).collect(),
                None => Vec::new(),
            });
        }
        Ok(tree)
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Appends a record that is on disk.
    pub(super) fn push(&mut self, record: &[u8], leaf: Digest) {
        let index = self.size();
        self.frontier.push(leaf);
        // Its length was checked when it was written ahead.
        push_entry(&mut self.bundle, record);
        if (index + 1).is_multiple_of(WIDTH) {
            let tile = Tile {
                kind: Kind::Entries,
                index: index / WIDTH,
                width: 256,
            };
            // Its room is kept: the next one grows as long.
            let bytes = self.bundle.clone();
            self.bundle.clear();
            self.finish(tile, bytes);
        }
        self.carry(index, leaf);
    }

    /// Puts a hash into its level's tile; a tile that becomes full gives one hash to the level above.
    fn carry(&mut self, index: u64, leaf: Digest) {
        let (mut index, mut hash) = (index, leaf);
        for level in 0..8_u8 {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(at) else { return };
            row.push(hash);
            if row.len() < 256 {
                return;
            }
            let row = std::mem::take(row);
            let bytes = row.iter().flat_map(|hash| *hash.as_bytes()).collect();
            self.finish(
                Tile {
                    kind: Kind::Hashes(level),
                    index: index / WIDTH,
                    width: 256,
                },
                bytes,
            );
            hash = subtree_hash(row).unwrap_or_else(empty_root);
            index /= WIDTH;
        }
    }

    fn finish(&mut self, tile: Tile, bytes: Vec<u8>) {
        self.full_bytes += bytes.len();
        self.full.push((tile, bytes));
    }

    /// Bytes of full tiles that wait to be taken.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.full_bytes
    }

    /// Bytes of the unfinished tiles.
    pub(super) fn partial_bytes(&self) -> usize {
        self.bundle.len() + 32 * self.levels.iter().map(Vec::len).sum::<usize>()
    }

    /// Takes the tiles that became full since the last call.
    pub(super) fn take_full(&mut self) -> Vec<TileBytes> {
        self.full_bytes = 0;
        std::mem::take(&mut self.full)
    }

    /// The unfinished tiles, as they are now.
    pub(super) fn partial(&self) -> Vec<TileBytes> {
        let size = self.size();
        let last = |kind| match kind {
            Kind::Hashes(level) => (size >> (8 * u32::from(level))) / WIDTH,
            Kind::Entries => size / WIDTH,
        };
        let mut out = Vec::new();
        if let Some(tile) = Tile::at(Kind::Entries, last(Kind::Entries), size) {
            out.push((tile, self.bundle.clone()));
        }
        for (level, row) in (0..8_u8).zip(&self.levels) {
            let kind = Kind::Hashes(level);
            if let Some(tile) = Tile::at(kind, last(kind), size) {
                out.push((tile, row.iter().flat_map(|hash| *hash.as_bytes()).collect()));
            }
        }
        out
    }
}
