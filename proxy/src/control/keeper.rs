//! Keeps the door's state: looks at carrier, Secrets and clock, and says what is enforced now.
//!
//! One task, one step at a time: every change of anything leads to the same look at everything, so there is no order of
//! events to get wrong.

mod in_force;
mod raw;
mod way;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use sallyport_audit::Time;
use sallyport_audit::digest::Digest;
use sallyport_audit::record::{Batch, Event};
use sallyport_crds::{Reason, names};
use sallyport_policy::carrier::{CarriedSink, Carrier};
use sallyport_recorder::client::Evidence;
use sallyport_runtime::workload::Credential;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::away::{self, Away, Missed};
use super::contact::Contact;
use super::guard::{Guard, Taken};
use super::lack::Lack;
use super::materials::{self, SecretObject, Secrets};
use super::metrics::Metrics;
use super::opening::{self, Opening, Reach};
use super::status::Status;
use super::watch::{Seen, Watched};
use super::word::Word;
use super::{Place, evidence, sought};
use crate::approval::{BLIND, Requests};
use crate::door::{Columns, Door, Peers, Rules, Sessions};
use crate::drain::Drain;
use crate::identity::{Identities, Settings};
use in_force::InForce;
use raw::Raw;
use way::Way;

/// Time passes without anybody saying so: the keeper looks again this often.
const LOOK: Duration = Duration::from_secs(1);

/// What a keeper is made of.
pub(super) struct Parts {
    pub(super) place: Place,
    pub(super) client: Client,
    pub(super) credential: Credential,
    pub(super) contact: Arc<Contact>,
    pub(super) identities: Arc<Identities>,
    pub(super) requests: Arc<Requests>,
    pub(super) columns: Arc<dyn Columns>,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) sessions: Sessions,
    pub(super) drain: Drain,
    /// What the operator said.
    pub(super) word: watch::Receiver<Word>,
    pub(super) doors: watch::Sender<Option<Door>>,
    pub(super) status: watch::Sender<Status>,
    pub(super) metrics: &'static Metrics,
}

pub(super) struct Keeper {
    parts: Parts,
    guard: Guard,
    changed: Arc<Notify>,
    carrier: Arc<Watched<Raw>>,
    secrets: BTreeMap<String, Watched<Arc<SecretObject>>>,
    tls: Arc<ArcSwap<Option<Arc<rustls::ServerConfig>>>>,
    serving: Option<Serving>,
    /// What is on record to be in force.
    told: Option<InForce>,
    applied: Option<Basis>,
    /// How sessions dialled last.
    way: Option<Way>,
    /// How the door stands with what is applied.
    standing: Status,
    issuers: Away,
    recorders: Away,
}

/// The door that sessions get, and the sinks it writes to.
struct Serving {
    sinks: Vec<CarriedSink>,
    evidence: Evidence,
    rules: watch::Sender<Rules>,
}

/// All that the enforced rules are made from: the same again changes nothing.
#[derive(Clone, PartialEq)]
struct Basis {
    carrier: Arc<Carrier>,
    secrets: Secrets,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(parts: Parts) -> Self {
        let changed = Arc::new(Notify::new());
        let api: Api<ConfigMap> = Api::namespaced(parts.client.clone(), &parts.place.connection.namespace);
        let name = names::carrier(&parts.place.connection.name);
        let carrier = Arc::new(Watched::start(
            api.clone(),
            &name,
            raw::of,
            Arc::clone(&parts.contact),
            Arc::clone(&changed),
        ));
        let seen = Arc::clone(&carrier);
        let version = move || match seen.get() {
            Seen::Present(raw) => raw.version,
            _ => None,
        };
        tokio::spawn(super::contact::keep(Arc::clone(&parts.contact), api, name, version));
        Self {
            guard: Guard::new(parts.place.clone()),
            changed,
            carrier,
            secrets: BTreeMap::new(),
            tls: Arc::new(ArcSwap::from_pointee(None)),
            serving: None,
            told: None,
            applied: None,
            way: None,
            standing: Status::default(),
            issuers: Away::default(),
            recorders: Away::default(),
            parts,
        }
    }

