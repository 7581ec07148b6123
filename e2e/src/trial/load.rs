//! Under load: restarts and rollouts while many write, then the books are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::ask_directly;
use crate::demo::{CONNECTION, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::wait_until;

use super::log::Log;
use super::target::TargetLog;
use super::undo::Undo;
use super::writers::{self, Pace, Told, Writer};
use super::{SETTLE, answers, kill_recorder, recorder_pod, records};

/// Writers at a time.
const WRITERS: usize = 4;
/// Rows that each writer inserts, one statement a row.
const ROWS: usize = 150;
/// More rows than a writer comes to that goes on until it is enough.
const MORE_ROWS: usize = 10_000;

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
            "--timeout=150s",
        ])?;
        Ok(())
    })?;
    Ok(())
}

pub(super) fn recorder_restarts(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let refused = under_load(demo, narrator, "recorded", || {
        for _ in 0..2 {
            let before = recorder_pod(demo)?;
            kill_recorder(demo)?;
            // For a moment its StatefulSet counts the one that was killed.
            wait_until(SETTLE, "the recorder is back", || {
                let (uid, ready) = recorder_pod(demo)?;
                Ok((uid != before.0 && ready == "True").then_some(()))
            })?;
        }
        Ok(())
    })?;
    narrator.check("statements waited, and all of them ran", refused == 0)
}

/// Writers insert numbered rows through the door while `disturb` runs; then what the target holds and logs, what the writers
/// were told and what the log says must agree. Gives how many rows were refused or never answered.
pub(super) fn under_load(
    demo: &Demo,
    narrator: &mut Narrator,
    mark: &str,
    disturb: impl FnOnce() -> Result<()>,
) -> Result<usize> {
    let pace = Pace {
        session: ROWS,
        pause: 0.02,
        patience: Duration::from_secs(240),
    };
    let told = compared(demo, narrator, mark, ROWS, pace, |_, _| disturb())?;
    narrator.check(
        &format!(
            "all {} rows were tried; {} were acknowledged, in {} sessions",
            WRITERS * ROWS,
            told.acknowledged.len(),
            told.sessions
        ),
        told.tried == WRITERS * ROWS,
    )?;
    let lost = WRITERS * ROWS - told.acknowledged.len();
    narrator.check(
        &format!("{lost} had no answer, at most one for each session that was cut, and none was refused"),
        lost <= told.cut,
    )?;
    Ok(lost)
}

/// The same in many short sessions, as programs without a pool come, from before `disturb` begins until it is over.
pub(super) fn throughout(
    demo: &Demo,
    narrator: &mut Narrator,
    mark: &str,
    disturb: impl FnOnce(&mut Narrator) -> Result<()>,
) -> Result<()> {
    let pace = Pace {
        session: 10,
        pause: 0.1,
        patience: Duration::from_secs(1800),
    };
    let told = compared(demo, narrator, mark, MORE_ROWS, pace, |narrator, enough| {
        let disturbed = disturb(narrator);
        enough.store(true, Ordering::Relaxed);
        disturbed
    })?;
    narrator.check(
        &format!(
            "{} rows were tried all the while, in {} sessions; {} were acknowledged",
            told.tried,
            told.sessions,
            told.acknowledged.len()
        ),
        told.sessions > WRITERS && told.tried < WRITERS * MORE_ROWS,
    )?;
    let refused = told.refused.len();
    let unanswered = told.tried - told.acknowledged.len() - refused;
    narrator.check(
        &format!(
            "{refused} were refused in words, {unanswered} had no answer: at most one for each session that was cut"
        ),
        unanswered <= told.cut,
    )?;
    narrator.shows_text(&told.turned_away.iter().cloned().collect::<Vec<_>>().join("\n"));
    narrator.check(
        &format!(
            "{} logins had no session and were tried again, each told why at once",
            told.logins_again
        ),
        told.turned_away.iter().all(|words| is_an_answer(words)),
    )
}

/// Whether that is why there was no session, and not that nobody answered in time.
fn is_an_answer(words: &str) -> bool {
    !words.trim().is_empty() && !words.contains("timeout expired")
}

