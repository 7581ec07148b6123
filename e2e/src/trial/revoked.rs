//! Revoking: what runs by a grant is cut at once, and the target stops with it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::client::{ask_directly, start};
use crate::demo::{ALICE, BOB, CAROL, Demo};
use crate::narrator::Narrator;

use super::SETTLE;
use super::requests::answer;
use super::second_person::named;
use super::session::at_work;
use super::undo::PutBack;

const ROW: &str = "INSERT INTO accounts VALUES (7821, 1, 0) ON CONFLICT DO NOTHING";
const SLOW: &str = "DELETE FROM accounts WHERE id = 7821 RETURNING pg_sleep(400)";
/// How soon what runs is cut once the API server has the answer.
const SOON: Duration = Duration::from_secs(1);
/// A machine that has something else to do may need another try.
const TRIES: usize = 3;

pub(super) fn while_it_runs(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    ask_directly(demo, ROW)?.ok()?;
    let _row = PutBack(demo, "DELETE FROM accounts WHERE id = 7821");
    let carol = demo.name_of(CAROL)?;
    let mut fastest: Option<Duration> = None;
    for _ in 0..TRIES {
        let took = cut(demo, narrator, &carol)?;
        narrator.shows_text(&format!("cut {} ms after the API server's answer", took.as_millis()));
        fastest = fastest.into_iter().chain([took]).min();
        if took <= SOON {
            break;
        }
    }
    let fastest = fastest.context("nothing was tried")?;
    narrator.check(
        &format!("cut within {SOON:?} of the revocation's being stored"),
        fastest <= SOON,
    )
}

/// alice's statement runs by bob's approval, and carol revokes it; gives how long it went on.
fn cut(demo: &Demo, narrator: &mut Narrator, carol: &str) -> Result<Duration> {
    let mut running = start(demo, ALICE, &[SLOW])?;
    let request = named(&running.wait_for_line(SETTLE, |line| line.contains("kubectl sallyport approve"))?)?;
    answer(demo, BOB, "approve", &request)?.ok()?;
    at_work(demo, SLOW, 1)?;
    answer(demo, CAROL, "revoke", &request)?.ok()?;
    let answered = Instant::now();
    let (came, _) = running.line_came(SETTLE, |line| line.contains("FATAL"))?;
    let took = came.saturating_duration_since(answered);
    let ended = running.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check(
        "alice is told who revoked it, and why",
        ended.stderr.contains(&format!("revoked by {carol}: for the trial")) && !ended.stdout.contains("DELETE"),
    )?;
    at_work(demo, SLOW, 0)?;
    let left = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7821")?.stdout;
    narrator.check("the target stopped, and the row is there", left.trim() == "1")?;
    Ok(took)
}
