//! A file whose end is kept ahead of what is written. An append that makes a file longer has to bring its new length to disk,
//! too; one into room that was made before does not, and an fdatasync is then nearly half as long.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::disk::DiskFile;

/// Room that is made at a time, in bytes: little beside what is kept back on a volume that runs full.
const ROOM: u64 = 256 * 1024;
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file that ends with zeros. Whoever reads it knows what a zero at its end means.
pub(super) struct Ahead {
    file: File,
    /// Where the next append goes.
    at: u64,
    /// The file's length.
    len: u64,
}

impl Ahead {
    /// Opens a file, making it where it is missing. Appends go to its end as it is now, zeros included: cut them off first.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, at: len, len })
    }

    fn make_room(&mut self, end: u64) -> io::Result<()> {
        let wanted = end.saturating_add(ROOM);
        while self.len < wanted {
            let zeros = usize::try_from(wanted - self.len)
                .unwrap_or(usize::MAX)
                .min(ZEROS.len());
            self.file
                .write_all_at(ZEROS.get(..zeros).unwrap_or_default(), self.len)?;
            self.len += zeros as u64;
        }
        Ok(())
    }
}

impl DiskFile for Ahead {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.at.saturating_add(bytes.len() as u64);
        if end > self.len {
            // On a volume that is nearly full the append itself may still fit.
            let _ = self.make_room(end);
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at = end;
        self.len = self.len.max(end);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        (self.at, self.len) = (len, len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_followed_by_zeros_until_it_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut file = Ahead::open(&path).unwrap();
        file.append(b"one").unwrap();
        file.append(b"two").unwrap();
        file.sync().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(b"onetwo") && bytes.len() as u64 >= ROOM);
        assert!(bytes.iter().skip(6).all(|byte| *byte == 0));
        file.truncate(3).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        file.append(&[7; 3_000_000]).unwrap();
        file.truncate(3_000_003).unwrap();
        let mut again = Ahead::open(&path).unwrap();
        again.append(b"end").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            (&bytes[..4], &bytes[3_000_002..3_000_007]),
            (&b"one\x07"[..], &b"\x07end\0"[..])
        );
    }
}
