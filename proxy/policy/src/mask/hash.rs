//! Keyed, stable, joinable hashes of values.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;

/// Bytes of HMAC-SHA-256.
pub(crate) const HASH_BYTES: usize = 32;
/// What a key's id is the hash of. No text of PostgreSQL holds a NUL, so it is no value's hash.
const ID: &[u8] = b"sallyport\0key id";
/// Bytes of an id.
const ID_BYTES: usize = 8;

/// A key for [`Action::Hash`](super::action::Action::Hash): HMAC-SHA-256 (RFC 2104, FIPS 180-4).
///
/// The same value under the same key gives the same hash in every column and table, so hashed columns still join.
/// Whoever has the key can build a dictionary of all SSNs: it is a secret like the values themselves.
#[derive(Clone)]
pub struct HashKey(Arc<hmac::Key>);

impl HashKey {
    /// Shortest key accepted, in bytes.
    pub const MIN_BYTES: usize = 32;

    /// A key from secret bytes; `None` when they are fewer than [`HashKey::MIN_BYTES`].
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= Self::MIN_BYTES).then(|| Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    }

    /// What tells the key from others in records, and tells nothing of it: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        key_id(&self.0)
    }

    /// HMAC-SHA-256 over the canonical text of a value.
    pub(crate) fn digest(&self, value: &[u8]) -> [u8; HASH_BYTES] {
        digest(&self.0, value)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// See [`HashKey::id`].
pub(super) fn key_id(key: &hmac::Key) -> String {
    let mut id = Vec::new();
    put_hex(
        &mut id,
        digest(key, ID).first_chunk::<ID_BYTES>().unwrap_or(&[0; ID_BYTES]),
    );
    id.into_iter().map(char::from).collect()
}

fn digest(key: &hmac::Key, value: &[u8]) -> [u8; HASH_BYTES] {
    let tag = hmac::sign(key, value);
    tag.as_ref().first_chunk().copied().unwrap_or([0; HASH_BYTES])
}

/// Appends lower-case hexadecimal.
pub(crate) fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        for nibble in [b >> 4, b & 15] {
            out.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_keys_apart_and_stay() {
        let id = |byte| HashKey::new(&[byte; 32]).unwrap().id();
        // Records of every version name a key by it.
        assert_eq!(id(7), "b6c49bd38fa200b2");
        assert_ne!(id(7), id(8));
        assert!(id(7).bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
