//! The key by which carriers are signed.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The Ed25519 key by which the operator signs carriers; doors know its public half from their Pod template.
pub struct CarrierKey {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

/// The stored carrier key is not an Ed25519 key.
#[derive(Debug, thiserror::Error)]
#[error("the stored carrier key cannot be read as Ed25519 (PKCS#8); restore the Secret from a backup")]
pub struct CarrierKeyError;

// === impl CarrierKey ===

impl CarrierKey {
    /// A new key.
    pub fn make() -> Result<Self, CarrierKeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| CarrierKeyError)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| CarrierKeyError)?;
        Self::load(pkcs8.as_ref())
    }

    /// The key stored as PKCS#8 DER.
    pub fn load(pkcs8: &[u8]) -> Result<Self, CarrierKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| CarrierKeyError)?;
        Ok(Self {
            pair,
            pkcs8: pkcs8.to_vec(),
        })
    }

    /// The key pair itself, for [`sallyport_policy::carrier`].
    pub fn pair(&self) -> &Ed25519KeyPair {
        &self.pair
    }

    /// PKCS#8 DER, to be stored and shown to nobody.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The raw public key (32 bytes).
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The raw public key (32 bytes), base64, as doors are given it.
    pub fn public_base64(&self) -> String {
        STANDARD.encode(self.pair.public_key().as_ref())
    }
}

impl fmt::Debug for CarrierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarrierKey")
            .field("public", &self.public_base64())
            .finish_non_exhaustive()
    }
}
