//! Admission that is off for a moment: what was asked before is over for whoever waits, and nobody can answer it any more.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::client::{ask_directly, psql, start};
use crate::demo::{ALICE, BOB, DOORS, Demo, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::requests::{answer, answerable, asked, known, shown, text};
use super::second_person::named;
use super::undo::{PutBack, Undo};
use super::{SETTLE, api_knows_people, becomes};

const ROW: &str = "INSERT INTO accounts VALUES (7831, 1, 0) ON CONFLICT DO NOTHING";
const STATEMENT: &str = "DELETE FROM accounts WHERE id = 7831";
const ANSWERS: &str = "validatingadmissionpolicybinding/sallyport-request-answers";
const OUTCOME: &str = "validatingadmissionpolicybinding/sallyport-request-outcome";
const OFF: &str = r#"{"spec": {"validationActions": ["Audit"]}}"#;
const ON: &str = r#"{"spec": {"validationActions": ["Deny"]}}"#;
/// What is asked within seconds of a change is closed, too: API servers take so long to take it up.
const IN_FORCE: Duration = Duration::from_secs(8);

pub(super) fn while_somebody_waits(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    ask_directly(demo, ROW)?.ok()?;
    let _row = PutBack(demo, STATEMENT);
    let mut waiting = start(demo, ALICE, &[STATEMENT])?;
    let request = named(&waiting.wait_for_line(SETTLE, |line| line.contains("kubectl sallyport approve"))?)?;
    answerable(demo, &request)?;
    let (off, on) = (guard(ANSWERS, OFF), guard(ANSWERS, ON));
    let _guard = Undo::by(demo, &on);
    demo.admin(&off)?;
    demo.admin(&on)?;
    becomes(demo, &format!("accessrequest/{request}"), "AdmissionChanged", "True")?;
    let changed = Instant::now();
    let ended = waiting.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check(
        "alice, who waits, is told why it is over",
        !ended.stdout.contains("DELETE") && ended.stderr.contains("admission changed since the request was made"),
    )?;
    let left = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7831")?.stdout;
    narrator.check("nothing ran", left.trim() == "1")?;

    in_force(demo, changed)?;
    let late = answer(demo, BOB, "approve", &request)?;
    narrator.shows(&late);
    narrator.check(
        "bob cannot approve it any more",
        !late.status.success() && late.stderr.contains("AdmissionChanged"),
    )?;
    decided_as_ever(demo, narrator, STATEMENT)
}

/// Waits until nothing that is asked is taken for what was asked before admission changed: so long after the operator closed what had
/// been, and after it noted the last change, which it may do a moment later.
fn in_force(demo: &Demo, changed: Instant) -> Result<()> {
    wait_until(SETTLE, "admission has been in force for long enough", || {
        let note = [
            "-n",
            SYSTEM,
            "get",
            "configmap",
            "sallyport-admission",
            "--show-managed-fields",
            "-o",
            "jsonpath={.metadata.managedFields[*].time}",
        ];
        let ago = format!("{} seconds ago", IN_FORCE.as_secs());
        let then = run(demo.command("date").args(["-u", "-d", &ago, "+%Y-%m-%dT%H:%M:%SZ"]))?.ok()?;
        let noted = demo.admin(&note)?.stdout;
        // All are RFC 3339 in UTC.
        let noted = noted.split_whitespace().all(|time| time < then.stdout.trim());
        Ok((noted && changed.elapsed() > IN_FORCE).then_some(()))
    })
}

fn decided_as_ever(demo: &Demo, narrator: &mut Narrator, statement: &str) -> Result<()> {
    let again = asked(demo, ALICE, statement)?;
    answer(demo, BOB, "approve", &again)?.ok()?;
    becomes(demo, &format!("accessrequest/{again}"), "Approved", "True")?;
    // Doors hear of an approval a moment later.
    let ran = wait_until(SETTLE, "alice deletes", || {
        let mut retry = psql(demo, ALICE, &[statement])?;
        let ran = run(retry.env("PGOPTIONS", "-c sallyport.on_hold=refuse"))?;
        Ok(ran.stdout.contains("DELETE 1").then_some(ran))
    })?;
    narrator.shows(&ran);
    narrator.check("what is asked afterwards is decided as ever", true)
}

const FORGED_ROW: &str = "INSERT INTO accounts VALUES (7832, 1, 0) ON CONFLICT DO NOTHING";
const FORGED: &str = "DELETE FROM accounts WHERE id = 7832";
const OPERATOR: &str = "deployment/sallyport-operator";
/// A door's watch shows within this what was written.
const SHOWN: Duration = Duration::from_secs(3);

/// Nobody closes what is forged then: doors go by the seal alone.
pub(super) fn while_the_operator_is_away(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    api_knows_people(demo)?;
    ask_directly(demo, FORGED_ROW)?.ok()?;
    let _row = PutBack(demo, FORGED);
    let bob = known(demo, BOB)?;
    let request = asked(demo, ALICE, FORGED)?;
    let object = format!("accessrequest/{request}");
    let waiting = shown(demo, &object)?;
    let replicas = demo.admin(&["-n", SYSTEM, "get", OPERATOR, "-o", "jsonpath={.spec.replicas}"])?;
    let replicas = format!("--replicas={}", replicas.stdout.trim());
    let operator = Undo::by(demo, &["-n", SYSTEM, "scale", OPERATOR, &replicas]);
    demo.admin(&["-n", SYSTEM, "scale", OPERATOR, "--replicas=0"])?;
    let pods = [
        "-n",
        SYSTEM,
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/component=operator",
        "-o",
        "name",
    ];
    wait_until(SETTLE, "no operator is left", || {
        Ok(demo.admin(&pods)?.stdout.trim().is_empty().then_some(()))
    })?;
    let guards = [ANSWERS, OUTCOME].map(|name| Undo::by(demo, &guard(name, ON)));
    demo.admin(&guard(ANSWERS, OFF))?;
    demo.admin(&guard(OUTCOME, OFF))?;
    let entry = json!({
        "user": bob.user, "issuer": bob.issuer, "subject": bob.subject, "groups": ["oidc:dba"], "decision": "Approve",
        "requestUID": text(&waiting, "/metadata/uid"), "digest": text(&waiting, "/spec/command/digest"),
    });
    let approved = json!({
        "type": "Approved", "status": "True", "reason": "ApprovedByPeople", "message": "approved by oidc:bob",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let forged = json!({"status": {
        "approvals": [entry], "conditions": [approved], "progress": "1/1", "state": "Approved",
        "seal": {"by": [bob.user], "signature": "A".repeat(88)},
    }})
    .to_string();
    let patch = [
        "-n",
        DOORS,
        "patch",
        &object,
        "--subresource=status",
        "--type=merge",
        "-p",
        &forged,
    ];
    wait_until(SETTLE, "the forgery passes", || {
        Ok(run(&mut demo.kubectl(&patch))?.status.success().then_some(()))
    })?;
    let begin = Instant::now();
    let mut refused = true;
    while begin.elapsed() < SHOWN {
        let mut retry = psql(demo, ALICE, &[FORGED])?;
        let said = run(retry.env("PGOPTIONS", "-c sallyport.on_hold=refuse"))?;
        refused = refused && !said.stdout.contains("DELETE") && said.stderr.contains(&request);
    }
    narrator.check(
        "what is forged whole is waited for as before, by the same name",
        refused,
    )?;
    let left = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7832")?.stdout;
    narrator.check("nothing ran", left.trim() == "1")?;
    drop(guards);
    drop(operator);
    demo.admin(&["-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=150s"])?;
    becomes(demo, &object, "AdmissionChanged", "True")?;
    let changed = Instant::now();
    narrator.check("the operator that comes back closes it", true)?;
    // What comes next may end the leader, which has to have noted by then since when admission stands.
    in_force(demo, changed)?;
    decided_as_ever(demo, narrator, FORGED)
}

/// What happens to what a guard of requests refuses.
fn guard(name: &'static str, patch: &'static str) -> [&'static str; 5] {
    ["patch", name, "--type=merge", "-p", patch]
}
