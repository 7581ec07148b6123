//! The key by which the operator cosigns checkpoints: it has seen that the log only grew.

use std::fmt;

use sallyport_audit::note::{NoteError, Signer};
use sallyport_audit::permit::Permit;

/// The witness's name in cosignatures.
pub const NAME: &str = "sallyport.dev/operator";

/// The operator's witness key.
pub struct Witness {
    signer: Signer,
    pkcs8: Vec<u8>,
}

/// The stored witness key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the witness key cannot be read or made; restore the Secret from a backup: {0}")]
pub struct WitnessKeyError(#[from] NoteError);

// === impl Witness ===

impl Witness {
    /// A new key.
    pub fn make() -> Result<Self, WitnessKeyError> {
        let (signer, pkcs8) = Signer::generate(NAME)?;
        Ok(Self { signer, pkcs8 })
    }

    /// The key stored as PKCS#8 DER.
    pub fn load(pkcs8: &[u8]) -> Result<Self, WitnessKeyError> {
        Ok(Self {
            signer: Signer::from_pkcs8(NAME, pkcs8)?,
            pkcs8: pkcs8.to_vec(),
        })
    }

    /// PKCS#8 DER, to be stored and shown to nobody.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// A cosignature line (C2SP `cosignature/v1`) over a checkpoint's text at a time in seconds since 1970.
    pub fn cosign(&self, text: &str, time: u64) -> String {
        self.signer.cosign(text, time)
    }

    /// Leave for a recorder to write, as a signed note.
    pub fn permit(&self, permit: &Permit) -> String {
        permit.sign(&self.signer)
    }

    /// The verifier key by which recorders check permits.
    pub fn permit_verifier(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// The verifier key by which others check cosignatures.
    pub fn verifier(&self) -> String {
        self.signer.verifier().cosigner().to_string()
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness")
            .field("verifier", &self.verifier())
            .finish_non_exhaustive()
    }
}
