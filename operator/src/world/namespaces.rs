//! Watches of everything that is watched, and who has to be looked at when something moves.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::{Writer, store};
use kube::runtime::watcher::Config;
use kube::{Client, Resource, ResourceExt};
use sallyport_crds::names::{CONNECTION_LABEL, SINK_LABEL};
use serde::de::DeserializeOwned;

use super::room::{Observer, Room};
use super::watch::{Seen, follow};
use super::{Guarded, Queues, World};
use crate::rule::revision::RULE_LABEL;
use crate::shared::apply::Applier;

/// Watches that run until they are dropped.
pub type Watches = Vec<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// Makes the world and the watches that fill it. Nothing is seen before the watches run.
pub fn open(client: &Client, queues: &Queues, applier: &Arc<Applier>) -> (Arc<World>, Watches) {
    let (namespaces, namespaces_in) = store();
    let (connections, connections_in) = store();
    let (masking_rules, masking_rules_in) = store();
    let (approval_policies, approval_policies_in) = store();
    let (audit_sinks, audit_sinks_in) = store();
    let (access_requests, access_requests_in) = store();
    let rules = (masking_rules, approval_policies);
    let world = Arc::new(World::new(namespaces, connections, rules, audit_sinks, access_requests));
    let eyes = Eyes {
        client: client.clone(),
        world: world.clone(),
        queues: queues.clone(),
        applier: applier.clone(),
    };
    let watches: Watches = vec![
        Box::pin(eyes.clone().namespaces(namespaces_in)),
        eyes.ours(connections_in, |eyes, seen| eyes.connection(seen)),
        eyes.ours(masking_rules_in, |eyes, seen| eyes.rule(seen, Queues::masking_rule)),
        eyes.ours(approval_policies_in, |eyes, seen| {
            eyes.rule(seen, Queues::approval_policy)
        }),
        eyes.ours(audit_sinks_in, |eyes, seen| eyes.audit_sink(seen)),
        eyes.ours(access_requests_in, |eyes, seen| match seen {
            Some((namespace, name, _)) => eyes.queues.access_request(namespace, name),
            None => eyes.queues.everything(&eyes.world),
        }),
    ];
    (world, watches)
}

/// Namespace, name, and whether more than the status changed.
type Moved<'a> = (&'a str, &'a str, bool);

#[derive(Clone)]
struct Eyes {
    client: Client,
    world: Arc<World>,
    queues: Queues,
    applier: Arc<Applier>,
}

/// What is told of one room.
#[derive(Clone)]
struct RoomEyes {
    eyes: Eyes,
    namespace: String,
}

// === impl Eyes ===

