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
    by_size(stage, &request, &forged)?;
    by_the_collection(stage)?;
    by_field_managers(stage)?;
    not_by_metadata(stage)?;
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

/// Lists that are longer than any honest one are no lists of ours: admission is not worn out by them.
fn by_size(stage: &mut Stage, request: &Value, forged: &Value) -> Result<()> {
    let many = |count: usize, made: &dyn Fn(usize) -> Value| (0..count).map(made).collect::<Vec<Value>>();
    let replace = ["replace", "--subresource=status", "-f", "-"];
    let mut whole = request.clone();
    whole["status"]["approvals"] = many(65, &|number| {
        let mut entry = forged.clone();
        entry["user"] = format!("oidc:bob{number}").into();
        entry
    })
    .into();
    let words = Some("must have at most 64 items");
    stage.try_case("too many entries", "mallory", &replace, &whole.to_string(), words)?;
    let mut entry = entry(&stage.identity("bob")?, request);
    entry["groups"] = many(257, &|number| format!("oidc:group{number}").into()).into();
    whole["status"]["approvals"] = json!([entry]);
    let words = Some("must have at most 256 items");
    stage.try_case("too many groups", "bob", &replace, &whole.to_string(), words)
}

/// What is asked of all requests at once is asked of each; and no other road leads to one.
fn by_the_collection(stage: &mut Stage) -> Result<()> {
    const ALL: &str = "/apis/sallyport.dev/v1alpha1/namespaces/doors/accessrequests";
    let all = format!("{ALL}?dryRun=All");
    let outcome = stage.outcome("admin", &["delete", "--raw", &all], "")?;
    stage.score(
        "deleting the collection",
        outcome,
        Some("requests are evidence of a question"),
    );
    for road in ["finalizers", "approval"] {
        let road = format!("{ALL}/waiting/{road}?dryRun=All");
        let outcome = stage.outcome("admin", &["replace", "--raw", &road, "-f", "-"], "{}")?;
        stage.score(&format!("by {road}"), outcome, Some("NotFound"));
    }
    Ok(())
}

/// Whose a field is to server-side apply decides nothing: an entry is its author's.
fn by_field_managers(stage: &mut Stage) -> Result<()> {
    let applied = |name: &str, entry: &Value| {
        json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
            "metadata": {"name": name, "namespace": "doors"}, "status": {"approvals": [entry]}
        })
        .to_string()
    };
    let by = |manager: &'static str| {
        [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--subresource=status",
            manager,
            "-f",
            "-",
        ]
    };
    let (own, shared) = (by("--field-manager=carol"), by("--field-manager=kubectl"));
    let half = stage.states.get("half").context("no request")?.clone();
    let carol = entry(&stage.identity("carol")?, &half);
    stage.try_case("carol applies hers", "carol", &own, &applied("half", &carol), None)?;
    let mut edited = entry(&stage.identity("bob")?, &half);
    edited["reason"] = "so that it is his no more".into();
    for (who, manager) in [("mallory", &own), ("bob", &shared), ("admin", &shared)] {
        stage.try_case(
            &format!("{who} takes bob's entry over by force"),
            who,
            manager,
            &applied("half", &edited),
            Some("never changed or removed"),
        )?;
    }
    // Who applies by the manager of somebody else lets go of what that one applied.
    let window = stage.states.get("window").context("no request")?.clone();
    let bob = entry(&stage.identity("bob")?, &window);
    stage.act("bob", &shared, &applied("window", &bob))?;
    let carol = entry(&stage.identity("carol")?, &window);
    stage.try_case(
        "carol applies by the manager that bob applied by",
        "carol",
        &shared,
        &applied("window", &carol),
        Some("never changed or removed"),
    )
}

/// Labels, owners and finalizers are not written by the way of status, and when a request was made is written by nobody: what is
/// past admission for a moment is found by it.
fn not_by_metadata(stage: &mut Stage) -> Result<()> {
    const LONG_AGO: &str = "2001-01-01T00:00:00Z";
    let before = stage.states.get("half").context("no request")?["metadata"].clone();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other-uid"});
    let levers = json!({"metadata": {
        "labels": {"a": "b"}, "ownerReferences": [owner], "finalizers": ["example.org/forever"],
        "annotations": {"a": "b"}, "creationTimestamp": LONG_AGO,
    }});
    let made = json!({"metadata": {"creationTimestamp": LONG_AGO}});
    for (who, road, patch) in [
        ("mallory", "--subresource=status", &levers),
        ("operator", "--subresource=status", &levers),
        ("mallory", "--output=json", &made),
        ("admin", "--output=json", &made),
    ] {
        let patch = patch.to_string();
        let arguments = [
            "-n",
            "doors",
            "patch",
            "ar",
            "half",
            road,
            "--type=merge",
            "--dry-run=server",
            "-o",
            "json",
            "-p",
            &patch,
        ];
        match stage.outcome(who, &arguments, "")? {
            Ok(printed) => {
                let after: Value = serde_json::from_str(&printed)?;
                for field in [
                    "labels",
                    "ownerReferences",
                    "finalizers",
                    "annotations",
                    "creationTimestamp",
                ] {
                    let (then, now) = (&before[field], &after["metadata"][field]);
                    ensure!(then == now, "{who} wrote {field} by {road}: {now}");
                }
            }
            Err(words) => ensure!(words.contains("immutable"), "{who} by {road}: {words}"),
        }
    }
    let mut manifest = held();
    manifest["metadata"]["creationTimestamp"] = "2100-01-01T00:00:00Z".into();
    manifest["metadata"]["uid"] = "connection-uid".into();
    let arguments = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    let made: Value = serde_json::from_str(&stage.act("door", &arguments, &manifest.to_string())?)?;
    for field in ["creationTimestamp", "uid"] {
        ensure!(
            made["metadata"][field] != manifest["metadata"][field],
            "the asker chose {field}: {made}"
        );
    }
    Ok(())
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
