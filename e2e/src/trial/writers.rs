//! Writers under load: each inserts numbered rows, remembers what it was told, and comes back where it was cut off.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::client::psql;
use crate::demo::{ALICE, Demo};
use crate::run::{Output, Running, wait_until};

/// How long one session of a writer may take.
const LIMIT: Duration = Duration::from_secs(240);
/// psql's exit status when the connection is gone: what was under way may have run or not.
pub(super) const CONNECTION_LOST: i32 = 2;

/// What writers were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Rows that the server said it inserted.
    pub(super) acknowledged: BTreeSet<usize>,
    /// Rows that were answered by an error.
    pub(super) refused: BTreeSet<usize>,
    /// Rows that were sent.
    pub(super) tried: usize,
    /// Sessions that sent at least one.
    pub(super) sessions: usize,
    /// Those of them whose connection was lost.
    pub(super) cut: usize,
    /// Logins that had no session, and were tried again.
    pub(super) logins_again: usize,
    /// What these were told.
    pub(super) turned_away: BTreeSet<String>,
    words: BTreeSet<String>,
}

/// How a writer goes through its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// So many are written in one session, unless it is cut.
    pub(super) session: usize,
    /// Seconds between two rows.
    pub(super) pause: f32,
    /// How long a writer may take for all of its rows, over all of its sessions.
    pub(super) patience: Duration,
}

/// A writer at work.
pub(super) struct Writer(JoinHandle<Result<Told>>);

/// How the statements of one mark begin: what follows is the row's number.
pub(super) fn before(mark: &str) -> String {
    format!("INSERT INTO trial_load VALUES ('{mark}', ")
}

/// The statement of one row.
pub(super) fn statement(mark: &str, n: usize) -> String {
    format!("{}{n});", before(mark))
}

/// The row that a statement is of; None for others.
pub(super) fn row(text: &str, mark: &str) -> Option<usize> {
    let rest = text.trim().strip_prefix(&before(mark))?;
    rest.trim_end_matches(';').strip_suffix(')')?.parse().ok()
}

// === impl Writer ===

impl Writer {
    /// Starts to write these rows: all of them, or until the end of the session in which it is `enough`.
    pub(super) fn start(demo: &Demo, mark: &str, rows: Range<usize>, pace: Pace, enough: &Arc<AtomicBool>) -> Self {
        let (demo, mark, enough) = (demo.clone(), mark.to_owned(), Arc::clone(enough));
        Self(std::thread::spawn(move || write(&demo, &mark, rows, pace, &enough)))
    }

    /// Waits until it is at its end.
    ///
    /// # Errors
    /// When that takes too long.
    pub(super) fn finish(self) -> Result<Told> {
        self.0.join().map_err(|_| anyhow!("the writer panicked"))?
    }
}

fn write(demo: &Demo, mark: &str, rows: Range<usize>, pace: Pace, enough: &AtomicBool) -> Result<Told> {
    let (mut told, mut next) = (Told::default(), rows.start);
    wait_until(pace.patience, "a writer comes to its end", || {
        let file = demo.path(&format!("trial-load-{}.sql", rows.start));
        let pause = pace.pause;
        let statements: String = (next..rows.end.min(next + pace.session))
            .map(|n| format!("{}\nSELECT pg_sleep({pause});\n", statement(mark, n)))
            .collect();
        std::fs::write(&file, statements)?;
        let mut command = psql(demo, ALICE, &[])?;
        // Who is not let in is told so at once.
        command.env("PGCONNECT_TIMEOUT", "20");
        // Each statement is told before it is sent, and its answer after that.
        command.args(["-At", "-e", "-f"]).arg(&file);
        let ended = Running::start(&mut command)?.finish(LIMIT)?;
        next += told.hear(mark, &ended);
        let lost = ended.status.code() == Some(CONNECTION_LOST);
        ensure!(lost || ended.status.success(), "{}: {}", ended.status, ended.stderr);
        // A session that was never had is tried again, as one that was cut.
        let over = next == rows.end || (!lost && enough.load(Ordering::Relaxed));
        Ok(over.then_some(()))
    })?;
    Ok(told)
}

// === impl Told ===

impl Told {
    /// Takes what one session was told; gives how many rows it tried.
    fn hear(&mut self, mark: &str, ended: &Output) -> usize {
        let mut sent = Vec::new();
        for line in ended.stdout.lines() {
            if let Some(n) = row(line, mark) {
                sent.push(n);
            } else if let Some(n) = sent.last().filter(|_| line == "INSERT 0 1") {
                self.acknowledged.insert(*n);
            }
        }
        // Only the last one can be without an answer, when the connection was lost.
        let lost = (!ended.status.success()).then(|| sent.last()).flatten();
        let answered = sent
            .iter()
            .filter(|n| Some(*n) != lost && !self.acknowledged.contains(n));
        self.refused.extend(answered);
        if sent.is_empty() {
            self.logins_again += 1;
            self.turned_away.insert(ended.stderr.trim().to_owned());
        }
        self.cut += usize::from(lost.is_some());
        self.words.extend(ended.stderr.lines().map(str::to_owned));
        self.tried += sent.len();
        self.sessions += usize::from(!sent.is_empty());
        sent.len()
    }

    /// Adds what another writer was told.
    pub(super) fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.refused.extend(other.refused);
        self.words.extend(other.words);
        self.turned_away.extend(other.turned_away);
        self.tried += other.tried;
        self.sessions += other.sessions;
        self.cut += other.cut;
        self.logins_again += other.logins_again;
    }

    /// What was said besides answers.
    pub(super) fn said(&self) -> String {
        self.words.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn what_had_no_answer_is_neither_acknowledged_nor_refused() {
        let stdout = [1, 2, 3].map(|n| statement("m", n)).join("\n").replacen(
            ";\n",
            ";\nINSERT 0 1\nSELECT pg_sleep(0.02);\n\n",
            1,
        );
        for (code, refused) in [(2, vec![2]), (0, vec![2, 3])] {
            let mut told = Told::default();
            let ended = Output {
                status: ExitStatus::from_raw(code << 8),
                stdout: stdout.clone(),
                stderr: "ERROR:  no".to_owned(),
            };
            assert_eq!(told.hear("m", &ended), 3);
            assert_eq!(told.acknowledged, BTreeSet::from([1]));
            assert_eq!(told.refused, BTreeSet::from_iter(refused), "exit status {code}");
            assert_eq!(
                (told.sessions, told.cut, told.logins_again),
                (1, usize::from(code == 2), 0)
            );
        }
        let mut told = Told::default();
        let turned_away = Output {
            status: ExitStatus::from_raw(2 << 8),
            stdout: String::new(),
            stderr: "FATAL:  no\n".to_owned(),
        };
        assert_eq!(told.hear("m", &turned_away), 0);
        assert_eq!((told.sessions, told.cut, told.logins_again), (0, 0, 1));
        assert_eq!(told.turned_away, BTreeSet::from(["FATAL:  no".to_owned()]));
        assert_eq!(row(&statement("m", 17), "m"), Some(17));
        assert_eq!(row(&statement("other", 17), "m"), None);
    }
}
