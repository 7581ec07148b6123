//! What has the name of something else, and is not it: rules of another namespace, logs of a sink that is gone.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::deleting::{SINK, delete_as_its_namespace, gone, serves};
use crate::scenes::{BANK, RECORDER, carrier, closed};
use crate::stage::Stage;

/// One of them is among those that the bank requires, and both select it by its labels.
const REQUIRED: &[&str] = &["maskingrule/customer-numbers", "approvalpolicy/changes"];
/// A log that was seen by an operator that is gone, and whose sink went while nobody looked.
const SEEN_BEFORE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: sallyport-logs, namespace: sallyport-system}
data:
  uid-of-nobody: '{"namespace":"evidence","name":"evidence","born":"2026-11-01T00:00:00Z","verifierKey":"key"}'
"#;

/// Selectors and required names match inside their own namespace.
pub fn a_rule_of_another_namespace_selects_nobody(stage: &Stage) -> Result<()> {
    let mut uids = Vec::new();
    for rule in REQUIRED {
        let own = stage.get("doors", rule)?;
        let namesake = json!({
            "apiVersion": own["apiVersion"], "kind": own["kind"], "spec": own["spec"],
            "metadata": { "name": own["metadata"]["name"], "namespace": "evidence" },
        });
        stage.apply(&namesake.to_string())?;
        stage.until_condition("evidence", rule, "Accepted", "True", "Accepted")?;
        stage.until(&format!("the {rule} of another namespace selects nobody"), || {
            Ok(stage.get("evidence", rule)?["status"]["connections"] == 0)
        })?;
        let uid = stage.get("evidence", rule)?["metadata"]["uid"].clone();
        uids.push(uid.as_str().context("no uid")?.to_owned());
    }
    for rule in REQUIRED {
        let (kind, name) = rule.split_once('/').context("no kind")?;
        stage.kubectl(&["-n", "doors", "delete", kind, name])?;
        stage.until_condition("doors", BANK, "Accepted", "False", "RequiredRuleMissing")?;
        closed(stage, "RequiredRuleMissing")?;
        stage.apply(&stage.samples(0)?)?;
        stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    }
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")?;
    let carried = carrier(stage)?.to_string();
    for (rule, uid) in REQUIRED.iter().zip(&uids) {
        ensure!(!carried.contains(uid), "doors read the {rule} of another namespace");
        let uid = stage.get("doors", rule)?["metadata"]["uid"].clone();
        let uid = uid.as_str().context("no uid")?;
        ensure!(carried.contains(uid), "doors do not read their own {rule}");
    }
    stage.kubectl(&["-n", "evidence", "delete", "maskingrules,approvalpolicies", "--all"])?;
    Ok(())
}

/// Before any operator has run.
pub fn a_log_was_seen(stage: &Stage) -> Result<()> {
    stage.apply(SEEN_BEFORE)
}

/// Though there is a sink of its name.
pub fn a_log_has_ended_whose_sink_is_gone(stage: &Stage) -> Result<()> {
    let entry = || -> Result<serde_json::Value> {
        let ledger = stage.get("sallyport-system", "configmap/sallyport-logs")?;
        let entry = ledger["data"]["uid-of-nobody"].as_str().context("the entry is gone")?;
        Ok(serde_json::from_str(entry)?)
    };
    stage.until("the end of the log is noted", || Ok(entry()?["ended"].is_string()))?;
    let entry = entry()?;
    ensure!(
        entry["verifierKey"] == "key" && entry["born"] == "2026-11-01T00:00:00Z",
        "what was known of the log is lost: {entry}"
    );
    Ok(())
}

/// As GitOps does it: pruned, and made again under the same name. Begins where nothing but namespaces is left.
pub fn a_sink_that_is_made_again_has_a_log_of_its_own(stage: &Stage) -> Result<()> {
    stage.apply(&stage.samples(0)?)?;
    serves(stage, 1)?;
    let volume = || -> Result<(String, String)> {
        let uid = stage.get("evidence", SINK)?["metadata"]["uid"].clone();
        stage.until("the recorder is there", || stage.exists("evidence", RECORDER[0]))?;
        let recorder = stage.get("evidence", RECORDER[0])?;
        let claim = recorder["spec"]["volumeClaimTemplates"][0]["metadata"]["name"].clone();
        let text = |value: serde_json::Value| value.as_str().map(str::to_owned);
        Ok((text(uid).context("no uid")?, text(claim).context("no claim")?))
    };
    let claims = || stage.kubectl(&["-n", "evidence", "get", "persistentvolumeclaims", "-o", "name"]);
    let ((before, old), kept) = (volume()?, claims()?);
    delete_as_its_namespace(stage)?;
    stage.until_condition("doors", BANK, "Accepted", "False", "SinkNotAvailable")?;
    closed(stage, "SinkNotAvailable")?;
    gone(stage, "evidence", RECORDER)?;
    stage.apply(&stage.samples(0)?)?;
    stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")?;
    serves(stage, 1)?;
    let (after, new) = volume()?;
    ensure!(before != after, "the sink is the one that was deleted");
    ensure!(
        old != new,
        "the new log would be written to the volume of the old one: {new}"
    );
    ensure!(kept == claims()?, "the old log's volume is gone: there was {kept}");
    let carried = carrier(stage)?.to_string();
    ensure!(
        carried.contains(&after) && !carried.contains(&before),
        "doors do not look for the recorder of the new sink alone: {carried}"
    );
    Ok(())
}
