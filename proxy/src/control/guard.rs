//! Which carrier counts: signed by the operator, for this very Connection, never older than one that counted before.

use std::sync::Arc;
use std::time::Duration;

use sallyport_crds::Reason;
use sallyport_policy::carrier::{self, Carrier};
use tokio::time::Instant;

use super::Place;
use super::lack::Lack;

/// How long a door may run behind the revision that the operator wants before it closes. The watch delivers in
/// milliseconds; whoever keeps the newest policy from a door must not keep the older one open.
pub(super) const MAY_LAG: Duration = Duration::from_secs(30);

/// Remembers the newest carrier.
pub(super) struct Guard {
    place: Place,
    newest: Option<Arc<Carrier>>,
    /// SHA-256 of its payload.
    digest: Option<[u8; 32]>,
    /// The revision that the operator said it wants; it only grows.
    wanted: Option<u64>,
    /// Whether this process ever ran what the operator wanted.
    caught_up: bool,
    behind_since: Option<Instant>,
}

/// A carrier that counts, and what is odd about the one that was offered.
pub(super) struct Taken {
    pub(super) carrier: Arc<Carrier>,
    pub(super) odd: Option<Lack>,
}

// === impl Guard ===

impl Guard {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            newest: None,
            digest: None,
            wanted: None,
            caught_up: false,
            behind_since: None,
        }
    }

    /// SHA-256 of the payload of the carrier that counts.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// The operator said which revision it wants.
    pub(super) fn want(&mut self, revision: u64) {
        self.wanted = self.wanted.max(Some(revision));
    }

    /// Looks at what stands in the ConfigMap now; `None`: nothing does.
    pub(super) fn look(&mut self, offered: Option<&[u8]>, now: Instant) -> Result<Taken, Lack> {
        let taken = self.take(offered.ok_or_else(|| Lack::new(Reason::Pending, "there is no policy yet"))?)?;
        self.check_lag(taken.carrier.revision, now)?;
        Ok(taken)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<Taken, Lack> {
        let invalid =
            |error: &dyn std::fmt::Display| Lack::new(Reason::Invalid, format!("the policy is not believed: {error}"));
        let offered = carrier::verify(bytes, &self.place.keys).map_err(|error| invalid(&error))?;
        let ours = &self.place.connection;
        let theirs = &offered.connection;
        if (&theirs.namespace, &theirs.name, &theirs.uid) != (&ours.namespace, &ours.name, &ours.uid) {
            return Err(invalid(&"it is another connection's"));
        }
        if self.newest.is_none() {
            self.digest = carrier::payload_digest(bytes);
        }
        let newest = self.newest.get_or_insert_with(|| Arc::new(offered.clone()));
        if offered.revision > newest.revision {
            self.digest = carrier::payload_digest(bytes);
            *newest = Arc::new(offered);
            return Ok(Taken {
                carrier: Arc::clone(newest),
                odd: None,
            });
        }
        let odd = (offered != **newest).then(|| {
            let message = format!(
                "revision {} was put in place of {}; the newer one is kept",
                offered.revision, newest.revision
            );
            Lack::new(Reason::Invalid, message)
        });
        Ok(Taken {
            carrier: Arc::clone(newest),
            odd,
        })
    }

    fn check_lag(&mut self, revision: u64, now: Instant) -> Result<(), Lack> {
        let lag = |message: String| Err(Lack::new(Reason::Pending, message));
        match self.wanted {
            // A process that begins has no memory: the operator has to say that what it found is not an old carrier.
            None => lag("the operator has not said yet which revision counts".to_owned()),
            Some(wanted) if revision < wanted => {
                let since = *self.behind_since.get_or_insert(now);
                if self.caught_up && now.duration_since(since) <= MAY_LAG {
                    return Ok(());
                }
                lag(format!(
                    "the policy has revision {revision}, the operator wants {wanted}"
                ))
            }
            Some(_) => {
                self.behind_since = None;
                self.caught_up = true;
                Ok(())
            }
        }
    }
}
