//! Approvers who have to have logged in recently.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::demo::{BOB, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::beside::{enforced, insert};
use super::kubeconfig::Kubeconfig;
use super::requests::{answer, shown, text};
use super::second_person::named;
use super::undo::PutBack;
use super::{SETTLE, Skipped, answers, becomes, login};

const ROW: u32 = 7901;

pub(super) fn approver(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.name_of(BOB)?.starts_with("oidc:") {
        bail!(Skipped("the API server does not know the identity provider"));
    }
    let _row = PutBack(demo, "DELETE FROM accounts WHERE id = 7901");
    let message = "inserting needs somebody who logged in just now";
    let _policy = enforced(demo, "trial-recent", message, "maxLoginAge: 1m")?;
    answers(demo)?;
    let request = named(&insert(demo, ROW)?.stderr)?;
    let object = format!("accessrequest/{request}");
    wait_until(SETTLE, "the operator says who may answer", || {
        let request = shown(demo, &object)?;
        Ok(request.pointer("/status/requirements/0").is_some().then_some(()))
    })?;

    let refusal = answer(demo, BOB, "approve", &request)?;
    narrator.shows(&refusal);
    narrator.check(
        "a token that does not say when bob logged in approves nothing, and bob is told what to do",
        !refusal.status.success() && refusal.stderr.contains("log in at the identity provider itself"),
    )?;

    approve_by_an_old_login(demo, &object)?;
    let said = becomes(demo, &object, "Approved", "False LoginTooOld")?;
    narrator.shows_text(&said);
    narrator.check(
        "a login of an hour ago is not counted, in words",
        said.contains("bob") && said.contains("log in again, then approve again"),
    )?;
    let still = insert(demo, ROW)?;
    narrator.check(
        "and alice still waits, for the same request",
        !still.stdout.contains("INSERT") && named(&still.stderr)? == request,
    )?;

    let token = login::token_of(demo, BOB, "kubernetes")?;
    let fresh = Kubeconfig::of(demo, &token)?;
    let approval = run(&mut fresh.kubectl(demo, &["sallyport", "approve", &request, "-n", DOORS]))?;
    narrator.shows(&approval);
    narrator.check("bob, who logged in just now, approves", approval.status.success())?;
    becomes(demo, &object, "Approved", "True ApprovedByPeople")?;
    wait_until(SETTLE, "alice inserts", || {
        Ok(insert(demo, ROW)?.stdout.contains("INSERT 0 1").then_some(()))
    })?;
    narrator.check("and alice inserts", true)
}

/// bob's approval as the API server would take it an hour after his login: a minute is the least that a policy may ask for, and
/// a trial does not wait for it, so the admin says when it was.
fn approve_by_an_old_login(demo: &Demo, object: &str) -> Result<()> {
    let whoami = run(&mut demo.kubectl_as(BOB, &["auth", "whoami", "-o", "json"]))?.ok()?;
    let whoami: Value = serde_json::from_str(&whoami.stdout)?;
    let (user, subject) = (
        text(&whoami, "/status/userInfo/username"),
        text(&whoami, "/status/userInfo/uid"),
    );
    let issuer = text(&whoami, "/status/userInfo/extra/sallyport.dev~1issuer/0");
    let groups = whoami.pointer("/status/userInfo/groups").and_then(Value::as_array);
    let groups = groups.into_iter().flatten().filter_map(Value::as_str);
    let then = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 3_600;
    let asked = shown(demo, object)?;
    let entry = json!({
        "user": user, "decision": "Approve", "issuer": issuer, "subject": subject, "groups": ["oidc:dba"],
        "requestUID": text(&asked, "/metadata/uid"), "digest": text(&asked, "/spec/command/digest"), "authTime": then,
    });
    let patch = json!([{ "op": "add", "path": "/status/approvals/-", "value": entry }]).to_string();
    let mut bob = demo.kubectl(&[
        "-n",
        DOORS,
        "patch",
        object,
        "--subresource=status",
        "--type=json",
        "-p",
        &patch,
    ]);
    bob.args([format!("--as={user}"), format!("--as-uid={subject}")]);
    bob.args(groups.map(|group| format!("--as-group={group}")));
    bob.arg(format!("--as-user-extra=sallyport.dev/issuer={issuer}"));
    bob.arg(format!("--as-user-extra=sallyport.dev/auth-time={then}"));
    run(&mut bob)?.ok().map(drop)
}
