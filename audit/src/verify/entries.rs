//! A log's entries in order, one bundle in memory.

use crate::store::{Store, StoreError};
use crate::tiles::{Kind, Tile, WIDTH, entries, read_tile};

/// Reads entries of a log.
pub struct Entries<'a, S> {
    store: &'a S,
    size: u64,
    kept: Option<(u64, Vec<Vec<u8>>)>,
    /// The first bundle that holds more than its entries.
    excess: Option<Tile>,
}

impl<'a, S: Store> Entries<'a, S> {
    /// The first `size` entries of the log in `store`.
    #[must_use]
    pub fn new(store: &'a S, size: u64) -> Self {
        Self {
            store,
            size,
            kept: None,
            excess: None,
        }
    }

    /// The entry at `index`; `None` where the log holds none, or fewer than it says.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get(&mut self, index: u64) -> Result<Option<&[u8]>, StoreError> {
        let bundle = index / WIDTH;
        if self.kept.as_ref().is_none_or(|(kept, _)| *kept != bundle) {
            self.kept = Some((bundle, self.bundle(bundle)?));
        }
        let at = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        Ok(self
            .kept
            .as_ref()
            .and_then(|(_, entries)| entries.get(at))
            .map(Vec::as_slice))
    }

    /// The first bundle so far that holds more than its entries: others may read what stands there.
    pub(super) fn excess(&self) -> Option<Tile> {
        self.excess
    }

    /// Whatever can be read of a bundle: all of it, or of a shorter version of it, up to the first entry that is cut.
    fn bundle(&mut self, index: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(tile) = Tile::at(Kind::Entries, index, self.size) else {
            return Ok(Vec::new());
        };
        let bytes = match read_tile(self.store, tile) {
            Ok(bytes) => {
                let more = entries(&bytes).nth(usize::from(tile.width)).is_some();
                self.excess = self.excess.or(more.then_some(tile));
                bytes
            }
            Err(StoreError::Missing(_)) => self.widest(tile)?,
            Err(error) => return Err(error),
        };
        Ok(entries(&bytes)
            .map_while(|entry| entry.map(<[u8]>::to_vec))
            .take(usize::from(tile.width))
            .collect())
    }

    fn widest(&self, tile: Tile) -> Result<Vec<u8>, StoreError> {
        if let Some(bytes) = self.store.read(&tile.full().to_string())? {
            return Ok(bytes);
        }
        let mut widths: Vec<u16> = self
            .store
            .list(&tile.partial_dir())?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        widths.sort_unstable();
        let widest = widths.pop().map(|width| Tile { width, ..tile }.to_string());
        Ok(widest
            .map(|path| self.store.read(&path))
            .transpose()?
            .flatten()
            .unwrap_or_default())
    }
}
