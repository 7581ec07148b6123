//! What the recorder remembers besides the records: how far each door has come. It only saves reading the whole log at a
//! start; everything in it follows from the records, but for how old these are. That is signed: who may write the volume's files
//! and has not the log's key would else have records removed before their time, and the log itself say that they were kept.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sallyport_audit::note::{Signer, VerifierKey};
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
    /// Over the ages, by the log's key, in base64. The first version signed none.
    #[serde(default)]
    signature: String,
}

impl State {
    pub(super) fn load(disk: &dyn Disk, key: &VerifierKey) -> Result<Self, OpenError> {
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
        let mut state: Self = serde_json::from_slice(&bytes).map_err(damaged)?;
        let text = signed(key.name(), state.size, &state.ages)?;
        let signature = STANDARD.decode(&state.signature).unwrap_or_default();
        if !key.verifies(text.as_bytes(), &signature) {
            tracing::warn!("how old the records are is not signed by the log's key: they count as of now");
            state.ages.forget();
        }
        Ok(state)
    }

    pub(super) fn to_bytes(size: u64, doors: &Doors, ages: &Ages, signer: &Signer) -> io::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            format: u32,
            size: u64,
            doors: &'a Doors,
            ages: &'a Ages,
            signature: String,
        }
        let text = signed(signer.verifier().name(), size, ages)?;
        Ok(serde_json::to_vec(&Borrowed {
            format: FORMAT,
            size,
            doors,
            ages,
            signature: STANDARD.encode(signer.sign(text.as_bytes())),
        })?)
    }

    pub(super) fn store(disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
        put(disk, FILE, bytes)
    }
}

/// What is signed. No checkpoint begins like this: its second line is a number.
fn signed(origin: &str, size: u64, ages: &Ages) -> io::Result<String> {
    let ages = serde_json::to_string(ages)?;
    Ok(format!("sallyport.dev/state/v1\n{origin}\n{size}\n{ages}\n"))
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
