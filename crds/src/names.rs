//! Names that several rooms have to agree on: labels, annotations, children of an object, audiences, identities.

/// A namespace opts in to the operator by carrying this label with the value `true`.
pub const ENABLED_LABEL: &str = "sallyport.dev/enabled";
/// On every child of a Connection: the Connection's name.
pub const CONNECTION_LABEL: &str = "sallyport.dev/connection";
/// On every child of an AuditSink: the sink's name.
pub const SINK_LABEL: &str = "sallyport.dev/sink";
/// On a request: the beginning of the digest by which its grant is looked up. Labels of requests are frozen.
pub const GRANT_LABEL: &str = "sallyport.dev/grant";
/// On a credentials Secret: the host names it may be used for, separated by commas.
pub const HOSTS_ANNOTATION: &str = "sallyport.dev/hosts";
/// The key of `extra` by which the API server carries a person's issuer (`claimMappings.extra`).
pub const ISSUER_EXTRA: &str = "sallyport.dev/issuer";
/// The key of `extra` by which the API server carries when a person logged in (`auth_time`), in seconds since 1970.
pub const AUTH_TIME_EXTRA: &str = "sallyport.dev/auth-time";
/// Field manager of everything the operator applies.
pub const FIELD_MANAGER: &str = "sallyport-operator";
/// Audience of the ServiceAccount tokens by which Pods ask the operator for workload certificates.
pub const OPERATOR_AUDIENCE: &str = "sallyport-operator";
/// Key of the carrier in its ConfigMap.
pub const CARRIER_KEY: &str = "carrier.json";
/// Key of a rule's protected columns in their ConfigMap.
pub const COLUMNS_KEY: &str = "columns.json";

/// Name of the Deployment, Service, ServiceAccount, Role and so on of a Connection.
pub fn door(connection: &str) -> String {
    format!("door-{connection}")
}

/// Name of the Service by which the replicas of a Connection's door find each other. With two hyphens, since no Connection's
/// name begins with one: `door-X-peers` would be what clients dial of a Connection `X-peers`.
pub fn peers(connection: &str) -> String {
    format!("door--peers-{connection}")
}

/// Name of the ConfigMap that carries a Connection's compiled policy.
pub fn carrier(connection: &str) -> String {
    format!("door-{connection}-policy")
}

/// Name of the ConfigMap that lists the columns which a MaskingRule keeps protected, by the rule's uid. It begins as what
/// belongs to doors does, so that admission guards it with them.
pub fn columns(rule_uid: &str) -> String {
    format!("door-rule-{rule_uid}-columns")
}

/// Name of the Secret that holds a door certificate issued by the operator's own CA.
pub fn door_certificate(connection: &str) -> String {
    format!("door-{connection}-tls")
}

/// Name of the Secret that holds the key by which AccessRequests bind to a command's exact bytes.
pub fn binding_key(connection: &str) -> String {
    format!("door-{connection}-keys")
}

/// Name of the StatefulSet, Service, ServiceAccount and so on of an AuditSink.
pub fn recorder(sink: &str) -> String {
    format!("recorder-{sink}")
}

/// The audience that a ServiceAccount token must carry to be a token for this Connection.
pub fn service_account_audience(namespace: &str, connection: &str) -> String {
    format!("sallyport://{namespace}/{connection}")
}
