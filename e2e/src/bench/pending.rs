//! A thousand requests that wait while others are decided: each is moved by its own answer alone.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::approval::slowest;
use super::process::{done, memory};
use super::report::{Line, Report};
use crate::demo::{CONNECTION, DOORS, Demo, SYSTEM};
use crate::run::wait_until;

/// The lines of this file.
pub(super) const NAMES: [&str; 2] = [P99, MEMORY];
const P99: &str = "approval/pending-1000/p99-ms";
const MEMORY: &str = "approval/pending-1000/operator-mib";

const PENDING: usize = 1_000;
/// They are found, and cleared away, by this.
const LABEL: &str = "sallyport.dev/bench=pending";
/// The policy of the samples, and its rule that asks one of the group.
const POLICY: &str = "changes";
const RULE: &str = "delete-needs-a-dba";
const OPERATOR: &str = "system:serviceaccount:sallyport-system:sallyport-operator";
/// As the kernel has it: the beginning of the program's name.
const COMM: &str = "sallyport-opera";
const SETTLE: Duration = Duration::from_secs(180);

/// Decisions, and what the operator takes, while a thousand other requests wait.
pub(super) fn decision_in_a_crowd(demo: &Demo, report: &mut Report) -> Result<()> {
    let before = operator_mib(demo)?;
    let crowd = Crowd::make(demo)?;
    let runs = slowest(demo)?;
    let after = operator_mib(demo)?;
    ensure!(
        crowd.waiting()? == PENDING,
        "an answer moved a request that it was not about"
    );
    if report.wants(P99) {
        report.add(Line {
            name: P99,
            unit: "ms",
            runs,
            what: "as approval/decision-to-execution, while 1,000 other requests of as many people wait on the same Connection",
        })?;
    }
    if report.wants(MEMORY) {
        let what = format!(
            "resident memory of the operator that has most, 1,000 requests waiting; {before:.1} MiB before they came"
        );
        report.add(Line {
            name: MEMORY,
            unit: "MiB",
            runs: vec![after],
            what: &what,
        })?;
    }
    Ok(())
}

/// The requests; deleted, and the Connection's limit put back, when dropped.
struct Crowd<'a> {
    demo: &'a Demo,
    limit: String,
}

// === impl Crowd ===

impl<'a> Crowd<'a> {
    /// Makes them as the door does, by its own name and Pod, and waits until the operator has said who may answer each.
    fn make(demo: &'a Demo) -> Result<Self> {
        let asked = |arguments: &[&str]| -> Result<String> {
            let shown = demo.admin(&[&["-n", DOORS, "get"][..], arguments].concat())?.stdout;
            Ok(shown.trim().to_owned())
        };
        let path = "jsonpath={.spec.limits.maxOpenRequests}";
        let crowd = Self {
            demo,
            limit: asked(&["connection", CONNECTION, "-o", path])?,
        };
        crowd.allow(&(10 * PENDING).to_string())?;
        let selector = format!("app.kubernetes.io/component=door,sallyport.dev/connection={CONNECTION}");
        let path = "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}";
        let pod = asked(&["pods", "-l", &selector, "-o", path])?;
        let (pod, pod_uid) = pod.split_once(' ').context("the door has a Pod")?;
        let path = "jsonpath={.metadata.uid}";
        let connection = asked(&["connection", CONNECTION, "-o", path])?;
        let policy = asked(&["approvalpolicy", POLICY, "-o", path])?;
        let expires = done(demo.command("date").args(["-u", "-d", "+2 hours", "+%FT%TZ"]))?;
        let items: Vec<Value> = (0..PENDING)
            .map(|number| request(number, [&connection, &policy, pod, pod_uid, expires.trim()]))
            .collect();
        let file = demo.path("pending.json");
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        fs::write(&file, serde_json::to_vec(&list)?)?;
        let name = format!("--as-user-extra=authentication.kubernetes.io/pod-name={pod}");
        let uid = format!("--as-user-extra=authentication.kubernetes.io/pod-uid={pod_uid}");
        let account = format!("--as=system:serviceaccount:{DOORS}:door-{CONNECTION}");
        let mut create = demo.kubectl(&["create", "-f"]);
        done(create.arg(&file).args([account, name, uid]))?;
        fs::remove_file(&file)?;
        wait_until(SETTLE, "all requests wait", || {
            Ok((crowd.waiting()? == PENDING).then_some(()))
        })?;
        let connection = format!("connection/{CONNECTION}");
        demo.admin(&[
            "-n",
            DOORS,
            "wait",
            "--for=condition=Enforced",
            "--timeout=60s",
            &connection,
        ])?;
        Ok(crowd)
    }

