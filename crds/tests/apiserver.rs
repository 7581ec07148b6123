//! The definitions on a real API server: it takes them and what they allow, and refuses nonsense in words.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON that is not as expected fails the test, as it should"
)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sallyport_e2e_apiserver::ApiServer;
use serde::Deserialize;
use serde_json::Value;

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// A file of `tests/refused`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// A manifest that is taken.
    base: Value,
    cases: Vec<Case>,
}

/// One change that makes the manifest nonsense.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    /// JSON merge patch (RFC 7396) on the base; the text `$null` puts a null where the patch would remove.
    patch: Value,
    /// What the refusal must say.
    words: String,
}

#[test]
fn the_api_server_keeps_what_the_kinds_promise() -> Result<()> {
    let server = ApiServer::start()?;
    server.admin(&["apply", "--server-side", "-k", &format!("{CRATE}/../config/crd")], "")?;
    server.admin(
        &["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"],
        "",
    )?;
    let mut failures = Vec::new();
    for path in tables()? {
        refuses(&server, &path, &mut failures)?;
    }
    for (directory, least) in [("samples", 4), ("reference", 9)] {
        if let Err(error) = takes_samples(&server, directory, least, &mut failures) {
            failures.push(format!("{error:#}"));
        }
    }
    takes_what_people_copy(&server, &mut failures)?;
    keeps_what_must_not_change(&server, &mut failures)?;
    argo_cd_keeps_what_is_its_own(&server)?;
    explains(&server)?;
    ensure!(failures.is_empty(), "\n{}", failures.join("\n"));
    Ok(())
}

/// Every case of a table is refused in its words, and the manifest without it is taken.
fn refuses(server: &ApiServer, path: &Path, failures: &mut Vec<String>) -> Result<()> {
    let table: Table =
        serde_saphyr::from_str(&fs::read_to_string(path)?).with_context(|| path.display().to_string())?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    if let Err(words) = create(server, &table.base)? {
        failures.push(format!("{file}: the base is refused: {words}"));
    }
    for case in table.cases {
        let mut manifest = table.base.clone();
        merge(&mut manifest, &case.patch);
        match create(server, &manifest)? {
            Ok(()) => failures.push(format!("{file}: {}: was taken", case.what)),
            Err(words) if words.contains(&case.words) => {}
            Err(words) => failures.push(format!("{file}: {}: wanted {:?}, got {words}", case.what, case.words)),
        }
    }
    Ok(())
}

fn takes_samples(server: &ApiServer, directory: &str, least: usize, failures: &mut Vec<String>) -> Result<()> {
    let samples = server.admin(&["kustomize", &format!("{CRATE}/../config/{directory}")], "")?;
    let mut ours = 0;
    for document in samples.split("\n---\n") {
        let mut manifest: Value = serde_saphyr::from_str(document)?;
        if manifest["apiVersion"] != "sallyport.dev/v1alpha1" {
            continue;
        }
        ours += 1;
        manifest["metadata"]["namespace"] = "default".into();
        if let Err(words) = create(server, &manifest)? {
            failures.push(format!("config/{directory}: an object is refused: {words}"));
        }
    }
    ensure!(ours >= least, "config/{directory} holds {ours} objects of ours");
    Ok(())
}

/// What stands in no kustomization: README's own objects, and what the samples say of the target's side.
fn takes_what_people_copy(server: &ApiServer, failures: &mut Vec<String>) -> Result<()> {
    let readme = fs::read_to_string(format!("{CRATE}/../README.md"))?;
    let beside = fs::read_to_string(format!("{CRATE}/../config/samples/target-network-policy.yaml"))?;
    let shown = readme
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let documents = shown.chain([beside.as_str()]).flat_map(|text| text.split("\n---\n"));
    let mut kinds = Vec::new();
    for document in documents {
        let mut manifest: Value = serde_saphyr::from_str(document)?;
        manifest["metadata"]["namespace"] = "default".into();
        kinds.push(manifest["kind"].as_str().unwrap_or_default().to_owned());
        if let Err(words) = create(server, &manifest)? {
            failures.push(format!("what people copy is refused: {words}: {document}"));
        }
    }
    for kind in [
        "Connection",
        "MaskingRule",
        "ApprovalPolicy",
        "AuditSink",
        "Secret",
        "NetworkPolicy",
    ] {
        ensure!(kinds.iter().any(|one| one == kind), "no {kind} among {kinds:?}");
    }
    Ok(())
}

