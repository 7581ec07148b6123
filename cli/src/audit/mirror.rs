//! A copy of a remote log, in the layout of tlog-tiles, so that it can be verified here and kept.

use std::path::Path;

use anyhow::{Context, Result};
use sallyport_audit::checkpoint::Checkpoint;
use sallyport_audit::note::Note;
use sallyport_audit::tiles::{Kind, Tile, WIDTH};

use super::fetch::Fetch;

/// A log's checkpoint, unverified: how much there is to copy.
pub struct Newest {
    /// The signed note.
    pub note: String,
    /// Records.
    pub size: u64,
}

/// What a recorder answers.
#[derive(serde::Deserialize)]
struct Grown {
    checkpoint: String,
}

/// The checkpoint of what is in the log now; a log that is merely files has the one that it was left with. `None` where there
/// is none.
pub async fn newest(fetch: &mut Fetch) -> Result<Option<Newest>> {
    let recorder = fetch.get("v1/checkpoint?from=0").await.ok().flatten();
    let answered = recorder.and_then(|answer| serde_json::from_slice::<Grown>(&answer).ok());
    let note = match answered {
        Some(Grown { checkpoint }) => Some(checkpoint),
        None => {
            let file = fetch.get("checkpoint").await.context("the log's checkpoint")?;
            file.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    Ok(note.map(|note| {
        let parsed = Note::parse(&note).and_then(|note| Checkpoint::parse_text(note.text()));
        let size = parsed.map_or(0, |checkpoint| checkpoint.size);
        Newest { note, size }
    }))
}

/// Files in a row that a log may lack, but for bundles of old records that were removed: whoever states a size of their own choosing
/// would have us ask for ever.
const LACKING: u32 = 16;

/// Copies `size` records of the log into `dir`, under this checkpoint. What the log does not give is left out: verification names it.
pub async fn mirror(mut fetch: Fetch, note: &str, size: u64, dir: &Path) -> Result<()> {
    write(dir, "checkpoint", note.as_bytes())?;
    // Hashes stay where their records were removed: behind the last of them there is nothing to ask for.
    let mut hashed = 0;
    for kind in (0..8).map(Kind::Hashes).chain([Kind::Entries]) {
        let mut lacking = 0;
        for tile in tiles(kind, size) {
            let path = tile.to_string();
            match fetch.get(&path).await? {
                Some(bytes) => {
                    write(dir, &path, &bytes)?;
                    lacking = 0;
                    if kind == Kind::Hashes(0) {
                        hashed = tile.index + 1;
                    }
                }
                None if kind == Kind::Entries && tile.index < hashed => {}
                None => lacking += 1,
            }
            if lacking >= LACKING {
                break;
            }
        }
    }
    Ok(())
}

/// Every tile of this kind of a log of `size` records.
fn tiles(kind: Kind, size: u64) -> impl Iterator<Item = Tile> {
    let filled = match kind {
        Kind::Entries => size,
        Kind::Hashes(level) => size >> (8 * u32::from(level)),
    };
    (0..filled.div_ceil(WIDTH)).filter_map(move |index| Tile::at(kind, index, size))
}

fn write(dir: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(path);
    let context = || path.display().to_string();
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(context)?;
    }
    std::fs::write(&path, bytes).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_tile_once() {
        let names = |kind, size| tiles(kind, size).map(|tile| tile.to_string()).collect::<Vec<_>>();
        assert!(names(Kind::Entries, 0).is_empty() && names(Kind::Hashes(0), 0).is_empty());
        assert_eq!(names(Kind::Entries, 1), ["tile/entries/000.p/1"]);
        assert_eq!(names(Kind::Entries, 300), ["tile/entries/000", "tile/entries/001.p/44"]);
        assert_eq!(names(Kind::Hashes(0), 300), ["tile/0/000", "tile/0/001.p/44"]);
        assert_eq!(names(Kind::Hashes(1), 300), ["tile/1/000.p/1"]);
        assert!(names(Kind::Hashes(2), 300).is_empty());
    }
}
