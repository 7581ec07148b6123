//! Entries of `status.approvals`: whose they may be, about what, and when.

use anyhow::{Context, Result};
use sallyport_e2e_apiserver::Identity;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stage::{Stage, merge, table};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    r#as: String,
    state: String,
    #[serde(default)]
    entry: Value,
    words: Option<String>,
}

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

/// Tries every case of the table, by the JSON patch that the documentation gives to people.
pub fn try_all(stage: &mut Stage) -> Result<()> {
    for case in table::<Table>("answers")?.cases {
        let request = stage.states.get(&case.state).with_context(|| case.state.clone())?;
        let mut entry = entry(&stage.identity(&case.r#as)?, request);
        if case.entry.is_object() {
            merge(&mut entry, &case.entry);
        }
        // Before the operator has looked at a request there is no list to add to.
        let patch = if request["status"]["approvals"].is_array() {
            json!([{"op": "add", "path": "/status/approvals/-", "value": entry}])
        } else {
            json!([{"op": "add", "path": "/status", "value": {"approvals": [entry]}}])
        };
        let patch = patch.to_string();
        let arguments = [
            "-n",
            "doors",
            "patch",
            "ar",
            &case.state,
            "--subresource=status",
            "--type=json",
            "-p",
            &patch,
        ];
        stage.try_case(
            &format!("answers, {}", case.what),
            &case.r#as,
            &arguments,
            "",
            case.words.as_deref(),
        )?;
    }
    Ok(())
}

/// A genuine approval of a request by somebody, as `kubectl sallyport approve` would write it.
pub fn entry(who: &Identity, request: &Value) -> Value {
    let mut entry = json!({
        "user": who.user,
        "decision": "Approve",
        "requestUID": request["metadata"]["uid"],
        "groups": who.groups.iter().filter(|group| group.starts_with("oidc:")).collect::<Vec<_>>(),
    });
    if let Some(digest) = request["spec"]["command"]["digest"].as_str() {
        entry["digest"] = digest.into();
    }
    if let Some((_, issuer)) = who.extra.iter().find(|(key, _)| key == "sallyport.dev/issuer") {
        entry["issuer"] = issuer.as_str().into();
        entry["subject"] = who.uid.as_str().into();
    }
    if let Some((_, seconds)) = who.extra.iter().find(|(key, _)| key == "sallyport.dev/auth-time") {
        entry["authTime"] = seconds.parse::<i64>().unwrap_or_default().into();
    }
    entry
}
