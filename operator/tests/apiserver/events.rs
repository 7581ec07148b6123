//! What Events tell people.

use anyhow::Result;
use serde_json::Value;

use crate::stage::Stage;

/// Waits until an Event tells so of an object in the doors' namespace.
pub fn tell(stage: &Stage, kind: &str, name: &str, reason: &str) -> Result<()> {
    stage.until(&format!("an Event {reason} of {kind} {name}"), || {
        Ok(!about(stage, kind, name, reason)?.is_empty())
    })
}

/// Waits until an Event tells so of a request.
pub fn is_told(stage: &Stage, name: &str, reason: &str) -> Result<()> {
    tell(stage, "AccessRequest", name, reason)
}

/// How often Events have told so of a request.
pub fn told(stage: &Stage, name: &str, reason: &str) -> Result<u64> {
    let events = about(stage, "AccessRequest", name, reason)?;
    let times = events
        .iter()
        .map(|event| event["series"]["count"].as_u64().unwrap_or(1));
    Ok(times.sum())
}

fn about(stage: &Stage, kind: &str, name: &str, reason: &str) -> Result<Vec<Value>> {
    let events = stage.get("doors", "events")?;
    let events = events["items"].as_array().into_iter().flatten();
    let about = events.filter(|event| {
        let object = &event["involvedObject"];
        object["kind"] == kind && object["name"] == name && event["reason"] == reason
    });
    Ok(about.cloned().collect())
}
