//! C2SP signed notes with Ed25519, and timestamped cosignatures (`cosignature/v1`).
//!
//! A note is text, an empty line, and signature lines `— name base64(key hash ‖ signature)`. A key is known by its verifier
//! key, `name+hash+base64(algorithm ‖ public key)`, which has to come from outside the log.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::digest::{Digest, hex};

/// A plain Ed25519 signature over the note's text.
pub const ALG_ED25519: u8 = 0x01;
/// A timestamped Ed25519 cosignature of a checkpoint.
pub const ALG_COSIGNATURE: u8 = 0x04;
/// Notes and verifier keys beyond this are refused unread.
const MAX_NOTE: usize = 64 * 1024;

/// A note or key that is none, or whose signature is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// Not a verifier key.
    #[error("not a verifier key (name+hash+base64): {0}")]
    Key(&'static str),
    /// No line of that key.
    #[error("the note is not signed by {0}")]
    Unsigned(String),
    /// A line of that key which does not verify.
    #[error("the signature of {0} does not verify")]
    Forged(String),
    /// One of a later version.
    #[error("it is of version {0}, which this version does not know")]
    Version(u64),
    /// The signing key does not work.
    #[error("the signing key is unusable")]
    Signing,
}

/// A public key with its name, from outside.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: u8,
    public: [u8; 32],
}

impl VerifierKey {
    fn new(name: &str, algorithm: u8, public: [u8; 32]) -> Result<Self, NoteError> {
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
            return Err(NoteError::Key("the name is empty or has a space or a plus"));
        }
        if !matches!(algorithm, ALG_ED25519 | ALG_COSIGNATURE) {
            return Err(NoteError::Key("an algorithm other than Ed25519"));
        }
        Ok(Self {
            name: name.to_owned(),
            algorithm,
            public,
        })
    }

    /// The key's name; for a log's own key, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The note of a text that this key signed by [`Signer::sign`].
    #[must_use]
    pub fn note_of(&self, text: &str, signature: &[u8; 64]) -> String {
        format!("{text}\n{}", line(self, signature))
    }

    /// The same key for timestamped cosignatures.
    #[must_use]
    pub fn cosigner(&self) -> Self {
        Self {
            algorithm: ALG_COSIGNATURE,
            ..self.clone()
        }
    }

    /// First four bytes of SHA-256 over name, newline, algorithm and key.
    fn hash(&self) -> [u8; 4] {
        let input = [self.name.as_bytes(), b"\n", &[self.algorithm], &self.public].concat();
        let [a, b, c, d, ..] = *Digest::of(&input).as_bytes();
        [a, b, c, d]
    }

    /// Checks a bare Ed25519 signature over `text`.
    #[must_use]
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(text, signature)
            .is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm][..], &self.public].concat();
        write!(f, "{}+{}+{}", self.name, hex(&self.hash()), STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let text = text.trim();
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("three parts are expected"));
        };
        let key = STANDARD.decode(key).map_err(|_| NoteError::Key("not base64"))?;
        let (algorithm, public) = key.split_first().ok_or(NoteError::Key("too short"))?;
        let public = public
            .try_into()
            .map_err(|_| NoteError::Key("not a 32-byte public key"))?;
        let key = Self::new(name, *algorithm, public)?;
        if hex(&key.hash()) == hash {
            Ok(key)
        } else {
            Err(NoteError::Key("the hash does not fit the key"))
        }
    }
}

/// A private key with its name.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: VerifierKey,
}

