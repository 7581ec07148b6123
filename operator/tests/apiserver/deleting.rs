//! Withdrawing and deleting, in the careful order and in others: no door that stays open by it, nothing left but evidence, nobody
//! stuck.

use anyhow::{Result, ensure};

use crate::scenes::{BANK, CHILDREN, RECORDER, RULES, carrier, closed};
use crate::stage::Stage;

pub const SINK: &str = "auditsink/evidence";
/// What the controller speaks as that empties namespaces.
const NAMESPACE_CONTROLLER: &[&str] = &[
    "--as=system:serviceaccount:kube-system:namespace-controller",
    "--as-group=system:masters",
];

pub fn a_namespace_that_is_withdrawn_keeps_evidence_alone(stage: &Stage) -> Result<()> {
    let label = |namespace: &str, value: &str| stage.kubectl(&["label", "namespace", namespace, value, "--overwrite"]);
    for (namespace, children, what) in [("doors", CHILDREN, BANK), ("evidence", RECORDER, "auditsink/evidence")] {
        label(namespace, "sallyport.dev/enabled-")?;
        stage.until_condition(namespace, what, "Accepted", "False", "NamespaceNotEnabled")?;
        for child in children {
            stage.until(&format!("{child} goes"), || Ok(!stage.exists(namespace, child)?))?;
        }
    }
    ensure!(
        stage.exists("doors", "secret/bank-credentials")?,
        "what is not ours went too"
    );
    ensure!(stage.exists("evidence", "persistentvolumeclaims")?, "the log went");
    for namespace in ["evidence", "doors"] {
        label(namespace, "sallyport.dev/enabled=true")?;
    }
    stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")?;
    stage.until("the door comes back", || stage.exists("doors", "deployment/door-bank"))
}

pub fn deleting_leaves_nothing_but_evidence(stage: &Stage) -> Result<()> {
    // Until the sink says again that it serves, admission lets it go.
    serves(stage, 1)?;
    let refused = stage
        .server
        .run(None, &["-n", "evidence", "delete", "auditsink", "evidence"], "")?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success(), "a sink that serves a Connection was deleted");
    ensure!(words.contains("evidence"), "{words}");
    stage.kubectl(&["-n", "doors", "delete", "maskingrules,approvalpolicies", "--all"])?;
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank"])?;
    for child in CHILDREN {
        stage.until(&format!("{child} goes"), || Ok(!stage.exists("doors", child)?))?;
    }
    stage.until("kept specifications go", || {
        Ok(!stage.exists("doors", "controllerrevisions")?)
    })?;
    stage.until("the sink serves nobody", || {
        let status = stage.get("evidence", "auditsink/evidence")?;
        Ok(status["status"]["connections"] == 0)
    })?;
    stage.kubectl(&["-n", "evidence", "delete", "auditsink", "evidence"])?;
    for child in RECORDER {
        stage.until(&format!("{child} goes"), || Ok(!stage.exists("evidence", child)?))?;
    }
    ensure!(stage.exists("evidence", "persistentvolumeclaims")?, "the log went");
    Ok(())
}

/// Begins where nothing but namespaces is left, and ends with everything back.
pub fn in_any_order(stage: &Stage) -> Result<()> {
    a_connection_before_its_rules(stage)?;
    a_sink_before_its_connection(stage)?;
    a_secret_and_rules_after_their_sink(stage)?;
    the_operators_rights_before_all(stage)?;
    the_namespace_of_the_evidence(stage)?;
    a_namespace_with_all_that_is_in_it(stage)
}

fn apply(stage: &Stage) -> Result<()> {
    stage.apply(&stage.samples(0)?)?;
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")
}

pub fn gone(stage: &Stage, namespace: &str, children: &[&str]) -> Result<()> {
    for child in children {
        stage.until(&format!("{child} goes"), || Ok(!stage.exists(namespace, child)?))?;
    }
    Ok(())
}

pub fn serves(stage: &Stage, connections: u32) -> Result<()> {
    stage.until(&format!("the sink serves {connections}"), || {
        Ok(stage.get("evidence", SINK)?["status"]["connections"] == connections)
    })
}

/// Rules that select nobody are as good as before.
fn a_connection_before_its_rules(stage: &Stage) -> Result<()> {
    apply(stage)?;
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank"])?;
    gone(stage, "doors", CHILDREN)?;
    for rule in RULES {
        stage.until(&format!("{rule} selects nobody"), || {
            Ok(stage.get("doors", rule)?["status"]["connections"] == 0)
        })?;
        stage.until_condition("doors", rule, "Accepted", "True", "Accepted")?;
    }
    stage.kubectl(&["-n", "doors", "delete", "maskingrules,approvalpolicies", "--all"])?;
    gone(stage, "doors", &["controllerrevisions"])?;
    serves(stage, 0)
}

