//! Under load: restarts and rollouts while many write, then the books are compared.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::{ask_directly, psql};
use crate::demo::{ALICE, CONNECTION, DOORS, Demo, EVIDENCE};
use crate::narrator::Narrator;
use crate::run::{Running, wait_until};

use super::undo::Undo;
use super::{SETTLE, answers, records};

/// Writers at a time.
const WRITERS: usize = 4;
/// Rows that each writer inserts, one statement a row.
const ROWS: usize = 150;

pub(super) fn rollout(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _undo = Undo::by_samples(demo);
    under_load(demo, narrator, "rolled", || {
        // A Deployment of a door is the operator's: it rolls because its Connection changed.
        let patch = r#"{"spec":{"proxy":{"resources":{"requests":{"cpu":"110m"}}}}}"#;
        demo.admin(&[
            "-n",
            DOORS,
            "patch",
            "connection",
            CONNECTION,
            "--type=merge",
            "-p",
            patch,
        ])?;
        wait_until(SETTLE, "the operator rolls the door", || {
            let path = "jsonpath={.spec.template.spec.containers[0].resources.requests.cpu}";
            let request = demo.admin(&["-n", DOORS, "get", "deployment", "door-bank", "-o", path])?;
            Ok((request.stdout.trim() == "110m").then_some(()))
        })?;
        demo.admin(&[
            "-n",
            DOORS,
            "rollout",
            "status",
            "deployment/door-bank",
            "--timeout=50s",
        ])?;
        Ok(())
    })?;
    Ok(())
}

pub(super) fn recorder_restarts(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let rows = under_load(demo, narrator, "recorded", || {
        for _ in 0..2 {
            demo.admin(&[
                "-n",
                EVIDENCE,
                "delete",
                "pod",
                "recorder-evidence-0",
                "--grace-period=0",
                "--force",
            ])?;
            wait_until(SETTLE, "the recorder is back", || {
                let ready = demo.admin(&[
                    "-n",
                    EVIDENCE,
                    "get",
                    "statefulset",
                    "recorder-evidence",
                    "-o",
                    "jsonpath={.status.availableReplicas}",
                ])?;
                Ok((ready.stdout.trim() == "1").then_some(()))
            })?;
        }
        Ok(())
    })?;
    narrator.check("statements waited, and all of them ran", rows == WRITERS * ROWS)
}

/// Writers insert numbered rows through the door while `disturb` runs; then what the target holds, what the writers
/// were told and what the log says must agree.
fn under_load(demo: &Demo, narrator: &mut Narrator, mark: &str, disturb: impl FnOnce() -> Result<()>) -> Result<usize> {
    let mark = format!("{mark}-{}", std::process::id());
    ask_directly(
        demo,
        "CREATE TABLE IF NOT EXISTS trial_load (mark text, n int); GRANT ALL ON trial_load TO sallyport",
    )?
    .ok()?;
    let writers = (0..WRITERS)
        .map(|writer| {
            let file = demo.path(&format!("trial-load-{writer}.sql"));
            let statements: String = (0..ROWS)
                .map(|row| {
                    format!(
                        "INSERT INTO trial_load VALUES ('{mark}', {});\nSELECT pg_sleep(0.02);\n",
                        writer * ROWS + row
                    )
                })
                .collect();
            std::fs::write(&file, statements)?;
            let mut command: Command = psql(demo, ALICE, &[])?;
            command
                .args(["-q", "-o", "/dev/null", "-e", "-f"])
                .arg(&file)
                .stdin(Stdio::null());
            Running::start(&mut command)
        })
        .collect::<Result<Vec<_>>>()?;
    disturb()?;
    let mut said = String::new();
    for writer in writers {
        said += &writer.finish(Duration::from_secs(180)).context("a writer")?.stderr;
    }
    answers(demo)?;
    let count = |what: &str| -> Result<usize> {
        let said = ask_directly(
            demo,
            &format!("SELECT count({what}) FROM trial_load WHERE mark = '{mark}'"),
        )?
        .stdout;
        said.trim().parse().with_context(|| said)
    };
    let (rows, distinct) = (count("*")?, count("DISTINCT n")?);
    narrator.check(
        &format!("{rows} of {} rows were written, none twice", WRITERS * ROWS),
        rows == distinct && rows > 0,
    )?;
    if rows < WRITERS * ROWS {
        narrator.shows_text(
            &said
                .lines()
                .filter(|line| line.contains("rror"))
                .take(3)
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    let recorded = wait_until(SETTLE, "each row's statement is in the log", || {
        let recorded = records(demo)?.iter().filter(|record| tells_of(record, &mark)).count();
        Ok((recorded >= rows).then_some(recorded))
    })?;
    narrator.check(
        &format!("each has its record ({recorded} statements are in the log)"),
        true,
    )?;
    Ok(rows)
}

/// Whether it is the record of a command with that text in it.
fn tells_of(record: &serde_json::Value, mark: &str) -> bool {
    let text = record
        .pointer("/event/command/text")
        .and_then(serde_json::Value::as_str);
    text.is_some_and(|text| text.contains(mark))
}
