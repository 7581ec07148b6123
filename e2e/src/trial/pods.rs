//! Pods by their own addresses: a door that is shut is no endpoint of its Service, and says so only there.

use std::process::Command;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::demo::{ALICE, DOORS, Demo};
use crate::run::{Output, run, wait_until};

use super::identity::refused;
use super::{HELD_BACK, SETTLE, SSN, Skipped};

/// One Pod that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) address: String,
    /// Its first container, as `runtime://id`.
    pub(super) container: String,
    /// Restarts of all of its containers.
    pub(super) restarts: u64,
    /// Whether it was told to stop.
    pub(super) ending: bool,
}

/// The Pods of a namespace that a selector finds.
pub(super) fn found(demo: &Demo, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
    let shown = demo.admin(&["-n", namespace, "get", "pods", "-l", selector, "-o", "json"])?;
    Ok(addressed(&serde_json::from_str(&shown.stdout)?))
}

/// The Pods of the samples' door, those that end left out: what they answer is their own end.
pub(super) fn of_door(demo: &Demo) -> Result<Vec<Pod>> {
    if !demo.variable("SALLYPORT_FOREIGN").is_empty() {
        bail!(Skipped("this machine has no route to the cluster's Pods"));
    }
    let mut pods = found(
        demo,
        DOORS,
        "app.kubernetes.io/component=door,sallyport.dev/connection=bank",
    )?;
    pods.retain(|pod| !pod.ending);
    Ok(pods)
}

/// psql as alice at that Pod itself.
pub(super) fn psql(demo: &Demo, pod: &Pod, statement: &str) -> Result<Command> {
    Ok(psql_by(demo, pod, &demo.token(ALICE)?, statement))
}

/// The same by a token that she has already.
pub(super) fn psql_by(demo: &Demo, pod: &Pod, token: &str, statement: &str) -> Command {
    let mut command = crate::client::psql_by(demo, ALICE, token, &[statement]);
    command
        .env("PGHOST", "door-bank.doors.svc")
        .env("PGHOSTADDR", &pod.address);
    command
}

/// Waits until every Pod of the door refuses in words, and at no moment on the way there shows a number; gives the last refusal.
pub(super) fn all_refuse(demo: &Demo) -> Result<Output> {
    wait_until(SETTLE, "every Pod of the door refuses in words", || {
        let mut said = Vec::new();
        for pod in of_door(demo)? {
            let output = run(&mut psql(demo, &pod, SSN)?)?;
            ensure!(
                !output.all().contains(HELD_BACK),
                "{} showed the number: {}",
                pod.name,
                output.all()
            );
            said.push(output);
        }
        Ok(said.iter().all(refused).then(|| said.pop()).flatten())
    })
}

/// Those of a list that have an address.
fn addressed(list: &Value) -> Vec<Pod> {
    let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
    items
        .map(|pod| {
            let at = |path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
            let restarts = |container: &Value| container.get("restartCount").and_then(Value::as_u64);
            Pod {
                name: at("/metadata/name"),
                uid: at("/metadata/uid"),
                address: at("/status/podIP"),
                container: at("/status/containerStatuses/0/containerID"),
                restarts: containers.into_iter().flatten().filter_map(restarts).sum(),
                ending: pod.pointer("/metadata/deletionTimestamp").is_some(),
            }
        })
        .filter(|pod| !pod.address.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_where_its_address_is_and_says_whether_it_ends() {
        let containers = json!([{"containerID": "containerd://a", "restartCount": 1}, {"restartCount": 2}]);
        let list = json!({"items": [
            {"metadata": {"name": "door-1", "uid": "u"}, "status": {"podIP": "10.0.0.1", "containerStatuses": containers}},
            {"metadata": {"name": "door-2", "deletionTimestamp": "2026-11-27T00:00:00Z"}, "status": {"podIP": "10.0.0.2"}},
            {"metadata": {"name": "door-3"}, "status": {"phase": "Pending"}},
        ]});
        let found = addressed(&list);
        let [first, second] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((first.address.as_str(), first.uid.as_str()), ("10.0.0.1", "u"));
        assert_eq!(
            (first.container.as_str(), first.restarts, first.ending),
            ("containerd://a", 3, false)
        );
        assert_eq!((second.name.as_str(), second.ending), ("door-2", true));
        assert!(addressed(&json!({})).is_empty());
    }
}
