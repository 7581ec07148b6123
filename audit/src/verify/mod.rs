//! Proof or refutation of a log, from what is known outside it: its public key, and checkpoints that somebody else kept.
//!
//! A log proves nothing about itself: whoever holds its key can write another one. What is proven is that the records up to an
//! outside checkpoint are the ones that this checkpoint was made over. Records beyond it are *unproven*: signed, perhaps
//! genuine, but nobody else has seen them.

mod entries;
mod locate;
mod numbers;
mod report;
mod scan;
#[cfg(test)]
mod tests;

pub use entries::Entries;
pub use report::{Finding, Report, Spot, Verdict};

use crate::checkpoint::Checkpoint;
use crate::note::{Note, NoteError, VerifierKey};
use crate::store::{Store, StoreError};

/// What is known from outside.
#[derive(Clone, Debug)]
pub struct Trust {
    key: VerifierKey,
    /// Who cosigns checkpoints that only grew.
    witness: Option<VerifierKey>,
    /// By size, the smallest first.
    checkpoints: Vec<Checkpoint>,
    /// What else the log has signed. Proves nothing, and may contradict what it shows.
    signed: Vec<Checkpoint>,
}

impl Trust {
    /// Trust in a log's key.
    #[must_use]
    pub fn new(key: VerifierKey) -> Self {
        Self {
            key,
            witness: None,
            checkpoints: Vec::new(),
            signed: Vec::new(),
        }
    }

    /// Trust in the witness as well (its key for cosignatures).
    #[must_use]
    pub fn with_witness(self, witness: VerifierKey) -> Self {
        Self {
            witness: Some(witness.cosigner()),
            ..self
        }
    }

    /// The witness's key for cosignatures.
    #[must_use]
    pub fn witness(&self) -> Option<&VerifierKey> {
        self.witness.as_ref()
    }

    /// Adds a checkpoint that the witness has cosigned; says when it did (seconds since 1970).
    ///
    /// # Errors
    /// When the log's key or the witness's did not sign it, or no witness is known.
    pub fn add_cosigned(&mut self, note: &str) -> Result<u64, NoteError> {
        let witness = self
            .witness
            .as_ref()
            .ok_or(NoteError::Malformed("no witness is known"))?;
        let time = Note::parse(note)?.verify(witness)?;
        self.add(note)?;
        Ok(time.unwrap_or_default())
    }

    /// Adds a checkpoint that was kept outside the log (a signed note).
    ///
    /// # Errors
    /// When the key did not sign it.
    pub fn add(&mut self, note: &str) -> Result<&Checkpoint, NoteError> {
        let checkpoint = Checkpoint::open(note, &self.key)?;
        let at = self.checkpoints.partition_point(|known| known.size <= checkpoint.size);
        self.checkpoints.insert(at, checkpoint);
        self.checkpoints.get(at).ok_or(NoteError::Malformed("a checkpoint"))
    }

    /// Adds a checkpoint that the log itself has shown: of two that it signed, neither may speak of other records.
    ///
    /// # Errors
    /// When the key did not sign it.
    pub fn add_shown(&mut self, note: &str) -> Result<(), NoteError> {
        self.signed.push(Checkpoint::open(note, &self.key)?);
        Ok(())
    }

    /// The log's key.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The outside checkpoints, by size.
    #[must_use]
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }
}

/// Reads the whole log in `store`, hands every record to `visit` with its place, and says what is proven.
///
/// # Errors
/// When the store itself fails. What is missing or wrong in the log is a finding, not an error.
pub fn verify<S: Store>(store: &S, trust: &Trust, visit: impl FnMut(u64, &[u8])) -> Result<Report, StoreError> {
    scan::scan(store, trust, visit)
}
