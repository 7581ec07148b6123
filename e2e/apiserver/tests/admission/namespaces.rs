//! The other kinds of ours, and what a namespace of doors refuses.

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stage::{Stage, merge, table};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    r#as: String,
    /// Arguments of kubectl.
    run: Vec<String>,
    /// One of the table's objects on standard input, changed by a merge patch.
    #[serde(default)]
    object: Option<String>,
    #[serde(default)]
    change: Value,
    words: Option<String>,
}

#[derive(Deserialize)]
struct Table {
    objects: serde_json::Map<String, Value>,
    cases: Vec<Case>,
}

/// Puts there what an earlier version let pass.
pub fn before_admission(stage: &Stage) -> Result<()> {
    let table: Table = table("namespaces")?;
    for object in ["owned-claim", "owning"] {
        stage.act("admin", &["create", "-f", "-"], &table.objects[object].to_string())?;
    }
    Ok(())
}

/// Tries every case of the table.
pub fn try_all(stage: &mut Stage) -> Result<()> {
    let table: Table = table("namespaces")?;
    furnish(stage, &table)?;
    for case in &table.cases {
        let mut object = case
            .object
            .as_ref()
            .map(|name| table.objects[name].clone())
            .unwrap_or_default();
        if case.change.is_object() {
            merge(&mut object, &case.change);
        }
        let input = if object.is_null() {
            String::new()
        } else {
            object.to_string()
        };
        let arguments: Vec<_> = case.run.iter().map(String::as_str).collect();
        if case
            .run
            .iter()
            .any(|argument| argument == "--raw" || argument == "token")
        {
            // Ways into a Pod and tokens have no dry run; without a kubelet what passes fails later, in other words.
            let outcome = stage.outcome(&case.r#as, &arguments, &input)?;
            stage.score(&case.what, outcome, case.words.as_deref());
        } else {
            stage.try_case(&case.what, &case.r#as, &arguments, &input, case.words.as_deref())?;
        }
    }
    Ok(())
}

/// Puts there for real what the cases are about, each by whom it belongs to.
fn furnish(stage: &Stage, table: &Table) -> Result<()> {
    let create = ["create", "-f", "-"];
    for object in [
        "carrier",
        "columns",
        "deployment",
        "key",
        "service",
        "network",
        "role",
        "revision",
    ] {
        stage.act("operator", &create, &table.objects[object].to_string())?;
    }
    stage.act("replicaset-controller", &create, &table.objects["pod"].to_string())?;
    stage.act("statefulset-controller", &create, &table.objects["claim"].to_string())?;
    for object in [
        "connection",
        "ledger",
        "laboratory",
        "authorities",
        "sink",
        "rule",
        "readable",
        "other-pod",
        "snapshots",
        "groups",
    ] {
        stage.act("admin", &create, &table.objects[object].to_string())?;
    }
    for kind in [
        "crd/volumesnapshots.snapshot.storage.k8s.io",
        "crd/volumegroupsnapshots.groupsnapshot.storage.k8s.io",
    ] {
        stage.act(
            "admin",
            &["wait", "--for=condition=Established", kind, "--timeout=120s"],
            "",
        )?;
    }
    let mut of_somebody = table.objects["revision"].clone();
    merge(
        &mut of_somebody,
        &json!({"metadata": {"name": "of-somebody", "labels": null}}),
    );
    stage.act("admin", &create, &of_somebody.to_string())?;
    let connections = json!({"status": {"connections": 2}}).to_string();
    stage.act(
        "operator",
        &[
            "-n",
            "doors",
            "patch",
            "auditsink",
            "evidence",
            "--subresource=status",
            "--type=merge",
            "-p",
            &connections,
        ],
        "",
    )?;
    let kinds = "--resource=connections.sallyport.dev,maskingrules.sallyport.dev,auditsinks.sallyport.dev,configmaps";
    stage.act(
        "admin",
        &["-n", "doors", "create", "role", "gitops", "--verb=*", kinds],
        "",
    )?;
    stage.act(
        "admin",
        &[
            "-n",
            "doors",
            "create",
            "role",
            "reads-one",
            "--verb=get",
            "--resource=secrets",
            "--resource-name=readable",
        ],
        "",
    )?;
    stage.act(
        "admin",
        &[
            "-n",
            "doors",
            "create",
            "role",
            "proxies",
            "--verb=*",
            "--resource=pods/proxy,services/proxy,pods/portforward,pods/exec,persistentvolumeclaims",
        ],
        "",
    )?;
    stage.act(
        "admin",
        &[
            "-n",
            "doors",
            "create",
            "rolebinding",
            "proxies",
            "--role=proxies",
            "--user=proxier",
        ],
        "",
    )?;
    for role in ["gitops", "reads-one"] {
        let role_argument = format!("--role={role}");
        stage.act(
            "admin",
            &[
                "-n",
                "doors",
                "create",
                "rolebinding",
                role,
                &role_argument,
                "--user=gitops",
            ],
            "",
        )?;
    }
    Ok(())
}
