//! Programs that run while measurements are taken, and what the kernel says of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::run::{describe, wait_until};

/// How long one may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program in the background; ended when dropped.
pub(super) struct Background(Child);

// === impl Background ===

impl Background {
    /// Starts a program; what it says goes to a file.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {}", describe(command)))?;
        Ok(Self(child))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself. One that is asked writes what it counted; one that does not go in time is killed.
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
            let _ = wait_until(PATIENCE, "a program to end", || Ok(self.0.try_wait()?.map(drop)));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor time that all threads of a process have used, in seconds.
pub(super) fn processor(pid: u32) -> Result<f64> {
    let mut nanoseconds = 0u64;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let line = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        let ran: u64 = line.split_whitespace().next().unwrap_or("0").parse()?;
        nanoseconds += ran;
    }
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// A figure of `/proc/PID/status` in KiB, such as VmRSS.
pub(super) fn memory(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .with_context(|| format!("/proc/{pid}/status has no {field}"))?;
    let number = line.split_whitespace().next().unwrap_or_default();
    Ok(number.parse()?)
}

/// Makes VmHWM count from now.
pub(super) fn forget_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak of memory cannot be reset")
}

/// Waits until an address takes connections.
pub(super) fn listening(address: SocketAddr, what: &str, log: &Path) -> Result<()> {
    let connects = || Ok(std::net::TcpStream::connect(address).ok());
    match wait_until(Duration::from_secs(30), what, connects) {
        Ok(_) => Ok(()),
        Err(error) => bail!("{error}; it said: {}", fs::read_to_string(log).unwrap_or_default()),
    }
}

/// An address on the loopback whose port is free now.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Runs a program to its end, with a limit fit for loading data; gives its standard output.
pub(super) fn done(command: &mut Command) -> Result<String> {
    let limit = Duration::from_secs(600);
    let what = describe(command);
    let output = crate::run::Running::start(command)?.finish(limit)?;
    Ok(output.ok().with_context(|| what)?.stdout)
}

/// A command that is run as `postgres` where we are root: neither PostgreSQL nor PgBouncer runs as root.
pub(super) fn unprivileged(program: &str) -> Result<Command> {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"])
        .arg(program);
    Ok(command)
}

/// Makes everything below belong to `postgres` where we are root.
pub(super) fn give(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata("/proc/self")?.uid() == 0 {
        done(Command::new("chown").arg("-R").arg("postgres:postgres").arg(path))?;
    }
    Ok(())
}
