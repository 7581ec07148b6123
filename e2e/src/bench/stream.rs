//! Large answers: COPY at full speed, and a gigabyte to a client that reads slowly.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::load::{Peer, rounds};
use super::process::{forget_peak, memory};
use super::report::{Line, Report, median};
use super::stage::Stage;

/// Ten thousand customers, this many times: about a gigabyte.
const TIMES: u32 = 1_300;
/// How long the slow client rests after each 64 KiB: it reads 32 MiB/s at most, several times less than the door gives.
const REST: Duration = Duration::from_millis(2);
/// What the door may take for a slow client, in KiB: two buffers, and what its threads take for other things.
const MOST: f64 = 2_048.0;

fn copy(times: u32) -> String {
    format!("COPY (SELECT c.* FROM customers c CROSS JOIN generate_series(1, {times})) TO STDOUT")
}

/// COPY TO STDOUT of a gigabyte of masked rows.
pub(super) fn copy_out(stage: &Stage, report: &mut Report) -> Result<()> {
    let names = [
        "pg/copy-out-masked/mb-per-s",
        "pg/copy-out-masked/vs-direct",
        "pg/copy-out-masked/peak-kib",
    ];
    if !names.iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let (door, direct, pid) = (stage.door("durable")?, stage.direct(), stage.door.process.pid());
    // What a first session makes once for all is not counted.
    read(&door, 1, Duration::ZERO)?;
    let (mut speeds, mut ratios, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds().0.min(3) {
        forget_peak(pid)?;
        let before = memory(pid, "VmRSS")?;
        let own = read(&door, TIMES, Duration::ZERO)?;
        peaks.push(memory(pid, "VmHWM")? - before);
        // Masked values are shorter: what counts is how long the same rows take.
        let straight = read(&direct, TIMES, Duration::ZERO)?;
        #[expect(clippy::cast_precision_loss, reason = "a throughput, not an account")]
        speeds.push(straight.bytes as f64 / own.took.as_secs_f64() / 1e6);
        ratios.push(straight.took.as_secs_f64() / own.took.as_secs_f64());
    }
    let what = "COPY of 13 million rows of 5 columns (1 GB before masking), three masked, read by psql";
    report.add(Line {
        name: names[0],
        unit: "MB/s",
        runs: speeds,
        what: &format!("{what}: bytes before masking over time"),
    })?;
    report.add(Line {
        name: names[1],
        unit: "ratio",
        runs: ratios,
        what: &format!("{what}: over a direct connection unmasked in the same round"),
    })?;
    report.add(Line {
        name: names[2],
        unit: "KiB",
        runs: peaks,
        what: &format!("{what}: peak of the door's resident memory less what it was before"),
    })
}

/// How much more memory the door takes while a gigabyte waits for a slow reader.
pub(super) fn slow_client(stage: &Stage, report: &mut Report) -> Result<()> {
    let name = "pg/stream-1gb-slow-client/peak-kib";
    if !report.wants(name) {
        return Ok(());
    }
    let (door, pid) = (stage.door("durable")?, stage.door.process.pid());
    // What a first session makes once for all is not counted.
    read(&door, 1, Duration::ZERO)?;
    let mut peaks = Vec::new();
    for _ in 0..rounds().0.min(2) {
        forget_peak(pid)?;
        let before = memory(pid, "VmRSS")?;
        let got = read(&door, TIMES, REST)?;
        ensure!(got.bytes > 500_000_000, "only {} bytes came", got.bytes);
        peaks.push(memory(pid, "VmHWM")? - before);
    }
    let usual = median(&peaks);
    let what = "COPY of 13 million masked rows (1 GB before masking) to a client that reads 32 MiB/s at most: peak of the door's \
                resident memory less what it was before";
    report.add(Line {
        name,
        unit: "KiB",
        runs: peaks,
        what,
    })?;
    // Written down first: a bench that fails says by how much.
    ensure!(
        usual <= MOST,
        "a slow client costs {usual} KiB of the door, {MOST} at most were promised"
    );
    Ok(())
}

struct Got {
    bytes: u64,
    took: Duration,
}

fn read(peer: &Peer, times: u32, rest: Duration) -> Result<Got> {
    let began = Instant::now();
    let mut child = Command::new("psql")
        .env("PGPASSWORD", &peer.password)
        .args(["-X", "-q", "-d", &peer.conninfo, "-c", &copy(times)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut out = child.stdout.take().context("standard output")?;
    let (mut buffer, mut bytes) = (vec![0; 64 * 1024], 0u64);
    loop {
        let n = out.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        bytes += n as u64;
        if !rest.is_zero() {
            thread::sleep(rest);
        }
    }
    ensure!(child.wait()?.success(), "psql failed");
    Ok(Got {
        bytes,
        took: began.elapsed(),
    })
}
