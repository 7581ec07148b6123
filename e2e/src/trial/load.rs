//! Under load: restarts and rollouts while many write, then the books are compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::client::ask_directly;
use crate::demo::{CONNECTION, DOORS, Demo, EVIDENCE};
use crate::narrator::Narrator;
use crate::run::wait_until;

use super::undo::Undo;
use super::writers::{self, Told, Writer};
use super::{SETTLE, answers, kill_recorder, records};

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
    let refused = under_load(demo, narrator, "recorded", || {
        for _ in 0..2 {
            kill_recorder(demo)?;
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
    narrator.check("statements waited, and all of them ran", refused == 0)
}

/// Writers insert numbered rows through the door while `disturb` runs; then what the target holds, what the writers
/// were told and what the log says must agree. Gives how many rows were refused or never answered.
pub(super) fn under_load(
    demo: &Demo,
    narrator: &mut Narrator,
    mark: &str,
    disturb: impl FnOnce() -> Result<()>,
) -> Result<usize> {
    let mark = format!("{mark}-{}", std::process::id());
    ask_directly(
        demo,
        "CREATE TABLE IF NOT EXISTS trial_load (mark text, n int); GRANT ALL ON trial_load TO sallyport",
    )?
    .ok()?;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| Writer::start(demo, &mark, writer * ROWS..(writer + 1) * ROWS))
        .collect();
    disturb()?;
    let mut told = Told::default();
    for writer in writers {
        told.add(writer.finish().context("a writer")?);
    }
    answers(demo)?;
    let rows = rows(demo, &mark)?;
    let log = wait_until(SETTLE, "each answer's record is in the log", || {
        let log = Log::of(&records(demo)?, &mark);
        Ok(told.acknowledged.is_subset(&log.executed()).then_some(log))
    })?;
    let lost = WRITERS * ROWS - told.acknowledged.len();
    narrator.shows_text(&told.said());
    for (what, faults) in faults(&rows, &told, &log) {
        narrator.check(&format!("{what}: {}", faults.len()), faults.is_empty())?;
    }
    narrator.check(
        &format!(
            "all {} rows were tried; {} were acknowledged, in {} sessions",
            WRITERS * ROWS,
            told.acknowledged.len(),
            told.sessions
        ),
        told.tried == WRITERS * ROWS,
    )?;
    narrator.check(
        &format!("{lost} had no answer, at most one for each session that was cut, and none was refused"),
        lost <= told.sessions.saturating_sub(WRITERS),
    )?;
    Ok(lost)
}

/// What the target holds: each row, and how often.
fn rows(demo: &Demo, mark: &str) -> Result<BTreeMap<usize, usize>> {
    let mut rows = BTreeMap::new();
    let shown = ask_directly(demo, &format!("SELECT n FROM trial_load WHERE mark = '{mark}'"))?.ok()?;
    for row in shown.stdout.lines() {
        *rows
            .entry(row.trim().parse().with_context(|| row.to_owned())?)
            .or_default() += 1;
    }
    Ok(rows)
}

/// Every way in which the three can disagree, with the rows that do.
fn faults(rows: &BTreeMap<usize, usize>, told: &Told, log: &Log) -> [(&'static str, Vec<usize>); 6] {
    let those = |wrong: &dyn Fn(&usize) -> bool| (0..WRITERS * ROWS).filter(wrong).collect::<Vec<_>>();
    let (executed, held) = (log.executed(), |n: &usize| rows.get(n).copied().unwrap_or_default());
    [
        ("executed without a record", those(&|n| held(n) > log.intents(*n))),
        ("written twice", those(&|n| held(n) > 1)),
        ("recorded twice", those(&|n| log.intents(*n) > 1)),
        (
            "acknowledged and not there once",
            those(&|n| told.acknowledged.contains(n) && held(n) != 1),
        ),
        (
            "refused in words and there all the same",
            those(&|n| told.refused.contains(n) && held(n) > 0),
        ),
        (
            "executed, says the log, and not there",
            those(&|n| executed.contains(n) && held(n) == 0),
        ),
    ]
}

/// What the log says of the rows of one mark.
#[derive(Default)]
struct Log {
    /// How often each row's statement was let through.
    intents: BTreeMap<usize, usize>,
    executed: BTreeSet<usize>,
}

// === impl Log ===

impl Log {
    fn of(records: &[Value], mark: &str) -> Self {
        let mut log = Self::default();
        // Which row a session's command with that number is of.
        let mut commands = BTreeMap::new();
        for record in records {
            let session = record.get("session").and_then(Value::as_str).unwrap_or_default();
            let text = |path: &str| record.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let number = |path: &str| record.pointer(path).and_then(Value::as_u64);
            if let Some(n) = writers::row(text("/event/command/text"), mark)
                && text("/event/command/verdict/action") == "allow"
            {
                *log.intents.entry(n).or_default() += 1;
                commands.insert((session, number("/event/command/command")), n);
            }
            if text("/event/outcome/fate") == "executed"
                && let Some(n) = commands.get(&(session, number("/event/outcome/command")))
            {
                log.executed.insert(*n);
            }
        }
        log
    }

    fn intents(&self, n: usize) -> usize {
        self.intents.get(&n).copied().unwrap_or_default()
    }

    fn executed(&self) -> BTreeSet<usize> {
        self.executed.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log(records: &[Value]) -> Log {
        Log::of(records, "m")
    }

    fn intent(n: usize, command: u64) -> Value {
        json!({"session": "s", "event": {"command": {
            "text": writers::statement("m", n), "command": command, "verdict": {"action": "allow"}}}})
    }

    fn outcome(command: u64) -> Value {
        json!({"session": "s", "event": {"outcome": {"command": command, "fate": "executed"}}})
    }

    fn told(acknowledged: &[usize]) -> Told {
        let mut told = Told::default();
        told.acknowledged.extend(acknowledged);
        told
    }

    fn wrong(rows: &[(usize, usize)], told: &Told, log: &Log) -> Vec<&'static str> {
        let faults = faults(&rows.iter().copied().collect(), told, log);
        faults
            .iter()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(what, _)| *what)
            .collect()
    }

    #[test]
    fn the_books_agree_or_it_is_said_how_they_do_not() {
        let kept = log(&[intent(4, 1), outcome(1)]);
        assert_eq!(wrong(&[(4, 1)], &told(&[4]), &kept), [""; 0]);
        assert_eq!(wrong(&[(4, 1)], &told(&[4]), &log(&[])), ["executed without a record"]);
        assert_eq!(
            wrong(&[(4, 1)], &told(&[4]), &log(&[outcome(1)])),
            ["executed without a record"]
        );
        assert_eq!(
            wrong(&[(4, 2)], &told(&[4]), &log(&[intent(4, 1), intent(4, 2), outcome(1)])),
            ["written twice", "recorded twice", "acknowledged and not there once"]
        );
        assert_eq!(
            wrong(&[], &told(&[4]), &log(&[intent(4, 1)])),
            ["acknowledged and not there once"]
        );
        assert_eq!(wrong(&[], &told(&[]), &kept), ["executed, says the log, and not there"]);
        let mut refused = told(&[]);
        refused.refused.insert(4);
        assert_eq!(
            wrong(&[(4, 1)], &refused, &kept),
            ["refused in words and there all the same"]
        );
    }
}