/// Writers go through their rows while `disturb` runs, which may tell them that it is enough; then the books are compared.
fn compared(
    demo: &Demo,
    narrator: &mut Narrator,
    mark: &str,
    each: usize,
    pace: Pace,
    disturb: impl FnOnce(&mut Narrator, &AtomicBool) -> Result<()>,
) -> Result<Told> {
    let mark = format!("{mark}-{}", std::process::id());
    ask_directly(
        demo,
        "CREATE TABLE IF NOT EXISTS trial_load (mark text, n int); GRANT ALL ON trial_load TO sallyport",
    )?
    .ok()?;
    let target = TargetLog::follow(demo, &mark)?;
    let enough = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| Writer::start(demo, &mark, writer * each..(writer + 1) * each, pace, &enough))
        .collect();
    let disturbed = disturb(narrator, &enough);
    let mut told = Told::default();
    for writer in writers {
        told.add(writer.finish().context("a writer")?);
    }
    disturbed?;
    answers(demo)?;
    let (rows, logged) = (rows(demo, &mark)?, target.numbers(&writers::before(&mark))?);
    let log = wait_until(SETTLE, "each answer's record is in the log", || {
        let log = Log::of(&records(demo)?, |text| writers::row(text, &mark));
        Ok(told.acknowledged.is_subset(&log.executed()).then_some(log))
    })?;
    narrator.shows_text(&told.said());
    narrator.check(
        &format!("the target's own log tells of {} statements", logged.len()),
        !logged.is_empty(),
    )?;
    for (what, faults) in faults(WRITERS * each, &rows, &logged, &told, &log) {
        narrator.check(&format!("{what}: {}", faults.len()), faults.is_empty())?;
    }
    Ok(told)
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

/// Every way in which they can disagree over the first `all` rows, with the rows that do.
fn faults(
    all: usize,
    rows: &BTreeMap<usize, usize>,
    logged: &BTreeSet<usize>,
    told: &Told,
    log: &Log,
) -> [(&'static str, Vec<usize>); 7] {
    let those = |wrong: &dyn Fn(&usize) -> bool| (0..all).filter(wrong).collect::<Vec<_>>();
    let (executed, held) = (log.executed(), |n: &usize| rows.get(n).copied().unwrap_or_default());
    [
        ("executed without a record", those(&|n| held(n) > log.let_through(*n))),
        (
            "sent to the target, says its own log, without a record",
            those(&|n| logged.contains(n) && log.intents(*n) == 0),
        ),
        ("written twice", those(&|n| held(n) > 1)),
        (
            "let through twice, and not because it was judged again",
            those(&|n| log.let_through(*n) > 1),
        ),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn log(records: &[Value]) -> Log {
        Log::of(records, |text| writers::row(text, "m"))
    }

    fn intent(n: usize, command: u64) -> Value {
        json!({"session": "s", "event": {"command": {
            "text": writers::statement("m", n), "command": command, "verdict": {"action": "allow"}}}})
    }

    fn outcome(command: u64) -> Value {
        json!({"session": "s", "event": {"outcome": {"command": command, "fate": "executed"}}})
    }

    fn judged_again(command: u64) -> Value {
        json!({"session": "s", "event": {"outcome": {"command": command, "fate": "notRun", "why": "judgedAgain"}}})
    }

    fn told(acknowledged: &[usize]) -> Told {
        let mut told = Told::default();
        told.acknowledged.extend(acknowledged);
        told
    }

    fn wrong(rows: &[(usize, usize)], told: &Told, log: &Log) -> Vec<&'static str> {
        wrong_beside(&[], rows, told, log)
    }

    /// Beside a log of the target that tells of these.
    fn wrong_beside(logged: &[usize], rows: &[(usize, usize)], told: &Told, log: &Log) -> Vec<&'static str> {
        let (rows, logged) = (rows.iter().copied().collect(), logged.iter().copied().collect());
        let faults = faults(10, &rows, &logged, told, log);
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
            [
                "written twice",
                "let through twice, and not because it was judged again",
                "acknowledged and not there once"
            ]
        );
        assert_eq!(
            wrong(&[(4, 1)], &told(&[4]), &log(&[intent(4, 1), intent(4, 2), outcome(2)])),
            ["let through twice, and not because it was judged again"]
        );
        let again = log(&[intent(4, 1), judged_again(1), intent(4, 2), outcome(2)]);
        assert_eq!(wrong(&[(4, 1)], &told(&[4]), &again), [""; 0]);
        assert_eq!(
            wrong(&[(4, 1)], &told(&[]), &log(&[intent(4, 1), judged_again(1)])),
            ["executed without a record"]
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
        assert_eq!(wrong_beside(&[4, 4], &[(4, 1)], &told(&[4]), &kept), [""; 0]);
        assert_eq!(
            wrong_beside(&[4, 5], &[(4, 1)], &told(&[4]), &kept),
            ["sent to the target, says its own log, without a record"]
        );
    }

    #[test]
    fn that_nobody_answered_is_no_answer() {
        assert!(is_an_answer("FATAL:  the door is about to end; connect again"));
        assert!(!is_an_answer(
            "connection to server at \"10.0.0.1\" failed: timeout expired"
        ));
        assert!(!is_an_answer("\n"));
    }
}
