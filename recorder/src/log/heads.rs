//! Whether the log contains a head that a door has seen: a volume that was rolled back does not.

use std::collections::VecDeque;

use sallyport_audit::Digest;
use sallyport_audit::checkpoint::Head;
use sallyport_audit::merkle::{empty_root, root_at};
use sallyport_audit::note::VerifierKey;
use sallyport_audit::store::{Store, StoreError};
use sallyport_audit::tiles::TileHashes;
use sallyport_audit::wire::RefuseCode;

use super::disk::Disk;
use super::error::LogError;
use super::publish::FOLDER;

/// Heads kept in memory: doors echo what they saw moments ago. Older ones are computed from tiles.
const KEPT: usize = 16 * 1024;

/// The newest heads of this log.
#[derive(Debug, Default)]
pub(super) struct Heads(VecDeque<(u64, Digest)>);

impl Heads {
    pub(super) fn push(&mut self, size: u64, root: Digest) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((size, root));
    }

    fn find(&self, size: u64) -> Option<Digest> {
        let at = self.0.binary_search_by_key(&size, |(size, _)| *size).ok()?;
        self.0.get(at).map(|(_, root)| *root)
    }

    /// Checks a head that a door has seen against the log.
    pub(super) fn check(
        &self,
        head: &Head,
        key: &VerifierKey,
        size: u64,
        published: &PublishedLog<'_>,
    ) -> Result<(), LogError> {
        if self.find(head.size) == Some(head.root) || (head.size == 0 && head.root == empty_root()) {
            return Ok(());
        }
        // Only a head that this key signed counts: nobody can stop the log by inventing one.
        if !head.verifies(key) {
            return Err(LogError::new(
                RefuseCode::Record,
                "the door shows a tree head that this log never signed",
            ));
        }
        let rolled_back = |reason| Err(LogError::new(RefuseCode::RolledBack, reason));
        if self.find(head.size).is_some() {
            return rolled_back(format!(
                "the log's first {} records are not those that its key has signed",
                head.size
            ));
        }
        if head.size > size {
            return rolled_back(format!(
                "the log has {size} records, and its key has signed {}: the volume was rolled back",
                head.size
            ));
        }
        if head.size > published.size {
            return Err(LogError::new(
                RefuseCode::Busy,
                "the tree head that the door shows is not published yet",
            ));
        }
        match root_at(head.size, &mut TileHashes::new(published, published.size)) {
            Ok(root) if root == head.root => Ok(()),
            Ok(_) => rolled_back(format!(
                "the log's first {} records are not those that its key has signed",
                head.size
            )),
            Err(error) => Err(LogError::new(
                RefuseCode::Storage,
                format!("the published log cannot be read: {error}"),
            )),
        }
    }
}

/// The published log on a volume, for reading.
pub(super) struct PublishedLog<'a> {
    pub(super) disk: &'a dyn Disk,
    /// How many records its tiles hold.
    pub(super) size: u64,
}

impl Store for PublishedLog<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.disk
            .read(&format!("{FOLDER}/{path}"))
            .map_err(|error| StoreError::Io(path.to_owned(), error))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, StoreError> {
        self.disk
            .list(&format!("{FOLDER}/{path}"))
            .map_err(|error| StoreError::Io(path.to_owned(), error))
    }
}
