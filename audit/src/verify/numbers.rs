//! Running numbers: each writer counts its records, so that one that was left out between writer and log shows.

use std::collections::HashMap;

use super::report::Finding;
use crate::record::{Header, Instance};

/// The last number of each writer so far.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<Instance, u64>);

impl Numbers {
    /// Takes the record at `index`. A writer whose first records are `gone` begins anywhere.
    pub(super) fn take(&mut self, index: u64, header: &Header, gone: bool) -> Option<Finding> {
        let source = &header.source;
        if gone && !self.0.contains_key(&source.instance) {
            self.0.insert(source.instance.clone(), source.seq);
            return None;
        }
        let last = self.0.entry(source.instance.clone()).or_default();
        let expected = *last + 1;
        *last = source.seq;
        (source.seq != expected).then(|| Finding::Gap {
            index,
            instance: source.instance.clone(),
            expected,
            found: source.seq,
        })
    }
}
