//! A copy of a remote log, in the layout of tlog-tiles, so that it can be verified here and kept.

use std::path::Path;

use anyhow::{Context, Result};
use sallyport_audit::checkpoint::Checkpoint;
use sallyport_audit::note::Note;
use sallyport_audit::tiles::{Kind, Tile, WIDTH};

use super::fetch::Fetch;

/// Copies checkpoint, entries and hashes into `dir`. What the log does not give is left out: verification names it.
pub async fn mirror(mut fetch: Fetch, dir: &Path) -> Result<()> {
    let Some(note) = fetch.get("checkpoint").await.context("the log's checkpoint")? else {
        return Ok(());
    };
    write(dir, "checkpoint", &note)?;
    let text = String::from_utf8_lossy(&note).into_owned();
    // Unverified here: it only says how much there is to copy.
    let Ok(size) = Note::parse(&text)
        .and_then(|note| Checkpoint::parse_text(note.text()))
        .map(|checkpoint| checkpoint.size)
    else {
        return Ok(());
    };
    for tile in tiles(size) {
        let path = tile.to_string();
        if let Some(bytes) = fetch.get(&path).await? {
            write(dir, &path, &bytes)?;
        }
    }
    Ok(())
}

/// Every tile of a log of `size` records.
fn tiles(size: u64) -> impl Iterator<Item = Tile> {
    let kinds = std::iter::once(Kind::Entries).chain((0..8).map(Kind::Hashes));
    kinds.flat_map(move |kind| {
        let filled = match kind {
            Kind::Entries => size,
            Kind::Hashes(level) => size >> (8 * u32::from(level)),
        };
        (0..filled.div_ceil(WIDTH)).filter_map(move |index| Tile::at(kind, index, size))
    })
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
        let names = |size| tiles(size).map(|tile| tile.to_string()).collect::<Vec<_>>();
        assert!(names(0).is_empty());
        assert_eq!(names(1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(
            names(300),
            [
                "tile/entries/000",
                "tile/entries/001.p/44",
                "tile/0/000",
                "tile/0/001.p/44",
                "tile/1/000.p/1"
            ]
        );
    }
}
