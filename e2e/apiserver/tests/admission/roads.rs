//! One forgery by every road that leads to a status: each kind of patch, replacing, applying, creating with a status.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::answers::entry;
use crate::requests::held;
use crate::stage::Stage;

const WORDS: &str = "an entry names its own author";

/// Mallory approves in bob's name, by every road.
pub fn try_all(stage: &mut Stage) -> Result<()> {
    let request = stage.states.get("waiting").context("no request")?.clone();
    let forged = entry(&stage.identity("bob")?, &request);
    by_patches(stage, &forged)?;
    by_whole_objects(stage, &request, &forged)?;
    not_by_the_main_resource(stage, &forged)?;
    not_by_creating(stage, &forged)?;
    not_by_a_namesake(stage, &request)
}

fn by_patches(stage: &mut Stage, forged: &Value) -> Result<()> {
    let json_patch = json!([{"op": "add", "path": "/status/approvals/-", "value": forged}]).to_string();
    let merge_patch = json!({"status": {"approvals": [forged]}}).to_string();
    for (kind, patch) in [("json", &json_patch), ("merge", &merge_patch)] {
        let arguments = [
            "-n",
            "doors",
            "patch",
            "ar",
            "waiting",
            "--subresource=status",
            "--type",
            kind,
            "-p",
            patch,
        ];
        stage.try_case(&format!("by {kind} patch"), "mallory", &arguments, "", Some(WORDS))?;
    }
    // Custom resources know no strategic merge patch; the API server says so.
    let arguments = [
        "-n",
        "doors",
        "patch",
        "ar",
        "waiting",
        "--subresource=status",
        "--type=strategic",
        "-p",
        &merge_patch,
    ];
    stage.try_case("by strategic patch", "mallory", &arguments, "", Some("media type"))
}

fn by_whole_objects(stage: &mut Stage, request: &Value, forged: &Value) -> Result<()> {
    let mut whole = request.clone();
    whole["status"]["approvals"] = json!([forged]);
    let replace = ["replace", "--subresource=status", "-f", "-"];
    stage.try_case("by replacing", "mallory", &replace, &whole.to_string(), Some(WORDS))?;
    let applied = json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": {"name": "waiting", "namespace": "doors"}, "status": {"approvals": [forged]}
    });
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--subresource=status",
        "--field-manager=mallory",
        "-f",
        "-",
    ];
    stage.try_case(
        "by server-side apply",
        "mallory",
        &apply,
        &applied.to_string(),
        Some(WORDS),
    )?;
    // An entry of one's own by apply under the operator's name takes away nothing that the operator wrote.
    let mut emptied = applied;
    emptied["status"] = json!({"requirements": [], "approvals": []});
    stage.try_case(
        "by applying no judges",
        "mallory",
        &apply,
        &emptied.to_string(),
        Some("written by the operator alone"),
    )
}

/// The main resource carries no status: what stands there is dropped.
fn not_by_the_main_resource(stage: &mut Stage, forged: &Value) -> Result<()> {
    let patch = json!({"status": {"approvals": [forged]}}).to_string();
    let arguments = [
        "-n",
        "doors",
        "patch",
        "ar",
        "waiting",
        "--type=merge",
        "-o",
        "json",
        "-p",
        &patch,
    ];
    let after: Value = serde_json::from_str(&stage.act("mallory", &arguments, "")?)?;
    ensure!(
        after["status"]["approvals"] == json!([]),
        "the main resource took an answer: {after}"
    );
    let arguments = [
        "-n",
        "doors",
        "patch",
        "ar",
        "waiting",
        "--subresource=scale",
        "--type=merge",
        "-p",
        "{}",
    ];
    stage.try_case("by scale", "mallory", &arguments, "", Some("NotFound"))
}

fn not_by_creating(stage: &mut Stage, forged: &Value) -> Result<()> {
    let mut manifest = held();
    manifest["metadata"]["name"] = "born-approved".into();
    manifest["status"] = json!({"approvals": [forged], "conditions": [crate::states::condition("Approved")]});
    let made: Value =
        serde_json::from_str(&stage.act("door", &["create", "-o", "json", "-f", "-"], &manifest.to_string())?)?;
    ensure!(made["status"].is_null(), "a request was born with a status: {made}");
    Ok(())
}

/// A request made again under the same name is another: yesterday's approval does not speak of it.
fn not_by_a_namesake(stage: &mut Stage, request: &Value) -> Result<()> {
    stage.act("operator", &["-n", "doors", "delete", "ar", "waiting"], "")?;
    let mut manifest = held();
    manifest["metadata"]["name"] = "waiting".into();
    stage.act("door", &["create", "-f", "-"], &manifest.to_string())?;
    let requirements = request["status"]["requirements"].clone();
    let patch = json!({"status": {"requirements": requirements, "approvals": []}}).to_string();
    stage.act(
        "operator",
        &[
            "-n",
            "doors",
            "patch",
            "ar",
            "waiting",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ],
        "",
    )?;
    let stale = entry(&stage.identity("bob")?, request);
    let patch = json!([{"op": "add", "path": "/status/approvals/-", "value": stale}]).to_string();
    let arguments = [
        "-n",
        "doors",
        "patch",
        "ar",
        "waiting",
        "--subresource=status",
        "--type=json",
        "-p",
        &patch,
    ];
    stage.try_case(
        "an approval of its namesake",
        "bob",
        &arguments,
        "",
        Some("the entry speaks of another request"),
    )
}
