//! The health check for Argo CD speaks of conditions and reasons that there are: Lua itself would read a word that was renamed
//! as one that is never said.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use sallyport_crds::{ConditionType, Reason};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/argocd/health.lua");

/// What `Ready=False` comes to. Everything else is Degraded.
const BY_REASON: [(Reason, &str); 9] = [
    (Reason::Pending, "Progressing"),
    (Reason::Progressing, "Progressing"),
    (Reason::WaitingForProxies, "Progressing"),
    (Reason::NoProxies, "Progressing"),
    (Reason::WaitingForApproval, "Suspended"),
    (Reason::ClaimedByProxy, "Healthy"),
    (Reason::GrantOver, "Healthy"),
    (Reason::WithdrawnByRequester, "Healthy"),
    (Reason::AskerGone, "Healthy"),
];

/// What Argo CD takes from a script; anything else becomes Unknown.
const HEALTH: [&str; 4] = ["Healthy", "Progressing", "Degraded", "Suspended"];

/// The script without its comments.
fn script() -> String {
    let text = fs::read_to_string(SCRIPT).unwrap();
    text.lines()
        .map(|line| line.split_once("--").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What stands between `before` and `after`, wherever it does.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before)
        .skip(1)
        .filter_map(move |rest| rest.split(after).next())
}

#[test]
fn reasons_come_to_what_they_mean() {
    let script = script();
    let table = between(&script, "by_reason = {", "}").next().unwrap();
    let found: BTreeMap<String, &str> = table
        .split(',')
        .filter_map(|entry| entry.split_once('='))
        .map(|(reason, health)| (reason.trim().to_owned(), health.trim().trim_matches('"')))
        .collect();
    let wanted = BY_REASON.map(|(reason, health)| (reason.as_str(), health));
    assert_eq!(found, BTreeMap::from(wanted));
    assert!(script.contains(r#"by_reason[ready.reason] or "Degraded""#));
}

#[test]
fn conditions_are_those_that_there_are() {
    let script = script();
    let found: BTreeSet<&str> = between(&script, r#"condition[""#, r#""]"#).collect();
    let wanted = [ConditionType::Ready, ConditionType::Advisory, ConditionType::Degraded];
    assert_eq!(found, BTreeSet::from(wanted.map(ConditionType::as_str)));
}

#[test]
fn what_it_says_is_what_argo_cd_takes() {
    let script = script();
    let assigned = between(&script, r#"hs.status = ""#, "\"");
    let first = between(&script, r#"{ status = ""#, "\"");
    let said: BTreeSet<&str> = assigned
        .chain(first)
        .chain(BY_REASON.map(|(_, health)| health))
        .collect();
    assert_eq!(said, BTreeSet::from(HEALTH));
}