    /// Looks until the process ends.
    pub(super) async fn run(mut self) {
        let mut word = self.parts.word.clone();
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                _ = ticks.tick() => {}
                Ok(()) = word.changed() => {}
            }
            self.look(Instant::now());
        }
    }

    fn look(&mut self, now: Instant) {
        let word = *self.parts.word.borrow();
        if let Some(revision) = word.revision {
            self.guard.want(revision);
        }
        if word.gone {
            return self.shut(Lack::new(
                Reason::Deleted,
                "the Connection was deleted: the operator knows it no more",
            ));
        }
        match self.carrier.get() {
            Seen::Unknown => self.shut(Lack::new(Reason::Pending, "the policy was not read yet")),
            Seen::Absent => self.consider(None, now),
            Seen::Present(raw) => self.consider(raw.bytes.as_deref(), now),
        }
    }

    fn consider(&mut self, bytes: Option<&[u8]>, now: Instant) {
        let Taken { carrier, odd } = match self.guard.look(bytes, now) {
            Ok(taken) => taken,
            Err(lack) => return self.shut(lack),
        };
        let away = self.parts.contact.away();
        let grace = carrier.connection.spec.limits.policy_grace.get();
        if away > grace {
            return self.shut(Lack::new(
                Reason::ApiServerUnavailable,
                "the API server has been away for longer than policyGrace",
            ));
        }
        let Some(secrets) = self.secrets(&carrier) else {
            // Not answered yet. What is enforced stays; a door that enforces nothing yet waits.
            if self.applied.is_none() {
                self.shut(Lack::new(Reason::Pending, "the Secrets were not read yet"));
            }
            return;
        };
        let basis = Basis { carrier, secrets };
        let columns = sought::told(&basis.carrier, &self.parts.sessions);
        if self.applied.as_ref() != Some(&basis) {
            self.standing = self.apply(&basis);
            let way = Some(Way::of(&basis.carrier, &basis.secrets));
            // Only now: what was shown before is noted no more once something else is in force.
            if self.way != way {
                self.parts.sessions.dial_otherwise();
                self.way = way;
            }
            self.applied = Some(basis);
        }
        let mut status = Status {
            columns,
            ..self.standing.clone()
        };
        status.lacks.extend(odd);
        let keyless = self.parts.identities.unavailable();
        self.parts.metrics.issuers(keyless.len());
        let keyless: Vec<_> = keyless
            .into_iter()
            .map(|name| Missed { name, late: away::LATE })
            .collect();
        status.lacks.extend(self.issuers.look(&keyless, now, away::issuers));
        let unreached = self.serving.as_ref().map(Serving::unreached).unwrap_or_default();
        status
            .lacks
            .extend(self.recorders.look(&unreached, now, away::recorders));
        self.tell(status);
    }

    /// The Secrets that the carrier needs; None while one of them was not answered.
    fn secrets(&mut self, carrier: &Carrier) -> Option<Secrets> {
        let needed = materials::needed(carrier);
        self.secrets.retain(|name, _| needed.contains(name));
        let mut all = Secrets::new();
        for name in needed {
            let watched = self.secrets.entry(name.clone()).or_insert_with(|| {
                let api: Api<Secret> =
                    Api::namespaced(self.parts.client.clone(), &self.parts.place.connection.namespace);
                let read = |secret: Secret| Arc::new(SecretObject::from(secret));
                Watched::start(
                    api,
                    &name,
                    read,
                    Arc::clone(&self.parts.contact),
                    Arc::clone(&self.changed),
                )
            });
            let secret = match watched.get() {
                Seen::Unknown => return None,
                Seen::Absent => None,
                Seen::Present(secret) => Some(secret),
            };
            all.insert(name, secret);
        }
        Some(all)
    }

    /// Puts a basis in force, and says how the door stands with it.
    fn apply(&mut self, basis: &Basis) -> Status {
        let Basis { carrier, secrets } = basis;
        let revision = Some(carrier.revision);
        let mut lacks = Vec::new();
        let tls = materials::tls(carrier, secrets).map_err(|lack| lacks.push(lack)).ok();
        self.tls.store(Arc::new(tls));
        self.parts.identities.apply(Settings::of(carrier));
        self.parts.requests.apply(carrier);
        // Also a carrier that closes needs its sinks: who is refused at a closed door is recorded.
        let served = self.serve(&carrier.sinks);
        match served.and_then(|()| opening::open(carrier, secrets, Reach::Cluster)) {
            Ok(Opening { open, lacks: more }) => {
                lacks.extend(more);
                tracing::info!(revision = open.revision, "policy in force");
                let masks = open.policy.masks();
                let in_force = InForce {
                    revision: carrier.revision,
                    hash_keys: masks.hash_key_ids(),
                    token_keys: masks.token_key_ids(),
                };
                self.rule(Rules::Open(Arc::new(open)));
                self.enforced(in_force);
                // Live sessions go on without a credential or certificate; nobody new can come in.
                Status {
                    revision,
                    shut: lacks.first().map(|lack| lack.message.clone()),
                    lacks,
                    ..Status::default()
                }
            }
            Err(lack) => {
                tracing::warn!(revision, reason = ?lack.reason, message = %lack.message, "shut");
                self.rule(Rules::Shut(lack.message.clone()));
                if carrier.closed.is_some() {
                    self.enforced(InForce {
                        revision: carrier.revision,
                        hash_keys: BTreeMap::new(),
                        token_keys: BTreeMap::new(),
                    });
                }
                let shut = Some(lack.message.clone());
                lacks.push(lack);
                // What the operator closed is enforced by being shut. Shut for a lack of our own is not what was wanted.
                Status {
                    revision: revision.filter(|_| carrier.closed.is_some()),
                    shut,
                    lacks,
                    ..Status::default()
                }
            }
        }
    }

    /// Makes the door that writes to these sinks, unless it stands already. Sessions of another door end: what they did is in
    /// other logs, what they would do next belongs into these.
    fn serve(&mut self, sinks: &[CarriedSink]) -> Result<(), Lack> {
        if self.serving.as_ref().is_some_and(|serving| serving.sinks == sinks) {
            return Ok(());
        }
        let Parts { place, credential, .. } = &self.parts;
        let evidence = evidence::connect(sinks, place, credential)?;
        self.parts.requests.record_to(&evidence);
        let (rules, listen) = watch::channel(Rules::Shut("not open yet".to_owned()));
        let door = Door {
            rules: listen,
            tls: Arc::clone(&self.tls),
            verifier: Arc::clone(&self.parts.identities) as _,
            approvals: Arc::clone(&self.parts.requests) as _,
            columns: Arc::clone(&self.parts.columns),
            peers: Arc::clone(&self.parts.peers),
            evidence: evidence.clone(),
            sessions: self.parts.sessions.clone(),
            drain: self.parts.drain.clone(),
        };
        self.rule(Rules::Shut("the connection's sinks changed; log in again".to_owned()));
        self.serving = Some(Serving {
            sinks: sinks.to_vec(),
            evidence,
            rules,
        });
        self.parts.doors.send_replace(Some(door));
        Ok(())
    }

    /// Records that another revision, or another key, is in force: once for each, by each process.
    fn enforced(&mut self, now: InForce) {
        let (Some(serving), Some(digest)) = (&self.serving, self.guard.digest()) else {
            return;
        };
        let Some(change) = now.change(self.told.as_ref(), Digest::from_bytes(digest)) else {
            return;
        };
        let revision = now.revision;
        let event = Event::PolicyChange(change);
        let sent = Batch::of(Time::now(), None, event).map_err(|error| error.to_string());
        match sent.and_then(|batch| serving.evidence.send(batch).map_err(|error| error.to_string())) {
            Ok(()) => self.told = Some(now),
            Err(error) => tracing::warn!(revision, %error, "a change of policy could not be recorded"),
        }
    }

    fn rule(&self, rules: Rules) {
        if let Some(serving) = &self.serving {
            serving.rules.send_replace(rules);
        }
    }

    /// Shuts for a reason that is not in the carrier. What opens again is looked at afresh.
    fn shut(&mut self, lack: Lack) {
        if self.parts.status.borrow().shut.as_ref() != Some(&lack.message) {
            tracing::warn!(reason = ?lack.reason, message = %lack.message, "shut");
            self.rule(Rules::Shut(lack.message.clone()));
        }
        self.applied = None;
        self.tell(Status {
            shut: Some(lack.message.clone()),
            lacks: vec![lack],
            ..Status::default()
        });
    }

    fn tell(&self, mut status: Status) {
        let away = self.parts.contact.away();
        // That the carrier is shown says nothing of requests, and grants pause without those.
        if away.max(self.parts.requests.unseen()) > BLIND {
            status.lacks.push(away::apiserver());
        }
        status.digest = status
            .revision
            .and_then(|_| self.guard.digest())
            .map(Digest::from_bytes);
        self.parts.metrics.stand(&status, away);
        self.parts.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }
}

// === impl Serving ===

impl Serving {
    /// The sinks that take no records now.
    fn unreached(&self) -> Vec<Missed> {
        let states = self.evidence.states();
        let states = states.iter().map(|state| state.borrow().clone());
        evidence::unreached(&self.sinks, states)
    }
}

#[cfg(test)]
mod tests;
