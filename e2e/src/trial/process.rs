//! Processes of this machine that a trial stops for a while.

use std::process::Command;

use anyhow::Result;

/// A process that is stopped, and goes on when this is dropped.
pub(super) struct Stopped(String);

// === impl Stopped ===

impl Stopped {
    /// Stops the process with that number.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn stop(process: String) -> Result<Self> {
        let stopped = Self(process);
        let status = stopped.signal("-STOP")?;
        anyhow::ensure!(status.success(), "kill -STOP {}: {status}", stopped.0);
        Ok(stopped)
    }

    fn signal(&self, signal: &str) -> Result<std::process::ExitStatus> {
        Ok(Command::new("kill").args([signal, &self.0]).status()?)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.signal("-CONT");
    }
}
