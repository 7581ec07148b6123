//! How the door stands: for readiness, reports and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_audit::digest::Digest;
use sallyport_runtime::admin::Probe;
use sallyport_runtime::report::Sought;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::lack::Lack;

/// How the door stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The revision that is loaded: enforced for whatever comes in now. None where the door is shut for want of one.
    pub revision: Option<u64>,
    /// Digest of what was read under that revision.
    pub digest: Option<Digest>,
    /// Why nobody new can be admitted; None where somebody can.
    pub shut: Option<String>,
    /// What is missing or odd.
    pub lacks: Vec<Lack>,
    /// What the columns that rules name fit, by the rule's uid, as far as sessions have looked.
    pub columns: BTreeMap<String, Sought>,
}

/// "Can admit under a known policy, and is not draining". The recorder and the API server do not count: without them the
/// door refuses in words, which a Service without endpoints cannot.
pub fn readiness(status: watch::Receiver<Status>, drain: CancellationToken) -> Probe {
    Arc::new(move || {
        if drain.is_cancelled() {
            return Err("draining".to_owned());
        }
        match &status.borrow().shut {
            None => Ok(()),
            Some(why) => Err(why.clone()),
        }
    })
}
