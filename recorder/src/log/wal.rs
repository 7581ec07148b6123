//! The write-ahead file: what "on disk" means until tiles hold the records.
//!
//! A segment is a header (magic with the format in it, number of its first record) and frames: 16-bit length, first eight
//! bytes of the record's leaf hash as a checksum, record. A length of zero or a checksum that does not fit ends a segment.
//! Only the newest segment may end that way before its last byte: there a crash cut an append that nobody was told about.

use std::io;

use sallyport_audit::Digest;
use sallyport_audit::merkle::leaf_hash;

use super::disk::{Disk, DiskFile};
use super::error::OpenError;

const MAGIC: &[u8; 8] = b"SPWAL\x01\r\n";
/// The format that stands in the magic.
const FORMAT: u8 = 1;
const HEADER: usize = 16;
const CHECKSUM: usize = 8;
/// A new segment is begun past this size, on a volume that is large enough.
const SEGMENT: u64 = 64 * 1024 * 1024;
/// Segments are no longer than this part of the volume, since what is published goes with its whole segment only.
const SEGMENT_PART: u64 = 32;
const SEGMENT_LEAST: u64 = 128 * 1024;
const FOLDER: &str = "wal";

/// The open end of the write-ahead files.
pub(super) struct Wal {
    file: Box<dyn DiskFile>,
    /// First record and length of each segment, oldest first; the last is the open one.
    segments: Vec<Segment>,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first: u64,
    len: u64,
}

/// A record as found at start.
pub(super) struct Found {
    pub(super) index: u64,
    pub(super) leaf: Digest,
    pub(super) record: Vec<u8>,
}

impl Wal {
    /// Begins the first segment of a new log.
    pub(super) fn create(disk: &dyn Disk) -> io::Result<Self> {
        disk.make_dir(FOLDER)?;
        let file = begin(disk, 0)?;
        Ok(Self {
            file,
            segments: vec![Segment {
                first: 0,
                len: HEADER as u64,
            }],
            buffer: Vec::new(),
        })
    }

    /// Reads every segment, hands each record to `each`, cuts a torn tail and goes on after it. `None` when there is none.
    pub(super) fn recover(
        disk: &dyn Disk,
        mut each: impl FnMut(Found) -> Result<(), OpenError>,
    ) -> Result<Option<Self>, OpenError> {
        let mut firsts: Vec<u64> = disk.list(FOLDER)?.iter().filter_map(|name| number(name)).collect();
        firsts.sort_unstable();
        let mut segments = Vec::new();
        let mut next = firsts.first().copied();
        for (position, first) in firsts.iter().enumerate() {
            let newest = position + 1 == firsts.len();
            if next != Some(*first) {
                return Err(OpenError::Damaged(format!(
                    "write-ahead segment {} does not follow the one before",
                    name(*first)
                )));
            }
            let bytes = disk.read(&name(*first))?.unwrap_or_default();
            let read = read(*first, &bytes, &mut each)?;
            let torn = read.len < bytes.len();
            if torn && !newest {
                return Err(OpenError::Damaged(format!(
                    "write-ahead segment {} ends early",
                    name(*first)
                )));
            }
            if newest && read.len < HEADER {
                // The crash came while the segment was begun: nothing was in it.
                disk.remove(&name(*first))?;
                drop(begin(disk, *first)?);
            }
            segments.push(Segment {
                first: *first,
                len: read.len.max(HEADER) as u64,
            });
            next = Some(read.next);
        }
        let Some(last) = segments.last().copied() else {
            return Ok(None);
        };
        let mut file = disk.open_ahead(&name(last.first))?;
        file.truncate(last.len)?;
        // What a crash of the process alone left in the page cache counts only once it is on disk.
        file.sync()?;
        disk.sync_dir(FOLDER)?;
        Ok(Some(Self {
            file,
            segments,
            buffer: Vec::new(),
        }))
    }

    /// Writes records and waits for the disk. On [`AppendError::Unwritten`] the file is as before.
    pub(super) fn append(&mut self, records: &[(Vec<u8>, Digest)]) -> Result<(), AppendError> {
        self.buffer.clear();
        for (record, leaf) in records {
            let len =
                u16::try_from(record.len()).map_err(|_| AppendError::Unwritten(io::ErrorKind::InvalidInput.into()))?;
            self.buffer.extend_from_slice(&len.to_be_bytes());
            self.buffer.extend(leaf.as_bytes().iter().take(CHECKSUM));
            self.buffer.extend_from_slice(record);
        }
        let Some(segment) = self.segments.last_mut() else {
            return Err(AppendError::Lost(io::ErrorKind::NotFound.into()));
        };
        if let Err(error) = self.file.append(&self.buffer) {
            // Half a frame must not stay in front of the next one.
            return Err(match self.file.truncate(segment.len) {
                Ok(()) => AppendError::Unwritten(error),
                Err(_) => AppendError::Lost(error),
            });
        }
        self.file.sync().map_err(AppendError::Lost)?;
        segment.len += self.buffer.len() as u64;
        Ok(())
    }

