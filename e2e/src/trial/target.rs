//! What the target writes of its own accord: each statement before it runs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::{Context, Result};

use crate::client::ask_directly;
use crate::demo::Demo;
use crate::run::wait_until;

use super::SETTLE;

/// The target's log, followed from when this is made: afterwards kubectl shows only what was written since a node last began a
/// new file, which it does every few megabytes.
pub(super) struct TargetLog<'a> {
    demo: &'a Demo,
    mark: String,
    follower: Child,
    file: PathBuf,
}

// === impl TargetLog ===

impl<'a> TargetLog<'a> {
    /// For the statements of one mark: two may be followed at once.
    pub(super) fn follow(demo: &'a Demo, mark: &str) -> Result<Self> {
        let file = demo.path(&format!("target-{mark}.log"));
        let follower = demo
            .kubectl(&["-n", "bank", "logs", "deployment/postgres", "--follow", "--since=1m"])
            .stdin(Stdio::null())
            .stdout(File::create(&file).with_context(|| file.display().to_string())?)
            .stderr(Stdio::inherit())
            .spawn()
            .context("following the target's log")?;
        let mark = mark.to_owned();
        Ok(Self {
            demo,
            mark,
            follower,
            file,
        })
    }

    /// The numbers of the statements that begin like this, of which it tells, once it tells of all that was sent until now.
    pub(super) fn numbers(&self, before: &str) -> Result<BTreeSet<usize>> {
        let last = format!("that was the last of {}", self.mark);
        ask_directly(self.demo, &format!("SELECT '{last}'"))?.ok()?;
        let whole = wait_until(SETTLE, "the target's log tells of a statement", || {
            let log = fs::read(&self.file)?;
            let log = String::from_utf8_lossy(&log).into_owned();
            Ok(log.contains(&last).then_some(log))
        })?;
        Ok(logged(&whole, before))
    }
}

impl Drop for TargetLog<'_> {
    fn drop(&mut self) {
        let _ = self.follower.kill();
        let _ = self.follower.wait();
        let _ = fs::remove_file(&self.file);
    }
}

/// The numbers that stand behind `before` in a log of the target. It may tell of one twice: a unit that has to be judged anew is
/// sent again, and did not run the first time.
fn logged(log: &str, before: &str) -> BTreeSet<usize> {
    let rest = log.split(before).skip(1);
    rest.filter_map(|rest| rest.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::writers::{before, statement};
    use super::*;

    #[test]
    fn a_log_of_the_target_tells_of_rows_wherever_they_stand_in_a_line() {
        let log = format!(
            "LOG:  statement: {}\nLOG:  statement: SELECT 1; {}\nLOG:  statement: {}\nLOG:  statement: {}",
            statement("m", 7),
            statement("m", 12),
            statement("other", 3),
            "INSERT INTO trial_load VALUES ('m', n);",
        );
        assert_eq!(logged(&log, &before("m")), BTreeSet::from([7, 12]));
        assert!(logged("", &before("m")).is_empty());
    }
}
