//! A volume for evidence that fills up.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::client::ask_directly;
use crate::demo::{ALICE, Demo, EVIDENCE};
use crate::narrator::Narrator;
use crate::run::{Output, Running, run, wait_until};

use super::undo::Undo;
use super::{SETTLE, Skipped, becomes};

/// A second door to the same bank, whose evidence goes to a volume of 16 MiB, and whose recorder takes nobody by the door's word
/// alone.
const SMALL: &str = r#"
apiVersion: sallyport.dev/v1alpha1
kind: AuditSink
metadata: {name: trial-small, namespace: evidence}
spec:
  namespaces: [doors]
  storage: {size: 16Mi, storageClassName: local-small}
  durability: BeforeExecution
  commandText: Exact
  unconfirmed: Refuse
---
apiVersion: sallyport.dev/v1alpha1
kind: Connection
metadata: {name: trial-small, namespace: doors, labels: {data: customer}}
spec:
  protocol: PostgreSQL
  target:
    host: postgres.bank.svc
    port: 5432
    tls: {caBundle: {configMapKeyRef: {name: bank-ca, key: ca.crt}}}
  credentialsRef: {name: bank-credentials}
  subjects: [{kind: Group, name: "oidc:engineers"}]
  requires: {maskingRules: [customer-numbers], approvalPolicies: [changes]}
  sinks: [{name: trial-small, namespace: evidence}]
  identity: {issuers: [{name: keycloak}]}
  proxy: {replicas: 1}
  postgresql: {databases: [bank]}
"#;

pub(super) fn full(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let classes = demo.admin(&["get", "storageclass", "-o", "name"])?.stdout;
    if !classes.contains("local-small") {
        bail!(Skipped("this cluster has no storage class local-small"));
    }
    ask_directly(
        demo,
        "CREATE TABLE IF NOT EXISTS trial_full (n int); TRUNCATE trial_full; GRANT ALL ON trial_full TO sallyport",
    )?
    .ok()?;
    let file = demo.path("trial-small.yaml");
    std::fs::write(&file, SMALL)?;
    let file = file.to_string_lossy().into_owned();
    // Evidence outlives its sink; this claim is the trial's own.
    let _claim = Undo::by(
        demo,
        &[
            "-n",
            EVIDENCE,
            "delete",
            "pvc",
            "-l",
            "sallyport.dev/sink=trial-small",
            "--wait=false",
        ],
    );
    let _sink = Undo::by(
        demo,
        &[
            "-n",
            EVIDENCE,
            "delete",
            "auditsink",
            "trial-small",
            "--ignore-not-found",
        ],
    );
    let _connection = Undo::by(
        demo,
        &[
            "-n",
            "doors",
            "delete",
            "connection",
            "trial-small",
            "--ignore-not-found",
        ],
    );
    demo.admin(&["apply", "--server-side", "-f", &file])?;
    becomes(demo, "connection/trial-small", "Ready", "True")?;
    wait_until(SETTLE, "the small door answers", || {
        Ok(ask(demo, "SELECT 1")?.status.success().then_some(()))
    })?;
    // Each statement's record holds its whole text: 256 KiB of a comment.
    let filler = demo.path("trial-full.sql");
    let statements: String = (0..45)
        .map(|n| {
            format!(
                "INSERT INTO trial_full VALUES ({n}) /* {} */;\n",
                "x".repeat(256 * 1024)
            )
        })
        .collect();
    std::fs::write(&filler, statements)?;
    let mut command = psql(demo)?;
    command.arg("-f").arg(&filler);
    let filled = Running::start(&mut command)?.finish(Duration::from_secs(400))?;
    let told = filled.stdout.matches("INSERT 0 1").count();
    let said: Vec<&str> = filled
        .stderr
        .lines()
        .filter(|line| line.contains("ERROR") || line.contains("FATAL"))
        .take(2)
        .collect();
    narrator.shows_text(&said.join("\n"));
    let rows = ask_directly(demo, "SELECT count(*) FROM trial_full")?.stdout;
    narrator.check(
        &format!("{} of 45 statements ran, and as many were told", rows.trim()),
        rows.trim() == told.to_string() && told < 45,
    )?;
    narrator.check("the rest was refused in words", !said.is_empty())?;
    let sink = wait_until(SETTLE, "the sink's condition says why", || {
        let path = "jsonpath={range .status.conditions[*]}{.type}={.status} {.reason} {.message}{\"\\n\"}{end}";
        let conditions = demo
            .admin(&["-n", EVIDENCE, "get", "auditsink", "trial-small", "-o", path])?
            .stdout;
        let full = conditions
            .lines()
            .find(|line| line.starts_with("Ready=False"))
            .map(str::to_owned);
        Ok(full)
    })?;
    narrator.shows_text(&sink);
    let said = becomes(demo, "connection/trial-small", "Ready", "False RecorderUnavailable")?;
    narrator.shows_text(&said);
    narrator.check(
        "the Connection is not ready and names the sink",
        said.contains("evidence/trial-small"),
    )?;
    let proved = demo.admin(&["sallyport", "audit", "verify", "--sink", "evidence/trial-small"])?;
    narrator.shows(&proved);
    narrator.check("what was recorded is proved", proved.stdout.starts_with("PROVEN"))?;
    narrator.check(
        "and so is everybody who came in: nobody is there by the door's word alone",
        all_confirmed(&proved.stdout),
    )
}

/// Whether `audit verify` says that the recorder itself confirmed the person of as many sessions as there are.
fn all_confirmed(verified: &str) -> bool {
    let words = "the recorder itself confirmed the person of ";
    let told = verified.lines().find_map(|line| line.trim().strip_prefix(words));
    let counts = told
        .and_then(|told| told.strip_suffix(" sessions"))
        .and_then(|counts| counts.split_once(" of "));
    counts.is_some_and(|(confirmed, all)| confirmed == all && all != "0")
}

fn psql(demo: &Demo) -> Result<std::process::Command> {
    let path = "jsonpath={.spec.clusterIP}";
    let address = demo
        .admin(&["-n", "doors", "get", "service", "door-trial-small", "-o", path])?
        .stdout;
    let mut command = crate::client::psql(demo, ALICE, &[])?;
    command.env("PGHOST", address.trim());
    Ok(command)
}

fn ask(demo: &Demo, statement: &str) -> Result<Output> {
    let mut command = psql(demo)?;
    command.args(["-c", statement]);
    run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::all_confirmed;

    #[test]
    fn nobody_is_left_out() {
        let line = |counts: &str| format!("PROVEN\nthe recorder itself confirmed the person of {counts}\n");
        assert!(all_confirmed(&line("3 of 3 sessions")));
        assert!(!all_confirmed(&line("2 of 3 sessions; of 1 no token was presented")));
        assert!(!all_confirmed("PROVEN\n"));
    }
}
