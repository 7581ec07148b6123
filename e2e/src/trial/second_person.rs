//! Second persons: how many, for what, and what a denial says.

use anyhow::{Context, Result};

use crate::client::{ask, ask_directly, start};
use crate::demo::{ALICE, BOB, CAROL, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{Output, Running, run, wait_until};

use super::beside::enforced;
use super::requests::{answer, answerable};
use super::undo::Undo;
use super::{SETTLE, answers, becomes};

/// One statement needs two.
const TWO: &str = "required: 2, grant: {scope: Command}, holdFor: 10m, expiresAfter: 1h, maxHoldInTransaction: 60s";

const STATEMENT: &str = "INSERT INTO accounts VALUES (7100, 1, 5)";

pub(super) fn two_people(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _undo = with_policy(demo)?;
    // Its lines are waited for, as those of standard error can be.
    let watch = "exec timeout 900 kubectl sallyport requests -n \"$0\" --watch >&2";
    let mut watching = Running::start(
        demo.command("bash")
            .env("KUBECONFIG", demo.path("kubeconfig-bob"))
            .args(["-c", watch, DOORS]),
    )?;
    let request = refused_with_name(demo, narrator)?;
    let again = refused_with_name(demo, narrator)?;
    narrator.check("asking again meets the same request", request == again)?;
    // Who begins to watch is shown how it stands by then.
    let stands = |line: &str, progress: &str| line.starts_with(&request) && line.contains(progress);
    watching.wait_for_line(SETTLE, |line| stands(line, "0/2"))?;
    let once = answer(demo, BOB, "approve", &request)?;
    narrator.shows(&once);
    narrator.check("bob approves", once.status.success())?;
    let twice = answer(demo, BOB, "approve", &request)?;
    narrator.shows(&twice);
    narrator.check(
        "bob's second approval is refused, and he counts once",
        !twice.status.success() && twice.stderr.contains("you have already approved") && count(demo, &request)? == 1,
    )?;
    refused_with_name(demo, narrator).context("one of two is not enough")?;
    watching.wait_for_line(SETTLE, |line| stands(line, "1/2"))?;
    narrator.check(
        "carol approves",
        answer(demo, CAROL, "approve", &request)?.status.success(),
    )?;
    becomes(demo, &format!("accessrequest/{request}"), "Approved", "True")?;
    watching.interrupt()?;
    let listed = watching.finish(SETTLE)?.stderr;
    let told = |progress: &str| listed.lines().any(|line| stands(line, progress));
    narrator.check(
        "bob, who watches what waits, saw it come and how it stood",
        told("0/2") && told("1/2"),
    )?;
    narrator.shows(&passes(demo)?);
    narrator.check("with two the retry passes", true)?;
    let rows = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7100")?.stdout;
    narrator.check("it ran once", rows.trim() == "1")
}

pub(super) fn fits_one(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _undo = with_policy(demo)?;
    let request = refused_with_name(demo, narrator)?;
    for approver in [BOB, CAROL] {
        answer(demo, approver, "approve", &request)?.ok()?;
    }
    becomes(demo, &format!("accessrequest/{request}"), "Approved", "True")?;
    for other in [
        "INSERT INTO accounts VALUES (7100, 1, 6)",
        "INSERT INTO accounts VALUES (7100, 1, 5), (7101, 1, 5)",
        "SET search_path = pg_temp, public; INSERT INTO accounts VALUES (7100, 1, 5)",
    ] {
        let output = ask(demo, ALICE, &[other])?;
        narrator.check(&format!("does not fit: {other}"), !output.stdout.contains("INSERT 0"))?;
    }
    passes(demo)?;
    narrator.check("fits the statement that was read", true)?;
    ask_directly(demo, "DELETE FROM accounts WHERE id = 7100")?.ok()?;
    let fresh = refused_with_name(demo, narrator)?;
    narrator.check("and is spent: the next one asks anew", fresh != request)
}

pub(super) fn denied(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let mut running = start(demo, ALICE, &["DELETE FROM accounts WHERE id = 7003"])?;
    let said = running.wait_for_line(SETTLE, |line| line.contains("kubectl sallyport approve"))?;
    let request = named(&said)?;
    answerable(demo, &request)?;
    let mut deny = demo.kubectl_as(
        BOB,
        &[
            "sallyport",
            "deny",
            &request,
            "-n",
            DOORS,
            "--reason",
            "ask the branch first",
        ],
    );
    narrator.shows(&run(&mut deny)?.ok()?);
    let ended = running.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check("refused", !ended.stdout.contains("DELETE"))?;
    narrator.check("with bob's reason", ended.stderr.contains("ask the branch first"))
}

/// Applies [`TWO`] and waits until it is enforced; the rows and the policy go when the guard does.
fn with_policy(demo: &Demo) -> Result<Undo<'_>> {
    ask_directly(demo, "DELETE FROM accounts WHERE id BETWEEN 7100 AND 7199")?.ok()?;
    let undo = enforced(demo, "trial-two", "inserting needs two", TWO)?;
    answers(demo)?;
    Ok(undo)
}

/// Waits until the statement passes: doors hear of an approval a moment later.
fn passes(demo: &Demo) -> Result<Output> {
    wait_until(SETTLE, "the statement passes", || {
        let ran = ask(demo, ALICE, &[STATEMENT])?;
        Ok(ran.stdout.contains("INSERT 0 1").then_some(ran))
    })
}

/// The statement is refused at once; gives the name of the request that it was told.
fn refused_with_name(demo: &Demo, narrator: &mut Narrator) -> Result<String> {
    let output = ask(demo, ALICE, &[STATEMENT])?;
    narrator.shows(&output);
    narrator.check(
        "refused at once, with the request's name",
        !output.stdout.contains("INSERT"),
    )?;
    named(&output.stderr)
}

/// The request that a notice or a refusal names.
pub(super) fn named(said: &str) -> Result<String> {
    said.split("kubectl sallyport approve ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .with_context(|| format!("no request is named in: {said}"))
}

/// How many people's approvals stand on the request.
fn count(demo: &Demo, request: &str) -> Result<usize> {
    let output = demo.admin(&[
        "-n",
        DOORS,
        "get",
        "accessrequest",
        request,
        "-o",
        "jsonpath={.status.approvals[*].user}",
    ])?;
    let people: std::collections::BTreeSet<&str> = output.stdout.split_whitespace().collect();
    Ok(people.len())
}
