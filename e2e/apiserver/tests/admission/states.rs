//! Requests in every state that the tables name, made by those who make them in life: door, operator, approvers.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::answers::entry;
use crate::requests::{held, window};
use crate::stage::Stage;

/// A state: whose request, who may approve, who did, what the operator found.
struct State {
    name: &'static str,
    requirements: Option<Value>,
    approvers: &'static [&'static str],
    conditions: &'static [&'static str],
}

/// Makes a request for each state.
pub fn prepare(stage: &mut Stage) -> Result<()> {
    let dba = || requirement(1, &json!([{"kind": "Group", "name": "oidc:dba"}]));
    let two = || Some(json!([requirement(2, &json!([{"kind": "Group", "name": "oidc:dba"}]))]));
    let seniors = || requirement(1, &json!([{"kind": "Group", "name": "oidc:seniors"}]));
    let mut reasoned = dba();
    reasoned["reasonRequired"] = true.into();
    let mut recent = dba();
    recent["maxLoginAge"] = "10m".into();
    let named = requirement(
        1,
        &json!([
            {"kind": "User", "name": "bob"}, {"kind": "User", "name": "oidc:dave"},
            {"kind": "ServiceAccount", "name": "robot", "namespace": "ci"}
        ]),
    );
    // As the operator lists whom the admin declared to be of the group.
    let listed = requirement(
        1,
        &json!([{"kind": "Group", "name": "oidc:dba"}, {"kind": "User", "name": "bob"}]),
    );
    // Names that bob has by certificates and by a login without subject.
    let user = |name: &str| json!({"kind": "User", "name": name});
    let spelled = requirement(
        2,
        &json!([{"kind": "Group", "name": "oidc:dba"}, user("BOB"), user("bob@bank.example"), user("corp#bob")]),
    );
    let state = |name, requirements, approvers, conditions| State {
        name,
        requirements,
        approvers,
        conditions,
    };
    for state in [
        state("new", None, &[] as &[_], &[] as &[_]),
        state("waiting", two(), &[], &[]),
        state("half", two(), &["bob"], &[]),
        state("approved", two(), &["bob", "carol"], &["Approved"]),
        state("consumed", two(), &["bob", "carol"], &["Approved"]),
        state("denied", two(), &["bob"], &["Denied"]),
        state("expired", two(), &["bob"], &["Expired"]),
        state("withdrawn", two(), &["bob"], &["Withdrawn"]),
        state("revoked", two(), &["bob", "carol"], &["Approved", "Revoked"]),
        state("changed", two(), &["bob"], &["AdmissionChanged"]),
        state("reasoned", Some(json!([reasoned])), &[], &[]),
        state("recent", Some(json!([recent])), &[], &[]),
        state("named", Some(json!([named])), &[], &[]),
        state("listed", Some(json!([listed])), &[], &[]),
        state("listed-half", Some(json!([listed])), &["bob"], &[]),
        state(
            "listed-by-certificate",
            Some(json!([listed])),
            &["bob-certificate"],
            &[],
        ),
        state("spelled", Some(json!([spelled])), &["bob"], &[]),
        state(
            "spelled-by-certificate",
            Some(json!([spelled])),
            &["bob-in-capitals"],
            &[],
        ),
        state("agent", two(), &[], &[]),
        state("agent-account", Some(json!([named])), &[], &[]),
        state("account", two(), &[], &[]),
        state("several", Some(json!([dba(), seniors()])), &[], &[]),
        state("several-half", Some(json!([dba(), seniors()])), &["bob-junior"], &[]),
        state("window", Some(json!([dba()])), &[], &[]),
        state("glass", Some(json!([dba()])), &[], &[]),
        state("glass-reviewed", Some(json!([dba()])), &[], &["Reviewed"]),
        state("window-approved", Some(json!([dba()])), &["bob"], &["Approved"]),
    ] {
        let made = make(stage, &state).with_context(|| format!("state {}", state.name))?;
        stage.states.insert(state.name.to_owned(), made);
    }
    Ok(())
}

fn requirement(required: u32, approvers: &Value) -> Value {
    let asked_by = json!({"policy": "writes", "uid": "policy-uid", "generation": 1, "rule": "deletes"});
    json!({"askedBy": asked_by, "approvers": approvers, "required": required})
}

fn make(stage: &Stage, state: &State) -> Result<Value> {
    let (who, mut manifest) = match state.name {
        "window" | "window-approved" => ("alice", window(&stage.identity("alice")?)),
        _ => ("door", held()),
    };
    manifest["metadata"]["name"] = state.name.into();
    if state.name.starts_with("glass") {
        manifest["spec"]["breakGlass"] = true.into();
        manifest["spec"]["scope"] = "Window".into();
        manifest["spec"]["window"] = json!({"duration": "1h"});
        manifest["spec"]["reason"] = "branch is down".into();
    }
    if state.name == "agent" {
        manifest["spec"]["agents"] =
            json!([{"username": "oidc:bot", "issuer": "https://issuer.example", "subject": "sub-bot"}]);
    }
    if state.name == "account" {
        manifest["spec"]["requester"] = json!({
            "username": "system:serviceaccount:ci:robot", "issuer": "https://kubernetes.example", "subject": "uid-robot",
        });
    }
    if state.name == "agent-account" {
        let robot = "system:serviceaccount:ci:robot";
        manifest["spec"]["agents"] =
            json!([{"username": robot, "issuer": "https://kubernetes.example", "subject": robot}]);
    }
    let mut request: Value =
        serde_json::from_str(&stage.act(who, &["create", "-o", "json", "-f", "-"], &manifest.to_string())?)?;
    if let Some(requirements) = &state.requirements {
        let status = json!({"status": {"requirements": requirements, "approvals": []}});
        request = patch(stage, "operator", state.name, &status)?;
    }
    let mut entries = Vec::new();
    for approver in state.approvers {
        entries.push(entry(&stage.identity(approver)?, &request));
        request = patch(stage, approver, state.name, &json!({"status": {"approvals": entries}}))?;
    }
    let conditions: Vec<Value> = state.conditions.iter().map(|kind| condition(kind)).collect();
    if !conditions.is_empty() {
        request = patch(
            stage,
            "operator",
            state.name,
            &json!({"status": {"conditions": conditions}}),
        )?;
    }
    if state.name == "consumed" {
        let all: Vec<Value> = conditions.into_iter().chain([condition("Consumed")]).collect();
        request = patch(
            stage,
            "door",
            state.name,
            &json!({"status": {"conditions": all, "consumed": claim("door-bank-1")}}),
        )?;
    }
    Ok(request)
}

fn patch(stage: &Stage, who: &str, name: &str, patch: &Value) -> Result<Value> {
    let patch = patch.to_string();
    let arguments = [
        "-n",
        "doors",
        "patch",
        "ar",
        name,
        "--subresource=status",
        "--type=merge",
        "-o",
        "json",
        "-p",
        &patch,
    ];
    Ok(serde_json::from_str(&stage.act(who, &arguments, "")?)?)
}

/// A condition that is True.
pub fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "Because", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

/// A claim by a Pod of the door.
pub fn claim(pod: &str) -> Value {
    json!({"nonce": "0123456789abcdef0123456789abcdef", "pod": pod, "time": "2026-01-01T00:00:00.000000Z"})
}
