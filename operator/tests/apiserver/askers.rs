//! Questions whose askers wait at a door's Pod that is gone. The operator finds out, and says so, by its own rights and under all of
//! admission.

use anyhow::{Context, Result, ensure};
use sallyport_e2e_apiserver::Identity;
use serde_json::json;

use crate::scenes::BANK;
use crate::stage::Stage;

pub fn a_question_ends_with_its_asker(stage: &Stage) -> Result<()> {
    // There is no kubelet, and so no such Pod.
    let pod = ("door-bank-gone", "11111111-1111-1111-1111-111111111111");
    for on_hold in ["Wait", "Refuse"] {
        ask(stage, pod, on_hold)?;
    }
    stage.until_condition("doors", "accessrequest/wait", "Withdrawn", "True", "AskerGone")?;
    let ready = ("Ready", "False", "WaitingForApproval");
    stage.until_condition("doors", "accessrequest/refuse", ready.0, ready.1, ready.2)?;
    let ended = stage.condition("doors", "accessrequest/refuse", "Withdrawn")?;
    ensure!(ended.is_none(), "who comes again is not waited for: {ended:?}");
    let operator = Identity {
        user: "system:serviceaccount:sallyport-system:sallyport-operator".to_owned(),
        ..Identity::default()
    };
    run(
        stage,
        &operator,
        &["-n", "doors", "delete", "accessrequest", "wait", "refuse"],
        "",
    )
}

/// The door asks for alice; the request is called as what happens to her meanwhile.
fn ask(stage: &Stage, (pod, pod_uid): (&str, &str), on_hold: &str) -> Result<()> {
    let connection = stage.get("doors", BANK)?["metadata"]["uid"].clone();
    let policy = stage.get("doors", "approvalpolicy/changes")?["metadata"].clone();
    let request = json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": { "namespace": "doors", "name": on_hold.to_lowercase() },
        "spec": {
            "connection": { "name": "bank", "uid": connection },
            "requester": { "username": "oidc:alice", "issuer": "https://keycloak.example/realms/bank", "subject": "alice" },
            "scope": "Command",
            "command": { "text": "DELETE", "summary": "DELETE", "digest": "d".repeat(64), "risk": 50 },
            "askedBy": [{
                "policy": "changes", "uid": policy["uid"], "generation": policy["generation"], "rule": "delete-needs-a-dba",
            }],
            "expiresAt": "2100-01-01T00:00:00Z",
            "session": { "id": "s", "pod": pod, "podUid": pod_uid, "onHold": on_hold },
        },
    });
    let extra = |key: &str, value: &str| (format!("authentication.kubernetes.io/{key}"), value.to_owned());
    let door = Identity {
        user: "system:serviceaccount:doors:door-bank".to_owned(),
        extra: vec![extra("pod-name", pod), extra("pod-uid", pod_uid)],
        ..Identity::default()
    };
    run(stage, &door, &["create", "-f", "-"], &request.to_string())
}

fn run(stage: &Stage, who: &Identity, arguments: &[&str], input: &str) -> Result<()> {
    let output = stage.server.run(Some(who), arguments, input).context("kubectl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {arguments:?}: {said}", who.user);
    Ok(())
}
