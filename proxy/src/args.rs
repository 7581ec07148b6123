//! The flags, each with its environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;

use crate::{control, manifests};

/// Seconds until no Service sends anybody here any longer, most likely.
const LINGER: u64 = 5;

/// The door: identifies, decides, records, and relays what may be seen.
///
/// In a cluster the operator starts it, one Deployment for each Connection. With --manifests it serves Connections from YAML
/// files, without a cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "sallyport-proxy", version, max_term_width = 100)]
pub struct Args {
    /// Where clients dial, in a cluster.
    #[arg(long, env = "SALLYPORT_DOOR_ADDRESS", default_value = "0.0.0.0:5432")]
    pub door_address: SocketAddr,
    /// Where /metrics, /healthz and /readyz are served. In a cluster 0.0.0.0:9090; with --manifests nowhere, if left out.
    #[arg(long, env = "SALLYPORT_ADMIN_ADDRESS")]
    pub admin_address: Option<SocketAddr>,
    /// Threads that serve sessions; one for each processor if left out.
    #[arg(long, env = "SALLYPORT_THREADS")]
    pub threads: Option<usize>,
    /// Connections at one time, known and unknown, in the whole process. More are closed at once.
    #[arg(long, env = "SALLYPORT_MAX_CONNECTIONS", default_value_t = 10_000)]
    pub max_connections: usize,
    /// How many seconds sessions have to end after SIGTERM.
    #[arg(long, env = "SALLYPORT_DRAIN_SECONDS", default_value_t = 50)]
    pub drain_seconds: u64,
    /// How many seconds after SIGTERM new clients are still answered, in words, so that nobody who was sent here finds a closed
    /// port. In a cluster 5; with --manifests 0, if left out.
    #[arg(long, env = "SALLYPORT_LINGER_SECONDS")]
    pub linger_seconds: Option<u64>,
    /// In a cluster.
    #[command(flatten)]
    pub place: control::Flags,
    /// Without a cluster.
    #[command(flatten)]
    pub manifests: manifests::Flags,
    /// Logs.
    #[command(flatten)]
    pub logs: sallyport_runtime::logs::Flags,
}

// === impl Args ===

impl Args {
    /// Time for sessions to end.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// Time in which new clients are still answered.
    pub fn linger(&self) -> Duration {
        let usual = if self.manifests.manifests.is_none() { LINGER } else { 0 };
        Duration::from_secs(self.linger_seconds.unwrap_or(usual))
    }

    /// Threads that serve sessions.
    pub fn threads(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(processors).clamp(1, 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_door_that_a_service_leads_to_lingers() {
        let linger = |flags: &[&str]| {
            Args::parse_from(["sallyport-proxy"].iter().chain(flags))
                .linger()
                .as_secs()
        };
        assert_eq!(linger(&[]), LINGER);
        assert_eq!(linger(&["--manifests", "."]), 0);
        assert_eq!(linger(&["--linger-seconds", "9"]), 9);
    }

    #[test]
    fn every_flag_has_words_and_a_variable() {
        use clap::CommandFactory as _;
        let command = Args::command();
        command.clone().debug_assert();
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{}", argument.get_id());
            assert!(argument.get_env().is_some(), "{}", argument.get_id());
        }
    }
}
