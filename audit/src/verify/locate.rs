//! Where a log first differs from the one that a checkpoint was made over.
//!
//! The log's hash tiles are only believed as far as the checkpoint's root vouches for them: from the root down, a parent's
//! children are genuine when they hash to it. Where that chain reaches a leaf, the very record is named; where hashes were
//! rewritten too, the smallest range is.

use std::collections::HashMap;

use super::entries::Entries;
use super::report::{Finding, Spot};
use crate::Digest;
use crate::checkpoint::Checkpoint;
use crate::merkle::{Frontier, Subtrees, leaf_hash, node_hash, root_at};
use crate::store::{Store, StoreError};
use crate::tiles::TileHashes;

/// How far around the first difference is looked for the record that should stand there.
const AROUND: u64 = 4096;

/// The first difference below `checkpoint`, whose first `known` records are genuine.
pub(super) fn locate<S: Store>(
    store: &S,
    known: u64,
    gone: u64,
    checkpoint: &Checkpoint,
) -> Result<Finding, StoreError> {
    let size = checkpoint.size;
    let rewritten = Finding::Rewritten { from: known, to: size };
    let mut tiles = TileHashes::new(store, size);
    let genuine = match root_at(size, &mut tiles) {
        Ok(root) => root == checkpoint.root,
        Err(StoreError::Missing(_)) => false,
        Err(error) => return Err(error),
    };
    if !genuine {
        return Ok(rewritten);
    }
    let mut search = Search {
        tiles,
        entries: Entries::new(store, size),
        gone,
    };
    for (level, index) in Frontier::peak_names(size) {
        let hash = search.tiles.subtree(level, index)?;
        if search.found(level, index)? != Some(hash) {
            return search.descend(level, index, hash, size);
        }
    }
    Ok(rewritten)
}

struct Search<'a, S> {
    tiles: TileHashes<'a, S>,
    entries: Entries<'a, S>,
    /// Records at the beginning of which only the hashes are there.
    gone: u64,
}

impl<S: Store> Search<'_, S> {
    /// The hash over the entries as they are; `None` where some are not there.
    fn found(&mut self, level: u8, index: u64) -> Result<Option<Digest>, StoreError> {
        let mut frontier = Frontier::new();
        for at in index << level..(index + 1) << level {
            let leaf = match self.entries.get(at)? {
                Some(entry) => leaf_hash(entry),
                None if at < self.gone => self.tiles.subtree(0, at)?,
                None => return Ok(None),
            };
            frontier.push(leaf);
        }
        Ok(Some(frontier.root()))
    }

    /// Goes down from a genuine hash that the entries do not have.
    fn descend(&mut self, level: u8, index: u64, genuine: Digest, size: u64) -> Result<Finding, StoreError> {
        let (mut level, mut index, mut genuine) = (level, index, genuine);
        while level > 0 {
            let range = Finding::Rewritten {
                from: index << level,
                to: (index + 1) << level,
            };
            let children = (
                self.tiles.subtree(level - 1, index * 2),
                self.tiles.subtree(level - 1, index * 2 + 1),
            );
            let (Ok(left), Ok(right)) = children else {
                return Ok(range);
            };
            if node_hash(&left, &right) != genuine {
                return Ok(range);
            }
            level -= 1;
            index *= 2;
            genuine = left;
            if self.found(level, index)? == Some(left) {
                index += 1;
                genuine = right;
            }
        }
        self.name(index, genuine, size)
    }

    /// Says what happened at the first record that differs.
    fn name(&mut self, index: u64, genuine: Digest, size: u64) -> Result<Finding, StoreError> {
        let (from, to) = (index.saturating_sub(AROUND), size.min(index + AROUND));
        let mut places = HashMap::new();
        for at in from..to {
            if let Some(entry) = self.entries.get(at)? {
                places.entry(leaf_hash(entry)).or_insert(at);
            }
        }
        let next_genuine = if index + 1 < size {
            self.tiles.subtree(0, index + 1).ok()
        } else {
            None
        };
        let here = self.entries.get(index)?.map(leaf_hash);
        let now = Spot::new(index, self.entries.get(index)?);
        Ok(match (here, places.get(&genuine)) {
            // Everything after it moved down by one.
            (Some(_), Some(at))
                if *at == index + 1 && next_genuine.and_then(|hash| places.get(&hash).copied()) == Some(index + 2) =>
            {
                Finding::Inserted(now)
            }
            (_, Some(at)) => Finding::Moved {
                index,
                to: Spot::new(*at, self.entries.get(*at)?),
            },
            (Some(here), None) if Some(here) == next_genuine => Finding::Removed { index, now },
            (None, None) => Finding::Removed { index, now },
            (Some(_), None) => Finding::Changed(now),
        })
    }
}
