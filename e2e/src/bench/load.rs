//! pgbench against one peer, or what stands in for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::process::{done, processor};
use super::report::median;
use super::stage::Stage;

/// Somebody to connect to.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) conninfo: String,
    pub(super) password: String,
    /// The process in between, if there is one.
    pub(super) pid: Option<u32>,
}

/// What clients do.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) clients: u32,
    /// pgbench's query mode: simple, extended, prepared.
    pub(super) mode: &'a str,
    /// pgbench's own script, or a file.
    pub(super) script: Script<'a>,
}

/// What one transaction is.
#[derive(Clone, Copy)]
pub(super) enum Script<'a> {
    /// A name of pgbench's.
    Builtin(&'a str),
    /// SQL.
    Own(&'a str),
    /// One statement whose $1 is a number from 1 to the last: prepared once, its results in binary form, which pgbench does not
    /// ask for.
    Binary(&'a str, u32),
}

/// What runs [`Script::Binary`].
const BINARY: &str = include_str!("binary.py");

/// What came of one turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Transactions a second.
    pub(super) tps: f64,
    /// Median latency in microseconds, where it was asked for.
    pub(super) median_us: f64,
    /// Processor time of the process in between, in microseconds a transaction.
    pub(super) processor_us: f64,
}

/// Rounds, and seconds of each turn.
pub(super) fn rounds() -> (usize, u32) {
    let number = |name: &str, usual: u32| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(usual)
    };
    (
        number("BENCH_ROUNDS", 5).max(1) as usize,
        number("BENCH_SECONDS", 3).max(1),
    )
}

/// Every peer in turn, in every round; gives each peer's turns.
pub(super) fn interleaved(stage: &Stage, load: Load<'_>, peers: &[Peer], latencies: bool) -> Result<Vec<Vec<Turn>>> {
    let (rounds, seconds) = rounds();
    let mut turns = vec![Vec::with_capacity(rounds); peers.len()];
    for round in 0..=rounds {
        for (peer, turns) in peers.iter().zip(&mut turns) {
            let turn = run(stage, load, peer, if round == 0 { 1 } else { seconds }, latencies);
            // The first round warms caches up, and may end before its first answer.
            if round > 0 {
                turns.push(turn?);
            }
        }
    }
    Ok(turns)
}

/// One peer's values over another's, round by round.
pub(super) fn ratios(over: &[Turn], under: &[Turn]) -> Vec<f64> {
    over.iter()
        .zip(under)
        .map(|(over, under)| over.tps / under.tps)
        .collect()
}

fn run(stage: &Stage, load: Load<'_>, peer: &Peer, seconds: u32, latencies: bool) -> Result<Turn> {
    let directory = stage.directory.path().join("pgbench");
    fs::create_dir_all(&directory)?;
    let mut command = match load.script {
        Script::Builtin(name) => {
            let mut pgbench = pgbench(stage, load, seconds, latencies);
            pgbench
                .args(["-s", &super::server::SCALE.to_string(), "-b", name])
                .arg(&peer.conninfo);
            pgbench
        }
        Script::Own(sql) => {
            fs::write(directory.join("script.sql"), sql)?;
            let mut pgbench = pgbench(stage, load, seconds, latencies);
            pgbench.args(["-f", "script.sql"]).arg(&peer.conninfo);
            pgbench
        }
        Script::Binary(sql, last) => {
            fs::write(directory.join("binary.py"), BINARY)?;
            let mut python = Command::new("python3");
            python
                .args(["binary.py", &peer.conninfo, sql])
                .args([last, load.clients, seconds].map(|number| number.to_string()));
            python
        }
    };
    let before = peer.pid.map(processor).transpose()?;
    let said = done(command.current_dir(&directory).env("PGPASSWORD", &peer.password))?;
    let after = peer.pid.map(processor).transpose()?;
    let figure = |label: &str| -> Result<f64> {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(label));
        let line = line.with_context(|| format!("pgbench gave no {label}: {said}"))?;
        Ok(line
            .split(['/', ' '])
            .find(|word| !word.is_empty())
            .unwrap_or_default()
            .parse()?)
    };
    let transactions = figure("number of transactions actually processed:")?;
    let used = after.unwrap_or_default() - before.unwrap_or_default();
    Ok(Turn {
        tps: figure("tps =")?,
        median_us: if latencies { logged(&directory)? } else { 0.0 },
        processor_us: used * 1e6 / transactions.max(1.0),
    })
}

fn pgbench(stage: &Stage, load: Load<'_>, seconds: u32, latencies: bool) -> Command {
    let mut command = Command::new(stage.server.pgbench());
    command
        .args(["-n", "-M", load.mode, "-c", &load.clients.to_string()])
        .args(["-j", &load.clients.min(2).to_string(), "-T", &seconds.to_string()]);
    if latencies {
        command.arg("-l");
    }
    command
}

/// The median of pgbench's log of single transactions, which is removed.
fn logged(directory: &Path) -> Result<f64> {
    let mut latencies = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("pgbench_log"))
        {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        latencies.extend(
            text.lines()
                .filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok()),
        );
        fs::remove_file(path)?;
    }
    Ok(median(&latencies))
}
