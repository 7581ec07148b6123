//! GitOps: what was applied shows no drift; what is pruned goes whole, and made again it is a door again.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::client::psql;
use crate::demo::{ALICE, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{Output, run, wait_until};

use super::undo::Undo;
use super::{SETTLE, Skipped, becomes};

/// A door beside the samples' own, whose address people keep.
const PRUNED: &str = "connection/pruned";
/// As Argo CD names itself to server-side apply.
const MANAGER: &str = "--field-manager=argocd-controller";
/// How Argo CD's own labels and annotations begin.
const TRACKING: &str = "argocd.argoproj.io/";
const CHILDREN: &str = "deployments,replicasets,pods,services,endpointslices,configmaps,secrets,serviceaccounts,\
                        roles,rolebindings,networkpolicies,poddisruptionbudgets";

pub(super) fn no_drift(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let samples = demo.repository().join("config/samples");
    let samples = samples.to_string_lossy();
    undrifted(demo, &["--force-conflicts", "-k", &samples])?;
    narrator.check("nothing that the operator wrote differs from what was applied", true)
}

pub(super) fn pruned_and_made_again(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.is_local() {
        bail!(Skipped("addresses of Services cannot be reached from here"));
    }
    let manifest = manifest(demo)?;
    let manifest = manifest.to_string_lossy();
    let _undo = Undo::by(demo, &["-n", DOORS, "delete", "--ignore-not-found", PRUNED]);
    let apply: [&str; 5] = ["apply", "--server-side", MANAGER, "-f", &manifest];
    demo.admin(&apply)?;
    let first = opens(demo, narrator)?;
    undrifted(demo, &[MANAGER, "-f", &manifest])?;
    narrator.check("it shows no drift", true)?;
    let made = children(demo)?;
    ensure!(
        made.contains("Deployment/door-pruned") && made.contains("Pod/door-pruned"),
        "the door has no children: {made}"
    );
    narrator.check(
        "what the operator made for it does not pass for a part of the application",
        !made.contains(TRACKING),
    )?;
    // As Argo CD prunes: the children first.
    demo.admin(&["-n", DOORS, "delete", "--cascade=foreground", "--wait=false", PRUNED])?;
    wait_until(SETTLE, "the door goes", || {
        let left = demo.admin(&["-n", DOORS, "get", "--ignore-not-found", "-o", "name", PRUNED])?;
        Ok((left.stdout.is_empty() && children(demo)?.is_empty()).then_some(()))
    })?;
    narrator.check("pruned, it goes with all that was made for it", true)?;
    demo.admin(&apply)?;
    let second = opens(demo, narrator)?;
    narrator.check(
        "made again it is another one, and masks as the first did",
        first != second,
    )
}

/// Waits until what is applied is what is there: kubectl reads twice, and what the operator writes in between would differ.
fn undrifted(demo: &Demo, what: &[&str]) -> Result<()> {
    let mut told = String::new();
    let outcome = wait_until(SETTLE, "there is no drift", || {
        let diff = run(&mut demo.kubectl(&[&["diff", "--server-side"][..], what].concat()))?;
        told = diff.all();
        Ok((diff.status.success() && diff.stdout.is_empty()).then_some(()))
    });
    outcome.with_context(|| told)
}

/// The samples' Connection under another name, marked as Argo CD marks what it applies.
fn manifest(demo: &Demo) -> Result<PathBuf> {
    let text = std::fs::read_to_string(demo.repository().join("config/samples/connection.yaml"))?;
    let marks = format!(
        "  name: pruned\n  annotations: {{{TRACKING}tracking-id: \"trial:sallyport.dev/Connection:doors/pruned\"}}\n"
    );
    let text = text
        .replacen("  name: bank\n", &marks, 1)
        .replacen("  labels:\n", &format!("  labels:\n    {TRACKING}instance: trial\n"), 1)
        .replacen("replicas: 2", "replicas: 1", 1);
    ensure!(
        text.contains("  name: pruned\n") && text.contains("instance: trial\n") && text.contains("replicas: 1\n"),
        "config/samples/connection.yaml is not as this trial knows it: {text}"
    );
    let path = demo.path("trial-gitops.yaml");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Waits until the door is ready and masks; gives the Connection's uid.
fn opens(demo: &Demo, narrator: &mut Narrator) -> Result<String> {
    becomes(demo, PRUNED, "Ready", "True")?;
    let path = "jsonpath={.spec.clusterIP}";
    let address = demo.admin(&["-n", DOORS, "get", "service/door-pruned", "-o", path])?;
    // Nodes learn the Service's address a moment after the Pod is ready.
    let read = wait_until(SETTLE, "the door answers", || {
        let output = ask_at(demo, address.stdout.trim())?;
        Ok(output.status.success().then_some(output))
    })?;
    narrator.shows(&read);
    narrator.check("alice reads through it, masked", read.stdout.contains("[REDACTED]"))?;
    let path = "jsonpath={.status.observedGeneration} {.metadata.generation} {.metadata.uid}";
    let said = demo.admin(&["-n", DOORS, "get", PRUNED, "-o", path])?;
    let mut words = said.stdout.split_whitespace();
    let (observed, generation) = (words.next(), words.next());
    narrator.check("its status is of the present generation", observed == generation)?;
    Ok(words.next().context("the Connection's uid")?.to_owned())
}

fn ask_at(demo: &Demo, address: &str) -> Result<Output> {
    let mut there = psql(demo, ALICE, &["SELECT ssn FROM customers WHERE id = 1"])?;
    run(there.env("PGHOST", "door-pruned.doors.svc").env("PGHOSTADDR", address))
}

/// What was made for the door, one object a line, with labels and annotations.
fn children(demo: &Demo) -> Result<String> {
    let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name} \
                {.metadata.labels} {.metadata.annotations}{\"\\n\"}{end}";
    let of_door = "app.kubernetes.io/instance=pruned";
    Ok(demo
        .admin(&["-n", DOORS, "get", CHILDREN, "-l", of_door, "-o", path])?
        .stdout)
}
