//! Flags and their environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;

use sallyport_runtime::logs;

/// The clerk of Sallyport: watches Connections, MaskingRules, ApprovalPolicies, AuditSinks and AccessRequests, owns the
/// workloads, signs policies and certificates, writes status. Carries no traffic.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "sallyport-operator", version)]
pub struct Args {
    /// The operator's own namespace: keys, Lease and ledger of logs are there.
    #[arg(long, env = "SALLYPORT_NAMESPACE", default_value = "sallyport-system")]
    pub namespace: String,
    /// Name of this Pod: the identity in the Lease and in Events.
    #[arg(long, env = "SALLYPORT_POD_NAME", default_value = "sallyport-operator")]
    pub pod_name: String,
    /// Address of this Pod. Where given, the leader writes the EndpointSlice of the Service, so that reports reach it.
    #[arg(long, env = "SALLYPORT_POD_IP")]
    pub pod_ip: Option<std::net::IpAddr>,
    /// Name of the Service in front of the operator's API.
    #[arg(long, env = "SALLYPORT_SERVICE", default_value = "sallyport-operator")]
    pub service: String,
    /// Image of proxies and recorders.
    #[arg(long, env = "SALLYPORT_IMAGE")]
    pub image: String,
    /// When that image is pulled: Always, IfNotPresent or Never.
    #[arg(long, env = "SALLYPORT_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: String,
    /// Directory with authentication.yaml (an AuthenticationConfiguration of apiserver.config.k8s.io/v1, best the very file
    /// that the API server reads) and names.yaml (short names of issuers, audiences of doors, declared names of approvers).
    #[arg(long, env = "SALLYPORT_ISSUERS", default_value = "/etc/sallyport/issuers")]
    pub issuers: PathBuf,
    /// Directory with notifications.yaml: webhooks that are told of AccessRequests. Without it nobody is.
    #[arg(
        long,
        env = "SALLYPORT_NOTIFICATIONS",
        default_value = "/etc/sallyport/notifications"
    )]
    pub notifications: PathBuf,
    /// Address ranges that no target may resolve to, beside loopback, link-local and metadata addresses.
    #[arg(long, env = "SALLYPORT_DENIED_CIDRS", value_delimiter = ',')]
    pub denied_cidrs: Vec<String>,
    /// Address ranges of the API server, for NetworkPolicies; its usual ports at any address if left out.
    #[arg(long, env = "SALLYPORT_API_SERVER_CIDRS", value_delimiter = ',')]
    pub api_server_cidrs: Vec<String>,
    /// The cluster's DNS domain.
    #[arg(long, env = "SALLYPORT_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// How long finished AccessRequests are kept, such as 168h. The audit log keeps them for ever.
    #[arg(long, env = "SALLYPORT_KEEP_FINISHED_REQUESTS", default_value = "168h")]
    pub keep_finished_requests: String,
    /// Where the API for Pods listens.
    #[arg(long, env = "SALLYPORT_API_ADDRESS", default_value = "0.0.0.0:8443")]
    pub api_address: SocketAddr,
    /// Where metrics and probes listen.
    #[arg(long, env = "SALLYPORT_ADMIN_ADDRESS", default_value = "0.0.0.0:9090")]
    pub admin_address: SocketAddr,
    /// Name of the Lease.
    #[arg(long, env = "SALLYPORT_LEASE", default_value = "sallyport-operator")]
    pub lease: String,
    /// Logs.
    #[command(flatten)]
    pub logs: logs::Flags,
}
