//! Proofs: that a leaf is in a tree, and that one tree is the beginning of another (RFC 6962, 2.1.1 and 2.1.2; the checks
//! follow RFC 9162, 2.1.3.2 and 2.1.4.2).

use super::{Subtrees, empty_root, node_hash};
use crate::Digest;

/// A proof that does not prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Sizes or positions that cannot be.
    #[error("the proof speaks of a position outside the tree")]
    Range,
    /// Too many or too few hashes.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// The hashes lead elsewhere.
    #[error("the proof leads to another root")]
    Mismatch,
}

/// The root of the first `size` leaves.
///
/// # Errors
/// When a hash cannot be had.
pub fn root_at<S: Subtrees>(size: u64, subtrees: &mut S) -> Result<Digest, S::Error> {
    if size == 0 {
        Ok(empty_root())
    } else {
        range(0, size, subtrees)
    }
}

/// The hashes that lead from leaf `index` to the root of `size` leaves, the leaf's sibling first. Empty when `index` is not
/// below `size`.
///
/// # Errors
/// When a hash cannot be had.
pub fn inclusion_proof<S: Subtrees>(index: u64, size: u64, subtrees: &mut S) -> Result<Vec<Digest>, S::Error> {
    let mut proof = Vec::new();
    if index < size {
        path(index, 0, size, subtrees, &mut proof)?;
    }
    Ok(proof)
}

/// The hashes that show that the first `old` leaves of a tree of `new` leaves were there before. Empty when there is nothing to
/// show (`old` is 0, equal to `new`, or beyond it).
///
/// # Errors
/// When a hash cannot be had.
pub fn consistency_proof<S: Subtrees>(old: u64, new: u64, subtrees: &mut S) -> Result<Vec<Digest>, S::Error> {
    let mut proof = Vec::new();
    if 0 < old && old < new {
        subproof(old, 0, new, true, subtrees, &mut proof)?;
    }
    Ok(proof)
}

/// Checks an inclusion proof.
///
/// # Errors
/// When it does not lead from `leaf` at `index` to `root` of `size` leaves.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            skip_right_edge(&mut at, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Mismatch),
        _ => Err(ProofError::Length),
    }
}

/// Checks a consistency proof.
///
/// # Errors
/// When it does not show that the tree `(old, old_root)` is the beginning of `(new, new_root)`.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    new: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Range);
    }
    if old == new || old == 0 {
        let same = if old == 0 {
            *old_root == empty_root()
        } else {
            old_root == new_root
        };
        return match (proof.is_empty(), same) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Mismatch),
            (true, true) => Ok(()),
        };
    }
    // A power of two is a complete subtree, whose hash the proof does not repeat.
    let (first, rest) = match proof.split_first() {
        _ if old.is_power_of_two() => (old_root, proof),
        Some(split) => split,
        None => return Err(ProofError::Length),
    };
    let (mut at, mut last) = (old - 1, new - 1);
    let bits = at.trailing_ones();
    at >>= bits;
    last >>= bits;
    let (mut of_old, mut of_new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            of_old = node_hash(sibling, &of_old);
            of_new = node_hash(sibling, &of_new);
            skip_right_edge(&mut at, &mut last);
        } else {
            of_new = node_hash(&of_new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    match (last, of_old == *old_root && of_new == *new_root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Mismatch),
        _ => Err(ProofError::Length),
    }
}

/// On the right edge of an incomplete tree, levels without a sibling are passed over.
fn skip_right_edge(at: &mut u64, last: &mut u64) {
    if *at & 1 == 0 {
        let levels = at.trailing_zeros();
        *at = at.checked_shr(levels).unwrap_or(0);
        *last = last.checked_shr(levels).unwrap_or(0);
    }
}

/// Largest power of two below `n`; `n` is at least 2.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// Hash over the leaves `start .. start + n`, where `start` is a multiple of the power of two at or above `n`.
fn range<S: Subtrees>(start: u64, n: u64, subtrees: &mut S) -> Result<Digest, S::Error> {
    if n.is_power_of_two() {
        let level = n.trailing_zeros();
        return subtrees.subtree(u8::try_from(level).unwrap_or(u8::MAX), start >> level);
    }
    let k = split(n);
    let left = range(start, k, subtrees)?;
    let right = range(start + k, n - k, subtrees)?;
    Ok(node_hash(&left, &right))
}

fn path<S: Subtrees>(index: u64, start: u64, n: u64, subtrees: &mut S, out: &mut Vec<Digest>) -> Result<(), S::Error> {
    if n == 1 {
        return Ok(());
    }
    let k = split(n);
    if index < k {
        path(index, start, k, subtrees, out)?;
        out.push(range(start + k, n - k, subtrees)?);
    } else {
        path(index - k, start + k, n - k, subtrees, out)?;
        out.push(range(start, k, subtrees)?);
    }
    Ok(())
}

fn subproof<S: Subtrees>(
    old: u64,
    start: u64,
    n: u64,
    known: bool,
    subtrees: &mut S,
    out: &mut Vec<Digest>,
) -> Result<(), S::Error> {
    if old == n {
        if !known {
            out.push(range(start, n, subtrees)?);
        }
        return Ok(());
    }
    let k = split(n);
    if old <= k {
        subproof(old, start, k, known, subtrees, out)?;
        out.push(range(start + k, n - k, subtrees)?);
    } else {
        subproof(old - k, start + k, n - k, false, subtrees, out)?;
        out.push(range(start, k, subtrees)?);
    }
    Ok(())
}
