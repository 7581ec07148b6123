//! Leader election by a Lease: one process writes; others stand by.
//!
//! Whoever leads and cannot renew writes nothing more ([`fence`]) and ends its process before another may lead, so that two never
//! write at one time. All of it is counted from when a renewal went out: the API server may have taken it at once and answered late.

pub mod fence;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::fence::Lead;
use crate::shared::labels;

/// A Lease that was not renewed for this long may be taken.
const DURATION: Duration = Duration::from_secs(15);
/// Whoever leads and could not renew for this long writes nothing more, and stops. What was sent before has the rest of
/// [`DURATION`] to arrive.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How often the Lease is looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// One look takes no longer: one that begins just before [`GIVE_UP`] ends before [`DURATION`].
const REQUEST: Duration = Duration::from_secs(4);

/// A process whose last answer is older is not ready.
const AWAY: Duration = Duration::from_secs(30);

/// When the API server last answered; for readiness.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<Option<Instant>>>);

/// A candidate.
pub struct Candidate {
    api: Api<Lease>,
    lease: String,
    identity: String,
    /// The Lease as it was last seen, and since when it has looked like that. Clocks of others are never compared.
    seen: Option<(LeaseSpec, Instant)>,
    heard: Heard,
    lead: Lead,
}

/// The Lease was lost.
#[derive(Debug, thiserror::Error)]
#[error("another process leads, or the Lease could not be renewed for {} s", GIVE_UP.as_secs())]
pub struct Lost;

// === impl Heard ===

impl Heard {
    /// It answered just now.
    pub fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it answers, or since when not, in words.
    ///
    /// # Errors
    /// When it never did, or not for too long.
    pub fn answers(&self) -> Result<(), String> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Err("keys and API server are not at hand yet".to_owned()),
            Some(at) if at.elapsed() > AWAY => Err(format!(
                "the API server has not answered for {} s",
                at.elapsed().as_secs()
            )),
            Some(_) => Ok(()),
        }
    }
}

// === impl Candidate ===

impl Candidate {
    /// A candidate by a name that no other process has. Every answer is noted in `heard`.
    pub fn new(client: Client, namespace: &str, lease: &str, identity: &str, heard: Heard) -> Self {
        let api = Api::namespaced(client, namespace);
        Self {
            api,
            lease: lease.to_owned(),
            identity: identity.to_owned(),
            seen: None,
            heard,
            lead: Lead::default(),
        }
    }

    /// Whether this process leads, for whoever writes.
    pub fn lead(&self) -> Lead {
        self.lead.clone()
    }

    /// Waits until this process leads. False: `end` came first.
    pub async fn win(&mut self, end: &CancellationToken) -> bool {
        let mut failing = false;
        loop {
            match self.attempt().await {
                Ok(true) => return true,
                Ok(false) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "the Lease cannot be looked at; trying again");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = end.cancelled() => return false,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Renews until `end`, then gives the Lease back.
    ///
    /// # Errors
    /// When it is lost.
    pub async fn hold(&mut self, end: &CancellationToken) -> Result<(), Lost> {
        let held = self.renew(end).await;
        // Nothing is written any more when the next one begins.
        self.lead.over();
        if held.is_ok() {
            self.release().await;
        }
        held
    }

    async fn renew(&mut self, end: &CancellationToken) -> Result<(), Lost> {
        loop {
            tokio::select! {
                () = end.cancelled() => return Ok(()),
                () = tokio::time::sleep(PERIOD) => {}
            }
            match self.attempt().await {
                Ok(true) => {}
                Ok(false) => return Err(Lost),
                Err(error) => tracing::warn!(%error, "the Lease could not be renewed"),
            }
            if !self.lead.holds() {
                return Err(Lost);
            }
        }
    }

    /// Takes or renews the Lease if that is ours to do. False: somebody else leads.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let sent = Instant::now();
        let limited = tokio::time::timeout(REQUEST, self.try_once()).await;
        let answer =
            limited.unwrap_or_else(|_| Err(kube::Error::Service("the API server did not answer in time".into())))?;
        self.heard.now();
        if answer {
            self.lead.renewed(sent);
        }
        Ok(answer)
    }

    async fn try_once(&mut self) -> Result<bool, kube::Error> {
        let Some(found) = self.api.get_opt(&self.lease).await? else {
            let fresh = Lease {
                metadata: ObjectMeta {
                    name: Some(self.lease.clone()),
                    labels: Some(labels::operator()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.claim(None)),
            };
            return accepted(self.api.create(&PostParams::default(), &fresh).await);
        };
        let spec = found.spec.clone().unwrap_or_default();
        if !self.may_take(&spec, Instant::now()) {
            return Ok(false);
        }
        // The resourceVersion goes along: of two that try at one time, one gets a conflict.
        let claimed = Lease {
            spec: Some(self.claim(Some(&spec))),
            ..found
        };
        accepted(self.api.replace(&self.lease, &PostParams::default(), &claimed).await)
    }

    fn may_take(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        let since = match &self.seen {
            Some((seen, since)) if seen == spec => *since,
            _ => {
                self.seen = Some((spec.clone(), now));
                now
            }
        };
        let duration = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(DURATION, Duration::from_secs);
        now.saturating_duration_since(since) >= duration
    }

    fn claim(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = before.is_some_and(|before| before.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|before| before.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: before
                .filter(|_| ours)
                .and_then(|before| before.acquire_time.clone())
                .or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if ours {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        }
    }

    /// Lets the next one lead at once.
    async fn release(&self) {
        let Ok(Ok(Some(mut lease))) = tokio::time::timeout(REQUEST, self.api.get_opt(&self.lease)).await else {
            return;
        };
        let Some(spec) = &mut lease.spec else { return };
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            spec.holder_identity = Some(String::new());
            let _ = tokio::time::timeout(REQUEST, self.api.replace(&self.lease, &PostParams::default(), &lease)).await;
        }
    }
}

fn accepted(outcome: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match outcome {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(answer)) if answer.is_conflict() || answer.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
