//! Whether the asker can still be waiting: a question at a prompt ends with the process of the door that holds it.
//!
//! A door takes back itself what its sessions wait for. One that was killed or evicted, or whose node is gone, cannot, and an
//! approval afterwards would be for nobody, to be used by whoever of that person's programs comes first.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::api::Api;
use kube::{Resource, ResourceExt};
use sallyport_crds::access_request::SessionIdentity;
use sallyport_crds::approval_policy::OnHold;
use sallyport_crds::{AccessRequest, ConditionType, condition};

use super::decide::ends;
use crate::connection::build::DOOR_CONTAINER;
use crate::context::Context;
use crate::world::{Access, find};

/// Clocks of a node and of the API server may be this many seconds apart.
const SKEW: i64 = 60;

/// Whether the process that holds the question is gone. What cannot be known is no, and so is a Pod on a node that does not answer:
/// that question is left to its time.
pub async fn is_gone(request: &AccessRequest, context: &Context) -> bool {
    let Some(session) = waits(request) else { return false };
    let namespace = request.namespace().unwrap_or_default();
    let Access::Open(room) = context.world.access(&namespace) else {
        return false;
    };
    let asked = request.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let is_it = |pod: &Pod| pod.meta().uid.as_deref() == Some(&session.pod_uid);
    if let Some(pod) = find(&room.pods, &namespace, &session.pod).filter(|pod| is_it(pod)) {
        return has_ended(&pod, asked);
    }
    // The watch of Pods may be behind that of requests, and shows what carries the operator's labels.
    let pods = Api::<Pod>::namespaced(context.client.clone(), &namespace);
    match pods.get_opt(&session.pod).await {
        Ok(Some(pod)) => !is_it(&pod) || has_ended(&pod, asked),
        Ok(None) => true,
        Err(error) => {
            tracing::debug!(%error, pod = %session.pod, "whether a door's Pod is there cannot be seen");
            false
        }
    }
}

/// The session that waits at a prompt for an answer that has not come.
fn waits(request: &AccessRequest) -> Option<&SessionIdentity> {
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
    let conditions = conditions.unwrap_or_default();
    let answered = [ConditionType::Approved, ConditionType::Consumed]
        .into_iter()
        .any(|kind| condition::is_true(conditions, kind));
    let open = !request.spec.break_glass && !answered && ends(conditions).next().is_none();
    let session = request.spec.session.as_ref()?;
    (open && session.on_hold == OnHold::Wait).then_some(session)
}

/// Whether what ran in the Pod when it was asked has ended: all of it, or the door's container, which has begun anew since.
fn has_ended(pod: &Pod, asked: Option<Timestamp>) -> bool {
    let Some(status) = &pod.status else { return false };
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return true;
    }
    let containers = status.container_statuses.iter().flatten();
    let mut states = containers
        .filter(|container| container.name == DOOR_CONTAINER)
        .flat_map(|container| container.state.iter().chain(&container.last_state));
    let after = |time: Timestamp| asked.is_some_and(|asked| time.as_second() > asked.as_second() + SKEW);
    states.any(|state| changed(state).is_some_and(after))
}

/// Since when a container runs, or does not run any more.
fn changed(state: &ContainerState) -> Option<Timestamp> {
    let began = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    let ended = state.terminated.as_ref().and_then(|ended| ended.finished_at.as_ref());
    began.or(ended).map(|time| time.0)
}
