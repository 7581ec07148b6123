//! What the operator sees of the cluster: our kinds everywhere, and in opted-in namespaces the children.
//!
//! Watches are guarded: an object that does not decode is kept as such, with its metadata, and never stops the others.

pub mod namespaces;
pub mod queue;
pub mod room;
pub mod watch;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::core::v1::Namespace;
use kube::Resource;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use sallyport_crds::names::ENABLED_LABEL;
use sallyport_crds::{AccessRequest, ApprovalPolicy, AuditSink, Connection, MaskingRule};

pub use queue::{Queues, Receivers};
pub use room::Room;

/// An object of ours that may not decode.
pub type Guarded<K> = DeserializeGuard<K>;

/// Stores of everything that is watched.
pub struct World {
    /// Namespaces, without their specifications.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Connections.
    pub connections: Store<Guarded<Connection>>,
    /// MaskingRules.
    pub masking_rules: Store<Guarded<MaskingRule>>,
    /// ApprovalPolicies.
    pub approval_policies: Store<Guarded<ApprovalPolicy>>,
    /// AuditSinks.
    pub audit_sinks: Store<Guarded<AuditSink>>,
    /// AccessRequests.
    pub access_requests: Store<Guarded<AccessRequest>>,
    rooms: RwLock<HashMap<String, Arc<Room>>>,
}

/// How the operator stands to a namespace.
#[derive(Clone)]
pub enum Access {
    /// It was not opted in.
    NotEnabled,
    /// It was, but its children cannot be seen: the watch has not begun, or the RoleBinding is missing.
    NotReadable,
    /// Opted in, and seen.
    Open(Arc<Room>),
}

// === impl World ===

impl World {
    /// Stores that watches will fill.
    pub fn new(
        namespaces: Store<PartialObjectMeta<Namespace>>,
        connections: Store<Guarded<Connection>>,
        rules: (Store<Guarded<MaskingRule>>, Store<Guarded<ApprovalPolicy>>),
        audit_sinks: Store<Guarded<AuditSink>>,
        access_requests: Store<Guarded<AccessRequest>>,
    ) -> Self {
        let (masking_rules, approval_policies) = rules;
        let rooms = RwLock::default();
        Self {
            namespaces,
            connections,
            masking_rules,
            approval_policies,
            audit_sinks,
            access_requests,
            rooms,
        }
    }

    /// Waits until everything that is watched cluster-wide was listed once.
    ///
    /// # Errors
    /// When a watch has ended for good.
    pub async fn wait_until_ready(&self) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        self.namespaces.wait_until_ready().await?;
        self.connections.wait_until_ready().await?;
        self.masking_rules.wait_until_ready().await?;
        self.approval_policies.wait_until_ready().await?;
        self.audit_sinks.wait_until_ready().await?;
        self.access_requests.wait_until_ready().await
    }

    /// Whether the namespace carries the label that opts it in.
    pub fn is_enabled(&self, namespace: &str) -> bool {
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.is_some_and(|namespace| {
            namespace
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(ENABLED_LABEL))
                .is_some_and(|value| value == "true")
        })
    }

    /// How the operator stands to a namespace.
    pub fn access(&self, namespace: &str) -> Access {
        if !self.is_enabled(namespace) {
            return Access::NotEnabled;
        }
        match self.room(namespace) {
            Some(room) if room.is_ready() => Access::Open(room),
            _ => Access::NotReadable,
        }
    }

    /// The children of one namespace, if it is being watched.
    pub fn room(&self, namespace: &str) -> Option<Arc<Room>> {
        self.rooms
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(namespace)
            .cloned()
    }

    /// All rooms, by namespace.
    pub fn rooms(&self) -> Vec<(String, Arc<Room>)> {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.iter().map(|(name, room)| (name.clone(), room.clone())).collect()
    }

    /// Begins or ends to see a namespace's children. Gives back what was seen of it before.
    pub fn set_room(&self, namespace: &str, room: Option<Arc<Room>>) -> Option<Arc<Room>> {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        match room {
            Some(room) => rooms.insert(namespace.to_owned(), room),
            None => rooms.remove(namespace),
        }
    }
}

/// The objects of one namespace.
pub fn of_namespace<K>(store: &Store<K>, namespace: &str) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.state_filter(|object| object.meta().namespace.as_deref() == Some(namespace))
}

/// One object by namespace and name.
pub fn find<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace))
}
