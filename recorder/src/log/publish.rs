//! The thread that writes tiles, the doors' state and the signed checkpoint, in this order, from what is already on disk in
//! the write-ahead files. A reader of the checkpoint therefore finds every tile that it speaks of.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use sallyport_audit::tiles::Tile;

use super::disk::{Disk, parent, put, write_new};
use super::state::State;
use super::tree::TileBytes;

/// Where the published log lies within the volume: what a reader may see.
pub(super) const FOLDER: &str = "log";
/// The newest checkpoint.
pub(super) const CHECKPOINT: &str = "log/checkpoint";
/// Between two tries on a volume that takes nothing.
const RETRY: Duration = Duration::from_millis(500);

/// Everything that a checkpoint of `size` records rests on.
pub(super) struct Publication {
    pub(super) size: u64,
    pub(super) full: Vec<TileBytes>,
    pub(super) partial: Vec<TileBytes>,
    pub(super) state: Vec<u8>,
    pub(super) checkpoint: String,
    /// By how many bytes the published log is larger afterwards.
    pub(super) growth: u64,
    /// By how many it is larger now, old tiles beside the new ones included; tells whoever looks at the volume's room meanwhile.
    pub(super) on_disk: Arc<AtomicU64>,
}

/// How a publication went.
pub(super) enum Published {
    /// Everything up to `size` is published.
    Done { size: u64 },
    /// The volume refused; it is tried again.
    Failing { reason: String },
}

/// Publishes until the sender is dropped. A publication is tried until it succeeds: a later one builds on it.
pub(super) fn run(disk: &Arc<dyn Disk>, work: &Receiver<Publication>, report: &Sender<Published>) {
    let mut partials = leftovers(disk.as_ref()).unwrap_or_default();
    while let Ok(publication) = work.recv() {
        loop {
            match publish(disk.as_ref(), &publication, &mut partials) {
                Ok(()) => break,
                Err(error) => {
                    // What was taken away again is not there.
                    publication.on_disk.store(0, Ordering::Release);
                    let reason = format!("the published log cannot be written: {error}");
                    // The writer is gone: so are those who wait for this publication; the next start makes it again.
                    if report.send(Published::Failing { reason }).is_err() {
                        return;
                    }
                    std::thread::sleep(RETRY);
                }
            }
        }
        if report.send(Published::Done { size: publication.size }).is_err() {
            return;
        }
    }
}

fn path(tile: Tile) -> String {
    format!("{FOLDER}/{tile}")
}

fn publish(disk: &dyn Disk, publication: &Publication, partials: &mut BTreeSet<Tile>) -> io::Result<()> {
    let on_disk = &publication.on_disk;
    on_disk.store(0, Ordering::Release);
    put_all(disk, publication.full.iter().chain(&publication.partial), on_disk)?;
    State::store(disk, &publication.state)?;
    put(disk, CHECKPOINT, publication.checkpoint.as_bytes())?;
    // Only now is nobody sent to the older partial tiles any more.
    let current: BTreeSet<Tile> = publication.partial.iter().map(|(tile, _)| *tile).collect();
    for old in partials.iter().filter(|tile| !current.contains(tile)) {
        disk.remove(&path(*old))?;
    }
    for (tile, _) in &publication.full {
        disk.remove(&format!("{FOLDER}/{}", tile.partial_dir()))?;
    }
    *partials = current;
    on_disk.store(publication.growth, Ordering::Release);
    Ok(())
}

/// As [`put`] for each, with one sync of each folder. What is on disk already is told in `on_disk`.
fn put_all<'a>(disk: &dyn Disk, tiles: impl Iterator<Item = &'a TileBytes>, on_disk: &AtomicU64) -> io::Result<()> {
    let mut folders = BTreeSet::new();
    for (tile, bytes) in tiles {
        let path = path(*tile);
        let temporary = format!("{path}.new");
        disk.make_dir(parent(&path))?;
        write_new(disk, &temporary, bytes, || {
            on_disk.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        })?;
        disk.rename(&temporary, &path)?;
        folders.insert(parent(&path).to_owned());
    }
    folders.iter().try_for_each(|folder| disk.sync_dir(folder))
}

/// Partial tiles that a former run left behind.
fn leftovers(disk: &dyn Disk) -> io::Result<BTreeSet<Tile>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![format!("{FOLDER}/tile")];
    while let Some(folder) = folders.pop() {
        for name in disk.list(&folder)? {
            let path = format!("{folder}/{name}");
            let tile = path.strip_prefix("log/").and_then(Tile::parse);
            match tile {
                Some(tile) if !tile.is_full() => _ = found.insert(tile),
                Some(_) => {}
                None if name.ends_with(".new") => disk.remove(&path)?,
                // Full tiles lie beside their numbered folders; only folders can hold partial ones.
                None => folders.push(path),
            }
        }
    }
    Ok(found)
}
