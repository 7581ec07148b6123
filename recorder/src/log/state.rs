//! What the recorder remembers besides the records: how far each door has come. It only saves reading the whole log at a
//! start; everything in it follows from the records.

use std::io;

use serde::{Deserialize, Serialize};

use super::ages::Ages;
use super::disk::{Disk, put};
use super::doors::Doors;
use super::error::OpenError;

const FILE: &str = "state.json";

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
        serde_json::from_slice(&bytes).map_err(|error| OpenError::Damaged(format!("{FILE}: {error}")))
    }

    pub(super) fn to_bytes(size: u64, doors: &Doors, ages: &Ages) -> io::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            size: u64,
            doors: &'a Doors,
            ages: &'a Ages,
        }
        Ok(serde_json::to_vec(&Borrowed { size, doors, ages })?)
    }

    pub(super) fn store(disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
        put(disk, FILE, bytes)
    }
}