impl Eyes {
    /// A watch of one of our kinds, cluster-wide.
    fn ours<K>(
        &self,
        writer: Writer<Guarded<K>>,
        tell: fn(&Self, Option<Moved<'_>>),
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let eyes = self.clone();
        let api = Api::<Guarded<K>>::all(self.client.clone());
        let mut known = HashMap::new();
        Box::pin(follow(api, Config::default(), Some(writer), move |seen| {
            let (object, now) = match seen {
                Seen::Everything => return tell(&eyes, None),
                Seen::Object(object) => (object, Some(essence(object))),
                Seen::Gone(object) => (object, None),
            };
            let (Some(namespace), Some(name)) = (object.namespace(), object.meta().name.clone()) else {
                return;
            };
            let key = (namespace.clone(), name.clone());
            let before = match now {
                Some(now) => known.insert(key, now),
                None => known.remove(&key),
            };
            tell(&eyes, Some((&namespace, &name, before != now || now.is_none())));
        }))
    }

    /// A rule's and a sink's status counts Connections, so they are looked at too, unless only a status moved.
    fn connection(&self, moved: Option<Moved<'_>>) {
        match moved {
            Some((namespace, name, essential)) => {
                self.queues.connection(namespace, name);
                if essential {
                    self.queues.rules_of(&self.world, namespace);
                    self.queues.all_audit_sinks(&self.world);
                    self.queues.requests_about(&self.world, namespace, name);
                }
            }
            None => self.queues.everything(&self.world),
        }
    }

    /// A rule that is made closes what it selects until it is accepted; one that is deleted no longer applies, or is missed.
    fn rule(&self, moved: Option<Moved<'_>>, queue: fn(&Queues, &str, &str)) {
        match moved {
            Some((namespace, name, essential)) => {
                queue(&self.queues, namespace, name);
                if essential {
                    self.queues.connections_of(&self.world, namespace);
                    self.queues.open_requests_of(&self.world, namespace);
                }
            }
            None => self.queues.everything(&self.world),
        }
    }

    /// Whether a sink is accepted stands in its status, so Connections look at every change.
    fn audit_sink(&self, moved: Option<Moved<'_>>) {
        match moved {
            Some((namespace, name, _)) => {
                self.queues.audit_sink(namespace, name);
                self.queues.connections_of_sink(&self.world, namespace, name);
            }
            None => self.queues.everything(&self.world),
        }
    }

    async fn namespaces(self, writer: Writer<PartialObjectMeta<Namespace>>) {
        let api = Api::<PartialObjectMeta<Namespace>>::all(self.client.clone());
        follow(api, Config::default(), Some(writer), |seen| match seen {
            Seen::Object(namespace) | Seen::Gone(namespace) => self.namespace(&namespace.name_any()),
            Seen::Everything => {
                for namespace in self.world.namespaces.state() {
                    self.namespace(&namespace.name_any());
                }
            }
        })
        .await;
    }

    /// Opens or closes a namespace's room when its label says so.
    fn namespace(&self, namespace: &str) {
        let open = self.world.room(namespace).is_some();
        match (self.world.is_enabled(namespace), open) {
            (true, false) => {
                let eyes = RoomEyes {
                    eyes: self.clone(),
                    namespace: namespace.to_owned(),
                };
                let room = Room::open(&self.client, namespace, &eyes);
                self.world.set_room(namespace, Some(Arc::new(room)));
                tracing::info!(namespace, "namespace opted in");
            }
            (false, true) => {
                self.world.set_room(namespace, None);
                self.applier.forget(namespace);
                tracing::info!(namespace, "namespace no longer opted in");
            }
            _ => return,
        }
        self.queues.namespace(&self.world, namespace);
    }
}

// === impl RoomEyes ===

impl Observer for RoomEyes {
    fn child<K: Resource<DynamicType = ()>>(&self, child: &K) {
        self.eyes.applier.noticed(child);
        let Some(labels) = &child.meta().labels else { return };
        let (queues, world) = (&self.eyes.queues, &self.eyes.world);
        if let Some(connection) = labels.get(CONNECTION_LABEL) {
            queues.connection(&self.namespace, connection);
            if K::kind(&()) == Pod::kind(&()) {
                let pod = child.meta().name.as_deref().unwrap_or_default();
                queues.requests_from(world, &self.namespace, pod);
            }
        }
        if let Some(sink) = labels.get(SINK_LABEL) {
            queues.audit_sink(&self.namespace, sink);
        }
        // A specification was kept: from now on it is in force.
        if labels.contains_key(RULE_LABEL) {
            queues.rules_of(world, &self.namespace);
            queues.connections_of(world, &self.namespace);
            queues.open_requests_of(world, &self.namespace);
        }
    }

    fn everything(&self) {
        self.eyes.applier.forget(&self.namespace);
        self.eyes.queues.namespace(&self.eyes.world, &self.namespace);
    }
}

/// What of an object matters to others: label edits do not bump the generation, so both are looked at.
fn essence(object: &impl Resource) -> u64 {
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    (
        &meta.uid,
        meta.generation,
        &meta.labels,
        meta.deletion_timestamp.is_some(),
    )
        .hash(&mut hasher);
    hasher.finish()
}