    /// Begins another segment when the open one is long enough. `next` is the number of the next record.
    pub(super) fn rotate(&mut self, disk: &dyn Disk, next: u64) -> io::Result<()> {
        let full = self.segments.last().is_some_and(|segment| {
            segment.len >= SEGMENT_LEAST && segment.first < next && segment.len >= longest(disk)
        });
        if full { self.begin_anew(disk, next) } else { Ok(()) }
    }

    /// Begins another segment, unless nothing is in the open one. `next` is the number of the next record.
    pub(super) fn begin_anew(&mut self, disk: &dyn Disk, next: u64) -> io::Result<()> {
        if self.segments.last().is_some_and(|segment| segment.first < next) {
            // Only the newest segment may end with room that was made ahead.
            if let Some(segment) = self.segments.last() {
                self.file.truncate(segment.len)?;
                self.file.sync()?;
            }
            self.file = begin(disk, next)?;
            self.segments.push(Segment {
                first: next,
                len: HEADER as u64,
            });
        }
        Ok(())
    }

    /// Removes segments that hold only records below `keep`.
    pub(super) fn trim(&mut self, disk: &dyn Disk, keep: u64) -> io::Result<()> {
        while let [oldest, second, ..] = self.segments.as_slice()
            && second.first <= keep
        {
            disk.remove(&name(oldest.first))?;
            self.segments.remove(0);
        }
        Ok(())
    }
}

/// The length past which a new segment is begun.
fn longest(disk: &dyn Disk) -> u64 {
    match disk.room() {
        Ok(Some(room)) => (room.total / SEGMENT_PART).clamp(SEGMENT_LEAST, SEGMENT),
        _ => SEGMENT,
    }
}

/// Why an append failed.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing was written; a later try may pass (a full disk).
    Unwritten(io::Error),
    /// What is on disk is not known: nothing may be acknowledged until a restart has read it back.
    Lost(io::Error),
}

struct Read {
    len: usize,
    next: u64,
}

fn read(first: u64, bytes: &[u8], each: &mut impl FnMut(Found) -> Result<(), OpenError>) -> Result<Read, OpenError> {
    let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(Read { len: 0, next: first });
    };
    if let [b'S', b'P', b'W', b'A', b'L', format, b'\r', b'\n', ..] = *header
        && format > FORMAT
    {
        return Err(OpenError::Newer {
            file: name(first),
            format: format.into(),
        });
    }
    if *header != head(first) {
        return Err(OpenError::Damaged(format!(
            "write-ahead segment {} has a wrong header",
            name(first)
        )));
    }
    let mut read = Read {
        len: HEADER,
        next: first,
    };
    while let Some((record, leaf, later)) = frame(rest) {
        each(Found {
            index: read.next,
            leaf,
            record: record.to_vec(),
        })?;
        read.len += rest.len() - later.len();
        read.next += 1;
        rest = later;
    }
    Ok(read)
}

fn frame(bytes: &[u8]) -> Option<(&[u8], Digest, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let len = usize::from(u16::from_be_bytes(*len));
    let (checksum, rest) = rest.split_first_chunk::<CHECKSUM>()?;
    let (record, later) = rest.split_at_checked(len)?;
    let leaf = leaf_hash(record);
    (len > 0 && leaf.as_bytes().starts_with(checksum)).then_some((record, leaf, later))
}

fn begin(disk: &dyn Disk, first: u64) -> io::Result<Box<dyn DiskFile>> {
    let mut file = disk.open_ahead(&name(first))?;
    file.truncate(0)?;
    file.append(&head(first))?;
    file.sync()?;
    disk.sync_dir(FOLDER)?;
    Ok(file)
}

fn head(first: u64) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    let (magic, number) = head.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    number.copy_from_slice(&first.to_be_bytes());
    head
}

fn name(first: u64) -> String {
    format!("{FOLDER}/{first:020}")
}

fn number(name: &str) -> Option<u64> {
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}
