//! The children in one opted-in namespace. Watched namespace by namespace, so that the operator needs rights nowhere else.

use std::fmt::Debug;

use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::{Writer, store};
use kube::runtime::watcher;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use super::watch::{Seen, follow};
use crate::shared::labels::MANAGED_SELECTOR;

/// Stores of the children whose content matters, and the watches that fill them. Ends with its last holder.
pub struct Room {
    /// Doors.
    pub deployments: Store<Deployment>,
    /// Recorders.
    pub stateful_sets: Store<StatefulSet>,
    /// What clients and proxies dial.
    pub services: Store<Service>,
    /// Pods of doors and recorders.
    pub pods: Store<Pod>,
    /// Specifications of rules that were accepted.
    pub revisions: Store<ControllerRevision>,
    watches: Vec<AbortHandle>,
}

/// The writing ends of a room's stores.
pub struct Writers {
    deployments: Writer<Deployment>,
    stateful_sets: Writer<StatefulSet>,
    services: Writer<Service>,
    pods: Writer<Pod>,
    revisions: Writer<ControllerRevision>,
}

/// Is told what moves in a room.
pub trait Observer: Clone + Send + Sync + 'static {
    /// A child was made, changed or deleted.
    fn child<K: Resource<DynamicType = ()>>(&self, child: &K);
    /// A kind of child was listed anew.
    fn everything(&self);
}

/// A room without watches, and the ends by which it is filled.
pub fn room() -> (Room, Writers) {
    let (deployments, deployments_in) = store();
    let (stateful_sets, stateful_sets_in) = store();
    let (services, services_in) = store();
    let (pods, pods_in) = store();
    let (revisions, revisions_in) = store();
    let writers = Writers {
        deployments: deployments_in,
        stateful_sets: stateful_sets_in,
        services: services_in,
        pods: pods_in,
        revisions: revisions_in,
    };
    (
        Room {
            deployments,
            stateful_sets,
            services,
            pods,
            revisions,
            watches: Vec::new(),
        },
        writers,
    )
}

// === impl Writers ===

#[cfg(test)]
impl Writers {
    /// Everything was listed; nothing is there.
    pub fn listed(&mut self) {
        fn listed<K: Resource<DynamicType = ()> + Clone + 'static>(writer: &mut Writer<K>) {
            writer.apply_watcher_event(&watcher::Event::Init);
            writer.apply_watcher_event(&watcher::Event::InitDone);
        }
        listed(&mut self.deployments);
        listed(&mut self.stateful_sets);
        listed(&mut self.services);
        listed(&mut self.pods);
        listed(&mut self.revisions);
    }

    /// A Pod is seen.
    pub fn pod(&mut self, pod: Pod) {
        self.pods.apply_watcher_event(&watcher::Event::Apply(pod));
    }

    /// A Service is seen.
    pub fn service(&mut self, service: Service) {
        self.services.apply_watcher_event(&watcher::Event::Apply(service));
    }

    /// A kept specification is seen.
    pub fn revision(&mut self, revision: ControllerRevision) {
        self.revisions.apply_watcher_event(&watcher::Event::Apply(revision));
    }
}

// === impl Room ===

impl Room {
    /// Watches a namespace's children.
    pub fn open(client: &Client, namespace: &str, observer: &impl Observer) -> Self {
        let (mut room, writers) = room();
        let mut begin = Begin {
            client,
            namespace,
            observer,
            watches: Vec::new(),
        };
        begin.stored(writers.deployments);
        begin.stored(writers.stateful_sets);
        begin.stored(writers.services);
        begin.stored(writers.pods);
        begin.stored(writers.revisions);
        begin.noticed::<ConfigMap>();
        begin.noticed::<Secret>();
        begin.noticed::<ServiceAccount>();
        begin.noticed::<Role>();
        begin.noticed::<RoleBinding>();
        begin.noticed::<NetworkPolicy>();
        begin.noticed::<PodDisruptionBudget>();
        room.watches = begin.watches;
        room
    }

    /// Whether everything was listed once.
    pub fn is_ready(&self) -> bool {
        let ready = |is: Option<Result<(), _>>| matches!(is, Some(Ok(())));
        ready(self.deployments.wait_until_ready().now_or_never())
            && ready(self.stateful_sets.wait_until_ready().now_or_never())
            && ready(self.services.wait_until_ready().now_or_never())
            && ready(self.pods.wait_until_ready().now_or_never())
            && ready(self.revisions.wait_until_ready().now_or_never())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}

/// Begins the watches of one room.
struct Begin<'a, O> {
    client: &'a Client,
    namespace: &'a str,
    observer: &'a O,
    watches: Vec<AbortHandle>,
}

// === impl Begin ===

impl<O: Observer> Begin<'_, O> {
    /// A kind whose content matters.
    fn stored<K>(&mut self, writer: Writer<K>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        self.spawn::<K>(Some(writer));
    }

    /// A kind that is only mended: its metadata tells whether somebody else wrote.
    fn noticed<K>(&mut self)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        self.spawn::<PartialObjectMeta<K>>(None);
    }

    fn spawn<K>(&mut self, writer: Option<Writer<K>>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let api = Api::<K>::namespaced(self.client.clone(), self.namespace);
        let config = watcher::Config::default().labels(MANAGED_SELECTOR);
        let observer = self.observer.clone();
        let watch = tokio::spawn(follow(api, config, writer, move |seen| match seen {
            Seen::Object(child) | Seen::Gone(child) => observer.child(child),
            Seen::Everything => observer.everything(),
        }));
        self.watches.push(watch.abort_handle());
    }
}
