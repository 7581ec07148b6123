//! How long the API server has been away.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::time::Instant;

/// An idle watch says nothing, so the API server is asked this often.
const BEAT: Duration = Duration::from_secs(15);
/// An answer that takes longer is none.
const ANSWER: Duration = Duration::from_secs(5);

/// When the API server last answered.
pub struct Contact(Mutex<Instant>);

// === impl Contact ===

impl Contact {
    /// It is there now.
    #[expect(clippy::new_without_default, reason = "a moment is no default")]
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// It answered just now.
    pub(crate) fn heard(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago it answered last.
    pub fn away(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Asks the API server now and then for the carrier, which every door may read. An answer counts only if the watch shows the
/// same version (or does so a beat later): a watch that hangs silently is no contact.
pub(super) async fn keep(
    contact: std::sync::Arc<Contact>,
    api: Api<ConfigMap>,
    name: String,
    watched: impl Fn() -> Option<String>,
) {
    let mut beats = tokio::time::interval(BEAT);
    let mut missed: Option<Option<String>> = None;
    loop {
        beats.tick().await;
        let Ok(Ok(found)) = tokio::time::timeout(ANSWER, api.get_metadata_opt(&name)).await else {
            continue;
        };
        let version = found.and_then(|object| object.metadata.resource_version);
        if version == watched() || missed.as_ref() != Some(&version) {
            contact.heard();
        }
        missed = (version != watched()).then_some(version);
    }
}
