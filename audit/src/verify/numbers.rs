//! Running numbers: each writer counts its records, so that one that was left out between writer and log shows.

use std::collections::HashMap;
use std::sync::Arc;

use super::report::{Finding, told};
use crate::record::{Header, Instance, ObjectRef, PodRef, Source, Writer};

/// The last number of each writer so far.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<Who, u64>);

/// Whose numbers. Doors choose their instance: by that alone a broken one could count among the recorder's own, or another door's,
/// and have a whole log refuted.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Who {
    instance: Instance,
    pod: Arc<PodRef>,
    /// The door's Connection. A recorder counts through all of them.
    door: Option<Arc<ObjectRef>>,
    recorder: bool,
}

impl Who {
    fn of(source: &Source) -> Self {
        let recorder = source.writer == Writer::Recorder;
        Self {
            instance: source.instance.clone(),
            pod: Arc::clone(&source.pod),
            door: source.connection.clone().filter(|_| !recorder),
            recorder,
        }
    }
}

impl Numbers {
    /// Takes the record at `index`. A writer whose first records are `gone` begins anywhere.
    pub(super) fn take(&mut self, index: u64, header: &Header, gone: bool) -> Option<Finding> {
        let source = &header.source;
        let who = Who::of(source);
        if gone && !self.0.contains_key(&who) {
            self.0.insert(who, source.seq);
            return None;
        }
        let last = self.0.entry(who).or_default();
        let expected = last.saturating_add(1);
        *last = source.seq;
        (source.seq != expected).then(|| Finding::Gap {
            index,
            instance: told(source.instance.as_str()),
            expected,
            found: source.seq,
        })
    }
}
