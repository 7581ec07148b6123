//! What happens in the life of an installation.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::events;
use crate::stage::{CONFIG, Stage};

pub const BANK: &str = "connection/bank";
pub const CHILDREN: &[&str] = &[
    "deployment/door-bank",
    "service/door-bank",
    "service/door--peers-bank",
    "serviceaccount/door-bank",
    "role/door-bank",
    "rolebinding/door-bank",
    "networkpolicy/door-bank",
    "configmap/door-bank-policy",
    "secret/door-bank-tls",
    "secret/door-bank-keys",
];
pub const RECORDER: &[&str] = &[
    "statefulset/recorder-evidence",
    "service/recorder-evidence",
    "service/recorder-evidence-pods",
    "serviceaccount/recorder-evidence",
    "networkpolicy/recorder-evidence",
];
pub const RULES: &[&str] = &[
    "maskingrule/customer-numbers",
    "maskingrule/cards",
    "maskingrule/mail-addresses",
    "maskingrule/detected-anywhere",
    "maskingrule/names",
    "approvalpolicy/changes",
];

/// What nobody has written to for so long is at rest.
const AT_REST: Duration = Duration::from_secs(2);

/// A misspelt field, which only the operator can know.
const MISSPELT: &str = r#"
apiVersion: sallyport.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: misspelt, namespace: doors}
spec:
  connectionSelector: {matchLabels: {environment: production}}
  rules:
    - {name: never, match: {cel: "command.textt == 'SELECT 1'"}, action: Deny}
    - {name: else, match: {any: true}, action: Allow}
"#;

pub fn what_is_applied_is_made(stage: &Stage) -> Result<()> {
    stage.apply(&stage.samples(0)?)?;
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")?;
    for rule in RULES {
        stage.until_condition("doors", rule, "Accepted", "True", "Accepted")?;
        stage.until_condition("doors", rule, "Enforced", "True", "Enforced")?;
    }
    let uid = stage.get("doors", BANK)?["metadata"]["uid"].clone();
    for child in CHILDREN {
        let owner = stage.get("doors", child)?["metadata"]["ownerReferences"][0]["uid"].clone();
        ensure!(owner == uid, "{child} is owned by {owner}");
    }
    for child in RECORDER {
        stage.until(&format!("{child} is there"), || stage.exists("evidence", child))?;
    }
    for what in [BANK, "maskingrule/cards"] {
        let finalizers = stage.get("doors", what)?["metadata"]["finalizers"].clone();
        ensure!(finalizers.is_null(), "{what} carries finalizers: {finalizers}");
    }
    let pod = &stage.get("doors", "deployment/door-bank")?["spec"]["template"]["spec"];
    let container = &pod["containers"][0]["securityContext"];
    ensure!(pod["securityContext"]["runAsNonRoot"] == true && container["readOnlyRootFilesystem"] == true);
    // No file names it: the API server was asked.
    let audiences = carrier(stage)?["settings"]["apiServerAudiences"].clone();
    ensure!(
        audiences == serde_json::json!(["https://kubernetes.default.svc", "kubernetes"]),
        "doors refuse tokens for {audiences}"
    );
    events::tell(stage, "Connection", "bank", "Accepted")?;
    events::tell(stage, "MaskingRule", "cards", "Accepted")?;
    a_budget_comes_with_replicas(stage)
}

/// One replica has no budget: it would stop every drain.
fn a_budget_comes_with_replicas(stage: &Stage) -> Result<()> {
    const BUDGET: &str = "poddisruptionbudget/door-bank";
    for (replicas, wanted) in [(2, true), (0, false)] {
        stage.apply(&stage.samples(replicas)?)?;
        stage.until(&format!("a budget with {replicas} replicas: {wanted}"), || {
            Ok(stage.exists("doors", BUDGET)? == wanted)
        })?;
    }
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")
}

/// As a GitOps controller does it: by its own manager, without force.
pub fn applying_again_changes_nothing(stage: &Stage) -> Result<()> {
    let before = at_rest(stage)?;
    stage.server.admin(
        &["apply", "--server-side", "--field-manager=kubectl", "-f", "-"],
        &stage.samples(0)?,
    )?;
    let after = at_rest(stage)?;
    ensure!(before == after, "written by re-applying: {:?}", moved(&before, &after));
    Ok(())
}

