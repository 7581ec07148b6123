//! The right edge of a growing tree: what is needed to append and to state the root, in O(log n) memory.

use super::{empty_root, node_hash};
use crate::Digest;

/// A tree that is only appended to. Holds one hash for each bit that is set in its size, the largest subtree first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` leaves, from the hashes of its complete subtrees, the largest first; `None` when their
    /// number does not fit the size.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        (u64::from(size.count_ones()) == peaks.len() as u64).then_some(Self { size, peaks })
    }

    /// Names of the complete subtrees that [`Frontier::from_peaks`] wants, as `(level, index)`.
    #[must_use]
    pub fn peak_names(size: u64) -> Vec<(u8, u64)> {
        let mut names = Vec::new();
        let mut covered = 0;
        for level in (0..64_u8).rev().filter(|level| size >> level & 1 == 1) {
            names.push((level, covered >> level));
            covered += 1 << level;
        }
        names
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        // Each set bit at the low end of the size is a subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}
