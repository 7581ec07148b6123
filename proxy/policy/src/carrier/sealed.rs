//! Signing and checking carriers.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Carrier, FIRST, FORMAT, MAX_BYTES};

/// Put before the payload when it is signed, so that the key's signatures mean carriers and nothing else.
const CONTEXT: &[u8] = b"sallyport carrier v1\n";

/// A carrier as it stands in its ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedCarrier {
    /// The carrier as JSON, base64.
    pub payload: String,
    /// Ed25519 over context and payload, base64.
    pub signature: String,
    /// Which key signed: the first 8 bytes of SHA-256 of the public key, hexadecimal. A hint, never trusted.
    pub key_id: String,
}

/// Why a carrier is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// Larger than [`MAX_BYTES`].
    #[error("the carrier is larger than {MAX_BYTES} bytes: give the Connection fewer or shorter rules")]
    TooLarge,
    /// Not a carrier at all.
    #[error("the carrier cannot be read")]
    Unreadable,
    /// No trusted key signed it.
    #[error("the carrier is not signed by the operator's key")]
    Signature,
    /// Written by a newer operator.
    #[error("the carrier has format {0}, which this version does not know: run doors and operator from one image")]
    Format(u32),
}

/// Signs a carrier: the bytes for the ConfigMap.
///
/// # Errors
/// When it is too large to be carried.
pub fn sign(carrier: &Carrier, key: &Ed25519KeyPair) -> Result<Vec<u8>, CarrierError> {
    let payload = serde_json::to_vec(carrier).map_err(|_| CarrierError::Unreadable)?;
    seal(CONTEXT, &payload, key)
}

/// Checks and reads a carrier. `trusted` are raw Ed25519 public keys of 32 bytes; nothing of the payload is read before
/// one of them has verified it.
///
/// # Errors
/// When it is too large, unreadable, not signed by a trusted key, or of an unknown format.
pub fn verify(bytes: &[u8], trusted: &[Vec<u8>]) -> Result<Carrier, CarrierError> {
    unseal(CONTEXT, bytes, trusted, FORMAT)
}

/// Signs a document of ours. `context` says what it is: a signature of one kind means nothing for another.
pub(crate) fn seal(context: &[u8], payload: &[u8], key: &Ed25519KeyPair) -> Result<Vec<u8>, CarrierError> {
    let signed = SignedCarrier {
        signature: STANDARD.encode(key.sign(&[context, payload].concat())),
        payload: STANDARD.encode(payload),
        key_id: key_id(key.public_key().as_ref()),
    };
    let bytes = serde_json::to_vec(&signed).map_err(|_| CarrierError::Unreadable)?;
    if bytes.len() > MAX_BYTES {
        Err(CarrierError::TooLarge)
    } else {
        Ok(bytes)
    }
}

/// Checks and reads a document of ours, of any format up to the newest one that is `known`.
pub(crate) fn unseal<T: DeserializeOwned>(
    context: &[u8],
    bytes: &[u8],
    trusted: &[Vec<u8>],
    known: u32,
) -> Result<T, CarrierError> {
    if bytes.len() > MAX_BYTES {
        return Err(CarrierError::TooLarge);
    }
    let signed: SignedCarrier = serde_json::from_slice(bytes).map_err(|_| CarrierError::Unreadable)?;
    let payload = STANDARD.decode(&signed.payload).map_err(|_| CarrierError::Unreadable)?;
    let signature = STANDARD
        .decode(&signed.signature)
        .map_err(|_| CarrierError::Unreadable)?;
    let message = [context, &payload].concat();
    let genuine = trusted.iter().any(|key| {
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&message, &signature)
            .is_ok()
    });
    if !genuine {
        return Err(CarrierError::Signature);
    }
    let Format { format } = serde_json::from_slice(&payload).map_err(|_| CarrierError::Unreadable)?;
    if !(FIRST..=known).contains(&format) {
        return Err(CarrierError::Format(format));
    }
    serde_json::from_slice(&payload).map_err(|_| CarrierError::Unreadable)
}

/// SHA-256 of the payload of a carrier that [`verify`] took; `None` where there is none to be read.
#[must_use]
pub fn payload_digest(bytes: &[u8]) -> Option<[u8; 32]> {
    let signed: SignedCarrier = serde_json::from_slice(bytes).ok()?;
    let payload = STANDARD.decode(&signed.payload).ok()?;
    digest(&SHA256, &payload).as_ref().try_into().ok()
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

fn key_id(public: &[u8]) -> String {
    digest(&SHA256, public)
        .as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
