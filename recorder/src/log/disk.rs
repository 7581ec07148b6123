//! The few things that a log asks of a file system, named so that a test can put a forgetful one underneath.
//!
//! A write is durable after `sync` of its file; a new, renamed or removed name is durable after `sync_dir` of its folder.
//! Nothing else is assumed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::ahead::Ahead;

/// A folder in which one log lives. Paths are relative to it.
pub trait Disk: Send + Sync + 'static {
    /// How much room the volume has; `None` where nobody knows.
    ///
    /// # Errors
    /// As the file system says.
    fn room(&self) -> io::Result<Option<Room>> {
        Ok(None)
    }

    /// Opens a file at its end, making it where it is missing; readable by its owner alone.
    ///
    /// # Errors
    /// As the file system says.
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;

    /// As [`Disk::open`], for a file that may end with zeros which its readers know to pass over: it may be kept longer than
    /// what is in it, since appends that do not make a file longer are on disk sooner. To be cut before the first append.
    ///
    /// # Errors
    /// As the file system says.
    fn open_ahead(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    /// The file's bytes; `None` where there is none.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Names in a folder; empty where there is none.
    ///
    /// # Errors
    /// As the file system says.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file or an empty folder; fine where there is none.
    ///
    /// # Errors
    /// As the file system says.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes a folder and those above it, durably; fine where they are.
    ///
    /// # Errors
    /// As the file system says.
    fn make_dir(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the file system says.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
}

/// Room on a volume, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What may still be written.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// A file that is only appended to.
pub trait DiskFile: Send {
    /// Appends; not durable yet.
    ///
    /// # Errors
    /// As the file system says. Part of the bytes may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes every append durable (`fdatasync`).
    ///
    /// # Errors
    /// As the file system says. Afterwards nothing is known of appends since the last success, and a second try proves
    /// nothing: the kernel may have forgotten the failed pages.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file.
    ///
    /// # Errors
    /// As the file system says.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// Replaces a file durably: afterwards it is whole, before it was the old one; never anything between.
///
/// # Errors
/// As the file system says; the old file then stands.
pub fn put(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let parent = parent(path);
    disk.make_dir(parent)?;
    let temporary = format!("{path}.new");
    write_new(disk, &temporary, bytes, || {})?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(parent)
}

/// Writes a file anew and syncs it; its name is not durable yet. `appended` is told before the sync, which takes longest: the
/// room is taken by then. What does not fit is taken away again: half of a file would hold the room that is kept for what ends
/// things.
pub(super) fn write_new(disk: &dyn Disk, path: &str, bytes: &[u8], appended: impl FnOnce()) -> io::Result<()> {
    disk.remove(path)?;
    let mut file = disk.open(path)?;
    let written = file.append(bytes).and_then(|()| {
        appended();
        file.sync()
    });
    drop(file);
    if written.is_err() {
        // The first error is the one to tell; the next try removes it, too.
        let _ = disk.remove(path);
    }
    written
}

/// The folder that holds `path`; empty for the log's own.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Held by the one recorder that may write the folder. Its name is never a file of a log.
const LOCK: &str = ".lock";

/// A folder of the real file system, which nobody else writes while this lives.
///
/// Two recorders on one volume would each overwrite what the other was believed for. That happens: a Pod that is
/// deleted by force has a successor before its own process has ended.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    _lock: Arc<File>,
}

impl Folder {
    /// The folder `root`, which is made where it is missing. Waits up to `patience` for another recorder to let go of it.
    ///
    /// # Errors
    /// [`ErrorKind::ResourceBusy`] when another process still has it then; else as the file system says.
    pub fn claim(root: impl Into<PathBuf>, patience: Duration) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(root.join(LOCK))?;
        Ok(Self {
            root,
            _lock: Arc::new(lock(file, patience)?),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// Locks the file. The wait is a thread's own, which ends with the process where it is in vain.
fn lock(file: File, patience: Duration) -> io::Result<File> {
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(cause)) => return Err(cause),
    }
    let (sender, locked) = mpsc::channel();
    std::thread::Builder::new()
        .name("log-lock".to_owned())
        .spawn(move || sender.send(file.lock().map(|()| file)))?;
    locked.recv_timeout(patience).unwrap_or_else(|_| {
        Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another recorder still writes it; when that one has ended, start this one again",
        ))
    })
}

impl Disk for Folder {
    fn room(&self) -> io::Result<Option<Room>> {
        let volume = rustix::fs::statvfs(&self.root)?;
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        Ok(Some(Room {
            free: bytes(volume.f_bavail),
            total: bytes(volume.f_blocks),
        }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.at(path))?;
        Ok(Box::new(RealFile(file)))
    }

    fn open_ahead(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Ahead::open(&self.at(path))?))
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        absent(fs::read(self.at(path)).map(Some), None)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let Some(entries) = absent(fs::read_dir(self.at(path)).map(Some), None)? else {
            return Ok(Vec::new());
        };
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.at(path);
        let gone = if path.is_dir() {
            fs::remove_dir(path)
        } else {
            fs::remove_file(path)
        };
        absent(gone, ())
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        let full = self.at(path);
        if full.is_dir() {
            return Ok(());
        }
        if !path.is_empty() {
            self.make_dir(parent(path))?;
        }
        match fs::create_dir(&full) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // fsGroup may set wider bits on the volume's root; what we make is for the recorder alone.
        fs::set_permissions(&full, fs::Permissions::from_mode(0o700))?;
        self.sync_dir(parent(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.at(path))?.sync_all()
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

fn absent<T>(result: io::Result<T>, nothing: T) -> io::Result<T> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(nothing),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_recorder_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::claim(place.path(), Duration::ZERO).unwrap();
        let second = Folder::claim(place.path(), Duration::from_millis(20)).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::ResourceBusy);
        let waiting = std::thread::spawn({
            let place = place.path().to_owned();
            move || Folder::claim(place, Duration::from_secs(20)).map(drop)
        });
        drop(first);
        waiting.join().unwrap().unwrap();
    }
}
