//! What reconcilers work with, and how they fail.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, Resource, ResourceExt};
use sallyport_crds::names::CONNECTION_LABEL;
use sallyport_crds::{ConditionType, Connection, Reason};
use sallyport_policy::carrier::{CarrierError, ClusterSettings};
use sallyport_policy::issuer::Issuers;
use tokio::time::Instant;

use crate::access_request::admission::Admission;
use crate::access_request::forgery::Tried;
use crate::audit_sink::witness::Sights;
use crate::columns::{ListError, Lists};
use crate::enforce::verdict::{Crew, crew};
use crate::enforce::{Fleet, Programs};
use crate::keys::{AuthorityError, Keys};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::schema::Schema;
use crate::settings::Settings;
use crate::shared::apply::Applier;
use crate::shared::conditions::{Finding, Truth, changed};
use crate::world::{Queues, World};

/// Everything that reconcilers share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What is seen of the cluster.
    pub world: Arc<World>,
    /// Who has to be looked at.
    pub queues: Queues,
    /// Writes children.
    pub applier: Arc<Applier>,
    /// The operator's keys.
    pub keys: Arc<Keys>,
    /// What the flags say.
    pub settings: Settings,
    /// The admin's issuers, as they are now.
    pub issuers: Arc<ArcSwap<Issuers>>,
    /// The carriers that are wanted.
    pub programs: Arc<Programs>,
    /// What rules keep protected.
    pub columns: Lists,
    /// What processes say.
    pub fleet: Arc<Fleet>,
    /// The admission objects that guard AccessRequests.
    pub admission: Admission,
    /// Whether the installed definitions of our kinds are those that this operator knows.
    pub schema: Schema,
    /// What recorders last showed.
    pub sights: Arc<Sights>,
    /// Writes Events.
    pub events: Recorder,
    /// Tells webhooks.
    pub notifier: Notifier,
    /// Counts.
    pub metrics: Metrics,
}

/// Pods by the name of the Connection that they serve.
#[derive(Default)]
pub struct DoorPods(HashMap<String, Vec<Arc<Pod>>>);

/// Why a look at an object failed. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("the API server refused or did not answer: {0}")]
    Api(#[from] kube::Error),
    /// A certificate could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A carrier could not be signed.
    #[error(transparent)]
    Carrier(#[from] CarrierError),
    /// A list of protected columns could not be read.
    #[error(transparent)]
    Columns(#[from] ListError),
    /// Somebody else's object has the name of one that the operator has to make.
    #[error("ControllerRevision {0}, which would keep it, is somebody else's: delete that")]
    NameTaken(String),
    /// Random bytes could not be had.
    #[error("the system gives no random bytes")]
    Random,
}

// === impl Error ===

impl Error {
    /// What people have to mend, in the words of who refused: a value that the API server does not take, a quota, somebody's
    /// admission, a right that is missing. None where trying again is all there is to do.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        match self {
            Self::Api(kube::Error::Api(answer)) => {
                let final_word = (400..500).contains(&answer.code) && !matches!(answer.code, 408 | 409 | 429);
                let words = [&answer.message, &answer.reason]
                    .into_iter()
                    .find(|words| !words.is_empty());
                final_word.then(|| words.cloned().unwrap_or_default())
            }
            Self::Api(_) => None,
            other => Some(other.to_string()),
        }
    }

    /// Whether the operator lacks a right.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        let (Self::Api(error) | Self::Columns(ListError::Api(error))) = self else {
            return false;
        };
        matches!(error, kube::Error::Api(answer) if answer.is_forbidden())
    }
}

// === impl Context ===

impl Context {
    /// The time of day, for what is written into objects.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// By which names people are the same, as far as doors have to know it too.
    pub fn people(&self) -> ClusterSettings {
        let issuers = self.issuers.load();
        ClusterSettings {
            known_issuers: issuers.issuers.values().map(|issuer| issuer.url.clone()).collect(),
            approver_mappings: issuers.approver_mappings.clone(),
            ..ClusterSettings::default()
        }
    }

    /// Takes note of a forgery that was tried: one that passed closes approvals.
    pub fn forgery(&self, tried: Tried) {
        let passed = tried == Tried::Passed;
        let outcome = if passed { "passed" } else { "refused" };
        self.metrics.forgeries.with_label_values(&[outcome]).inc();
        if !self.admission.forgery(passed) {
            return;
        }
        if passed {
            tracing::error!("admission did not refuse a forgery: approvals are closed");
        }
        self.queues.all_access_requests(&self.world);
    }

    /// The Pods of all doors in a namespace.
    pub fn pods(&self, namespace: &str) -> DoorPods {
        let mut pods = DoorPods::default();
        for pod in self
            .world
            .room(namespace)
            .map(|room| room.pods.state())
            .unwrap_or_default()
        {
            if let Some(connection) = pod.labels().get(CONNECTION_LABEL) {
                pods.0.entry(connection.clone()).or_default().push(pod);
            }
        }
        pods
    }

    /// How the processes of a Connection stand; `pods` are those of its namespace.
    pub fn crew(&self, connection: &Connection, pods: &DoorPods, now: Instant) -> Crew {
        let Some(uid) = &connection.metadata.uid else {
            return Crew::default();
        };
        let own: Vec<&Pod> = pods
            .0
            .get(&connection.name_any())
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
            .collect();
        let mut accounts = self.fleet.accounts(uid);
        let mut astray = BTreeSet::new();
        if let Some((revision, digest)) = self.programs.content(uid) {
            let strays = accounts.values_mut();
            for account in strays.filter(|account| account.is_astray(revision, &digest)) {
                (account.revision, account.loaded) = (None, None);
                astray.insert(account.pod.clone());
            }
        }
        let crew = crew(&own, &accounts, self.fleet.has_listened(now), now);
        Crew { astray, ..crew }
    }

    /// Tells by Events what changed since `before`. An Event that cannot be written is logged and forgotten.
    pub async fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, before: &[Condition], findings: &[Finding]) {
        self.tell_about(object, None, before, findings).await;
    }

    /// The same about another object that it was brought about by. Events of one kind that follow each other are counted, with the
    /// words of the first; those about different objects each have their own.
    pub async fn tell_about<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        about: Option<ObjectReference>,
        before: &[Condition],
        findings: &[Finding],
    ) {
        let reference = object.object_ref(&());
        for finding in changed(before, findings) {
            // What nobody knows yet is no news, and why something is not ready was told by its part.
            if finding.truth == Truth::Unknown || (finding.kind == ConditionType::Ready && !finding.holds()) {
                continue;
            }
            let passing = matches!(
                finding.reason,
                Reason::Progressing
                    | Reason::WaitingForProxies
                    | Reason::NoProxies
                    | Reason::Pending
                    | Reason::WaitingForApproval
            );
            let event = Event {
                type_: if finding.holds() || passing {
                    EventType::Normal
                } else {
                    EventType::Warning
                },
                reason: finding.reason.as_str(),
                note: Some(finding.message.chars().take(1_000).collect()),
                action: finding.kind.as_str().to_owned(),
                secondary: about.clone(),
            };
            if let Err(error) = self.events.publish(&event, &reference).await {
                tracing::warn!(%error, reason = event.reason, "an Event could not be written; its condition says the same");
            }
        }
    }
}
