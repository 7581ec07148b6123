//! AccessRequests as trials look at them and answer them.

use anyhow::Result;
use serde_json::Value;

use crate::client::psql;
use crate::demo::{DOORS, Demo, User};
use crate::run::{Output, run, wait_until};

use super::SETTLE;
use super::second_person::named;

/// Who the API server says that somebody is.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) user: String,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) groups: Vec<String>,
}

/// A person by their own login at the API server.
pub(super) fn known(demo: &Demo, person: User) -> Result<Known> {
    let whoami = run(&mut demo.kubectl_as(person, &["auth", "whoami", "-o", "json"]))?.ok()?;
    let whoami: Value = serde_json::from_str(&whoami.stdout)?;
    let at = |path: &str| text(&whoami, path).to_owned();
    let groups = whoami.pointer("/status/userInfo/groups").and_then(Value::as_array);
    Ok(Known {
        user: at("/status/userInfo/username"),
        subject: at("/status/userInfo/uid"),
        issuer: at("/status/userInfo/extra/sallyport.dev~1issuer/0"),
        groups: groups
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    })
}

/// Lets somebody ask for what needs a second person; they do not wait. Gives the request's name.
pub(super) fn asked(demo: &Demo, person: User, statement: &str) -> Result<String> {
    let mut command = psql(demo, person, &[statement])?;
    let refusal = run(command.env("PGOPTIONS", "-c sallyport.on_hold=refuse"))?;
    let name = named(&refusal.stderr)?;
    answerable(demo, &name)?;
    Ok(name)
}

/// Waits until the operator has written who may answer.
pub(super) fn answerable(demo: &Demo, request: &str) -> Result<()> {
    wait_until(SETTLE, "the operator says who may answer", || {
        let request = shown(demo, &format!("accessrequest/{request}"))?;
        Ok(request.pointer("/status/requirements/0").is_some().then_some(()))
    })
}

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

/// One person's answer to a request, by `kubectl sallyport`. Before the operator has looked there is nothing to add it to.
pub(super) fn answer(demo: &Demo, person: User, verb: &str, request: &str) -> Result<Output> {
    wait_until(SETTLE, "the operator has looked at the request", || {
        let request = shown(demo, &format!("accessrequest/{request}"))?;
        Ok(request.pointer("/status/approvals").is_some().then_some(()))
    })?;
    run(&mut demo.kubectl_as(
        person,
        &["sallyport", verb, request, "-n", DOORS, "--reason", "for the trial"],
    ))
}
