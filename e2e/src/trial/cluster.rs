//! The cluster's own parts: the operator's leader, the API server.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::client::{ask, ask_directly, start};
use crate::demo::{ALICE, BOB, DOORS, Demo, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::process::Stopped;
use super::second_person::named;
use super::undo::Undo;
use super::{SETTLE, Skipped, answers, becomes};

pub(super) fn leader_killed(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let holder = || -> Result<String> {
        let path = "jsonpath={.spec.holderIdentity}";
        Ok(demo
            .admin(&["-n", SYSTEM, "get", "lease", "sallyport-operator", "-o", path])?
            .stdout)
    };
    let before = holder()?;
    let pod = before.split(['_', '/']).next().context("the leader's Pod")?.to_owned();
    demo.admin(&["-n", SYSTEM, "delete", "pod", &pod, "--grace-period=0", "--force"])?;
    answers(demo)?;
    narrator.check("the door goes on without a leader", true)?;
    let after = wait_until(SETTLE, "another one leads", || {
        let now = holder()?;
        Ok((!now.is_empty() && now != before).then_some(now))
    })?;
    narrator.shows_text(&format!("{before} → {after}"));
    let _undo = Undo::by(
        demo,
        &[
            "-n",
            DOORS,
            "patch",
            "maskingrule",
            "cards",
            "--type=json",
            "-p",
            r#"[{"op":"replace","path":"/spec/action/partial/keepLast","value":4}]"#,
        ],
    );
    demo.admin(&[
        "-n",
        DOORS,
        "patch",
        "maskingrule",
        "cards",
        "--type=json",
        "-p",
        r#"[{"op":"replace","path":"/spec/action/partial/keepLast","value":2}]"#,
    ])?;
    wait_until(SETTLE, "an edit is enforced under the new leader", || {
        let output = ask(demo, ALICE, &["SELECT card FROM customers WHERE id = 1"])?;
        Ok(output.stdout.contains("**************16").then_some(()))
    })?;
    becomes(demo, "maskingrule/cards", "Enforced", "True")?;
    narrator.check("an edit is enforced under the new leader", true)
}

pub(super) fn api_server_away(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let listed = Command::new("pgrep").args(["-x", "kube-apiserver"]).output();
    let process = listed
        .ok()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let Some(process) = process.filter(|process| !process.is_empty() && !process.contains('\n')) else {
        bail!(Skipped(
            "the API server is not the one process of that name on this machine"
        ));
    };
    ask_directly(demo, "INSERT INTO accounts VALUES (7201, 1, 0) ON CONFLICT DO NOTHING")?.ok()?;
    // Tokens and the first look at the policy are had before it goes.
    let mut held = start(demo, ALICE, &["DELETE FROM accounts WHERE id = 7201"])?;
    let request = named(&held.wait_for_line(SETTLE, |line| line.contains("kubectl sallyport approve"))?)?;
    let stopped = Stopped::stop(process)?;
    let read = ask(demo, ALICE, &["SELECT ssn FROM customers WHERE id = 1"])?;
    narrator.shows(&read);
    narrator.check("reads go on, masked", read.stdout.contains("[REDACTED]"))?;
    let asking = ask(demo, ALICE, &["DELETE FROM accounts WHERE id = 7202"])?;
    narrator.shows(&asking);
    narrator.check(
        "what would need an approval is refused in words",
        asking.stderr.contains("ERROR") && !asking.stdout.contains("DELETE"),
    )?;
    drop(stopped);
    wait_until(SETTLE, "bob approves", || {
        let answer = run(&mut demo.kubectl_as(BOB, &["sallyport", "approve", &request, "-n", DOORS]))?;
        Ok(answer.status.success().then_some(()))
    })?;
    let ended = held.finish(SETTLE)?;
    narrator.shows(&ended);
    let rows = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7201")?.stdout;
    let ran = ended.stdout.contains("DELETE 1");
    narrator.check(
        "the held one ran after its approval, or says that it did not",
        (rows.trim() == "0") == ran,
    )
}