pub fn a_restart_writes_nothing(stage: &mut Stage) -> Result<()> {
    let before = at_rest(stage)?;
    stage.operators.first_mut().context("no operator")?.end()?;
    stage.operators.clear();
    stage.start("operator-2")?;
    let operator = stage.operator()?;
    for kind in ["Connection", "MaskingRule", "ApprovalPolicy", "AuditSink"] {
        let metric = format!("sallyport_operator_reconciles_total{{kind=\"{kind}\",outcome=\"ok\"}}");
        stage.until(&format!("the new operator looks at each {kind}"), || {
            Ok(operator.metric(&metric)?.is_some_and(|count| count >= 1.0))
        })?;
    }
    // It has heard by now whether any process speaks: what it did not know at first, it knows.
    let connections = "sallyport_operator_reconciles_total{kind=\"Connection\",outcome=\"ok\"}";
    stage.until("it looks again", || {
        Ok(operator.metric(connections)?.is_some_and(|count| count >= 2.0))
    })?;
    let after = at_rest(stage)?;
    ensure!(before == after, "written by a restart: {:?}", moved(&before, &after));
    Ok(())
}

/// The same once nothing has been written for some seconds: what was applied is said of each object in its own time.
fn at_rest(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let mut last = versions(stage)?;
    let mut since = Instant::now();
    stage.until("nothing is written", || {
        let now = versions(stage)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        Ok(since.elapsed() >= AT_REST)
    })?;
    Ok(last)
}

/// resourceVersions of everything that the operator writes, Events and the Lease apart.
fn versions(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let kinds = "connections,maskingrules,approvalpolicies,auditsinks,deployments,statefulsets,services,serviceaccounts,\
                 roles,rolebindings,networkpolicies,configmaps,secrets,controllerrevisions";
    let mut versions = BTreeMap::new();
    for namespace in ["doors", "evidence"] {
        for object in stage.get(namespace, kinds)?["items"].as_array().into_iter().flatten() {
            let name = format!("{namespace}/{}/{}", object["kind"], object["metadata"]["name"]);
            versions.insert(name, object["metadata"]["resourceVersion"].to_string());
        }
    }
    ensure!(versions.len() > 20, "only {versions:?}");
    Ok(versions)
}

fn moved<'a>(before: &BTreeMap<String, String>, after: &'a BTreeMap<String, String>) -> Vec<&'a String> {
    after
        .iter()
        .filter(|(name, version)| before.get(*name) != Some(*version))
        .map(|(name, _)| name)
        .collect()
}

