//! Deleting in orders that nobody means: while somebody's finalizer holds an object, past its children, while no operator runs, and
//! the definitions before all that they define. No door stays by it, what is evidence does, and nobody is stuck.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::deleting::{gone, serves};
use crate::scenes::{BANK, CHILDREN, RECORDER, RULES, carrier};
use crate::stage::{CONFIG, Stage};

/// The garbage collector looks every half a minute which kinds there are.
const NEW_KINDS: Duration = Duration::from_secs(150);
/// Says that the operator's own definitions are not those that are installed.
const MISMATCH: &str = "sallyport_operator_schema_mismatch";

/// Begins and ends with everything there.
pub fn that_nobody_means(stage: &mut Stage) -> Result<()> {
    a_connection_that_somebody_holds(stage)?;
    a_namespace_whose_connection_somebody_holds(stage)?;
    a_connection_without_its_children(stage)?;
    everything_while_no_operator_runs(stage)?;
    the_definitions_before_all(stage)
}

fn apply(stage: &Stage) -> Result<()> {
    stage.apply(&stage.samples(0)?)?;
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")
}

/// Somebody's finalizer on the bank, or none.
fn hold(stage: &Stage, by: Option<&str>) -> Result<()> {
    let finalizers = serde_json::json!({ "metadata": { "finalizers": by.map(|by| vec![by]) } });
    stage.kubectl(&[
        "-n",
        "doors",
        "patch",
        "connection",
        "bank",
        "--type=merge",
        "-p",
        &finalizers.to_string(),
    ])?;
    Ok(())
}

/// The garbage collector waits until the object is gone; its door does not.
fn a_connection_that_somebody_holds(stage: &Stage) -> Result<()> {
    hold(stage, Some("example.com/hold"))?;
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank", "--wait=false"])?;
    gone(stage, "doors", CHILDREN)?;
    stage.until_condition("doors", BANK, "Accepted", "False", "Deleted")?;
    stage.until_condition("doors", BANK, "Ready", "False", "Deleted")?;
    for rule in RULES {
        stage.until(&format!("{rule} selects nobody"), || {
            Ok(stage.get("doors", rule)?["status"]["connections"] == 0)
        })?;
    }
    ensure!(
        stage.exists("doors", "secret/bank-credentials")?,
        "what is not ours went too"
    );
    // What names a sink keeps it.
    serves(stage, 1)?;
    hold(stage, None)?;
    gone(stage, "doors", &[BANK])?;
    serves(stage, 0)?;
    apply(stage)
}

fn a_namespace_whose_connection_somebody_holds(stage: &Stage) -> Result<()> {
    serves(stage, 1)?;
    hold(stage, Some("example.com/hold"))?;
    stage.kubectl(&["delete", "namespace", "doors", "--wait=false"])?;
    gone(stage, "doors", CHILDREN)?;
    ensure!(stage.exists("doors", BANK)?, "nobody held it");
    for child in RECORDER {
        ensure!(stage.exists("evidence", child)?, "{child} went with somebody else's");
    }
    hold(stage, None)?;
    stage.until("the namespace goes", || {
        let found = stage.kubectl(&["get", "namespace", "doors", "--ignore-not-found", "-o", "name"])?;
        Ok(found.trim().is_empty())
    })?;
    serves(stage, 0)?;
    stage.furnish()?;
    apply(stage)
}

/// Whoever wants the children to stay gets no door by it: what is left is nobody's, and is the next one's when there is one.
fn a_connection_without_its_children(stage: &Stage) -> Result<()> {
    let before = uid(stage, BANK)?;
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank", "--cascade=orphan"])?;
    gone(stage, "doors", &[BANK])?;
    serves(stage, 0)?;
    apply(stage)?;
    let after = uid(stage, BANK)?;
    ensure!(before != after, "the Connection is the one that was deleted");
    for child in CHILDREN {
        stage.until(&format!("{child} is the new one's"), || {
            let owner = stage.get("doors", child)?["metadata"]["ownerReferences"][0]["uid"].clone();
            Ok(owner == after.as_str())
        })?;
    }
    let carried = carrier(stage)?["connection"]["uid"].clone();
    ensure!(carried == after.as_str(), "doors read the policy of {carried}");
    Ok(())
}

/// The garbage collector needs nobody; whoever leads next puts the books straight.
fn everything_while_no_operator_runs(stage: &mut Stage) -> Result<()> {
    serves(stage, 1)?;
    for operator in &mut stage.operators {
        operator.end()?;
    }
    stage.operators.clear();
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank"])?;
    gone(stage, "doors", CHILDREN)?;
    stage.kubectl(&["-n", "doors", "delete", "maskingrules,approvalpolicies", "--all"])?;
    gone(stage, "doors", &["controllerrevisions"])?;
    // Nobody said yet that the sink serves nobody.
    let delete = ["-n", "evidence", "delete", "auditsink", "evidence"];
    let refused = stage.server.run(None, &delete, "")?;
    ensure!(
        !refused.status.success(),
        "a sink that serves, as far as is known, was deleted"
    );
    stage.start("after-the-deletions")?;
    serves(stage, 0)?;
    stage.kubectl(&delete)?;
    gone(stage, "evidence", RECORDER)?;
    apply(stage)
}

/// Past admission, which holds sinks that serve: what goes with its kind asks nobody.
fn the_definitions_before_all(stage: &Stage) -> Result<()> {
    let definitions = format!("{CONFIG}/crd");
    stage.kubectl(&["delete", "-k", &definitions, "--timeout=150s"])?;
    for (namespace, children) in [("doors", CHILDREN), ("evidence", RECORDER)] {
        for child in children {
            stage.until_within(NEW_KINDS, &format!("{child} goes"), || {
                Ok(!stage.exists(namespace, child)?)
            })?;
        }
    }
    let operator = stage.operator()?;
    stage.until("the operator misses them", || {
        Ok(operator.metric(MISMATCH)? == Some(1.0))
    })?;
    stage.kubectl(&["apply", "--server-side", "-k", &definitions])?;
    stage.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=120s"])?;
    stage.until("the operator has them again", || {
        Ok(operator.metric(MISMATCH)? == Some(0.0))
    })?;
    let samples = stage.samples(0)?;
    let words = ["no matches for kind", "could not find the requested resource"];
    stage.until_taken("what is of these kinds", &words, || stage.apply(&samples))?;
    // Whoever watches for a kind that is gone pauses longer and longer.
    stage.until_within(NEW_KINDS, "everything is back", || {
        let is = stage.condition("doors", BANK, "Enforced")?;
        Ok(is == Some(("True".to_owned(), "ScaledToZero".to_owned())))
    })?;
    for child in CHILDREN {
        ensure!(stage.exists("doors", child)?, "{child} did not come back");
    }
    stage.until_leading("the operator outlives its kinds")
}

fn uid(stage: &Stage, what: &str) -> Result<String> {
    let uid = stage.get("doors", what)?["metadata"]["uid"].clone();
    Ok(uid.as_str().context("no uid")?.to_owned())
}
