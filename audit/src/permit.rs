//! The operator's leave to write: a recorder starts fenced, and appends only under a permit for exactly the log that it
//! found and for this one start of it.
//!
//! A permit is a C2SP signed note by the operator's witness key:
//!
//! ```text
//! sallyport.dev/permit/v1
//! <origin of the log>
//! <number of records found>
//! <root over them, base64>
//! <boot: 32 hex digits, random at each start of a recorder>
//! <epoch: 1 for the log's first permit, one more for each later one>
//! ```
//!
//! The operator signs one only when size and root are consistent with every checkpoint that it saw before, so a volume that
//! was rolled back, rewritten or exchanged never gets one; and each permit ends the right of the one before: doors pass on
//! the newest permit that they saw, and a recorder that is shown a later epoch than its own stops for good.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Digest;
use crate::note::{Note, NoteError, Signer, VerifierKey};
use crate::record::Instance;

/// The first line: no log may have this as its origin, so that no permit is ever read as a checkpoint.
const TITLE: &str = "sallyport.dev/permit/v1";
/// What the first line of every version begins with.
const EVERY: &str = "sallyport.dev/permit/v";
/// In which line the epoch stands, in every version.
const EPOCH: usize = 5;

/// Leave for one start of one recorder to append to one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The log's name.
    pub origin: String,
    /// Records that the recorder found at its start.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
    /// This start of the recorder.
    pub boot: Instance,
    /// The permit's number among all for this log.
    pub epoch: u64,
}

impl Permit {
    /// The signed note.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> String {
        let Self {
            origin,
            size,
            root,
            boot,
            epoch,
        } = self;
        let root = STANDARD.encode(root.as_bytes());
        signer.sign_note(&format!("{TITLE}\n{origin}\n{size}\n{root}\n{boot}\n{epoch}\n"))
    }

    /// Reads a permit that `key` signed.
    ///
    /// # Errors
    /// When it is none, of a later version, or not signed by that key.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        note.verify(key)?;
        Self::parse(note.text()).ok_or(match version(note.text()) {
            Some(later @ 2..) => NoteError::Version(later),
            _ => NoteError::Malformed("not a permit"),
        })
    }

    /// The epoch that a permit states, unverified: enough to tell which of two is the later. A door tells it of versions after
    /// this one, too, which only recorders have to understand: it must not take a newer recorder for one that was replaced.
    #[must_use]
    pub fn stated_epoch(note: &str) -> Option<u64> {
        let note = Note::parse(note).ok()?;
        match version(note.text())? {
            1 => Self::parse(note.text()).map(|permit| permit.epoch),
            _ => number(note.text().split_terminator('\n').nth(EPOCH)?),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split_terminator('\n');
        let title = lines.next()?;
        let origin = lines.next()?.to_owned();
        let size = number(lines.next()?)?;
        let root = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        let boot = Instance::parse(lines.next()?)?;
        let epoch = number(lines.next()?)?;
        let permit = Self {
            origin,
            size,
            root: Digest::from_bytes(root),
            boot,
            epoch,
        };
        (title == TITLE && !permit.origin.is_empty() && lines.next().is_none()).then_some(permit)
    }
}

/// The version of a permit, by its first line.
fn version(text: &str) -> Option<u64> {
    number(text.split_terminator('\n').next()?.strip_prefix(EVERY)?).filter(|version| *version > 0)
}

/// A number with one spelling.
fn number(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    fn permit() -> Permit {
        Permit {
            origin: "example.com/log".into(),
            size: 7,
            root: Digest::of(b"root"),
            boot: Instance::random().unwrap(),
            epoch: 3,
        }
    }

    #[test]
    fn a_permit_is_the_witness_s_word_and_nobody_else_s() {
        let (witness, _) = Signer::generate("operator").unwrap();
        let (namesake, _) = Signer::generate("operator").unwrap();
        let permit = permit();
        let note = permit.sign(&witness);
        assert_eq!(Permit::open(&note, witness.verifier()).unwrap(), permit);
        assert_eq!(Permit::stated_epoch(&note), Some(3));
        assert!(Permit::open(&note, namesake.verifier()).is_err());
        for (from, to) in [
            ("\n7\n", "\n8\n"),
            ("\n3\n", "\n4\n"),
            ("example.com/log", "example.com/lag"),
        ] {
            let forged = note.replacen(from, to, 1);
            assert_ne!(forged, note);
            assert!(Permit::open(&forged, witness.verifier()).is_err(), "{to:?}");
        }
    }

    #[test]
    fn a_permit_is_no_checkpoint_and_a_checkpoint_no_permit() {
        let (witness, _) = Signer::generate("operator").unwrap();
        let note = Note::parse(&permit().sign(&witness)).unwrap();
        assert!(Checkpoint::parse_text(note.text()).is_err());
        let checkpoint = Checkpoint {
            origin: "sallyport.dev/permit/v1".into(),
            size: 1,
            root: Digest::of(b""),
        };
        assert!(Permit::open(&checkpoint.sign(&witness), witness.verifier()).is_err());
    }

    #[test]
    fn a_permit_of_a_later_version_lets_nobody_write_and_tells_its_epoch() {
        let (witness, _) = Signer::generate("operator").unwrap();
        let note = Note::parse(&permit().sign(&witness)).unwrap();
        let later = witness.sign_note(&format!("{}more\n", note.text().replace("/v1\n", "/v2\n")));
        let error = Permit::open(&later, witness.verifier()).unwrap_err();
        assert_eq!(error, NoteError::Version(2), "{error}");
        assert_eq!(Permit::stated_epoch(&later), Some(3));
        for none in ["/v0\n", "/v02\n", "/v\n", "/w2\n"] {
            let other = witness.sign_note(&note.text().replace("/v1\n", none));
            assert_eq!(Permit::stated_epoch(&other), None, "{none:?}");
            assert!(Permit::open(&other, witness.verifier()).is_err(), "{none:?}");
        }
    }

    #[test]
    fn a_permit_has_one_spelling() {
        let (witness, _) = Signer::generate("operator").unwrap();
        let note = permit().sign(&witness);
        let text = Note::parse(&note).unwrap().text().to_owned();
        for bad in [
            text.replace("\n7\n", "\n07\n"),
            format!("{text}more\n"),
            text.replace("/v1", "/v2"),
            String::new(),
        ] {
            assert_eq!(Permit::parse(&bad), None, "{bad:?}");
        }
    }
}
