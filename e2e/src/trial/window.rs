//! A window of time that is asked for beforehand, and extended by another request.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::demo::{ALICE, BOB, CAROL, CONNECTION, DOORS, Demo, User};
use crate::narrator::Narrator;
use crate::run::{Output, run, wait_until};

use super::beside::{enforced, insert};
use super::requests::{Known, answer, answerable, known, shown, text};
use super::second_person::named;
use super::undo::PutBack;
use super::{SETTLE, answers, api_knows_people, becomes, records};

/// Somebody who was approved goes on inserting for a while.
const WINDOW: &str = "grant: {scope: Window, validFor: 2h}";

pub(super) fn extended(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    api_knows_people(demo)?;
    let _rows = PutBack(demo, "DELETE FROM accounts WHERE id BETWEEN 7601 AND 7699");
    let _policy = enforced(demo, "trial-window", "inserting needs a window", WINDOW)?;
    answers(demo)?;

    let first = asked(demo, "10m")?;
    let refusal = names(demo, &first)?;
    narrator.shows(&refusal);
    narrator.check(
        "before anybody has answered, nothing is open, and the door names what waits",
        !refusal.stdout.contains("INSERT"),
    )?;
    let until = approved(demo, BOB, &first)?;
    runs(demo, 7602)?;
    narrator.check("what alice asked for beforehand opens a window", true)?;

    let second = asked(demo, "1h")?;
    let later = approved(demo, CAROL, &second)?;
    narrator.shows_text(&format!("until {until}, then until {later}"));
    // Both are RFC 3339 in UTC.
    narrator.check("another request extends it", until < later)?;
    runs(demo, 7603)?;
    answer(demo, BOB, "revoke", &first)?.ok()?;
    becomes(demo, &format!("accessrequest/{first}"), "Revoked", "True")?;
    runs(demo, 7604)?;
    narrator.check("with the first one over, the longer one is what alice works by", true)?;
    answer(demo, BOB, "revoke", &second)?.ok()?;
    let refusal = wait_until(SETTLE, "nothing is open any more", || {
        let output = insert(demo, 7605)?;
        Ok((!output.stdout.contains("INSERT")).then_some(output))
    })?;
    narrator.check("and with both over, nothing is open", true)?;
    answer(demo, ALICE, "withdraw", &named(&refusal.stderr)?)?.ok()?;
    on_record(demo, [&first, &second])?;
    narrator.check("the record tells of each that it was approved, used and revoked", true)
}

/// Waits until the log tells what became of these requests.
fn on_record(demo: &Demo, requests: [&str; 2]) -> Result<()> {
    wait_until(SETTLE, "the log tells what became of the windows", || {
        let records = records(demo)?;
        let tells = |request: &str, kind: &str| {
            let path = format!("/event/{kind}/request/name");
            records.iter().any(|record| text(record, &path) == request)
        };
        let all = requests.iter().all(|request| {
            let mut kinds = ["approved", "claimed", "revoked"].into_iter();
            kinds.all(|kind| tells(request, kind))
        });
        Ok(all.then_some(()))
    })
}

/// alice asks the API server herself; gives the request's name.
fn asked(demo: &Demo, duration: &str) -> Result<String> {
    let made = created(demo, ALICE, &of(demo, &known(demo, ALICE)?, duration)?)?.ok()?;
    let name = made.stdout.trim().to_owned();
    answerable(demo, &name)?;
    Ok(name)
}

/// A window as that person would ask for it.
pub(super) fn of(demo: &Demo, person: &Known, duration: &str) -> Result<Value> {
    let connection = shown(demo, &format!("connection/{CONNECTION}"))?;
    let tomorrow = run(demo.command("date").args(["-u", "-d", "1 day", "+%Y-%m-%dT%H:%M:%SZ"]))?.ok()?;
    Ok(json!({
        "apiVersion": "sallyport.dev/v1alpha1",
        "kind": "AccessRequest",
        "metadata": {"generateName": "trial-window-", "namespace": DOORS},
        "spec": {
            "connection": {"name": CONNECTION, "uid": text(&connection, "/metadata/uid")},
            "requester": {
                "username": person.user, "issuer": person.issuer, "subject": person.subject,
            },
            "scope": "Window",
            "window": {"duration": duration},
            "reason": "a trial's migration",
            "expiresAt": tomorrow.stdout.trim(),
        },
    }))
}

/// Somebody creates a request; its name is what they are told.
pub(super) fn created(demo: &Demo, person: User, request: &Value) -> Result<Output> {
    let file = demo.path("trial-window-request.json");
    std::fs::write(&file, request.to_string())?;
    let mut create = demo.kubectl_as(person, &["create", "-o", "jsonpath={.metadata.name}", "-f"]);
    let made = run(create.arg(&file))?;
    std::fs::remove_file(&file)?;
    Ok(made)
}

/// Lets somebody approve; gives until when the window is open.
fn approved(demo: &Demo, person: User, request: &str) -> Result<String> {
    answer(demo, person, "approve", request)?.ok()?;
    let object = format!("accessrequest/{request}");
    becomes(demo, &object, "Approved", "True")?;
    let until = text(&shown(demo, &object)?, "/status/grantedUntil").to_owned();
    ensure!(!until.is_empty(), "{request} does not say until when");
    Ok(until)
}

/// Waits until the door names that request to alice: until it hears of it, it asks by another, which she takes back.
fn names(demo: &Demo, request: &str) -> Result<Output> {
    wait_until(SETTLE, "the door names what waits", || {
        let refusal = insert(demo, 7601)?;
        let named = named(&refusal.stderr)?;
        if named == request {
            return Ok(Some(refusal));
        }
        answer(demo, ALICE, "withdraw", &named)?.ok()?;
        Ok(None)
    })
}

/// Waits until alice may insert: doors hear of an approval a moment later.
fn runs(demo: &Demo, id: u32) -> Result<()> {
    wait_until(SETTLE, "alice inserts", || {
        Ok(insert(demo, id)?.stdout.contains("INSERT 0 1").then_some(()))
    })
}
