//! Readers under load: each asks for a number that is masked, over and over. What they were shown, what the target was sent and what
//! the log says of it must agree.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::client::psql;
use crate::demo::{ALICE, Demo};
use crate::narrator::Narrator;
use crate::run::{Output, Running, wait_until};

use super::log::Log;
use super::target::TargetLog;
use super::writers::CONNECTION_LOST;
use super::{HELD_BACK, SETTLE, records};

/// Readers at a time.
const READERS: usize = 2;
/// More questions than a reader comes to.
const MOST: usize = 100_000;
/// Questions in one session, unless it is cut.
const SESSION: usize = 10;
/// How long one session may take, and all sessions of a reader.
const LIMIT: Duration = Duration::from_secs(240);
const PATIENCE: Duration = Duration::from_secs(1800);
/// How an answer begins in which the number is masked.
const MASKED: &str = "[REDACTED]|";

/// What readers were shown.
#[derive(Debug, Default)]
struct Seen {
    /// Questions that were answered, masked.
    masked: BTreeSet<usize>,
    /// Whatever showed the number.
    shown: BTreeSet<String>,
    /// Questions that were asked.
    asked: usize,
}

/// Readers ask from before `act` begins until it is over; then the books are compared.
pub(super) fn meanwhile(
    demo: &Demo,
    narrator: &mut Narrator,
    mark: &str,
    act: impl FnOnce(&mut Narrator) -> Result<()>,
) -> Result<()> {
    let mark = format!("{mark}-read-{}", std::process::id());
    let target = TargetLog::follow(demo, &mark)?;
    let enough = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|reader| start(demo, &mark, reader * MOST, &enough))
        .collect();
    let acted = act(narrator);
    enough.store(true, Ordering::Relaxed);
    let (mut seen, mut failed) = (Seen::default(), None);
    for reader in readers {
        match reader.join().map_err(|_| anyhow!("the reader panicked")).flatten() {
            Ok(more) => seen.add(more),
            Err(cause) => failed = Some(cause),
        }
    }
    // Whatever else went wrong, this is said.
    narrator.shows_text(&seen.shown.iter().cloned().collect::<Vec<_>>().join("\n"));
    narrator.check(
        &format!("{} times the number was asked for, and never shown", seen.asked),
        seen.shown.is_empty(),
    )?;
    acted?;
    failed.map_or(Ok(()), Err).context("a reader")?;
    agree(demo, narrator, &mark, &seen, &target)
}

/// What was answered is on record, masked; what the target was sent is on record; and nothing is there twice.
fn agree(demo: &Demo, narrator: &mut Narrator, mark: &str, seen: &Seen, target: &TargetLog<'_>) -> Result<()> {
    let sent = target.numbers(&before(mark))?;
    let log = wait_until(SETTLE, "each answer's record is in the log", || {
        let log = Log::of(&records(demo)?, |text| number(text, mark));
        Ok(seen.masked.is_subset(&log.executed()).then_some(log))
    })?;
    narrator.check(
        &format!(
            "{} answers had a mask; the target's own log tells of {} questions",
            seen.masked.len(),
            sent.len()
        ),
        !seen.masked.is_empty() && !sent.is_empty(),
    )?;
    let unmasked = seen.masked.iter().filter(|n| log.masked(**n) == 0).count();
    let unrecorded = sent.iter().filter(|n| log.intents(**n) == 0).count();
    for (what, faults) in [
        ("answered, and the log tells of no mask", unmasked),
        ("sent to the target without a record", unrecorded),
        (
            "let through twice, and not because it was judged again",
            log.doubled().len(),
        ),
    ] {
        narrator.check(&format!("{what}: {faults}"), faults == 0)?;
    }
    Ok(())
}

/// How the questions of one mark begin: what follows is the question's number.
fn before(mark: &str) -> String {
    format!("SELECT ssn, '{mark}', ")
}

