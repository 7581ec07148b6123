//! Who has to have logged in recently: approvers, and people who go ahead by themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::json;

use crate::client::psql_by;
use crate::demo::{ALICE, BOB, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::beside::{enforced, insert, ruled};
use super::kubeconfig::Kubeconfig;
use super::requests::{Known, answer, answerable, known, shown, text};
use super::second_person::named;
use super::undo::PutBack;
use super::{SETTLE, answers, api_knows_people, becomes, login};

const ROW: u32 = 7901;
/// What an asker is told first.
const TOO_OLD: &str = "rule inserts asks for a login at most 10 s old";

pub(super) fn approver(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    api_knows_people(demo)?;
    let _row = PutBack(demo, "DELETE FROM accounts WHERE id = 7901");
    let message = "inserting needs somebody who logged in just now";
    let _policy = enforced(demo, "trial-recent", message, "maxLoginAge: 1m")?;
    answers(demo)?;
    let request = named(&insert(demo, ROW)?.stderr)?;
    let object = format!("accessrequest/{request}");
    answerable(demo, &request)?;

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

pub(super) fn asker(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _rows = PutBack(demo, "DELETE FROM accounts WHERE id BETWEEN 7911 AND 7919");
    let _policy = ruled(demo, "trial-step-up", "action: Allow, maxLoginAge: 10s")?;
    answers(demo)?;
    let unknown = insert(demo, 7911)?;
    narrator.shows(&unknown);
    narrator.check(
        "a token that does not say when alice logged in inserts nothing, in words",
        !unknown.stdout.contains("INSERT")
            && unknown.stderr.contains(&format!(
                "{TOO_OLD}: your token does not say when you logged in (auth_time)"
            )),
    )?;
    // A machine that has something else to do may be late for the first one: then she logs in again.
    let session = [
        "INSERT INTO accounts VALUES (7912, 1, 0)",
        // Ages are whole seconds, and ten of them are not too many.
        "SELECT pg_sleep(12)",
        "INSERT INTO accounts VALUES (7913, 1, 0)",
        "SELECT 'still here'",
    ];
    let aged = wait_until(SETTLE, "alice inserts by a login that is not too old yet", || {
        let aged = run(&mut psql_by(demo, ALICE, &login::token(demo, ALICE)?, &session))?;
        Ok(aged.stdout.contains("INSERT 0 1").then_some(aged))
    })?;
    narrator.shows(&aged);
    narrator.check(
        "alice, who logged in just now, inserts, and twelve seconds later no more",
        aged.stdout.matches("INSERT 0 1").count() == 1,
    )?;
    narrator.check(
        "her session, which goes on, tells her to log in again",
        aged.stderr.contains(&format!("{TOO_OLD}: log in again")) && aged.stdout.contains("still here"),
    )
}

/// bob's approval as the API server would take it an hour after his login: a minute is the least that a policy may ask for, and
/// a trial does not wait for it, so the admin says when it was.
fn approve_by_an_old_login(demo: &Demo, object: &str) -> Result<()> {
    let Known {
        user,
        subject,
        issuer,
        groups,
    } = known(demo, BOB)?;
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
    bob.args(groups.iter().map(|group| format!("--as-group={group}")));
    bob.arg(format!("--as-user-extra=sallyport.dev/issuer={issuer}"));
    bob.arg(format!("--as-user-extra=sallyport.dev/auth-time={then}"));
    run(&mut bob)?.ok().map(drop)
}
