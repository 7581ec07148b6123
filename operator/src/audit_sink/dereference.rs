//! Dereference: everything that a sink's verdict, children and status depend on.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use sallyport_crds::{AuditSink, AuditSinkSpec, names};

use super::witness::Sight;
use crate::connection::plan::Place;
use crate::context::Context;
use crate::rule::dereference::AccessKind;
use crate::world::{Access, Guarded};

/// What was found.
pub struct Found {
    /// Whether the namespace is opted in and its children can be seen.
    pub access: AccessKind,
    /// Why nothing new may be accepted.
    pub schema: Option<Arc<String>>,
    /// Namespace and name.
    pub place: Place,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// The specification, or why it does not decode.
    pub spec: Result<AuditSinkSpec, String>,
    /// The recorder.
    pub stateful_set: Option<Arc<StatefulSet>>,
    /// The claim as the recorder's StatefulSet was made with.
    pub claim_template: Option<PersistentVolumeClaim>,
    /// How many Connections name the sink.
    pub connections: usize,
    /// What the recorder last showed.
    pub sight: Option<Sight>,
    /// The key by which the operator cosigns checkpoints.
    pub witness_key: String,
}

/// Looks everything up. Only stores are asked, so this cannot fail.
pub fn dereference(object: &Guarded<AuditSink>, context: &Context) -> Found {
    let meta = object.meta();
    let place = Place {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    };
    let access = context.world.access(&place.namespace);
    let stateful_set = match &access {
        Access::Open(room) => room
            .stateful_sets
            .get(&ObjectRef::new(&names::recorder(&place.name)).within(&place.namespace)),
        _ => None,
    };
    let uid = meta.uid.clone().unwrap_or_default();
    Found {
        access: AccessKind::from(&access),
        schema: context.schema.fault(),
        generation: meta.generation,
        spec: object
            .0
            .as_ref()
            .map(|sink| sink.spec.clone())
            .map_err(|error| error.error.clone()),
        claim_template: stateful_set
            .as_ref()
            .and_then(|set| set.spec.as_ref()?.volume_claim_templates.as_ref()?.first().cloned()),
        stateful_set,
        connections: naming(context, &place),
        sight: context.sights.get(&uid),
        witness_key: context.settings.witness_key.clone(),
        place,
        uid,
    }
}

/// How many Connections of namespaces anywhere name the sink.
fn naming(context: &Context, place: &Place) -> usize {
    let names = |connection: &sallyport_crds::Connection| {
        let own = connection.metadata.namespace.as_deref().unwrap_or_default();
        connection
            .spec
            .sinks
            .iter()
            .any(|sink| sink.name == place.name && sink.namespace.as_deref().unwrap_or(own) == place.namespace)
    };
    context
        .world
        .connections
        .state()
        .iter()
        .filter(|guarded| guarded.0.as_ref().is_ok_and(names))
        .count()
}
