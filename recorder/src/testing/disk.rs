//! A file system in memory that keeps what was synced and, at a crash, forgets the rest: names and bytes.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::log::disk::{Disk, DiskFile, Room};

#[derive(Clone, Default)]
struct Inode {
    data: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Default)]
struct Inner {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Bytes that may still be written.
    room: Option<usize>,
    /// What the volume says of itself: free, total.
    volume: Option<(u64, u64)>,
    /// What it holds; nothing beyond that is taken.
    total: Option<usize>,
    /// Syncs fail from now on.
    failing_sync: bool,
    slow_sync: Duration,
    /// Changes that are still made; then the power is gone.
    changes: Option<usize>,
}

impl Inner {
    /// Bytes that a volume of limited size still takes.
    fn free(&self) -> Option<usize> {
        let used: usize = self.names.values().map(|at| self.inodes[*at].data.len()).sum();
        self.total.map(|total| total.saturating_sub(used))
    }

    /// Whether there is power for one more change.
    fn change(&mut self) -> io::Result<()> {
        match self.changes {
            Some(0) => return Err(ErrorKind::Other.into()),
            Some(left) => self.changes = Some(left - 1),
            None => {}
        }
        Ok(())
    }
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<Inner>>);

impl MemoryDisk {
    /// What a machine finds after the power was cut now. Of bytes that were not synced, the first `torn` of 256 parts are there.
    pub(crate) fn crash(&self, torn: u8) -> Self {
        let inner = self.0.lock().unwrap();
        let after = |inode: &Inode| {
            let mut data = inode.synced.clone();
            if let Some(rest) = inode.data.strip_prefix(inode.synced.as_slice()) {
                data.extend_from_slice(&rest[..rest.len() * usize::from(torn) / 256]);
            }
            Inode {
                synced: data.clone(),
                data,
            }
        };
        let names = inner.durable_names.clone();
        let inodes = inner.inodes.iter().map(after).collect();
        Self(Arc::new(Mutex::new(Inner {
            inodes,
            durable_names: names.clone(),
            names,
            ..Inner::default()
        })))
    }

    /// From now on the volume takes this many more bytes; `None` for any number.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    /// What the volume says of its room: free and total bytes.
    pub(crate) fn set_volume(&self, volume: Option<(u64, u64)>) {
        self.0.lock().unwrap().volume = volume;
    }

    /// It holds so many bytes, says so, and takes no more.
    pub(crate) fn set_total(&self, total: Option<usize>) {
        self.0.lock().unwrap().total = total;
    }

    pub(crate) fn fail_syncs(&self) {
        self.0.lock().unwrap().failing_sync = true;
    }

    /// From now on whoever uses it panics.
    pub(crate) fn defect(&self) {
        let disk = self.clone();
        let holder = std::thread::spawn(move || {
            let _held = disk.0.lock().unwrap();
            panic!("a defect, as the test wants it");
        });
        assert!(holder.join().is_err());
    }

    pub(crate) fn slow_syncs(&self, by: Duration) {
        self.0.lock().unwrap().slow_sync = by;
    }

    /// The power goes after this many more changes: of names, of bytes, of what is durable.
    pub(crate) fn cut_after(&self, changes: usize) {
        self.0.lock().unwrap().changes = Some(changes);
    }

    /// Names of all files, and their bytes.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.0.lock().unwrap();
        inner
            .names
            .iter()
            .map(|(name, at)| (name.clone(), inner.inodes[*at].data.clone()))
            .collect()
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn tamper(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.0.lock().unwrap();
        let at = inner.names[path];
        change(&mut inner.inodes[at].data);
        inner.inodes[at].synced = inner.inodes[at].data.clone();
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    at: usize,
}

impl Disk for MemoryDisk {
    fn room(&self) -> io::Result<Option<Room>> {
        let inner = self.0.lock().unwrap();
        let limited = inner.free().zip(inner.total);
        let volume = limited
            .map(|(free, total)| (free as u64, total as u64))
            .or(inner.volume);
        Ok(volume.map(|(free, total)| Room { free, total }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.0.lock().unwrap();
        let at = match inner.names.get(path) {
            Some(at) => *at,
            None => {
                inner.change()?;
                inner.inodes.push(Inode::default());
                let at = inner.inodes.len() - 1;
                inner.names.insert(path.to_owned(), at);
                at
            }
        };
        Ok(Box::new(MemoryFile { disk: self.clone(), at }))
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let inner = self.0.lock().unwrap();
        Ok(inner.names.get(path).map(|at| inner.inodes[*at].data.clone()))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{path}/");
        let inner = self.0.lock().unwrap();
        let mut names: Vec<String> = inner
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix))
            .map(|rest| rest.split('/').next().unwrap().to_owned())
            .collect();
        names.dedup();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.change()?;
        let at = inner.names.remove(from).ok_or(ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), at);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.change()?;
        inner.names.remove(path);
        Ok(())
    }

    fn make_dir(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let inside = |name: &str| name.rsplit_once('/').map_or("", |(folder, _)| folder) == path;
        let mut inner = self.0.lock().unwrap();
        inner.change()?;
        inner.durable_names.retain(|name, _| !inside(name));
        let now: Vec<_> = inner
            .names
            .iter()
            .filter(|(name, _)| inside(name))
            .map(|(name, at)| (name.clone(), *at))
            .collect();
        inner.durable_names.extend(now);
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.0.lock().unwrap();
        inner.change()?;
        let free = inner.free().unwrap_or(usize::MAX);
        let room = inner.room.unwrap_or(usize::MAX).min(free).min(bytes.len());
        inner.room = inner.room.map(|left| left - room);
        // A full disk takes what fits.
        inner.inodes[self.at].data.extend_from_slice(&bytes[..room]);
        if room == bytes.len() {
            Ok(())
        } else {
            Err(ErrorKind::StorageFull.into())
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        // The data that counts is that of the beginning: what arrives during a slow sync waits for the next.
        let (data, slow) = {
            let mut inner = self.disk.0.lock().unwrap();
            if inner.failing_sync {
                return Err(ErrorKind::Other.into());
            }
            inner.change()?;
            (inner.inodes[self.at].data.clone(), inner.slow_sync)
        };
        std::thread::sleep(slow);
        self.disk.0.lock().unwrap().inodes[self.at].synced = data;
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut inner = self.disk.0.lock().unwrap();
        inner.change()?;
        let data = &mut inner.inodes[self.at].data;
        data.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }
}