/// What only shows when an object is changed.
fn keeps_what_must_not_change(server: &ApiServer, failures: &mut Vec<String>) -> Result<()> {
    let changes = [
        (
            "accessrequests",
            "spec is immutable",
            r#"{"spec": {"reason": "another"}}"#,
        ),
        (
            "accessrequests",
            "spec is immutable",
            r#"{"spec": {"requester": {"username": "oidc:mallory"}}}"#,
        ),
        (
            "auditsinks",
            "a volume grows but never shrinks",
            r#"{"spec": {"storage": {"size": "500Mi"}}}"#,
        ),
        (
            "auditsinks",
            "storageClassName cannot change",
            r#"{"spec": {"storage": {"storageClassName": "other"}}}"#,
        ),
    ];
    for (kind, words, patch) in changes {
        let table: Table = serde_saphyr::from_str(&fs::read_to_string(format!("{CRATE}/tests/refused/{kind}.yaml"))?)?;
        server.admin(&["apply", "--server-side", "-f", "-"], &table.base.to_string())?;
        let name = table.base["metadata"]["name"].as_str().unwrap_or_default();
        let output = server.run(None, &["patch", kind, name, "--type=merge", "-p", patch], "")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !said.contains(words) {
            failures.push(format!("{kind} {patch}: wanted {words:?}, got {said}"));
        }
    }
    let patch = r#"{"spec": {"storage": {"size": "2Gi"}}}"#;
    server.admin(&["patch", "auditsinks", "evidence", "--type=merge", "-p", patch], "")?;
    Ok(())
}

/// The health checks come into a ConfigMap that somebody else wrote, as the words in `config/argocd` say.
fn argo_cd_keeps_what_is_its_own(server: &ApiServer) -> Result<()> {
    let theirs = r#"
apiVersion: v1
kind: Namespace
metadata: {name: argocd}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}
data: {url: "https://argocd.example"}
"#;
    server.admin(&["create", "-f", "-"], theirs)?;
    server.admin(
        &["apply", "--server-side", "-k", &format!("{CRATE}/../config/argocd")],
        "",
    )?;
    let found = server.admin(&["-n", "argocd", "get", "configmap", "argocd-cm", "-o", "json"], "")?;
    let found: Value = serde_json::from_str(&found)?;
    let script = fs::read_to_string(format!("{CRATE}/../config/argocd/health.lua"))?;
    for definition in sallyport_crds::definitions() {
        let key = format!(
            "resource.customizations.health.sallyport.dev_{}",
            definition.spec.names.kind
        );
        ensure!(found["data"][&key] == script, "{key} is {}", found["data"][&key]);
    }
    let keys = found["data"].as_object().map_or(0, serde_json::Map::len);
    ensure!(keys == 6 && found["data"]["url"] == "https://argocd.example", "{found}");
    ensure!(
        found["metadata"]["labels"]["app.kubernetes.io/part-of"] == "argocd",
        "{found}"
    );
    Ok(())
}

/// `kubectl explain` finds the text of a field deep inside.
fn explains(server: &ApiServer) -> Result<()> {
    for (path, words) in [
        ("maskingrule.spec.match.patterns.maxLength", "longest match"),
        ("maskingrule.spec.action.tokenize.tweak", "hashes"),
        ("connection.spec.target.tls.insecureReason", "in clear"),
        ("accessrequest.status.approvals.requestUID", "another"),
    ] {
        let text = server.admin(&["explain", path], "")?;
        ensure!(text.contains(words), "kubectl explain {path} says {text}");
    }
    Ok(())
}

/// Asks the API server to take a manifest, without keeping it; `Err` holds the words of a refusal.
fn create(server: &ApiServer, manifest: &Value) -> Result<Result<(), String>> {
    let output = server.run(None, &["create", "--dry-run=server", "-f", "-"], &manifest.to_string())?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() { Ok(()) } else { Err(words) })
}

fn tables() -> Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(format!("{CRATE}/tests/refused"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    ensure!(
        paths.len() == sallyport_crds::definitions().len(),
        "a kind has no table of what is refused"
    );
    Ok(paths)
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = if patch == "$null" { Value::Null } else { patch.clone() };
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (name, value) in fields {
        if value.is_null() {
            target
                .as_object_mut()
                .into_iter()
                .for_each(|object| drop(object.remove(name)));
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}
