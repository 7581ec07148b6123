//! Flags and their environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use sallyport_audit::note::VerifierKey;
use sallyport_runtime::logs;
use sallyport_runtime::workload::Enrollment;

/// Keeps the evidence log of one AuditSink: one log, one writer, one key.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Namespace of the AuditSink.
    #[arg(long, env = "SALLYPORT_NAMESPACE")]
    pub namespace: String,
    /// Name of the AuditSink.
    #[arg(long, env = "SALLYPORT_SINK")]
    pub sink: String,
    /// uid of the AuditSink: a namesake made later gets a log of its own.
    #[arg(long, env = "SALLYPORT_SINK_UID")]
    pub sink_uid: String,
    /// Namespaces from which Connections are taken, separated by commas; any if left out.
    #[arg(long, env = "SALLYPORT_SINK_NAMESPACES", value_delimiter = ',')]
    pub sink_namespaces: Option<Vec<String>>,
    /// The operator's witness key (C2SP verifier key). With it the recorder takes nothing until the operator has signed for
    /// what it found on its volume. Without it nobody outside keeps this log's head.
    #[arg(long, env = "SALLYPORT_WITNESS_KEY")]
    pub witness_key: Option<VerifierKey>,
    /// Takes no session whose token no door has shown. Only with --witness-key: nobody else says whose tokens count.
    #[arg(long, env = "SALLYPORT_TOKENS_REQUIRED", requires = "witness_key")]
    pub tokens_required: bool,
    /// After how many days records are removed from the volume; their hashes stay. For ever if left out.
    #[arg(long, env = "SALLYPORT_RETENTION_DAYS")]
    pub retention_days: Option<u32>,
    /// Name of this Pod.
    #[arg(long, env = "SALLYPORT_POD_NAME")]
    pub pod_name: String,
    /// uid of this Pod.
    #[arg(long, env = "SALLYPORT_POD_UID")]
    pub pod_uid: String,
    /// The volume: write-ahead files, the published log, the log's key.
    #[arg(long, env = "SALLYPORT_DATA", default_value = "/var/lib/sallyport")]
    pub data: PathBuf,
    /// Where doors stream records to.
    #[arg(long, env = "SALLYPORT_EVIDENCE_LISTEN", default_value = "[::]:7443")]
    pub evidence_listen: SocketAddr,
    /// Where the operator reads checkpoints, proofs and tiles.
    #[arg(long, env = "SALLYPORT_READ_LISTEN", default_value = "[::]:7444")]
    pub read_listen: SocketAddr,
    /// Where readers come in by a port-forward. Has no TLS: keep it on loopback.
    #[arg(long, env = "SALLYPORT_LOOPBACK_LISTEN", default_value = "127.0.0.1:7445")]
    pub loopback_listen: SocketAddr,
    /// /metrics, /healthz and /readyz.
    #[arg(long, env = "SALLYPORT_ADMIN_LISTEN", default_value = "[::]:9090")]
    pub admin_listen: SocketAddr,
    /// The longest time between a record and the signed checkpoint that covers it, in milliseconds.
    #[arg(long, env = "SALLYPORT_CHECKPOINT_EVERY_MS", default_value = "1000", value_parser = milliseconds)]
    pub checkpoint_every_ms: Duration,
    /// How long a door whose stream broke may take to come back before its sessions are declared over, in milliseconds.
    #[arg(long, env = "SALLYPORT_GRACE_MS", default_value = "10000", value_parser = milliseconds)]
    pub grace_ms: Duration,
    /// Certificate chain in PEM, instead of asking the operator for one. With --tls-key and --client-ca.
    #[arg(long, env = "SALLYPORT_TLS_CERT", requires_all = ["tls_key", "client_ca"])]
    pub tls_cert: Option<PathBuf>,
    /// Its key in PEM.
    #[arg(long, env = "SALLYPORT_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// The CAs that sign the certificates of doors and operator, in PEM.
    #[arg(long, env = "SALLYPORT_CLIENT_CA")]
    pub client_ca: Option<PathBuf>,
    /// How to get a certificate from the operator.
    #[command(flatten)]
    pub enrollment: Enrollment,
    /// Logs.
    #[command(flatten)]
    pub logs: logs::Flags,
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number of milliseconds above 0 is expected".to_owned()),
        Ok(millis) => Ok(Duration::from_millis(millis)),
    }
}
