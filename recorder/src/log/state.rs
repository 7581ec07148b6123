//! What the recorder remembers besides the records: how far each door has come. It only saves reading the whole log at a
//! start; everything in it follows from the records.

use std::io;

use serde::{Deserialize, Serialize};

use super::ages::Ages;
use super::disk::{Disk, put};
use super::doors::Doors;
use super::error::OpenError;

const FILE: &str = "state.json";
/// The format that is written. What an earlier version may leave unread does not raise it.
const FORMAT: u32 = 1;

/// The doors as they stood after `size` records.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) size: u64,
    pub(super) doors: Doors,
    #[serde(default)]
    pub(super) ages: Ages,
}

impl State {
    pub(super) fn load(disk: &dyn Disk) -> Result<Self, OpenError> {
        let Some(bytes) = disk.read(FILE)? else {
            return Ok(Self::default());
        };
        let damaged = |error: serde_json::Error| OpenError::Damaged(format!("{FILE}: {error}"));
        // Before anything else is read: another version's state need not look like ours.
        let Formatted { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > FORMAT {
            let file = FILE.to_owned();
            return Err(OpenError::Newer { file, format });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    pub(super) fn to_bytes(size: u64, doors: &Doors, ages: &Ages) -> io::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            format: u32,
            size: u64,
            doors: &'a Doors,
            ages: &'a Ages,
        }
        Ok(serde_json::to_vec(&Borrowed {
            format: FORMAT,
            size,
            doors,
            ages,
        })?)
    }

    pub(super) fn store(disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
        put(disk, FILE, bytes)
    }
}

/// What stands in a state of any version; the first said nothing of it.
#[derive(Deserialize)]
struct Formatted {
    #[serde(default = "first")]
    format: u32,
}

fn first() -> u32 {
    1
}