impl Signer {
    /// A fresh key: the signer and its PKCS#8 document, to be kept by the owner alone.
    ///
    /// # Errors
    /// When the system gives no randomness, or the name cannot be a key's name.
    pub fn generate(name: &str) -> Result<(Self, Vec<u8>), NoteError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).map_err(|_| NoteError::Signing)?;
        Ok((Self::from_pkcs8(name, document.as_ref())?, document.as_ref().to_vec()))
    }

    /// A kept key.
    ///
    /// # Errors
    /// When it is not a PKCS#8 Ed25519 key.
    pub fn from_pkcs8(name: &str, pkcs8: &[u8]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| NoteError::Signing)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Signing)?;
        Ok(Self {
            pair,
            key: VerifierKey::new(name, ALG_ED25519, public)?,
        })
    }

    /// What others need to verify.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.key
    }

    /// A bare Ed25519 signature over `text`.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.pair.sign(text).as_ref());
        out
    }

    /// A note with this key's signature. `text` ends with a newline.
    #[must_use]
    pub fn sign_note(&self, text: &str) -> String {
        format!("{text}\n{}", line(&self.key, &self.sign(text.as_bytes())))
    }

    /// A cosignature line for a checkpoint: "at this time I saw it, and nothing that contradicts it".
    #[must_use]
    pub fn cosign(&self, text: &str, unix_secs: u64) -> String {
        let signature = self.sign(cosigned(text, unix_secs).as_bytes());
        line(
            &self.key.cosigner(),
            &[&unix_secs.to_be_bytes()[..], &signature].concat(),
        )
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

fn line(key: &VerifierKey, signature: &[u8]) -> String {
    format!(
        "\u{2014} {} {}\n",
        key.name,
        STANDARD.encode([&key.hash()[..], signature].concat())
    )
}

fn cosigned(text: &str, unix_secs: u64) -> String {
    format!("cosignature/v1\ntime {unix_secs}\n{text}")
}

/// A note as it was read; nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    /// Name, key hash, signature.
    signatures: Vec<(String, [u8; 4], Vec<u8>)>,
}

impl Note {
    /// Splits a note into text and signatures.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::Malformed("too long"));
        }
        let cut = note.rfind("\n\n").ok_or(NoteError::Malformed("no signature lines"))?;
        let (text, lines) = note
            .split_at_checked(cut + 1)
            .ok_or(NoteError::Malformed("no signature lines"))?;
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let signatures = lines
            .ok_or(NoteError::Malformed("no newline at the end"))?
            .split('\n')
            .map(|line| signature(line).ok_or(NoteError::Malformed("a signature line that is none")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The text, unverified.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names on the signature lines, unverified.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|(name, ..)| name.as_str())
    }

    /// Checks that `key` signed the text; for a cosigner's key, returns when (Unix seconds).
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<u64>, NoteError> {
        let hash = key.hash();
        let mut lines = self
            .signatures
            .iter()
            .filter(|(name, h, _)| *name == key.name && *h == hash)
            .peekable();
        if lines.peek().is_none() {
            return Err(NoteError::Unsigned(key.name.clone()));
        }
        for (_, _, signature) in lines {
            if key.algorithm == ALG_ED25519 && key.verifies(self.text.as_bytes(), signature) {
                return Ok(None);
            }
            if key.algorithm == ALG_COSIGNATURE
                && let Some((time, signature)) = signature.split_first_chunk::<8>()
                && key.verifies(cosigned(&self.text, u64::from_be_bytes(*time)).as_bytes(), signature)
            {
                return Ok(Some(u64::from_be_bytes(*time)));
            }
        }
        Err(NoteError::Forged(key.name.clone()))
    }
}

fn signature(line: &str) -> Option<(String, [u8; 4], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (hash, signature) = bytes.split_first_chunk::<4>()?;
    (!name.is_empty()).then(|| (name.to_owned(), *hash, signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::permit::Permit;

    /// What recorder and operator of the first version signed: kept outside for years, and held against their logs by whoever verifies.
    const SIGNED: &str = include_str!("../testdata/notes-v1.json");

    #[test]
    fn what_the_first_version_signed_is_still_believed() {
        let signed: std::collections::BTreeMap<String, String> = serde_json::from_str(SIGNED).unwrap();
        let key = |name: &str| -> VerifierKey { signed[name].parse().unwrap() };
        let (log, witness) = (key("logKey"), key("witnessKey"));
        let checkpoint = Checkpoint::open(&signed["checkpoint"], &log).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (7, Digest::of(b"root")));
        assert_eq!(checkpoint.origin, log.name());
        let note = Note::parse(&signed["checkpoint"]).unwrap();
        assert_eq!(note.verify(&witness.cosigner()), Ok(Some(1_795_867_500)));
        let permit = Permit::open(&signed["permit"], &witness).unwrap();
        assert_eq!((permit.origin.as_str(), permit.size, permit.epoch), (log.name(), 7, 3));
        assert_eq!(
            (permit.root, permit.boot.to_string()),
            (checkpoint.root, "0f".repeat(16))
        );
        // And would be signed so again, but for the keys.
        let (signer, _) = Signer::generate(witness.name()).unwrap();
        let text = |note: &str| Note::parse(note).unwrap().text().to_owned();
        assert_eq!(text(&permit.sign(&signer)), text(&signed["permit"]));
        assert_eq!(checkpoint.text(), note.text());
        assert_eq!(signed["logKey"], log.to_string());
    }
}
