//! What is away or dies: said in words, nothing lost, the door stays shut.

use anyhow::{Context, Result};

use crate::client::{ask, ask_directly, psql, start};
use crate::demo::{ALICE, CONNECTION, DOORS, Demo, EVIDENCE};
use crate::narrator::Narrator;
use crate::run::wait_until;

use super::undo::Undo;
use super::{SETTLE, answers, becomes, kill_recorder, pods, records};

pub(super) fn target_away(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    {
        let _undo = Undo::by(
            demo,
            &[
                "-n",
                "bank",
                "patch",
                "service",
                "postgres",
                "-p",
                r#"{"spec":{"selector":{"app":"postgres"}}}"#,
            ],
        );
        demo.admin(&[
            "-n",
            "bank",
            "patch",
            "service",
            "postgres",
            "-p",
            r#"{"spec":{"selector":{"app":"nobody"}}}"#,
        ])?;
        let refusal = wait_until(SETTLE, "the target is away", || {
            let output = ask(demo, ALICE, &["SELECT 1"])?;
            Ok((!output.status.success()).then_some(output))
        })?;
        narrator.shows(&refusal);
        narrator.check(
            "said in words",
            refusal.stderr.contains("FATAL") && refusal.stderr.contains("target"),
        )?;
    }
    answers(demo)?;
    narrator.check("back when the target is", true)
}

pub(super) fn credential_away(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    // Where Pods cannot be asked, nothing is taken away.
    pods::of_door(demo)?;
    let saved = demo.path("trial-credentials.yaml");
    let shown = demo
        .admin(&["-n", DOORS, "get", "secret", "bank-credentials", "-o", "json"])?
        .stdout;
    let mut secret: serde_json::Value = serde_json::from_str(&shown)?;
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        if let Some(metadata) = secret.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
            metadata.remove(field);
        }
    }
    std::fs::write(&saved, secret.to_string())?;
    {
        let _undo = Undo::by_file(demo, saved);
        demo.admin(&["-n", DOORS, "delete", "secret", "bank-credentials"])?;
        narrator.shows(&pods::all_refuse(demo)?);
        narrator.check("no Pod of the door lets anybody in, in words", true)?;
        let said = becomes(
            demo,
            &format!("connection/{CONNECTION}"),
            "Ready",
            "False SecretMissing",
        )?;
        narrator.shows_text(&said);
        narrator.check("the condition names the Secret", said.contains("bank-credentials"))?;
    }
    answers(demo)?;
    narrator.check("open again when the Secret is back", true)
}

pub(super) fn recorder_away(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    ask_directly(
        demo,
        "CREATE TABLE IF NOT EXISTS trial_runs (n int); TRUNCATE trial_runs; GRANT ALL ON trial_runs TO sallyport",
    )?
    .ok()?;
    let mut waiting = psql(
        demo,
        ALICE,
        &["SELECT pg_sleep(6)", "INSERT INTO trial_runs VALUES (1)"],
    )?;
    let waiting = crate::run::Running::start(&mut waiting)?;
    kill_recorder(demo)?;
    let ended = waiting.finish(SETTLE)?;
    narrator.shows(&ended);
    let rows = ask_directly(demo, "SELECT count(*) FROM trial_runs")?.stdout;
    let ran = ended.stdout.contains("INSERT 0 1");
    narrator.check(
        "a restart makes the statement wait, or refuses it: never both run and refused",
        (rows.trim() == "1") == ran,
    )?;
    {
        let _undo = Undo::by(
            demo,
            &[
                "-n",
                EVIDENCE,
                "patch",
                "auditsink",
                "evidence",
                "--type=merge",
                "-p",
                r#"{"spec":{"namespaces":["doors"]}}"#,
            ],
        );
        demo.admin(&[
            "-n",
            EVIDENCE,
            "patch",
            "auditsink",
            "evidence",
            "--type=merge",
            "-p",
            r#"{"spec":{"namespaces":["elsewhere"]}}"#,
        ])?;
        let refusal = wait_until(SETTLE, "the sink takes no records of this door", || {
            let output = ask(demo, ALICE, &["INSERT INTO trial_runs VALUES (2)"])?;
            Ok((!output.status.success()).then_some(output))
        })?;
        narrator.shows(&refusal);
        let said = becomes(demo, &format!("connection/{CONNECTION}"), "Accepted", "False")?;
        narrator.shows_text(&said);
        narrator.check("the condition names the sink", said.contains("evidence"))?;
    }
    answers(demo)?;
    let verified = demo.admin(&["sallyport", "audit", "verify", "--sink", "evidence/evidence"])?;
    narrator.shows(&verified);
    narrator.check(
        "the log is proved after all that",
        verified.stdout.starts_with("PROVEN"),
    )
}

pub(super) fn door_killed(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let marker = format!("killed-{}", std::process::id());
    let running = start(demo, ALICE, &[&format!("SELECT '{marker}', pg_sleep(300)")])?;
    let seen =
        format!("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{marker}%' AND pid <> pg_backend_pid()");
    wait_until(SETTLE, "the statement runs", || {
        Ok((ask_directly(demo, &seen)?.stdout.trim() == "1").then_some(()))
    })?;
    demo.admin(&[
        "-n",
        DOORS,
        "delete",
        "pods",
        "-l",
        "sallyport.dev/connection=bank",
        "--grace-period=0",
        "--force",
    ])?;
    let ended = running.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check("the client is told", !ended.status.success())?;
    // It goes on at the target, where nobody asks for it any more, and would be counted by trials after this one.
    let left = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%{marker}%' AND pid <> pg_backend_pid()"
    );
    ask_directly(demo, &left)?.ok()?;
    answers(demo)?;
    let sessions = wait_until(SETTLE, "the recorder writes the end of that session", || {
        let records = records(demo)?;
        let session = records
            .iter()
            .find(|record| record.to_string().contains(&marker))
            .and_then(session_of)
            .context("the statement's record")?;
        let ends = records
            .iter()
            .filter(|record| {
                session_of(record).as_deref() == Some(&session) && record.pointer("/event/sessionEnd").is_some()
            })
            .count();
        Ok((ends > 0).then_some(ends))
    })?;
    narrator.check("exactly one end record", sessions == 1)
}

/// The session that a record belongs to.
fn session_of(record: &serde_json::Value) -> Option<String> {
    record
        .pointer("/session/id")
        .or_else(|| record.get("session"))
        .map(ToString::to_string)
}