/// The sink that serves a door: only whoever takes a whole namespace away gets past admission.
pub fn delete_as_its_namespace(stage: &Stage) -> Result<()> {
    stage.kubectl(
        &[
            &["-n", "evidence", "delete", "auditsink", "evidence"][..],
            NAMESPACE_CONTROLLER,
        ]
        .concat(),
    )?;
    Ok(())
}

fn a_sink_before_its_connection(stage: &Stage) -> Result<()> {
    apply(stage)?;
    serves(stage, 1)?;
    delete_as_its_namespace(stage)?;
    stage.until_condition("doors", BANK, "Accepted", "False", "SinkNotAvailable")?;
    closed(stage, "SinkNotAvailable")?;
    gone(stage, "evidence", RECORDER)?;
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank"])?;
    gone(stage, "doors", CHILDREN)
}

/// What a door needs goes piece by piece, the log first: it is shut from the first on.
fn a_secret_and_rules_after_their_sink(stage: &Stage) -> Result<()> {
    apply(stage)?;
    serves(stage, 1)?;
    delete_as_its_namespace(stage)?;
    stage.until_condition("doors", BANK, "Accepted", "False", "SinkNotAvailable")?;
    let pieces: [&[&str]; 3] = [
        &["secret", "bank-credentials"],
        &["maskingrules", "--all"],
        &["approvalpolicies", "--all"],
    ];
    for what in pieces {
        stage.kubectl(&[&["-n", "doors", "delete"][..], what].concat())?;
        let carrier = carrier(stage)?;
        ensure!(
            carrier["closed"].is_object(),
            "without {what:?} the door is open: {carrier}"
        );
    }
    gone(stage, "evidence", RECORDER)?;
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank"])?;
    gone(stage, "doors", CHILDREN)?;
    gone(stage, "doors", &["controllerrevisions"])?;
    stage.furnish()
}

/// Nothing of ours holds on to what the operator may no longer touch.
fn the_operators_rights_before_all(stage: &Stage) -> Result<()> {
    apply(stage)?;
    stage.kubectl(&["-n", "doors", "delete", "rolebinding", "sallyport-operator"])?;
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank"])?;
    gone(stage, "doors", CHILDREN)?;
    stage.kubectl(&["-n", "doors", "delete", "maskingrules,approvalpolicies", "--all"])?;
    // With its rights back it goes on by itself.
    stage.furnish()?;
    serves(stage, 0)?;
    apply(stage)
}

/// While a door is live that writes there.
fn the_namespace_of_the_evidence(stage: &Stage) -> Result<()> {
    serves(stage, 1)?;
    stage.kubectl(&["delete", "namespace", "evidence", "--wait=false"])?;
    stage.until_condition("doors", BANK, "Accepted", "False", "SinkNotAvailable")?;
    closed(stage, "SinkNotAvailable")?;
    stage.until("the namespace goes", || {
        let claims = stage.kubectl(&["-n", "evidence", "get", "persistentvolumeclaims", "-o", "name"])?;
        for claim in claims.lines() {
            // No controller runs here that would let go of a claim that no Pod uses. It may be gone by now.
            let patch = [
                "-n",
                "evidence",
                "patch",
                claim,
                "--type=merge",
                "-p",
                r#"{"metadata":{"finalizers":null}}"#,
            ];
            stage
                .server
                .run(None, &[&patch[..], NAMESPACE_CONTROLLER].concat(), "")?;
        }
        let found = stage.kubectl(&["get", "namespace", "evidence", "--ignore-not-found", "-o", "name"])?;
        Ok(found.trim().is_empty())
    })?;
    for child in CHILDREN {
        ensure!(
            stage.exists("doors", child)?,
            "{child} went with a namespace that is not its own"
        );
    }
    stage.furnish()?;
    apply(stage)?;
    stage.kubectl(&["-n", "doors", "delete", "connection", "bank"])?;
    stage.kubectl(&["-n", "doors", "delete", "maskingrules,approvalpolicies", "--all"])?;
    gone(stage, "doors", CHILDREN)
}

fn a_namespace_with_all_that_is_in_it(stage: &Stage) -> Result<()> {
    apply(stage)?;
    serves(stage, 1)?;
    stage.kubectl(&["delete", "namespace", "doors", "--wait=false"])?;
    stage.until("the namespace goes", || {
        let found = stage.kubectl(&["get", "namespace", "doors", "--ignore-not-found", "-o", "name"])?;
        Ok(found.trim().is_empty())
    })?;
    serves(stage, 0)?;
    for child in RECORDER {
        ensure!(
            stage.exists("evidence", child)?,
            "{child} went with a namespace that is not its own"
        );
    }
    // Under the same names, and as good as new.
    stage.furnish()?;
    apply(stage)?;
    for rule in RULES {
        stage.until_condition("doors", rule, "Enforced", "True", "Enforced")?;
    }
    stage.until_leading("the operator outlives the namespace")
}
