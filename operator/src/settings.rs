//! What the flags say, resolved once. After that nobody asks whether something was set.

/// Settings that reconcilers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The operator's own namespace.
    pub namespace: String,
    /// Image of proxies and recorders.
    pub image: String,
    /// Pull policy of that image.
    pub image_pull_policy: String,
    /// Where Pods reach the operator.
    pub operator_url: String,
    /// The bundle by which Pods and operator check each other's certificates, PEM.
    pub workload_bundle: String,
    /// The public keys by which doors check carriers, base64, separated by commas.
    pub carrier_keys: String,
    /// The key by which recorders check the operator's permits to write (C2SP verifier key).
    pub permit_key: String,
    /// The key by which readers check the operator's cosignatures (C2SP verifier key).
    pub witness_key: String,
    /// The bundle by which clients check door certificates, PEM.
    pub door_bundle: String,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// Address ranges that no target may resolve to.
    pub denied_cidrs: Vec<String>,
    /// Where the API server is, for NetworkPolicies: address ranges. Empty: anywhere, on its usual ports.
    pub api_server_cidrs: Vec<String>,
    /// Seconds for which finished AccessRequests are kept.
    pub keep_finished_seconds: i64,
}
