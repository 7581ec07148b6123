//! Which Connection this process serves, and as which Pod.

use std::net::{IpAddr, SocketAddr};

use sallyport_audit::record::{ObjectRef, PodRef};
use sallyport_runtime::workload::Enrollment;

/// What the operator tells a door's Pod; for `#[command(flatten)]`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "In a cluster")]
pub struct Flags {
    /// Namespace of the Connection and of this Pod.
    #[arg(long, env = "SALLYPORT_NAMESPACE", default_value = "")]
    pub namespace: String,
    /// Name of the Connection that this process serves.
    #[arg(long, env = "SALLYPORT_CONNECTION", default_value = "")]
    pub connection: String,
    /// Its `metadata.uid`: the policy of a namesake is refused.
    #[arg(long, env = "SALLYPORT_CONNECTION_UID", default_value = "")]
    pub connection_uid: String,
    /// Name of this Pod.
    #[arg(long, env = "SALLYPORT_POD_NAME", default_value = "")]
    pub pod_name: String,
    /// `metadata.uid` of this Pod.
    #[arg(long, env = "SALLYPORT_POD_UID", default_value = "")]
    pub pod_uid: String,
    /// Public keys (Ed25519, 32 bytes, base64) by which the operator signs policy; several while a key changes.
    #[arg(long, env = "SALLYPORT_CARRIER_KEYS", value_delimiter = ',')]
    pub carrier_keys: Vec<String>,
    /// Address of this Pod, which is not told of the cancels that it does not know itself.
    #[arg(long, env = "SALLYPORT_POD_IP")]
    pub pod_ip: Option<IpAddr>,
    /// Where other replicas of the door are heard. All of them listen on the same port.
    #[arg(long, env = "SALLYPORT_PEER_ADDRESS", default_value = "0.0.0.0:7446")]
    pub peer_address: SocketAddr,
    /// Where the workload certificate comes from.
    #[command(flatten)]
    pub enrollment: Enrollment,
}

/// Which Connection, as which Pod, believing whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The Connection.
    pub connection: ObjectRef,
    /// This Pod.
    pub pod: PodRef,
    /// Raw Ed25519 public keys of the operator.
    pub keys: Vec<Vec<u8>>,
}

/// A flag that is missing or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Not given.
    #[error("{0} is not set: the operator sets it in every door's Pod; without a cluster use --manifests")]
    Missing(&'static str),
    /// Not a key.
    #[error("SALLYPORT_CARRIER_KEYS: every key is 32 bytes in base64")]
    Key,
}

// === impl Flags ===

impl Flags {
    /// Reads the place out of the flags.
    ///
    /// # Errors
    /// When one of them is missing or is not what it should be.
    pub fn place(&self) -> Result<Place, FlagError> {
        let need = |value: &str, name| {
            if value.is_empty() {
                Err(FlagError::Missing(name))
            } else {
                Ok(value.to_owned())
            }
        };
        let connection = ObjectRef {
            namespace: need(&self.namespace, "SALLYPORT_NAMESPACE")?,
            name: need(&self.connection, "SALLYPORT_CONNECTION")?,
            uid: need(&self.connection_uid, "SALLYPORT_CONNECTION_UID")?,
        };
        let pod = PodRef {
            name: need(&self.pod_name, "SALLYPORT_POD_NAME")?,
            uid: need(&self.pod_uid, "SALLYPORT_POD_UID")?,
        };
        let keys: Vec<_> = self
            .carrier_keys
            .iter()
            .filter(|key| !key.trim().is_empty())
            .map(|key| read_key(key))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(FlagError::Missing("SALLYPORT_CARRIER_KEYS"));
        }
        Ok(Place { connection, pod, keys })
    }
}

fn read_key(text: &str) -> Result<Vec<u8>, FlagError> {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .map_err(|_| FlagError::Key)?;
    if key.len() == 32 { Ok(key) } else { Err(FlagError::Key) }
}
