//! C2SP tlog-tiles: where hashes and entries of a log are found, as files or over HTTP.
//!
//! A hash tile `tile/<L>/<N>` holds up to 256 hashes of complete subtrees of level `8 * L`; an entry bundle `tile/entries/<N>`
//! up to 256 entries, each with a 16-bit length. What is not full yet is partial: `….p/<W>`, with W hashes or entries.

use std::fmt;

use crate::Digest;
use crate::merkle::{Subtrees, subtree_hash};
use crate::store::{Store, StoreError};

/// Hashes of a full tile and entries of a full bundle.
pub const WIDTH: u64 = 256;
/// The longest bundle: 256 entries of the longest kind.
pub const MAX_BUNDLE: usize = 256 * (2 + crate::record::MAX_ENTRY);

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Hashes of level `8 * L`.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// A tile's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its number within its level.
    pub index: u64,
    /// How many hashes or entries, 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The tile `index` as it is in a tree of `size` leaves; `None` where it is empty.
    #[must_use]
    pub fn at(kind: Kind, index: u64, size: u64) -> Option<Self> {
        let level = match kind {
            Kind::Hashes(level) => u32::from(level) * 8,
            Kind::Entries => 0,
        };
        let filled = size
            .checked_shr(level)
            .unwrap_or(0)
            .checked_sub(index.checked_mul(WIDTH)?)?;
        let width = u16::try_from(filled.min(WIDTH)).ok()?;
        (width > 0).then_some(Self { kind, index, width })
    }

    /// Whether it is full and will not change.
    #[must_use]
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == WIDTH
    }

    /// The same tile when it is full.
    #[must_use]
    pub fn full(&self) -> Self {
        Self { width: 256, ..*self }
    }

    /// Reads a path such as `tile/0/x001/234.p/17`; `None` for anything but the one spelling.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (level, rest) = rest.split_once('/')?;
        let kind = match level {
            "entries" => Kind::Entries,
            _ => Kind::Hashes(level.parse().ok().filter(|level| *level < 8)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok().filter(|width| (1..256).contains(width))?),
            None => (rest, 256),
        };
        let mut index = 0_u64;
        for part in number.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self { kind, index, width };
        // Printing again refuses leading zeros, missing x, short groups and every other second spelling.
        (tile.to_string() == path).then_some(tile)
    }

    /// The directory that holds the partial versions of this tile.
    #[must_use]
    pub fn partial_dir(&self) -> String {
        format!("{}.p", self.full())
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Hashes(level) => write!(f, "tile/{level}/")?,
            Kind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            match groups.is_empty() {
                true => write!(f, "{group:03}")?,
                false => write!(f, "x{group:03}/")?,
            }
        }
        if !self.is_full() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// Appends one entry to a bundle; `false` when the entry is too long.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(len) = u16::try_from(entry.len()) else {
        return false;
    };
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    true
}

/// The entries of a bundle; stops with `None` at a cut one.
pub fn entries(bundle: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = bundle;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = rest.split_first_chunk::<2>().and_then(|(len, body)| {
            let (entry, later) = body.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            rest = later;
            Some(entry)
        });
        if entry.is_none() {
            rest = &[];
        }
        Some(entry)
    })
}

/// The hashes of a tile.
pub fn hashes(tile: &[u8]) -> impl Iterator<Item = Digest> {
    tile.as_chunks::<32>().0.iter().map(|hash| Digest::from_bytes(*hash))
}

/// Reads hashes of complete subtrees out of a log's hash tiles, keeping the last tile of each level.
pub struct TileHashes<'a, S> {
    store: &'a S,
    size: u64,
    kept: Vec<Option<(u64, Vec<Digest>)>>,
}

impl<'a, S: Store> TileHashes<'a, S> {
    /// The hashes of the first `size` leaves of the log in `store`. They are as trustworthy as the store is.
    pub fn new(store: &'a S, size: u64) -> Self {
        Self {
            store,
            size,
            kept: vec![None; 8],
        }
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Digest], StoreError> {
        let missing = || StoreError::Missing(format!("tile/{level}/{index}"));
        let slot = self.kept.get_mut(usize::from(level)).ok_or_else(missing)?;
        if slot.as_ref().is_none_or(|(kept, _)| *kept != index) {
            let tile = Tile::at(Kind::Hashes(level), index, self.size).ok_or_else(missing)?;
            let bytes = read_tile(self.store, tile)?;
            *slot = Some((index, hashes(&bytes).take(usize::from(tile.width)).collect()));
        }
        Ok(slot.as_ref().map(|(_, hashes)| hashes.as_slice()).unwrap_or_default())
    }
}

