//! Whether the watch of the requests still shows what is there: an idle watch says nothing, and so does a dead one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use sallyport_crds::AccessRequest;

use super::board::Board;
use crate::control::Contact;

/// The API server is asked this often what there is.
const BEAT: Duration = Duration::from_secs(15);
/// An answer that takes longer is none.
const ANSWER: Duration = Duration::from_secs(5);

/// Compares what the API server has with what the watch has shown, as long as the process lives.
pub(super) async fn keep(contact: Arc<Contact>, api: Api<AccessRequest>, board: Arc<Board>) {
    let mut beats = tokio::time::interval(BEAT);
    let mut pulse = Pulse::default();
    loop {
        beats.tick().await;
        let Ok(Ok(list)) = tokio::time::timeout(ANSWER, api.list_metadata(&ListParams::default())).await else {
            continue;
        };
        let versions = list
            .items
            .iter()
            .filter_map(|one| Some((one.uid()?, one.resource_version()?)));
        let unseen = versions.filter(|(uid, version)| board.lacks(uid, version)).collect();
        if pulse.beats(unseen) {
            contact.heard();
        }
    }
}

/// What the watch had not shown at the last beat, by uid and version. It may be a moment late, not a whole beat.
#[derive(Default)]
struct Pulse(HashMap<String, String>);

impl Pulse {
    fn beats(&mut self, unseen: HashMap<String, String>) -> bool {
        let late = unseen.iter().any(|(uid, version)| self.0.get(uid) == Some(version));
        self.0 = unseen;
        !late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_may_be_a_moment_late_and_no_more() {
        let unseen = |versions: &[(&str, &str)]| {
            let each = versions
                .iter()
                .map(|(uid, version)| ((*uid).to_owned(), (*version).to_owned()));
            each.collect::<HashMap<_, _>>()
        };
        let mut pulse = Pulse::default();
        assert!(pulse.beats(unseen(&[])));
        assert!(pulse.beats(unseen(&[("a", "1")])), "just made");
        assert!(pulse.beats(unseen(&[("a", "2")])), "another change");
        assert!(
            !pulse.beats(unseen(&[("a", "2"), ("b", "1")])),
            "not shown for a whole beat"
        );
        assert!(!pulse.beats(unseen(&[("a", "2")])));
        assert!(pulse.beats(unseen(&[])), "it was shown");
    }
}
