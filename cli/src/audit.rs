//! `kubectl sallyport audit`: read the evidence log, and prove it.

mod attested;
mod export;
mod fetch;
mod filter;
mod mirror;
mod ocsf;
mod print;
mod reader;
mod report;
#[cfg(test)]
pub mod samples;
mod show;
mod sink;
mod trust;
mod verify;

pub use filter::Period;
pub use reader::Reader;
pub use trust::{Copying, Flags};
pub use verify::{exit, prove, text};

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cluster;

/// What there is to do with a log.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Prove a log against what was kept outside it, or name the first record that was touched.
    ///
    /// Exit status: 0 proven, 1 it could not be looked at, 3 unproven (nothing outside vouches for it), 4 refuted.
    Verify(verify::Args),
    /// Print records.
    Show(show::Args),
    /// Print records for other programs.
    Export(export::Args),
    /// Write one page of HTML for an examiner: who did what, approvals, blocks, masks, and the proof.
    ///
    /// Exit status as of verify.
    Report(report::Args),
    /// Play a recorded terminal. No protocol of this version has terminals, so that there are no recordings yet.
    Replay {
        /// The session.
        #[arg(value_name = "SESSION", trailing_var_arg = true, allow_hyphen_values = true)]
        session: Vec<String>,
    },
}

/// Runs one of them.
///
/// # Errors
/// When the log or what is known about it cannot be read.
pub async fn run(cluster: &cluster::Flags, command: Command) -> Result<ExitCode> {
    match command {
        Command::Verify(args) => verify::run(cluster, args).await,
        Command::Show(args) => show::run(cluster, args).await,
        Command::Export(args) => export::run(cluster, args).await,
        Command::Report(args) => report::run(cluster, args).await,
        Command::Replay { session } => bail!(
            "no protocol of this version has terminals: there is nothing to replay; audit show --session {} tells what was run",
            session
                .iter()
                .find(|word| !word.starts_with('-'))
                .map_or("ID", String::as_str)
        ),
    }
}
