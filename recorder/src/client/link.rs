//! Where the recorder is, who we are to it, and how far we trust its absence.

use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::record::{ObjectRef, PodRef};

/// When a record counts as accepted (AuditSink `durability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the recorder says it is on disk.
    BeforeExecution,
    /// When it is in the bounded queue: what is queued is lost with the process.
    Async,
}

/// Bounds of the queue and of patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long an append waits for its acknowledgement before it fails in words.
    pub accept_within: Duration,
    /// The longest that a record of [`Durability::Async`] may be on its way before nothing more is accepted.
    pub max_lag: Duration,
    /// Records that may wait.
    pub max_records: u64,
    /// Bytes that may wait.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            accept_within: Duration::from_secs(15),
            max_lag: Duration::from_secs(15),
            max_records: 100_000,
            max_bytes: 256 * 1024 * 1024,
        }
    }
}

/// Gives the TLS configuration for the next connection, so that a rotated certificate is used without a restart.
pub type TlsSource = Arc<dyn Fn() -> Arc<rustls::ClientConfig> + Send + Sync>;

/// The way to one recorder.
#[derive(Clone)]
pub struct Link {
    /// `host:port` of the recorder's evidence port.
    pub endpoint: String,
    /// The name to verify in the recorder's certificate.
    pub server_name: String,
    /// The client's certificate and the roots.
    pub tls: TlsSource,
    /// The Connection that this process serves: must be the one in its certificate.
    pub connection: ObjectRef,
    /// This process's Pod: must be the one in its certificate.
    pub pod: PodRef,
    /// When a record counts as accepted.
    pub durability: Durability,
    /// Bounds.
    pub limits: Limits,
}
