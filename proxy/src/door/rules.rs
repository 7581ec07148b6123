//! What a door enforces at one moment.

use std::fmt;
use std::sync::Arc;

use sallyport_audit::record::ObjectRef;
use sallyport_crds::ConnectionSpec;
use sallyport_policy::Policy;
use sallyport_runtime::tls::Current;

use super::Network;

/// The present rules of a Connection.
#[derive(Clone, Debug)]
pub enum Rules {
    /// Sessions may be admitted under these.
    Open(Arc<Open>),
    /// Nobody gets in, and live sessions end; why, in words (no carrier yet, signature wrong, policyGrace over…).
    Shut(String),
}

/// One revision of what is enforced.
#[derive(Clone)]
pub struct Open {
    /// Revision of the carrier; only grows.
    pub revision: u64,
    /// The Connection: namespace, name, uid.
    pub connection: ObjectRef,
    /// Its spec: target, limits, protocol settings.
    pub spec: ConnectionSpec,
    /// The compiled carrier, with the keys of its Hash rules.
    pub policy: Arc<Policy>,
    /// Whether a sink asks for detector hits to be masked in the command texts that it keeps (`commandText: Masked`).
    pub mask_command_text: bool,
    /// The target's own credential; `None` while its Secret is missing or does not name the host: then nobody is admitted.
    pub credential: Option<Arc<Credential>>,
    /// How the target's certificate is checked; `None` where TLS is disabled in so many words.
    pub trust: Option<TargetTrust>,
    /// Address ranges that the target may not resolve into (`settings.deniedCidrs` of the carrier).
    pub denied_networks: Arc<[Network]>,
    /// Key of the HMAC that binds AccessRequests to exact bytes (Secret `door-X-keys`).
    pub binding_key: Arc<aws_lc_rs::hmac::Key>,
}

/// The credential of the door at the target.
#[derive(Debug)]
pub struct Credential {
    /// The role.
    pub username: String,
    /// Its password; `None` where a certificate alone says who the door is.
    pub password: Option<Secret>,
    /// The certificate that the door shows to a target that asks for one.
    pub certificate: Option<Arc<Current>>,
}

/// Bytes that never appear in `Debug`, logs or records.
pub struct Secret(Vec<u8>);

/// TLS towards the target.
#[derive(Clone, Debug)]
pub struct TargetTrust {
    /// Client configuration with the CA bundle of the Connection, or the system's roots.
    pub config: Arc<rustls::ClientConfig>,
    /// The name that the target's certificate must carry.
    pub server_name: rustls_pki_types::ServerName<'static>,
}

// === impl Open ===

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("revision", &self.revision)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

// === impl Secret ===

impl Secret {
    /// Keeps bytes secret.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
