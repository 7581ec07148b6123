//! Who a workload certificate speaks for: URI names of the form `spiffe://sallyport/…`.

use std::fmt;

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Everything before the path of our names.
const PREFIX: &str = "spiffe://sallyport/";

/// What a workload certificate says about its holder. Made by the operator from what the API server says about a Pod-bound
/// token, so that each part can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerIdentity {
    /// A proxy of one Connection.
    Connection(Workload),
    /// The recorder of one AuditSink.
    Sink(Workload),
    /// The operator.
    Operator,
}

/// An object of ours and the Pod that works for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Namespace of the Connection or AuditSink and of the Pod.
    pub namespace: String,
    /// Name of the Connection or AuditSink.
    pub name: String,
    /// `metadata.uid` of the Connection or AuditSink: a namesake made later is another.
    pub uid: String,
    /// Name of the Pod.
    pub pod: String,
    /// `metadata.uid` of the Pod.
    pub pod_uid: String,
}

/// Why a certificate says nothing that we understand about its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Not X.509.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// None or several of our names.
    #[error("the certificate does not carry exactly one sallyport name")]
    Names,
    /// A name of ours that does not parse.
    #[error("the certificate's sallyport name has an unknown form")]
    Form,
    /// Not a workload certificate: these may act as server and as client, door certificates only as server.
    #[error("the certificate is not for workloads")]
    Usage,
}

// === impl PeerIdentity ===

impl PeerIdentity {
    /// Reads a URI name.
    ///
    /// # Errors
    /// When it is not exactly of one of the three forms.
    pub fn parse(uri: &str) -> Result<Self, PeerError> {
        let path = uri.strip_prefix(PREFIX).ok_or(PeerError::Form)?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["operator"] => Ok(Self::Operator),
            ["connection", ns, name, uid, "pod", pod, pod_uid] => {
                Workload::read([ns, name, uid, pod, pod_uid]).map(Self::Connection)
            }
            ["sink", ns, name, uid, "pod", pod, pod_uid] => {
                Workload::read([ns, name, uid, pod, pod_uid]).map(Self::Sink)
            }
            _ => Err(PeerError::Form),
        }
    }

    /// Reads the identity of a certificate whose chain was already verified.
    ///
    /// # Errors
    /// When it is no workload certificate, or carries no or several of our names.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, PeerError> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| PeerError::Unreadable)?;
        let usage = parsed
            .extended_key_usage()
            .map_err(|_| PeerError::Unreadable)?
            .ok_or(PeerError::Usage)?;
        if !(usage.value.client_auth && usage.value.server_auth) {
            return Err(PeerError::Usage);
        }
        let names = parsed
            .subject_alternative_name()
            .map_err(|_| PeerError::Unreadable)?
            .ok_or(PeerError::Names)?;
        let mut ours = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with("spiffe://") => Some(*uri),
            _ => None,
        });
        match (ours.next(), ours.next()) {
            (Some(uri), None) => Self::parse(uri),
            _ => Err(PeerError::Names),
        }
    }

    /// The identity of the other end of a connection; None before the handshake is over and where it showed no certificate.
    pub fn of_peer(connection: &rustls::CommonState) -> Option<Self> {
        Self::of(connection.peer_certificates()?.first()?).ok()
    }
}

impl fmt::Display for PeerIdentity {
    /// The URI name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (
            kind,
            Workload {
                namespace,
                name,
                uid,
                pod,
                pod_uid,
            },
        ) = match self {
            Self::Operator => return write!(f, "{PREFIX}operator"),
            Self::Connection(workload) => ("connection", workload),
            Self::Sink(workload) => ("sink", workload),
        };
        write!(f, "{PREFIX}{kind}/{namespace}/{name}/{uid}/pod/{pod}/{pod_uid}")
    }
}

// === impl Workload ===

impl Workload {
    fn read(parts: [&str; 5]) -> Result<Self, PeerError> {
        if !parts.iter().all(|part| is_segment(part)) {
            return Err(PeerError::Form);
        }
        let [namespace, name, uid, pod, pod_uid] = parts.map(str::to_owned);
        Ok(Self {
            namespace,
            name,
            uid,
            pod,
            pod_uid,
        })
    }
}

/// Names and uids of Kubernetes objects, and nothing that a URI would spell in two ways.
fn is_segment(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    !part.is_empty() && part.len() <= 253 && part.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "spiffe://sallyport/connection/doors/bank/0f0e-1/pod/door-bank-7/aa-2";

    #[test]
    fn reads_what_it_writes() {
        for uri in [
            URI,
            "spiffe://sallyport/sink/evidence/main/1/pod/recorder-main-0/2",
            "spiffe://sallyport/operator",
        ] {
            assert_eq!(PeerIdentity::parse(uri).unwrap().to_string(), uri);
        }
    }

    #[test]
    fn refuses_every_other_form() {
        let bad = [
            "",
            "operator",
            "spiffe://other/operator",
            "spiffe://sallyport/operator/",
            "spiffe://sallyport/operator/x",
            "spiffe://sallyport/connection/doors/bank/1/pod/p",
            "spiffe://sallyport/connection/doors/bank/1/pod/p/2/3",
            "spiffe://sallyport/connection/doors//1/pod/p/2",
            "spiffe://sallyport/connection/doors/ba%6ek/1/pod/p/2",
            "spiffe://sallyport/connection/Doors/bank/1/pod/p/2",
            "spiffe://sallyport/connections/doors/bank/1/pod/p/2",
        ];
        for uri in bad {
            assert_eq!(PeerIdentity::parse(uri), Err(PeerError::Form), "{uri}");
        }
    }
}
