//! Where a log's files are read from.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use crate::tiles::MAX_BUNDLE;

/// A file of a log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// It is larger than any file of a log.
    #[error("{0} is larger than any file of a log")]
    TooLarge(String),
    /// The file system said no.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
}

/// Read access to a log, by the paths of tlog-tiles.
pub trait Store {
    /// The file at `path`; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Names in the folder `path`; empty where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn list(&self, path: &str) -> Result<Vec<String>, StoreError>;
}

/// A log in a directory.
#[derive(Clone, Debug)]
pub struct Dir(PathBuf);

impl Dir {
    /// The log whose `checkpoint` lies in `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }
}

impl Store for Dir {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let fail = |error| StoreError::Io(path.to_owned(), error);
        let place = self.0.join(path);
        // Opening a pipe that nobody writes to would wait for ever.
        match std::fs::metadata(&place) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(fail(ErrorKind::InvalidInput.into())),
            Err(error) if absent(&error) => return Ok(None),
            Err(error) => return Err(fail(error)),
        }
        let file = match File::open(place) {
            Ok(file) => file,
            Err(error) if absent(&error) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BUNDLE as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() > MAX_BUNDLE {
            return Err(StoreError::TooLarge(path.to_owned()));
        }
        Ok(Some(bytes))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, StoreError> {
        let fail = |error| StoreError::Io(path.to_owned(), error);
        let entries = match self.0.join(path).read_dir() {
            Ok(entries) => entries,
            Err(error) if absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        entries
            .map(|entry| Ok(entry.map_err(fail)?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

fn absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
