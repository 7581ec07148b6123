//! Deleting past the children, while somebody's finalizer holds, and what a door writes to before the door: with doors that are used.

use anyhow::{Result, bail, ensure};

use crate::client::psql;
use crate::demo::{ALICE, DOORS, Demo, EVIDENCE};
use crate::narrator::Narrator;
use crate::run::{Output, Running, run, wait_until};

use super::identity::refused;
use super::session::at_work;
use super::undo::Undo;
use super::{HELD_BACK, SETTLE, SSN, Skipped, becomes, pods};

/// A door beside the samples' own.
const ENDS: &str = "connection/trial-ends";
const MANIFEST: &str = r#"
apiVersion: sallyport.dev/v1alpha1
kind: Connection
metadata: {name: trial-ends, namespace: doors, labels: {data: customer}}
spec:
  protocol: PostgreSQL
  target:
    host: postgres.bank.svc
    port: 5432
    tls: {caBundle: {configMapKeyRef: {name: bank-ca, key: ca.crt}}}
  credentialsRef: {name: bank-credentials}
  subjects: [{kind: Group, name: "oidc:engineers"}]
  requires: {maskingRules: [customer-numbers], approvalPolicies: [changes]}
  sinks: [{name: evidence, namespace: evidence}]
  identity: {issuers: [{name: keycloak}]}
  proxy: {replicas: 1}
  postgresql: {databases: [bank]}
"#;
const LONG: &str = "SELECT pg_sleep(590)";
const PODS: &str = "sallyport.dev/connection=trial-ends";

/// A sink of its own for that door.
const SINK: &str = r#"
---
apiVersion: sallyport.dev/v1alpha1
kind: AuditSink
metadata: {name: trial-ends, namespace: evidence}
spec:
  namespaces: [doors]
  storage: {size: 16Mi, storageClassName: local-small}
"#;
/// Deletes it as whoever empties namespaces: admission refuses everybody else while it serves.
const WITHOUT_ASKING: [&str; 7] = [
    "-n",
    EVIDENCE,
    "delete",
    "--ignore-not-found",
    "--as=system:serviceaccount:kube-system:namespace-controller",
    "--as-group=system:masters",
    "auditsink/trial-ends",
];

