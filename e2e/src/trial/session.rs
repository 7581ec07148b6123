//! Sessions from before: they sleep while something changes around them.

use anyhow::Result;

use crate::client::{ask_directly, start};
use crate::demo::{ALICE, Demo};
use crate::run::{Output, Running, wait_until};

use super::SETTLE;
use super::undo::PutBack;

/// Longer than any trial takes.
const LONG: &str = "SELECT pg_sleep(600)";
/// The session goes on with its next statement then. While it sleeps it enforces no newer policy, for which others wait.
const WAKE: &str = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'";

/// alice's session; woken when this is dropped.
pub(super) struct Asleep<'a> {
    wake: PutBack<'a>,
    session: Running,
}

/// alice sleeps in a session, and says that she is still here when she is woken.
pub(super) fn asleep(demo: &Demo) -> Result<Asleep<'_>> {
    let session = start(demo, ALICE, &[LONG, "SELECT 'still here'"])?;
    let wake = PutBack(demo, WAKE);
    at_work(demo, LONG, 1)?;
    Ok(Asleep { wake, session })
}

/// Waits until as many sessions run this statement at the target.
pub(super) fn at_work(demo: &Demo, statement: &str, sessions: usize) -> Result<()> {
    wait_until(SETTLE, &format!("sessions that run {statement}: {sessions}"), || {
        let seen = format!("SELECT count(*) FROM pg_stat_activity WHERE query = '{statement}'");
        Ok((ask_directly(demo, &seen)?.stdout.trim() == sessions.to_string()).then_some(()))
    })
}

// === impl Asleep ===

impl Asleep<'_> {
    /// Wakes alice; gives all that her session said.
    pub(super) fn woken(self) -> Result<Output> {
        drop(self.wake);
        self.session.finish(SETTLE)
    }
}
