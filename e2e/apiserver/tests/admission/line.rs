//! The line that docs/approvals.md gives to people without the plugin, and psql to who waits: run by a shell as it stands.

use std::fs;

use anyhow::{Context, Result};

use crate::stage::{REPOSITORY, Stage};

/// Approvals by whom the line must serve, and refusals that must reach whom it must not.
pub fn try_all(stage: &mut Stage) -> Result<()> {
    let page = fs::read_to_string(format!("{REPOSITORY}/docs/approvals.md"))?;
    let line = page
        .lines()
        .find(|line| line.starts_with("kubectl patch accessrequest NAME "))
        .context("docs/approvals.md holds no line for kubectl patch")?;
    let with_reason = line.replace("Approve, ", "Approve, reason: 'ticket 4711', ");
    let deny = line.replace("Approve, ", "Deny, reason: 'not today', ");
    for (what, line, who, state, words) in [
        ("a group of people", line, "bob", "waiting", None),
        ("a login that is known to be recent", line, "bob-recent", "recent", None),
        ("a window, which has no digest", line, "bob", "window", None),
        ("a certificate", line, "bob-certificate", "named", None),
        ("a ServiceAccount", line, "robot", "named", None),
        ("a reason", with_reason.as_str(), "bob", "reasoned", None),
        ("a denial", deny.as_str(), "bob", "waiting", None),
        (
            "no reason",
            line,
            "bob",
            "reasoned",
            Some("the policy asks for a reason"),
        ),
        ("twice", line, "bob", "half", Some("Duplicate value")),
        (
            "the asker",
            line,
            "alice-dba",
            "waiting",
            Some("nobody answers their own request"),
        ),
        ("no approver", line, "mallory", "waiting", Some("is not an approver")),
    ] {
        let line = line.replace("NAMESPACE", "doors").replace("NAME", state);
        let outcome = stage.shell(who, &format!("{line} --dry-run=server"))?;
        stage.score(&format!("the line, {what}"), outcome, words);
    }
    Ok(())
}
