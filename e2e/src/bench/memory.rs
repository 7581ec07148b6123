//! What a session costs that does nothing.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::process::memory;
use super::report::{Line, Report};
use super::stage::Stage;
use crate::run::wait_until;

/// Sessions at one time; fewer where the target's processes would not fit into memory.
const SESSIONS: u32 = 2_000;

/// Resident memory of the door, a session, while sessions wait after one statement each.
pub(super) fn idle(stage: &Stage, report: &mut Report) -> Result<()> {
    let name = "pg/idle-session/kib";
    if !report.wants(name) {
        return Ok(());
    }
    let (peer, pid) = (stage.door("async")?, stage.door.process.pid());
    let sessions = if available()? > 8e6 { SESSIONS } else { SESSIONS / 8 };
    let script = stage.directory.path().join("idle.sql");
    // One statement, then nothing for longer than all of them need to come.
    std::fs::write(
        &script,
        "SELECT abalance FROM pgbench_accounts WHERE aid = 1;\n\\sleep 1000 s\n",
    )?;
    let before = memory(pid, "VmRSS")?;
    let mut command = Command::new(stage.server.pgbench());
    command
        .env("PGPASSWORD", &peer.password)
        .args(["-n", "-c", &sessions.to_string(), "-j", "8", "-t", "1", "-f"])
        .arg(&script)
        .arg(&peer.conninfo)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let clients = Clients(command.spawn().context("pgbench")?);
    let limit = Duration::from_secs(300);
    wait_until(limit, "all sessions", || {
        Ok((sockets(pid)? >= 2 * u64::from(sessions)).then_some(()))
    })?;
    // The last ones have logged in; now their statement has to be over.
    let settled = wait_until(limit, "quiet", || quiet(pid))?;
    drop(clients);
    let what =
        format!("{sessions} sessions, each after one statement: growth of the door's resident memory, a session");
    let runs = vec![(settled - before) / f64::from(sessions)];
    report.add(Line {
        name,
        unit: "KiB",
        runs,
        what: &what,
    })
}

struct Clients(Child);

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn available() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("/proc/meminfo has no MemAvailable")?.parse()?)
}

/// Sockets that a process has open.
fn sockets(pid: u32) -> Result<u64> {
    let mut count = 0;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let target = std::fs::read_link(entry?.path()).unwrap_or_default();
        count += u64::from(target.to_string_lossy().starts_with("socket:"));
    }
    Ok(count)
}

/// The memory, once a second passed in which the process used next to no processor time.
fn quiet(pid: u32) -> Result<Option<f64>> {
    let before = super::process::processor(pid)?;
    std::thread::sleep(Duration::from_secs(1));
    let _ = std::io::stderr().flush();
    let used = super::process::processor(pid)? - before;
    Ok((used < 0.05).then_some(memory(pid, "VmRSS")?))
}
