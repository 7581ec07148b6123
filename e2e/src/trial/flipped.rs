//! Admission that is off for a moment: what was asked before is over for whoever waits, and nobody can answer it any more.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::{ask_directly, psql, start};
use crate::demo::{ALICE, BOB, Demo};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::requests::{answer, answerable, asked};
use super::second_person::named;
use super::undo::{PutBack, Undo};
use super::{SETTLE, becomes};

const ROW: &str = "INSERT INTO accounts VALUES (7831, 1, 0) ON CONFLICT DO NOTHING";
const STATEMENT: &str = "DELETE FROM accounts WHERE id = 7831";
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
    let (off, on) = (guard(OFF), guard(ON));
    let _guard = Undo::by(demo, &on);
    demo.admin(&off)?;
    demo.admin(&on)?;
    let changed = Instant::now();
    becomes(demo, &format!("accessrequest/{request}"), "AdmissionChanged", "True")?;
    let ended = waiting.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check(
        "alice, who waits, is told why it is over",
        !ended.stdout.contains("DELETE") && ended.stderr.contains("admission changed since the request was made"),
    )?;
    let left = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7831")?.stdout;
    narrator.check("nothing ran", left.trim() == "1")?;

    wait_until(SETTLE, "admission has been in force for long enough", || {
        Ok((changed.elapsed() > IN_FORCE).then_some(()))
    })?;
    let late = answer(demo, BOB, "approve", &request)?;
    narrator.shows(&late);
    narrator.check(
        "bob cannot approve it any more",
        !late.status.success() && late.stderr.contains("AdmissionChanged"),
    )?;
    let again = asked(demo, ALICE, STATEMENT)?;
    answer(demo, BOB, "approve", &again)?.ok()?;
    becomes(demo, &format!("accessrequest/{again}"), "Approved", "True")?;
    let mut retry = psql(demo, ALICE, &[STATEMENT])?;
    let ran = run(retry.env("PGOPTIONS", "-c sallyport.on_hold=refuse"))?;
    narrator.shows(&ran);
    narrator.check(
        "what is asked afterwards is decided as ever",
        ran.stdout.contains("DELETE 1"),
    )
}

/// What happens to what the guard of answers refuses.
fn guard(patch: &'static str) -> [&'static str; 5] {
    [
        "patch",
        "validatingadmissionpolicybinding/sallyport-request-answers",
        "--type=merge",
        "-p",
        patch,
    ]
}
