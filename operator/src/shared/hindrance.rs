//! Why a workload does not come up, as far as the cluster says it: people look at our object, not at its Pods.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// What hinders the first of these Pods that is hindered.
pub fn of_pods<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Option<String> {
    let present = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let hindered = present.filter_map(|pod| Some((pod.metadata.name.as_deref()?, of_pod(pod)?)));
    // Stores have no order, and a message that changes is a write.
    hindered.min().map(|(name, why)| format!("Pod {name}: {why}"))
}

/// Why no Pods are made: a quota, or somebody's admission.
pub fn of_deployment(deployment: &Deployment) -> Option<String> {
    let mut conditions = deployment.status.as_ref()?.conditions.iter().flatten();
    let failed = conditions.find(|one| one.type_ == "ReplicaFailure" && one.status == "True")?;
    failed.message.clone()
}

fn of_pod(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let unplaced = conditions.find(|one| one.type_ == "PodScheduled" && one.status == "False");
    if let Some(message) = unplaced.and_then(|one| one.message.clone()) {
        return Some(message);
    }
    let first = status.init_container_statuses.iter();
    first.chain(&status.container_statuses).flatten().find_map(waits)
}

/// What a container waits for, other than for its turn. Words that change with each attempt are left out.
fn waits(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    match reason {
        "ContainerCreating" | "PodInitializing" => None,
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => {
            Some(format!("image {} cannot be pulled", container.image))
        }
        "CrashLoopBackOff" => Some("the process ends as soon as it has begun: kubectl logs tells why".to_owned()),
        _ => Some(match &waiting.message {
            Some(message) => format!("{reason}: {message}"),
            None => reason.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": name }, "status": status })).unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "containerStatuses": [{
            "name": "proxy", "image": "sallyport:dev", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": message } },
        }] })
    }

    #[test]
    fn people_read_why_a_pod_does_not_come_up() {
        let unplaced = json!({ "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node has room" },
        ] });
        for (status, words) in [
            (unplaced, Some("no node has room")),
            (
                waiting("ErrImagePull", "once"),
                Some("image sallyport:dev cannot be pulled"),
            ),
            (
                waiting("ImagePullBackOff", "again"),
                Some("image sallyport:dev cannot be pulled"),
            ),
            (
                waiting("CrashLoopBackOff", "back-off 40s"),
                Some("the process ends as soon as it has begun: kubectl logs tells why"),
            ),
            (
                waiting("CreateContainerConfigError", "no such Secret"),
                Some("CreateContainerConfigError: no such Secret"),
            ),
            (waiting("ContainerCreating", ""), None),
            (json!({ "phase": "Running" }), None),
        ] {
            let expected = words.map(|words| format!("Pod a: {words}"));
            assert_eq!(of_pods([&pod("a", status.clone())]), expected, "{status}");
        }
    }

    #[test]
    fn the_same_pod_is_named_each_time_and_none_that_goes() {
        let crashes = || waiting("CrashLoopBackOff", "");
        let (a, b) = (pod("a", crashes()), pod("b", crashes()));
        assert_eq!(of_pods([&a, &b]), of_pods([&b, &a]));
        let mut goes = pod("a", crashes());
        goes.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-11-28T10:00:00Z")).unwrap());
        assert_eq!(of_pods([&goes]), None);
    }

    #[test]
    fn people_read_why_no_pods_are_made() {
        let deployment = |kind: &str, status: &str| -> Deployment {
            let condition = json!({ "type": kind, "status": status, "message": "exceeded quota: small" });
            serde_json::from_value(json!({ "status": { "conditions": [condition] } })).unwrap()
        };
        let quota = Some("exceeded quota: small".to_owned());
        assert_eq!(of_deployment(&deployment("ReplicaFailure", "True")), quota);
        assert_eq!(of_deployment(&deployment("ReplicaFailure", "False")), None);
        assert_eq!(of_deployment(&deployment("Available", "True")), None);
    }
}
