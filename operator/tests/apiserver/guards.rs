//! What is noticed where admission guards less than it ships with.

use anyhow::Result;
use serde_json::json;

use crate::scenes::BANK;
use crate::stage::{CONFIG, Stage};

/// Asked in somebody else's name.
const FORGED: &str = r#"
apiVersion: sallyport.dev/v1alpha1
kind: AccessRequest
metadata: {name: forged, namespace: doors}
spec:
  connection: {name: bank, uid: another}
  requester: {username: "oidc:alice", issuer: "https://keycloak.example", subject: alice}
  scope: Window
  window: {duration: 1m}
  reason: forged
  expiresAt: "2100-01-01T00:00:00Z"
"#;

/// One that guards no approval: doors stay open, and everybody is told.
pub fn a_guard_that_is_weakened_is_noticed(stage: &Stage) -> Result<()> {
    let operator = stage.operator()?;
    let guards = |state: &str| operator.metric(&format!("sallyport_operator_guards{{state=\"{state}\"}}"));
    stage.until("all guards are as they ship", || {
        let none = |state: &str| -> Result<bool> { Ok(guards(state)? == Some(0.0)) };
        Ok(guards("whole")?.is_some_and(|count| count > 30.0) && none("changed")? && none("missing")?)
    })?;
    let excepted = r#"{"spec": {"matchConditions": [{"name": "but-mallory", "expression": "request.userInfo.username != 'mallory'"}]}}"#;
    let policy = "validatingadmissionpolicy/sallyport-namespace-ways-in";
    stage.kubectl(&["patch", policy, "--type=merge", "-p", excepted])?;
    stage.until_condition("doors", BANK, "Advisory", "True", "AdmissionNotTrusted")?;
    stage.until_condition("doors", BANK, "Accepted", "True", "Accepted")?;
    stage.until("one guard is not as it ships", || Ok(guards("changed")? == Some(1.0)))?;
    // To apply it would leave what somebody added.
    stage.kubectl(&["replace", "-k", &format!("{CONFIG}/admission")])?;
    stage.until("all guards are as they ship again", || {
        Ok(guards("changed")? == Some(0.0))
    })?;
    stage.until("nobody is told of admission any more", || {
        let said = stage.condition("doors", BANK, "Advisory")?;
        Ok(said.is_none_or(|(_, reason)| reason != "AdmissionNotTrusted"))
    })
}

pub fn without_admission_nothing_is_approved(stage: &mut Stage) -> Result<()> {
    let tried = |outcome: &str| format!("sallyport_operator_forgeries_total{{outcome=\"{outcome}\"}}");
    let operator = stage.operator()?;
    stage.until("a forgery was tried and refused", || {
        Ok(operator.metric(&tried("refused"))?.is_some_and(|count| count >= 1.0))
    })?;
    let audit = r#"{"spec": {"validationActions": ["Audit"]}}"#;
    let binding = "validatingadmissionpolicybinding/sallyport-request-create";
    stage.kubectl(&["patch", binding, "--type=merge", "-p", audit])?;
    // The API server takes a moment to believe it.
    let operator = sallyport_e2e_apiserver::Identity {
        user: "system:serviceaccount:sallyport-system:sallyport-operator".to_owned(),
        ..sallyport_e2e_apiserver::Identity::default()
    };
    stage.until("a forgery passes", || {
        let arguments = ["create", "--dry-run=server", "-f", "-"];
        Ok(stage.server.run(Some(&operator), &arguments, FORGED)?.status.success())
    })?;
    for operator in &mut stage.operators {
        operator.end()?;
    }
    stage.operators.clear();
    stage.start("operator-4")?;
    let operator = stage.operator()?;
    stage.until("a forgery passed and is counted", || {
        Ok(operator.metric(&tried("passed"))?.is_some_and(|count| count >= 1.0))
    })
}

/// What happens to what `sallyport-request-answers` refuses.
pub fn answers_are(action: &str, stage: &Stage) -> Result<()> {
    guards_do(action, "answers", stage)
}

/// What happens to what `sallyport-request-outcome` refuses.
pub fn outcomes_are(action: &str, stage: &Stage) -> Result<()> {
    guards_do(action, "outcome", stage)
}

fn guards_do(action: &str, of: &str, stage: &Stage) -> Result<()> {
    let patch = json!({"spec": {"validationActions": [action]}}).to_string();
    let binding = format!("validatingadmissionpolicybinding/sallyport-request-{of}");
    stage.kubectl(&["patch", &binding, "--type=merge", "-p", &patch])?;
    Ok(())
}