/// Pruned and made again, switched to Observe and back, unlabelled and labelled again: shut in between, never wider.
pub fn losing_a_rule_closes(stage: &Stage) -> Result<()> {
    stage.kubectl(&["-n", "doors", "delete", "maskingrule", "customer-numbers"])?;
    stage.until_condition("doors", BANK, "Accepted", "False", "RequiredRuleMissing")?;
    closed(stage, "RequiredRuleMissing")?;
    stage.apply(&stage.samples(0)?)?;
    stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    let mode = |mode: &str| {
        let patch = format!(r#"{{"spec":{{"mode":"{mode}"}}}}"#);
        stage.kubectl(&[
            "-n",
            "doors",
            "patch",
            "maskingrule",
            "customer-numbers",
            "--type=merge",
            "-p",
            &patch,
        ])
    };
    mode("Observe")?;
    stage.until_condition("doors", BANK, "Accepted", "False", "RequiredRuleNotEnforcing")?;
    closed(stage, "RequiredRuleNotEnforcing")?;
    mode("Enforce")?;
    stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    stage.kubectl(&["-n", "doors", "label", "connection", "bank", "data-"])?;
    stage.until_condition("doors", BANK, "Accepted", "False", "RequiredRuleNotSelecting")?;
    closed(stage, "RequiredRuleNotSelecting")?;
    stage.kubectl(&["-n", "doors", "label", "connection", "bank", "data=customer"])?;
    stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")
}

/// A value that the API server alone knows to be wrong.
pub fn a_part_that_is_refused_is_said(stage: &Stage) -> Result<()> {
    let service = |service: &str| {
        let patch = format!(r#"{{"spec":{{"proxy":{{"service":{service}}}}}}}"#);
        stage.kubectl(&["-n", "doors", "patch", BANK, "--type=merge", "-p", &patch])
    };
    service(r#"{"type":"NodePort","nodePort":1}"#)?;
    stage.until_condition("doors", BANK, "Programmed", "False", "ChildRefused")?;
    stage.until_condition("doors", BANK, "Ready", "False", "ChildRefused")?;
    let said = stage.get("doors", BANK)?["status"]["conditions"].to_string();
    ensure!(
        said.contains("nodePort") && said.contains("valid range"),
        "nobody is told what to mend: {said}"
    );
    service(r#"{"type":"ClusterIP","nodePort":null}"#)?;
    stage.until_condition("doors", BANK, "Programmed", "True", "ScaledToZero")
}

/// What doors read says why they are shut.
pub fn closed(stage: &Stage, reason: &str) -> Result<()> {
    let carrier = carrier(stage)?;
    ensure!(
        carrier["closed"]["reason"] == reason,
        "the carrier says {}",
        carrier["closed"]
    );
    Ok(())
}

/// What the bank's doors read.
pub fn carrier(stage: &Stage) -> Result<Value> {
    carrier_of(stage, "bank")
}

fn carrier_of(stage: &Stage, connection: &str) -> Result<Value> {
    let signed: Value = serde_json::from_str(
        stage.get("doors", &format!("configmap/door-{connection}-policy"))?["data"]["carrier.json"]
            .as_str()
            .context("no carrier")?,
    )?;
    let payload = signed["payload"].as_str().context("no payload")?;
    let payload = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload)?;
    Ok(serde_json::from_slice(&payload)?)
}

pub fn a_bad_object_stops_no_other(stage: &Stage) -> Result<()> {
    stage.apply(
        r#"
apiVersion: sallyport.dev/v1alpha1
kind: MaskingRule
metadata: {name: bad, namespace: doors}
spec:
  connectionSelector: {matchLabels: {data: elsewhere}}
  match: {detectors: [NO_SUCH_DETECTOR]}
  action: {type: Redact}
"#,
    )?;
    stage.until_condition("doors", "maskingrule/bad", "Accepted", "False", "Invalid")?;
    events::tell(stage, "MaskingRule", "bad", "Invalid")?;
    let patch = r#"{"spec": {"action": {"partial": {"keepLast": 2}}}}"#;
    stage.kubectl(&[
        "-n",
        "doors",
        "patch",
        "maskingrule",
        "cards",
        "--type=merge",
        "-p",
        patch,
    ])?;
    stage.until_condition("doors", "maskingrule/cards", "Enforced", "True", "Enforced")?;
    stage.kubectl(&["-n", "doors", "delete", "maskingrule", "bad"])?;
    Ok(())
}

/// What the API server takes for a text and the operator cannot compile: the policy says why, and shuts the Connections that
/// it selects, and no other.
pub fn a_rule_that_does_not_compile_closes_what_it_selects(stage: &Stage) -> Result<()> {
    const OTHER: &str = "connection/teller";
    let samples = stage.samples(0)?;
    let bank = samples
        .split("\n---\n")
        .find(|document| document.contains("kind: Connection"))
        .context("the samples hold no Connection")?;
    let teller = bank
        .replace("name: bank\n", "name: teller\n")
        .replace("environment: production", "environment: test");
    stage.apply(&teller)?;
    stage.until_condition("doors", OTHER, "Enforced", "True", "ScaledToZero")?;
    let revision = carrier_of(stage, "teller")?["revision"].clone();
    stage.apply(MISSPELT)?;
    stage.until_condition("doors", "approvalpolicy/misspelt", "Accepted", "False", "Invalid")?;
    events::tell(stage, "ApprovalPolicy", "misspelt", "Invalid")?;
    let conditions = stage.get("doors", "approvalpolicy/misspelt")?["status"]["conditions"].to_string();
    ensure!(
        conditions.contains("spec.rules[0].match.cel") && conditions.contains("command.textt"),
        "{conditions}"
    );
    stage.until_condition("doors", BANK, "Accepted", "False", "RuleNotAccepted")?;
    closed(stage, "RuleNotAccepted")?;
    let other = carrier_of(stage, "teller")?;
    ensure!(other["revision"] == revision, "the other was told something new");
    // It is looked at once more, by an operator that knows the policy.
    let patch = r#"{"spec": {"limits": {"idle": "29m"}}}"#;
    stage.kubectl(&["-n", "doors", "patch", OTHER, "--type=merge", "-p", patch])?;
    stage.until_condition("doors", OTHER, "Accepted", "True", "Accepted")?;
    ensure!(carrier_of(stage, "teller")?["closed"].is_null(), "the other was shut");
    stage.kubectl(&["-n", "doors", "delete", "approvalpolicy/misspelt", OTHER])?;
    stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")?;
    ensure!(carrier(stage)?["closed"].is_null(), "the door stays shut");
    stage.until("the other's door goes", || {
        Ok(!stage.exists("doors", "deployment/door-teller")?)
    })
}

pub fn older_definitions_hold_what_was_accepted(stage: &Stage) -> Result<()> {
    let revision = carrier(stage)?["revision"].clone();
    let patch = r#"[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/postgresql/properties/open"}]"#;
    let name = "connections.sallyport.dev";
    stage.kubectl(&["patch", "crd", name, "--type=json", "-p", patch])?;
    stage.until_condition("doors", BANK, "Accepted", "False", "SchemaMismatch")?;
    stage.until_condition("doors", "maskingrule/cards", "Degraded", "True", "RuleNotAccepted")?;
    let now = carrier(stage)?;
    ensure!(
        now["revision"] == revision && now["closed"].is_null(),
        "doors were told something new: revision {}, {}",
        now["revision"],
        now["closed"]
    );
    stage.kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "-k",
        &format!("{CONFIG}/crd"),
    ])?;
    stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    stage.until_condition("doors", "maskingrule/cards", "Accepted", "True", "Accepted")?;
    ensure!(carrier(stage)?["closed"].is_null(), "the door was shut on the way back");
    Ok(())
}

pub fn an_api_server_that_was_away_is_seen_again(stage: &mut Stage) -> Result<()> {
    let pid = Command::new("pgrep")
        .args(["-f", &format!("kube-apiserver .*--secure-port {}( |$)", port(stage)?)])
        .output()?;
    let pid = String::from_utf8(pid.stdout)?.trim().to_owned();
    let signal = |which: &str| -> Result<()> {
        ensure!(
            Command::new("kill").args([which, &pid]).status()?.success(),
            "kill {which} {pid}"
        );
        Ok(())
    };
    for again in 0..5 {
        let began = Instant::now();
        signal("-STOP")?;
        std::thread::sleep(Duration::from_secs(4));
        signal("-CONT")?;
        if began.elapsed() < Duration::from_secs(6) {
            break;
        }
        // A machine that has something else to do made it longer than whoever leads waits: another one tries.
        for operator in &mut stage.operators {
            operator.end()?;
        }
        stage.operators.clear();
        stage.start(&format!("after-a-long-pause-{again}"))?;
        stage.until_leading("another one leads")?;
    }
    let patch = r#"{"spec": {"action": {"partial": {"keepLast": 3}}}}"#;
    stage.kubectl(&[
        "-n",
        "doors",
        "patch",
        "maskingrule",
        "cards",
        "--type=merge",
        "-p",
        patch,
    ])?;
    stage.until_condition("doors", "maskingrule/cards", "Enforced", "True", "Enforced")?;
    stage.until_leading("the operator outlives a pause of four seconds")
}

fn port(stage: &Stage) -> Result<String> {
    let text = std::fs::read_to_string(stage.server.kubeconfig())?;
    let (_, rest) = text.split_once("https://127.0.0.1:").context("no server")?;
    Ok(rest.chars().take_while(char::is_ascii_digit).collect())
}
