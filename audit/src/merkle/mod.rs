//! The Merkle tree of RFC 6962, section 2.1: hashes, roots, proofs.
//!
//! Trees are named by their size (number of leaves). A complete subtree is named by `(level, index)`: it covers the leaves
//! `index * 2^level .. (index + 1) * 2^level`. Everything here is generic over where such hashes come from ([`Subtrees`]).

mod frontier;
mod proof;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{Context, SHA256};

pub use frontier::Frontier;
pub use proof::{ProofError, consistency_proof, inclusion_proof, root_at, verify_consistency, verify_inclusion};

use crate::Digest;

/// Hash of one leaf: SHA-256 over 0 and the entry. The prefix keeps a leaf from passing as a node.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    finish(context)
}

/// Hash of two siblings: SHA-256 over 1, left, right.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut input = [1; 65];
    let (a, b) = input.split_at_mut(33);
    if let Some(space) = a.get_mut(1..) {
        space.copy_from_slice(left.as_bytes());
    }
    b.copy_from_slice(right.as_bytes());
    Digest::of(&input)
}

/// Hash of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// Hash of a complete subtree, from all hashes of one of its rows; `None` where there are none.
#[must_use]
pub fn subtree_hash(mut row: Vec<Digest>) -> Option<Digest> {
    while row.len() > 1 {
        row = row
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[left, right]| node_hash(left, right))
            .collect();
    }
    row.pop()
}

fn finish(context: Context) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Digest::from_bytes(out)
}

/// Where hashes of complete subtrees come from: memory, tiles on disk, tiles of a remote log.
pub trait Subtrees {
    /// What can go wrong.
    type Error;

    /// The hash of the complete subtree `(level, index)`.
    ///
    /// # Errors
    /// When it cannot be had.
    fn subtree(&mut self, level: u8, index: u64) -> Result<Digest, Self::Error>;
}

impl<F: FnMut(u8, u64) -> Result<Digest, E>, E> Subtrees for F {
    type Error = E;

    fn subtree(&mut self, level: u8, index: u64) -> Result<Digest, E> {
        self(level, index)
    }
}