fn question(mark: &str, n: usize) -> String {
    format!("{}{n} FROM customers WHERE id = 1;", before(mark))
}

/// The number of a question; None for other texts.
fn number(text: &str, mark: &str) -> Option<usize> {
    let rest = text.trim().strip_prefix(&before(mark))?;
    let number = rest
        .trim_end_matches(';')
        .strip_suffix(" FROM customers WHERE id = 1")?;
    number.parse().ok()
}

/// Starts to ask, from that number on, until the end of the session in which it is `enough`.
fn start(demo: &Demo, mark: &str, first: usize, enough: &Arc<AtomicBool>) -> JoinHandle<Result<Seen>> {
    let (demo, mark, enough) = (demo.clone(), mark.to_owned(), Arc::clone(enough));
    std::thread::spawn(move || read(&demo, &mark, first, &enough))
}

fn read(demo: &Demo, mark: &str, first: usize, enough: &AtomicBool) -> Result<Seen> {
    let (mut seen, mut next) = (Seen::default(), first);
    let file = demo.path(&format!("trial-read-{first}.sql"));
    wait_until(PATIENCE, "a reader comes to its end", || {
        let questions: String = (next..next + SESSION)
            .map(|n| format!("{}\nSELECT pg_sleep(0.25);\n", question(mark, n)))
            .collect();
        std::fs::write(&file, questions)?;
        let mut command = psql(demo, ALICE, &[])?;
        command.env("PGCONNECT_TIMEOUT", "20");
        // Each question is told before it is sent, and its answer after that.
        command.args(["-At", "-e", "-f"]).arg(&file);
        let ended = Running::start(&mut command)?.finish(LIMIT)?;
        next += seen.hear(mark, &ended);
        let lost = ended.status.code() == Some(CONNECTION_LOST);
        ensure!(lost || ended.status.success(), "{}: {}", ended.status, ended.stderr);
        Ok((!lost && enough.load(Ordering::Relaxed)).then_some(()))
    })?;
    std::fs::remove_file(&file)?;
    Ok(seen)
}

// === impl Seen ===

impl Seen {
    /// Takes what one session was shown; gives how many questions it asked.
    fn hear(&mut self, mark: &str, ended: &Output) -> usize {
        let (mut asked, mut last) = (0, None);
        for line in ended.stdout.lines() {
            if let Some(n) = number(line, mark) {
                last = Some(n);
                asked += 1;
            } else if line.starts_with(MASKED) {
                self.masked.extend(last);
            }
        }
        let said = ended.all();
        let shown = said.lines().filter(|line| line.contains(HELD_BACK));
        self.shown.extend(shown.map(str::to_owned));
        self.asked += asked;
        asked
    }

    fn add(&mut self, other: Self) {
        self.masked.extend(other.masked);
        self.shown.extend(other.shown);
        self.asked += other.asked;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn an_answer_belongs_to_the_question_before_it_and_a_number_is_noticed_wherever_it_stands() {
        let session = |third: &str| Output {
            status: ExitStatus::from_raw(0),
            stdout: format!(
                "{}\n{MASKED}m|1\nSELECT pg_sleep(0.25);\n\n{}\nSELECT pg_sleep(0.25);\n\n{}\n{third}|m|3\n",
                question("m", 1),
                question("m", 2),
                question("m", 3),
            ),
            stderr: "ERROR:  no\n".to_owned(),
        };
        let mut seen = Seen::default();
        assert_eq!(seen.hear("m", &session("[REDACTED]")), 3);
        assert_eq!((&seen.masked, seen.asked), (&BTreeSet::from([1, 3]), 3));
        assert!(seen.shown.is_empty());
        let mut seen = Seen::default();
        seen.hear("m", &session(HELD_BACK));
        assert_eq!(seen.masked, BTreeSet::from([1]));
        assert_eq!(seen.shown, BTreeSet::from([format!("{HELD_BACK}|m|3")]));
        assert_eq!(number(&question("other", 4), "m"), None);
    }
}