    /// How many of them wait for an answer.
    fn waiting(&self) -> Result<usize> {
        let path = r#"jsonpath={range .items[*]}{.status.state}{"\n"}{end}"#;
        let shown = self.demo.admin(&["-n", DOORS, "get", "ar", "-l", LABEL, "-o", path])?;
        Ok(shown.stdout.lines().filter(|state| *state == "Pending").count())
    }

    /// How many requests the Connection may have open.
    fn allow(&self, number: &str) -> Result<()> {
        let patch = format!(r#"{{"spec": {{"limits": {{"maxOpenRequests": {number}}}}}}}"#);
        let patched = [
            "-n",
            DOORS,
            "patch",
            "connection",
            CONNECTION,
            "--type=merge",
            "-p",
            &patch,
        ];
        self.demo.admin(&patched).map(drop)
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        // Nobody else may delete them.
        let account = format!("--as={OPERATOR}");
        let mut delete = self
            .demo
            .kubectl(&["-n", DOORS, "delete", "ar", "-l", LABEL, "--wait=false", &account]);
        if let Err(cause) = done(&mut delete).and_then(|_| self.allow(&self.limit)) {
            eprintln!("could not clear away what the bench made: {cause:#}");
        }
    }
}

/// One of them, by uids of Connection and policy, the door's Pod, and its end.
fn request(number: usize, [connection, policy, pod, pod_uid, expires]: [&str; 5]) -> Value {
    let statement = format!("DELETE FROM accounts WHERE id = {number}");
    json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": {
            "name": format!("pending-{number}"), "namespace": DOORS,
            "labels": { "sallyport.dev/bench": "pending", "sallyport.dev/connection": CONNECTION },
        },
        "spec": {
            "connection": { "name": CONNECTION, "uid": connection },
            "requester": {
                "username": format!("oidc:person-{number}"), "issuer": "https://bench.example", "subject": format!("person-{number}"),
            },
            "scope": "Command",
            "command": {
                "text": statement, "summary": statement, "digest": format!("{number:064x}"), "verbs": ["delete"],
                "tables": ["public.accounts"], "risk": 50,
            },
            "askedBy": [{ "policy": POLICY, "uid": policy, "generation": 1, "rule": RULE }],
            "expiresAt": expires,
            "session": { "id": format!("bench-{number}"), "pod": pod, "podUid": pod_uid, "onHold": "Refuse" },
        },
    })
}

/// Resident memory of the operator's replica that has most, in MiB: the one that leads.
fn operator_mib(demo: &Demo) -> Result<f64> {
    let selector = "app.kubernetes.io/component=operator";
    let path = "jsonpath={.items[*].status.containerStatuses[*].containerID}";
    let shown = demo
        .admin(&["-n", SYSTEM, "get", "pods", "-l", selector, "-o", path])?
        .stdout;
    let containers: Vec<&str> = shown
        .split_whitespace()
        .filter_map(|container| container.rsplit('/').next())
        .collect();
    let listed = done(Command::new("pgrep").args(["-x", COMM]))?;
    let mut most = None::<f64>;
    for pid in listed.lines() {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        if containers.iter().any(|container| groups.contains(container)) {
            let kib = memory(pid.parse()?, "VmRSS")?;
            most = Some(most.unwrap_or_default().max(kib));
        }
    }
    Ok(most.context("no process of this machine is the operator")? / 1_024.0)
}