pub(super) fn carelessly(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let file = manifest(demo, MANIFEST)?;
    let _undo = Undo::by(demo, &["-n", DOORS, "delete", "--ignore-not-found", ENDS]);

    let session = entered(demo, &opened(demo, narrator, &file)?)?;
    demo.admin(&["-n", DOORS, "delete", "--cascade=orphan", ENDS])?;
    shut(
        demo,
        narrator,
        session,
        "deleted past its children, the door shuts all the same",
    )?;

    // Whatever is left is this one's.
    let session = entered(demo, &opened(demo, narrator, &file)?)?;
    {
        let finalizers = |list: &str| format!(r#"{{"metadata":{{"finalizers":{list}}}}}"#);
        let patch = ["-n", DOORS, "patch", ENDS, "--type=merge", "-p"];
        let (held, released) = (finalizers(r#"["example.com/trial"]"#), finalizers("null"));
        let _undo = Undo::by(demo, &[&patch[..], &[&released]].concat());
        demo.admin(&[&patch[..], &[&held]].concat())?;
        demo.admin(&["-n", DOORS, "delete", "--wait=false", ENDS])?;
        narrator.shows_text(&becomes(demo, ENDS, "Accepted", "False Deleted")?);
        shut(
            demo,
            narrator,
            session,
            "deleted while a finalizer holds it, it has no door",
        )?;
        wait_until(SETTLE, "the last Pod of the door goes", || {
            Ok(pods::found(demo, DOORS, PODS)?.is_empty().then_some(()))
        })?;
    }
    wait_until(SETTLE, "the Connection goes", || {
        let left = demo.admin(&["-n", DOORS, "get", "--ignore-not-found", "-o", "name", ENDS])?;
        Ok(left.stdout.is_empty().then_some(()))
    })?;
    narrator.check("with the finalizer it goes, and nothing is left", true)
}

pub(super) fn its_sink_first(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let own = MANIFEST.replace("[{name: evidence,", "[{name: trial-ends,");
    ensure!(own != MANIFEST, "the manifest names no sink");
    let file = manifest(demo, &format!("{own}{SINK}"))?;
    // Evidence outlives its sink; this claim is the trial's own.
    let of_sink = "sallyport.dev/sink=trial-ends";
    let _claim = Undo::by(demo, &["-n", EVIDENCE, "delete", "pvc", "-l", of_sink, "--wait=false"]);
    let _sink = Undo::by(demo, &WITHOUT_ASKING);
    let _undo = Undo::by(demo, &["-n", DOORS, "delete", "--ignore-not-found", ENDS]);

    let session = entered(demo, &opened(demo, narrator, &file)?)?;
    let ask = ["-n", EVIDENCE, "delete", "--dry-run=server", "auditsink/trial-ends"];
    // It is told a moment later that it serves.
    let refusal = wait_until(SETTLE, "admission keeps a sink that serves", || {
        let output = run(&mut demo.kubectl(&ask))?;
        Ok((!output.status.success()).then_some(output))
    })?;
    narrator.shows(&refusal);
    narrator.check(
        "nobody deletes a sink that serves",
        refusal.stderr.contains("the sink serves 1 Connections"),
    )?;
    demo.admin(&WITHOUT_ASKING)?;
    narrator.shows_text(&becomes(demo, ENDS, "Accepted", "False SinkNotAvailable")?);
    shut(
        demo,
        narrator,
        session,
        "with its sink gone, everybody is out, and nobody gets in",
    )?;
    opened(demo, narrator, &file)?;
    narrator.check("with another sink of that name it is a door again", true)
}

fn manifest(demo: &Demo, text: &str) -> Result<String> {
    if !demo.is_local() {
        bail!(Skipped("this machine has no route to the cluster's Pods"));
    }
    let file = demo.path("trial-ends.yaml");
    std::fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}

/// Makes the door; alice reads through it, masked. Gives the Pod that answered.
fn opened(demo: &Demo, narrator: &mut Narrator, file: &str) -> Result<pods::Pod> {
    demo.admin(&["apply", "--server-side", "-f", file])?;
    becomes(demo, ENDS, "Ready", "True")?;
    // Of a door that is replaced the old Pods are still there for a moment.
    let (pod, read) = wait_until(SETTLE, "the door answers", || {
        for pod in left(demo)? {
            let output = run(&mut at(demo, &pod, SSN)?)?;
            if output.status.success() {
                return Ok(Some((pod, output)));
            }
        }
        Ok(None)
    })?;
    narrator.shows(&read);
    narrator.check("alice reads through it, masked", read.stdout.contains("[REDACTED]"))?;
    Ok(pod)
}

/// alice is in it, for long.
fn entered(demo: &Demo, pod: &pods::Pod) -> Result<Running> {
    let session = Running::start(&mut at(demo, pod, LONG)?)?;
    at_work(demo, LONG, 1)?;
    Ok(session)
}

/// Waits until every Pod that is left of it refuses in words; who was in it is out.
fn shut(demo: &Demo, narrator: &mut Narrator, session: Running, what: &str) -> Result<()> {
    let words = wait_until(SETTLE, "whatever is left of the door refuses in words", || {
        let mut words = String::new();
        for pod in left(demo)? {
            let output: Output = run(&mut at(demo, &pod, SSN)?)?;
            ensure!(
                !output.all().contains(HELD_BACK),
                "{} showed the number: {}",
                pod.name,
                output.all()
            );
            if !refused(&output) {
                return Ok(None);
            }
            words.push_str(&output.stderr);
        }
        Ok(Some(words))
    })?;
    narrator.shows_text(&words);
    let ended = session.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check(what, !ended.status.success())?;
    at_work(demo, LONG, 0)?;
    narrator.check("and what ran in it is over at the target", true)
}

/// Its Pods, those that end left out.
fn left(demo: &Demo) -> Result<Vec<pods::Pod>> {
    let mut found = pods::found(demo, DOORS, PODS)?;
    found.retain(|pod| !pod.ending);
    Ok(found)
}

/// psql as alice at that Pod itself.
fn at(demo: &Demo, pod: &pods::Pod, statement: &str) -> Result<std::process::Command> {
    let mut command = psql(demo, ALICE, &[statement])?;
    command
        .env("PGHOST", "door-trial-ends.doors.svc")
        .env("PGHOSTADDR", &pod.address);
    Ok(command)
}
