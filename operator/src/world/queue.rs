//! Who has to be looked at: one queue for each kind, and the few rules by which a change of one object concerns others.

use std::sync::Arc;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use sallyport_crds::{AccessRequest, ApprovalPolicy, AuditSink, Connection, MaskingRule};

use super::{Guarded, World, of_namespace};
use crate::access_request::decide::ends;

/// The sending ends. Sending is cheap: what is queued twice is looked at once.
#[derive(Clone)]
pub struct Queues {
    connections: UnboundedSender<ObjectRef<Guarded<Connection>>>,
    masking_rules: UnboundedSender<ObjectRef<Guarded<MaskingRule>>>,
    approval_policies: UnboundedSender<ObjectRef<Guarded<ApprovalPolicy>>>,
    audit_sinks: UnboundedSender<ObjectRef<Guarded<AuditSink>>>,
    access_requests: UnboundedSender<ObjectRef<Guarded<AccessRequest>>>,
}

/// The receiving ends.
pub struct Receivers {
    /// Of Connections.
    pub connections: UnboundedReceiver<ObjectRef<Guarded<Connection>>>,
    /// Of MaskingRules.
    pub masking_rules: UnboundedReceiver<ObjectRef<Guarded<MaskingRule>>>,
    /// Of ApprovalPolicies.
    pub approval_policies: UnboundedReceiver<ObjectRef<Guarded<ApprovalPolicy>>>,
    /// Of AuditSinks.
    pub audit_sinks: UnboundedReceiver<ObjectRef<Guarded<AuditSink>>>,
    /// Of AccessRequests.
    pub access_requests: UnboundedReceiver<ObjectRef<Guarded<AccessRequest>>>,
}

/// Both ends of all queues.
pub fn queues() -> (Queues, Receivers) {
    let (connections, connections_out) = unbounded();
    let (masking_rules, masking_rules_out) = unbounded();
    let (approval_policies, approval_policies_out) = unbounded();
    let (audit_sinks, audit_sinks_out) = unbounded();
    let (access_requests, access_requests_out) = unbounded();
    let queues = Queues {
        connections,
        masking_rules,
        approval_policies,
        audit_sinks,
        access_requests,
    };
    let receivers = Receivers {
        connections: connections_out,
        masking_rules: masking_rules_out,
        approval_policies: approval_policies_out,
        audit_sinks: audit_sinks_out,
        access_requests: access_requests_out,
    };
    (queues, receivers)
}

// === impl Queues ===

impl Queues {
    /// One Connection.
    pub fn connection(&self, namespace: &str, name: &str) {
        send(&self.connections, ObjectRef::new(name).within(namespace));
    }

    /// One MaskingRule.
    pub fn masking_rule(&self, namespace: &str, name: &str) {
        send(&self.masking_rules, ObjectRef::new(name).within(namespace));
    }

    /// One ApprovalPolicy.
    pub fn approval_policy(&self, namespace: &str, name: &str) {
        send(&self.approval_policies, ObjectRef::new(name).within(namespace));
    }

    /// One AuditSink.
    pub fn audit_sink(&self, namespace: &str, name: &str) {
        send(&self.audit_sinks, ObjectRef::new(name).within(namespace));
    }

    /// One AccessRequest.
    pub fn access_request(&self, namespace: &str, name: &str) {
        send(&self.access_requests, ObjectRef::new(name).within(namespace));
    }

    /// All Connections of a namespace: a rule there, or the namespace itself, changed.
    pub fn connections_of(&self, world: &World, namespace: &str) {
        send_all(&self.connections, &of_namespace(&world.connections, namespace));
    }

    /// All rules of a namespace: a Connection there changed.
    pub fn rules_of(&self, world: &World, namespace: &str) {
        send_all(&self.masking_rules, &of_namespace(&world.masking_rules, namespace));
        send_all(
            &self.approval_policies,
            &of_namespace(&world.approval_policies, namespace),
        );
    }

    /// The AccessRequests of a namespace that are not over: a policy there changed, which says nothing of what was decided.
    pub fn open_requests_of(&self, world: &World, namespace: &str) {
        self.requests(world, namespace, |request| {
            let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
            ends(conditions.unwrap_or_default()).next().is_none()
        });
    }

    /// The AccessRequests about a Connection, which changed.
    pub fn requests_about(&self, world: &World, namespace: &str, connection: &str) {
        self.requests(world, namespace, |request| request.spec.connection.name == connection);
    }

    /// The AccessRequests that were made in a Pod: somebody may wait there for an answer, or have waited.
    pub fn requests_from(&self, world: &World, namespace: &str, pod: &str) {
        self.requests(world, namespace, |request| {
            let session = request.spec.session.as_ref();
            session.is_some_and(|session| session.pod == pod)
        });
    }

    /// There may be ten thousand of them, and somebody waits behind each that is looked at for nothing.
    fn requests(&self, world: &World, namespace: &str, concerned: impl Fn(&AccessRequest) -> bool) {
        let found = world.access_requests.state_filter(|guarded| {
            guarded.meta().namespace.as_deref() == Some(namespace) && guarded.0.as_ref().is_ok_and(&concerned)
        });
        send_all(&self.access_requests, &found);
    }

    /// Everything in a namespace.
    pub fn namespace(&self, world: &World, namespace: &str) {
        self.rules_of(world, namespace);
        send_all(&self.audit_sinks, &of_namespace(&world.audit_sinks, namespace));
        self.connections_of(world, namespace);
        send_all(&self.access_requests, &of_namespace(&world.access_requests, namespace));
    }

    /// All Connections that name a sink.
    pub fn connections_of_sink(&self, world: &World, namespace: &str, name: &str) {
        for connection in world.connections.state() {
            let Ok(found) = &connection.0 else { continue };
            let own = found.metadata.namespace.as_deref().unwrap_or_default();
            let names = |sink: &sallyport_crds::reference::SinkReference| {
                sink.name == name && sink.namespace.as_deref().unwrap_or(own) == namespace
            };
            if found.spec.sinks.iter().any(names) {
                send(&self.connections, ObjectRef::from_obj(&*connection));
            }
        }
    }

    /// All AuditSinks: they are few.
    pub fn all_audit_sinks(&self, world: &World) {
        send_store(&self.audit_sinks, &world.audit_sinks);
    }

    /// All Connections.
    pub fn all_connections(&self, world: &World) {
        send_store(&self.connections, &world.connections);
    }

    /// All AccessRequests.
    pub fn all_access_requests(&self, world: &World) {
        send_store(&self.access_requests, &world.access_requests);
    }

    /// Everything there is.
    pub fn everything(&self, world: &World) {
        send_store(&self.masking_rules, &world.masking_rules);
        send_store(&self.approval_policies, &world.approval_policies);
        send_store(&self.audit_sinks, &world.audit_sinks);
        send_store(&self.connections, &world.connections);
        send_store(&self.access_requests, &world.access_requests);
    }
}

fn send<K: Resource<DynamicType = ()>>(queue: &UnboundedSender<ObjectRef<K>>, object: ObjectRef<K>) {
    // The other end is gone only when the process ends.
    let _ = queue.unbounded_send(object);
}

fn send_all<K: Resource<DynamicType = ()>>(queue: &UnboundedSender<ObjectRef<K>>, objects: &[Arc<K>]) {
    for object in objects {
        send(queue, ObjectRef::from_obj(&**object));
    }
}

fn send_store<K: Resource<DynamicType = ()> + Clone + 'static>(
    queue: &UnboundedSender<ObjectRef<K>>,
    store: &Store<K>,
) {
    send_all(queue, &store.state());
}
