//! From a second person's yes to the statement at the target, on the installed cluster: every part is the product's own, and
//! all of them share this machine's clock.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use super::load::rounds;
use super::report::{Line, Report};
use crate::client::{ask_directly, start};
use crate::demo::{ALICE, BOB, DOORS, Demo};

const NAME: &str = "approval/decision-to-execution/p99-ms";
/// Decisions of one round: its p99 is the slowest of them.
const DECISIONS: usize = 20;
const HOLD: Duration = Duration::from_secs(120);
/// Both moments are known within their minute: that much of a timestamp is no number that a detector would mask.
const MINUTE: f64 = 60.0;

pub(super) fn decision_to_execution(report: &mut Report) -> Result<()> {
    let crowded = super::pending::NAMES.iter().any(|name| report.wants(name));
    if !report.wants(NAME) && !crowded {
        return Ok(());
    }
    let demo = Demo::open()?;
    ensure!(
        demo.is_local(),
        "decisions are measured by one clock: on the cluster of this machine"
    );
    if report.wants(NAME) {
        report.add(Line {
            name: NAME,
            unit: "ms",
            runs: slowest(&demo)?,
            what: "from the API server's answer to kubectl sallyport approve until the target has the held DELETE: operator, door, claim and record on the way; the slowest of 20 a round",
        })?;
    }
    if crowded {
        super::pending::decision_in_a_crowd(&demo, report)?;
    }
    Ok(())
}

/// Milliseconds of the slowest decision of each round.
pub(super) fn slowest(demo: &Demo) -> Result<Vec<f64>> {
    let (rounds, _) = rounds();
    let mut runs = Vec::with_capacity(rounds);
    // The first round warms caches up.
    for round in 0..=rounds {
        let mut slowest = 0.0_f64;
        for _ in 0..DECISIONS {
            slowest = slowest.max(one(demo)?);
        }
        if round > 0 {
            runs.push(slowest * 1_000.0);
        }
    }
    Ok(runs)
}

/// Seconds from one decision to its statement.
fn one(demo: &Demo) -> Result<f64> {
    ask_directly(demo, "INSERT INTO accounts VALUES (7400, 1, 0) ON CONFLICT DO NOTHING")?.ok()?;
    let statement = "DELETE FROM accounts WHERE id = 7400 RETURNING to_char(statement_timestamp(), 'SS.US') AS at";
    let mut held = start(demo, ALICE, &[statement])?;
    let said = held.wait_for_line(HOLD, |line| line.contains("kubectl sallyport approve"))?;
    let request = said
        .split("kubectl sallyport approve ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .context("the notice names the request")?;
    let decided = decided(&mut demo.kubectl_as(BOB, &["sallyport", "approve", request, "-n", DOORS]))?;
    let ended = held.finish(HOLD)?.ok()?;
    let ran = ended
        .stdout
        .lines()
        .find_map(|line| line.trim().parse().ok())
        .with_context(|| format!("no time in: {}", ended.all()))?;
    Ok(after(decided, ran))
}

/// When the API server's answer came: the approver's last line says so.
fn decided(approve: &mut Command) -> Result<f64> {
    let mut child = approve.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
    let mut decided = None;
    for line in lines {
        if line?.starts_with("accessrequest.sallyport.dev/") {
            decided = Some(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() % MINUTE);
        }
    }
    ensure!(child.wait()?.success(), "the approval was refused");
    decided.context("the approver was not told")
}

/// From one second of the minute to another, which may come a little before it as far as clocks can tell.
fn after(decided: f64, ran: f64) -> f64 {
    let difference = (ran - decided).rem_euclid(MINUTE);
    if difference > MINUTE / 2.0 { 0.0 } else { difference }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minute_may_turn_in_between() {
        assert!((after(59.95, 0.05) - 0.1).abs() < 1e-9);
        assert!((after(10.0, 10.25) - 0.25).abs() < 1e-9);
        assert_eq!(after(10.001, 10.0), 0.0);
    }
}
