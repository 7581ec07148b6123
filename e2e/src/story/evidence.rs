//! The log: shown, proved, and a tampered copy refuted.

use std::fs;

use anyhow::{Context, Result};

use crate::demo::{BOB, Demo, EVIDENCE};
use crate::narrator::Narrator;
use crate::run::run;

/// What alice was refused: the command of which a letter is changed.
const DROP: &str = "DROP TABLE customers";

pub(super) fn verify(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let sink = format!("{EVIDENCE}/evidence");
    let mut show = demo.kubectl(&["sallyport", "audit", "show", "--sink", &sink, "--person", "oidc:alice"]);
    narrator.types("auditor", &show);
    let shown = run(&mut show)?.ok()?;
    narrator.shows(&shown);
    for word in [
        DROP,
        "DELETE FROM accounts WHERE id = 7001",
        &format!("by {}", demo.name_of(BOB)?),
    ] {
        narrator.check(&format!("the log tells of {word:?}"), shown.stdout.contains(word))?;
    }
    let copy = demo.path("log-copy");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    let copy_text = copy.to_string_lossy().into_owned();
    let mut prove = demo.kubectl(&["sallyport", "audit", "verify", "--sink", &sink, "--save", &copy_text]);
    narrator.types("auditor", &prove);
    let proved = run(&mut prove)?;
    narrator.shows(&proved);
    narrator.check(
        "the log is proved against the checkpoint in the AuditSink's status",
        proved.status.success(),
    )?;

    let confirmed = "the recorder itself confirmed the person of ";
    narrator.check(
        "the recorder confirmed by itself whom the door let in",
        proved.stdout.contains(confirmed) && !proved.stdout.contains(&format!("{confirmed}0 of ")),
    )?;

    tamper(&copy).context("tampering with the copy")?;
    let mut refute = demo.kubectl(&["sallyport", "audit", "verify", "--sink", &sink, "--log", &copy_text]);
    narrator.types("auditor", &refute);
    let refuted = run(&mut refute)?;
    narrator.shows(&refuted);
    narrator.check(
        "one changed byte in a copy is refuted",
        !refuted.status.success() && refuted.stdout.starts_with("REFUTED "),
    )?;
    let changed = first_changed(&refuted.stdout).context("the first finding is no changed record")?;
    let told = format!(" #{changed} ");
    narrator.check(
        "the record that was changed is named first",
        shown
            .stdout
            .lines()
            .any(|line| line.contains(&told) && line.contains(DROP)),
    )
}

/// The number of the record of which the first finding says that it was changed.
fn first_changed(report: &str) -> Option<&str> {
    let finding = report.lines().find_map(|line| line.trim().strip_prefix("- "))?;
    let (number, rest) = finding.strip_prefix("record ")?.split_once(' ')?;
    rest.contains("was changed").then_some(number)
}

/// Changes one letter of one recorded command.
fn tamper(log: &std::path::Path) -> Result<()> {
    let mut pending = vec![log.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let mut bytes = fs::read(&path)?;
            let needle = DROP.as_bytes();
            if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = b'd';
                }
                fs::write(&path, bytes)?;
                return Ok(());
            }
        }
    }
    anyhow::bail!("no record of the refused DROP in {}", log.display())
}
