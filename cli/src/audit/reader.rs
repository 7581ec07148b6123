//! Reading records that other versions have written.

use anyhow::{Result, bail};
use sallyport_audit::record::{Header, Record};

use super::print::plain;

/// Reads records, and keeps how many it could not: what this program cannot tell must not look as if it were not there.
#[derive(Debug, Default)]
pub struct Reader {
    unread: u64,
    first: Option<String>,
}

// === impl Reader ===

impl Reader {
    /// One record. `None` for what is none, which the proof names, and for what is counted here.
    pub fn read(&mut self, index: u64, leaf: &[u8]) -> Option<Record> {
        match Record::parse(leaf) {
            Ok(record) => Some(record),
            Err(error) => {
                if Header::parse(leaf).is_ok() {
                    self.unread += 1;
                    // The error repeats words of the record.
                    self.first
                        .get_or_insert_with(|| format!("record {index}: {}", plain(&error.to_string())));
                }
                None
            }
        }
    }

    /// How many it could not, in words; nothing where it could.
    pub fn words(&self) -> Option<String> {
        (self.unread > 0).then(|| format!("{} records of another version are not told here", self.unread))
    }

    /// Whether all records could be read. To be asked once the others were told: a door whose records nobody can read must not
    /// keep those of all others from whoever asks.
    ///
    /// # Errors
    /// Where some could not, with the first of them.
    pub fn finish(&self) -> Result<()> {
        match &self.first {
            None => Ok(()),
            Some(first) => bail!(
                "{} records of the log were written by another version and cannot be told here; {first}; \
                 use the kubectl-sallyport of the version that the doors run (audit verify proves the log all the same)",
                self.unread
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples;

    #[test]
    fn what_a_newer_version_wrote_is_not_passed_over_in_silence() {
        let record = serde_json::to_string(&samples::history()[0]).unwrap();
        let newer = record.replace("\"v\":1", "\"v\":2");
        let unknown = record.replace("{\"event\":{\"", "{\"event\":{\"hereafter");
        assert!(newer != record && unknown != record, "{record}");
        let mut hostile = Reader::default();
        hostile.read(0, unknown.replace("hereafter", "\\u001b[2J").as_bytes());
        let words = hostile.finish().unwrap_err().to_string();
        assert!(words.contains("\\u{1b}[2J") && !words.contains('\u{1b}'), "{words}");
        let mut reader = Reader::default();
        assert!(reader.read(0, record.as_bytes()).is_some());
        // What is no record at all is for the proof to name.
        assert!(reader.read(1, b"{}").is_none());
        reader.finish().unwrap();
        assert!(reader.read(2, newer.as_bytes()).is_none());
        assert!(reader.read(3, unknown.as_bytes()).is_none());
        let words = reader.finish().unwrap_err().to_string();
        assert_eq!(
            reader.words().unwrap(),
            "2 records of another version are not told here"
        );
        assert!(
            words.starts_with("2 records") && words.contains("record 2: a record of version 2"),
            "{words}"
        );
    }
}
