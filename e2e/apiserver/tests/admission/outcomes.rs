//! Everything else that is written to a request: what follows from answers, its metadata, its end.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::answers::entry;
use crate::stage::{Stage, table};
use crate::states::{claim, condition};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    r#as: String,
    state: String,
    status: Option<Value>,
    main: Option<Value>,
    #[serde(default)]
    delete: bool,
    words: Option<String>,
}

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

/// Tries every case of the table.
pub fn try_all(stage: &mut Stage) -> Result<()> {
    every_field_is_guarded(stage)?;
    for mut case in table::<Table>("outcomes")?.cases {
        let what = format!("outcomes, {}", case.what);
        if let Some(patch) = case.status.as_mut() {
            fill(patch, stage, &case.r#as, &case.state)?;
        }
        let patch = case
            .status
            .as_ref()
            .or(case.main.as_ref())
            .map(Value::to_string)
            .unwrap_or_default();
        let mut arguments = vec!["-n", "doors"];
        if case.delete {
            arguments.extend(["delete", "ar", &case.state, "--wait=false"]);
        } else {
            arguments.extend(["patch", "ar", &case.state, "-p", &patch]);
            arguments.extend(if case.status.is_some() {
                ["--subresource=status", "--type=json"].as_slice()
            } else {
                &["--type=merge"]
            });
        }
        stage.try_case(&what, &case.r#as, &arguments, "", case.words.as_deref())?;
    }
    Ok(())
}

/// A field that is added to status later is nobody's until `request-outcome.yaml` and `request-answers.yaml` say whose.
fn every_field_is_guarded(stage: &Stage) -> Result<()> {
    let text = stage
        .server
        .admin(&["get", "crd", "accessrequests.sallyport.dev", "-o", "json"], "")?;
    let definition: Value = serde_json::from_str(&text)?;
    let status = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    let fields: Vec<_> = status
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys())
        .collect();
    let guarded = [
        "admission",
        "approvals",
        "conditions",
        "consumed",
        "grantedUntil",
        "left",
        "logins",
        "observedGeneration",
        "progress",
        "requirements",
        "seal",
        "state",
        "target",
    ];
    ensure!(
        fields == guarded,
        "status has the fields {fields:?}, and admission guards {guarded:?}"
    );
    Ok(())
}

/// Replaces the words that stand for what only the run knows.
fn fill(value: &mut Value, stage: &Stage, who: &str, state: &str) -> Result<()> {
    let identity = stage.identity(who)?;
    let request = stage.states.get(state).with_context(|| state.to_owned())?;
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, stage, who, state))?,
        Value::Object(fields) => fields
            .values_mut()
            .try_for_each(|field| fill(field, stage, who, state))?,
        Value::String(text) => match text.as_str() {
            "$claim" => {
                let pod = identity
                    .extra
                    .iter()
                    .find(|(key, _)| key.ends_with("/pod-name"))
                    .map_or("door-bank-1", |(_, pod)| pod);
                *value = claim(pod);
            }
            "$consumed" => *value = condition("Consumed"),
            "$entry" => *value = entry(&identity, request),
            "$uid" => *value = request["metadata"]["uid"].clone(),
            _ => {}
        },
        _ => {}
    }
    Ok(())
}
