//! Who creates requests, and in whose name.

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stage::{Stage, merge, table};

/// The digest of the command of [`held`].
pub const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    r#as: String,
    base: String,
    #[serde(default)]
    change: Value,
    words: Option<String>,
}

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

/// Tries every case of the table.
pub fn try_all(stage: &mut Stage) -> Result<()> {
    for case in table::<Table>("requests")?.cases {
        let mut manifest = match case.base.as_str() {
            "held" => held(),
            "window" => window(&stage.identity(&case.r#as)?),
            other => bail!("no base {other}"),
        };
        if case.change.is_object() {
            merge(&mut manifest, &case.change);
        }
        let input = manifest.to_string();
        stage.try_case(
            &case.what,
            &case.r#as,
            &["create", "-f", "-"],
            &input,
            case.words.as_deref(),
        )?;
    }
    Ok(())
}

/// What a door asks when it holds a command of alice's.
pub fn held() -> Value {
    json!({
        "apiVersion": "sallyport.dev/v1alpha1",
        "kind": "AccessRequest",
        "metadata": {"name": "held", "namespace": "doors"},
        "spec": {
            "connection": {"name": "bank", "uid": "connection-uid"},
            "requester": {
                "username": "oidc:alice", "groups": ["oidc:engineers"],
                "issuer": "https://issuer.example", "subject": "sub-alice"
            },
            "scope": "Command",
            "command": {"text": "DELETE FROM customers", "summary": "DELETE FROM customers", "digest": DIGEST, "risk": 70},
            "askedBy": [{"policy": "writes", "uid": "policy-uid", "generation": 1, "rule": "deletes"}],
            "expiresAt": "2100-01-01T00:00:00Z",
            "session": {"id": "s1", "pod": "door-bank-1", "podUid": "pod-uid-1", "onHold": "Wait"}
        }
    })
}

/// What a person asks beforehand.
pub fn window(who: &sallyport_e2e_apiserver::Identity) -> Value {
    let issuer = who
        .extra
        .iter()
        .find(|(key, _)| key == "sallyport.dev/issuer")
        .map_or("", |(_, value)| value);
    json!({
        "apiVersion": "sallyport.dev/v1alpha1",
        "kind": "AccessRequest",
        "metadata": {"name": "window", "namespace": "doors"},
        "spec": {
            "connection": {"name": "bank", "uid": "connection-uid"},
            "requester": {"username": who.user, "issuer": issuer, "subject": who.uid},
            "scope": "Window", "window": {"duration": "1h"}, "reason": "migration",
            "expiresAt": "2100-01-01T00:00:00Z"
        }
    })
}
