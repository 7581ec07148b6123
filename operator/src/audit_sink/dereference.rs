//! Dereference: everything that a sink's verdict, children and status depend on.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use sallyport_crds::{AuditSink, AuditSinkSpec, names};

use super::witness::Sight;
use crate::connection::plan::Place;
use crate::context::Context;
use crate::rule::dereference::AccessKind;
use crate::shared::hindrance;
use crate::world::{Access, Guarded, Room};

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
    /// Why the recorder's Pod does not come up, if somebody says so.
    pub hindrance: Option<String>,
    /// Why a child cannot be as it should be; known once they were applied.
    pub refused: Option<String>,
    /// Whether not all children could be written, refused or not; known by then, too.
    pub unwritten: bool,
    /// How many Connections it serves: those that name it, of namespaces from which it takes any.
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
    let (stateful_set, hindrance) = match &access {
        Access::Open(room) => recorder(room, &place),
        _ => (None, None),
    };
    let spec = object.0.as_ref().map(|sink| &sink.spec);
    let uid = meta.uid.clone().unwrap_or_default();
    Found {
        access: AccessKind::from(&access),
        schema: context.schema.fault(),
        generation: meta.generation,
        spec: spec.cloned().map_err(|error| error.error.clone()),
        claim_template: stateful_set
            .as_ref()
            .and_then(|set| set.spec.as_ref()?.volume_claim_templates.as_ref()?.first().cloned()),
        stateful_set,
        hindrance,
        refused: None,
        unwritten: false,
        connections: served(context, &place, spec.ok()),
        sight: context.sights.get(&uid),
        witness_key: context.settings.witness_key.clone(),
        place,
        uid,
    }
}

fn recorder(room: &Room, place: &Place) -> (Option<Arc<StatefulSet>>, Option<String>) {
    let set = ObjectRef::new(&names::recorder(&place.name)).within(&place.namespace);
    let own = |pod: &Pod| pod.labels().get(names::SINK_LABEL) == Some(&place.name);
    let pods = room.pods.state_filter(own);
    let hindrance = hindrance::of_pods(pods.iter().map(|pod| &**pod));
    (room.stateful_sets.get(&set), hindrance)
}

/// How many Connections name the sink, of those that it takes: anybody can name it, and a stranger must not keep it from being
/// deleted. Where it cannot be read, all that name it count.
fn served(context: &Context, place: &Place, spec: Option<&AuditSinkSpec>) -> usize {
    let names = |connection: &sallyport_crds::Connection| {
        let own = connection.metadata.namespace.as_deref().unwrap_or_default();
        let taken = spec.is_none_or(|spec| spec.namespaces.iter().any(|taken| taken == own));
        let mut sinks = connection.spec.sinks.iter();
        taken
            && sinks.any(|sink| sink.name == place.name && sink.namespace.as_deref().unwrap_or(own) == place.namespace)
    };
    context
        .world
        .connections
        .state()
        .iter()
        .filter(|guarded| guarded.0.as_ref().is_ok_and(names))
        .count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::scenario::Scenario;

    #[tokio::test]
    async fn a_stranger_who_names_a_sink_is_not_served() {
        let mut scenario = Scenario::furnished().await;
        scenario.apply_bank().await;
        let mut stranger = serde_json::to_value(crate::testing::connection()).unwrap();
        stranger["metadata"]["namespace"] = json!("elsewhere");
        stranger["metadata"]["uid"] = json!("uid-of-a-stranger");
        scenario.keep("connections", stranger);
        scenario.look_at_connection("elsewhere", "bank").await;
        scenario.apply_sink().await;
        let path = "/apis/sallyport.dev/v1alpha1/namespaces/evidence/auditsinks/evidence";
        assert_eq!(scenario.api.get(path).unwrap()["status"]["connections"], 1);
    }
}
