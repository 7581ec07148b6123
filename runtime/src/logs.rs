//! Logs: structured, on standard output, without values.
//!
//! Rule of the house for what is logged: names of objects, reasons of closed sets, counts and durations. Never a command's
//! text, a value, a token, or an error text that a peer composed.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line, for collectors.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Flags about logs, for `#[command(flatten)]`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Flags {
    /// How log lines look.
    #[arg(long, env = "SALLYPORT_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: Format,
    /// What is logged: `info`, `debug`, or directives such as `info,sallyport_proxy=debug`.
    #[arg(long, env = "SALLYPORT_LOG", default_value = "info")]
    pub log: String,
}

/// Starts logging for the process. A directive that cannot be read falls back to `info` and says so.
pub fn init(flags: &Flags) {
    let (filter, unreadable) = match EnvFilter::try_new(&flags.log) {
        Ok(filter) => (filter, false),
        Err(_) => (EnvFilter::new("info"), true),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stdout)
        .with_ansi(std::io::stdout().is_terminal());
    let started = match flags.log_format {
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .finish()
            .try_init(),
        Format::Text => builder.with_target(false).finish().try_init(),
    };
    // A second start changes nothing; tests start several programs in one process.
    if started.is_ok() && unreadable {
        tracing::warn!(directives = %flags.log, "log directives could not be read; logging at info");
    }
}
