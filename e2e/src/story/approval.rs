//! A second person.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::{ask, ask_directly, psql};
use crate::demo::{ALICE, BOB, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{Running, run, wait_until};

const HOLD: Duration = Duration::from_secs(120);

/// What `kubectl get accessrequests` answers whoever asks what waits.
const COLUMNS: [&str; 7] = [
    "REQUESTER",
    "CONNECTION",
    "COMMAND",
    "RISK",
    "APPROVALS",
    "STATE",
    "LEFT",
];

/// What `config/admission/request-answers.yaml` says to who answers their own request: another refusal proves nothing.
const OWN_REQUEST: &str = "nobody answers their own request, under any name";

pub(super) fn held_delete(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    ask_directly(demo, "INSERT INTO accounts VALUES (7001, 1, 0) ON CONFLICT DO NOTHING")?.ok()?;
    let mut command = psql(demo, ALICE, &["DELETE FROM accounts WHERE id = 7001"])?;
    narrator.types("alice", &command);
    let (held, request) = hold(&mut command)?;
    narrator.shows_text(&held.1);
    let still_there = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7001")?.stdout;
    narrator.check("nothing was deleted yet", still_there.trim() == "1")?;
    let mut look = demo.kubectl_as(BOB, &["-n", DOORS, "get", "accessrequest", &request]);
    narrator.types("bob", &look);
    let listed = wait_until(HOLD, "the operator has said how it stands", || {
        let listed = run(&mut look)?.ok()?;
        Ok(listed.stdout.contains("Pending").then_some(listed))
    })?;
    narrator.shows(&listed);
    let answers = |words: &[&str]| words.iter().all(|word| listed.stdout.contains(word));
    narrator.check(
        "the list says who asks, for what and where, how risky it is, how many agreed, and how long still",
        answers(&COLUMNS) && answers(&["oidc:alice", " bank ", "DELETE FROM accounts", " 50 ", " 0/1 ", " <"]),
    )?;
    let mut approve = demo.kubectl_as(
        BOB,
        &[
            "sallyport",
            "approve",
            &request,
            "-n",
            DOORS,
            "--reason",
            "closing account 7001",
        ],
    );
    narrator.types("bob", &approve);
    narrator.shows(&run(&mut approve)?.ok()?);
    let ended = held.0.finish(HOLD)?;
    narrator.shows_text(&ended.stdout);
    narrator.check("the DELETE ran in place", ended.stdout.contains("DELETE 1"))?;
    let gone = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7001")?.stdout;
    narrator.check("the row is gone", gone.trim() == "0")
}

pub(super) fn self_approval(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let mut command = psql(demo, ALICE, &["DELETE FROM accounts WHERE id = 7002"])?;
    let (held, request) = hold(&mut command)?;
    narrator.types("alice", &command);
    narrator.shows_text(&held.1);
    // Before the operator has said how it stands there is nothing to add an answer to.
    wait_until(HOLD, "the operator has said how it stands", || {
        let path = "jsonpath={.status.state}";
        let state = demo.admin(&["-n", DOORS, "get", "accessrequest", &request, "-o", path])?;
        Ok((state.stdout.trim() == "Pending").then_some(()))
    })?;
    let mut approve = demo.kubectl_as(ALICE, &["sallyport", "approve", &request, "-n", DOORS]);
    narrator.types("alice", &approve);
    let refused = run(&mut approve)?;
    narrator.shows(&refused);
    narrator.check(
        "the API server refuses it",
        !refused.status.success() && refused.stderr.contains(OWN_REQUEST),
    )?;
    held.0.interrupt()?;
    let ended = held.0.finish(HOLD)?;
    narrator.check("Ctrl-C ends it, and nothing ran", !ended.stdout.contains("DELETE"))?;
    let object = format!("accessrequest/{request}");
    let withdrawn = run(&mut demo.kubectl(&[
        "-n",
        DOORS,
        "wait",
        "--for=condition=Withdrawn",
        "--timeout=120s",
        &object,
    ]))?;
    narrator.check("the request is withdrawn", withdrawn.status.success())?;
    let again = ask(demo, ALICE, &["SELECT 1 AS alive"])?.ok()?;
    narrator.check(
        "the door is open for the next statement",
        again.stdout.contains("(1 row)"),
    )
}

/// Runs a command that is held; gives it still running with what it said, and the AccessRequest's name.
fn hold(command: &mut std::process::Command) -> Result<((Running, String), String)> {
    let mut running = Running::start(command)?;
    let said = running.wait_for_line(HOLD, |line| line.contains("kubectl sallyport approve"))?;
    let request = said
        .split("kubectl sallyport approve ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .context("the notice names the request")?
        .to_owned();
    Ok(((running, said), request))
}
