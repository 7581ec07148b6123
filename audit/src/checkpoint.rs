//! C2SP tlog-checkpoint: the signed statement "my log has this many records and this root".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::note::{Note, NoteError, Signer, VerifierKey};
use crate::record::ObjectRef;

/// A log's name: C2SP asks for a URL without scheme that no two logs share. The sink's uid keeps namesakes apart.
#[must_use]
pub fn origin(sink: &ObjectRef) -> String {
    format!("sallyport.dev/log/{}/{}/{}", sink.namespace, sink.name, sink.uid)
}

/// The head of a log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.as_bytes())
        )
    }

    /// The signed note.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> String {
        signer.sign_note(&self.text())
    }

    /// Reads a checkpoint's text (extension lines are allowed and ignored).
    ///
    /// # Errors
    /// When it is none.
    pub fn parse_text(text: &str) -> Result<Self, NoteError> {
        let bad = NoteError::Malformed;
        let mut lines = text.split_terminator('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(bad("no origin"))?;
        let digits = lines.next().ok_or(bad("no size"))?;
        let size: u64 = digits.parse().map_err(|_| bad("a size that is no number"))?;
        if size.to_string() != digits {
            return Err(bad("a size with a second spelling"));
        }
        let root = lines
            .next()
            .and_then(|line| STANDARD.decode(line).ok())
            .and_then(|root| root.try_into().ok());
        let root = Digest::from_bytes(root.ok_or(bad("a root that is no SHA-256"))?);
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }

    /// Reads a signed checkpoint and checks that `key` signed it and that it speaks of the key's log.
    ///
    /// # Errors
    /// When either is not so.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        note.verify(key)?;
        let checkpoint = Self::parse_text(note.text())?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(NoteError::Malformed("it speaks of another log"))
        }
    }
}

/// A tree head as a recorder answers it with every acknowledgement: the signature is the one over the checkpoint's text, so
/// that whoever holds it can show it to anybody.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of records.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
    /// Ed25519 over [`Checkpoint::text`].
    #[serde(with = "signature_base64")]
    pub signature: [u8; 64],
}

mod signature_base64 {
    use super::{Engine, STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(signature: &[u8; 64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(signature))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| de::Error::custom("not 64 bytes in base64"))
    }
}

impl Head {
    /// Signs the head of the log `origin`.
    #[must_use]
    pub fn sign(origin: &str, size: u64, root: Digest, signer: &Signer) -> Self {
        let text = Checkpoint {
            origin: origin.to_owned(),
            size,
            root,
        }
        .text();
        Self {
            size,
            root,
            signature: signer.sign(text.as_bytes()),
        }
    }

    /// Whether `key` signed this head of its log.
    #[must_use]
    pub fn verifies(&self, key: &VerifierKey) -> bool {
        key.verifies(self.checkpoint(key.name()).text().as_bytes(), &self.signature)
    }

    /// The head as a checkpoint of the log `origin`.
    #[must_use]
    pub fn checkpoint(&self, origin: &str) -> Checkpoint {
        Checkpoint {
            origin: origin.to_owned(),
            size: self.size,
            root: self.root,
        }
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head")
            .field("size", &self.size)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: "example.com/log".into(),
            size: 7,
            root: Digest::of(b"root"),
        }
    }

    #[test]
    fn a_key_reads_its_own_checkpoint_only() {
        let (signer, pkcs8) = Signer::generate("example.com/log").unwrap();
        let note = checkpoint().sign(&signer);
        let key: VerifierKey = signer.verifier().to_string().parse().unwrap();
        assert_eq!(Checkpoint::open(&note, &key).unwrap(), checkpoint());
        assert_eq!(Signer::from_pkcs8("example.com/log", &pkcs8).unwrap().verifier(), &key);

        let (namesake, _) = Signer::generate("example.com/log").unwrap();
        assert!(matches!(
            Checkpoint::open(&note, namesake.verifier()),
            Err(NoteError::Unsigned(_))
        ));
        assert!(matches!(
            Checkpoint::open(&note.replace("\n7\n", "\n8\n"), &key),
            Err(NoteError::Forged(_))
        ));
        let (other, _) = Signer::generate("example.com/other").unwrap();
        assert!(Checkpoint::open(&checkpoint().sign(&other), other.verifier()).is_err());
    }

    #[test]
    fn a_cosignature_states_its_time() {
        let (log, _) = Signer::generate("example.com/log").unwrap();
        let (witness, _) = Signer::generate("operator").unwrap();
        let note = checkpoint().sign(&log);
        let cosigned = format!(
            "{note}{}",
            witness.cosign(Note::parse(&note).unwrap().text(), 1_700_000_000)
        );
        let parsed = Note::parse(&cosigned).unwrap();
        assert_eq!(parsed.verify(&witness.verifier().cosigner()), Ok(Some(1_700_000_000)));
        assert_eq!(parsed.verify(log.verifier()), Ok(None));
        assert!(
            parsed.verify(witness.verifier()).is_err(),
            "a cosignature is no plain signature"
        );
        assert_eq!(parsed.signers().collect::<Vec<_>>(), ["example.com/log", "operator"]);
    }

    #[test]
    fn a_head_is_the_checkpoint_in_short() {
        let (signer, _) = Signer::generate("example.com/log").unwrap();
        let Checkpoint { origin, size, root } = checkpoint();
        let head = Head::sign(&origin, size, root, &signer);
        assert!(head.verifies(signer.verifier()));
        assert!(!Head { size: 8, ..head }.verifies(signer.verifier()));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        for bad in [
            "",
            "o\n",
            "o\n07\n",
            "o\n7\nAA==\n",
            "\n7\n",
            "o\n-1\n",
            "o\n+7\nAA==\n",
        ] {
            assert!(Checkpoint::parse_text(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "text",
            "text\n\n\u{2014} name",
            "text\n\n\u{2014} name AA==\n",
            "text\n\n\u{2014} name AAAAAA=\nx\n",
        ] {
            assert!(Note::parse(bad).is_err(), "{bad:?}");
        }
    }
}