impl<S: Store> Subtrees for TileHashes<'_, S> {
    type Error = StoreError;

    fn subtree(&mut self, level: u8, index: u64) -> Result<Digest, StoreError> {
        let (tile_level, height) = (level / 8, level % 8);
        let first = index << height;
        let tile = self.tile(tile_level, first / WIDTH)?;
        let start = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let row = tile.get(start..start.saturating_add(1 << height));
        row.and_then(|row| subtree_hash(row.to_vec()))
            .ok_or_else(|| StoreError::Missing(format!("hash {index} of level {level}")))
    }
}

/// Reads a tile: its own file, else a wider one that begins with it (partial tiles only ever grow).
///
/// # Errors
/// When no file holds that many hashes or entries.
pub fn read_tile<S: Store + ?Sized>(store: &S, tile: Tile) -> Result<Vec<u8>, StoreError> {
    if let Some(bytes) = store.read(&tile.to_string())? {
        return Ok(bytes);
    }
    if !tile.is_full() {
        if let Some(bytes) = store.read(&tile.full().to_string())? {
            return prefix(tile, bytes);
        }
        let mut wider: Vec<u16> = store
            .list(&tile.partial_dir())?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        wider.retain(|width| *width > tile.width);
        wider.sort_unstable();
        for width in wider {
            if let Some(bytes) = store.read(&Tile { width, ..tile }.to_string())? {
                return prefix(tile, bytes);
            }
        }
    }
    Err(StoreError::Missing(tile.to_string()))
}

fn prefix(tile: Tile, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    let width = usize::from(tile.width);
    let end = match tile.kind {
        Kind::Hashes(_) => (bytes.len() / 32 >= width).then_some(width * 32),
        Kind::Entries => entries(&bytes)
            .take(width)
            .try_fold((0, 0), |(n, end), e| Some((n + 1, end + 2 + e?.len())))
            .and_then(|(n, end)| (n == width).then_some(end)),
    };
    let end = end.ok_or_else(|| StoreError::Missing(tile.to_string()))?;
    Ok(bytes.get(..end).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        for (tile, path) in [
            (
                Tile {
                    kind: Kind::Hashes(0),
                    index: 0,
                    width: 256,
                },
                "tile/0/000",
            ),
            (
                Tile {
                    kind: Kind::Hashes(3),
                    index: 1_234_067,
                    width: 256,
                },
                "tile/3/x001/x234/067",
            ),
            (
                Tile {
                    kind: Kind::Entries,
                    index: 999,
                    width: 1,
                },
                "tile/entries/999.p/1",
            ),
            (
                Tile {
                    kind: Kind::Entries,
                    index: 1000,
                    width: 255,
                },
                "tile/entries/x001/000.p/255",
            ),
        ] {
            assert_eq!(tile.to_string(), path);
            assert_eq!(Tile::parse(path), Some(tile));
        }
        for bad in [
            "",
            "tile/0/0",
            "tile/0/x000/001",
            "tile/8/000",
            "tile/00/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/001/000",
            "tile/entries/../000",
            "tile/0/000/",
            "/tile/0/000",
            "tile/0/+01",
            "tile/-1/000",
        ] {
            assert_eq!(Tile::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn widths_follow_the_size() {
        let width = |kind, index, size| Tile::at(kind, index, size).map(|tile| tile.width);
        assert_eq!(width(Kind::Entries, 0, 0), None);
        assert_eq!(width(Kind::Entries, 0, 1), Some(1));
        assert_eq!(width(Kind::Hashes(0), 1, 300), Some(44));
        assert_eq!(width(Kind::Hashes(1), 0, 300), Some(1));
        assert_eq!(width(Kind::Hashes(1), 0, 255), None);
        assert_eq!(width(Kind::Hashes(0), 0, 300), Some(256));
        assert_eq!(width(Kind::Hashes(7), u64::MAX, 300), None);
    }

    #[test]
    fn bundles_round_trip_and_cut_ones_say_so() {
        let mut bundle = Vec::new();
        assert!(push_entry(&mut bundle, b"one"));
        assert!(push_entry(&mut bundle, b""));
        assert!(!push_entry(&mut bundle, &[0; 65_536]));
        assert_eq!(
            entries(&bundle).collect::<Vec<_>>(),
            [Some(&b"one"[..]), Some(&b""[..])]
        );
        bundle.push(0);
        assert_eq!(entries(&bundle).last(), Some(None));
    }
}
