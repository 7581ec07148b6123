//! AccessRequests as trials look at them and answer them.

use anyhow::Result;
use serde_json::Value;

use crate::demo::{DOORS, Demo, User};
use crate::run::{Output, run};

/// An object of the doors' namespace, or a list of them.
pub(super) fn shown(demo: &Demo, what: &str) -> Result<Value> {
    let shown = demo.admin(&["-n", DOORS, "get", what, "-o", "json"])?;
    Ok(serde_json::from_str(&shown.stdout)?)
}

/// What stands in a list.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("items").and_then(Value::as_array).into_iter().flatten()
}

/// A text of an object or record; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// One person's answer to a request, by `kubectl sallyport`.
pub(super) fn answer(demo: &Demo, person: User, verb: &str, request: &str) -> Result<Output> {
    run(&mut demo.kubectl_as(
        person,
        &["sallyport", verb, request, "-n", DOORS, "--reason", "for the trial"],
    ))
}
