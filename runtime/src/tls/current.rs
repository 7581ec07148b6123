//! A certificate that is replaced while connections are made with it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{TlsError, certificates, private_key};

/// The certificate to show now. Every handshake asks anew, so a replacement counts from the next one on.
pub struct Current(ArcSwap<CertifiedKey>);

// === impl Current ===

impl Current {
    /// Begins with this chain (leaf first) and key, both PEM.
    ///
    /// # Errors
    /// When either cannot be read or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::from_pointee(certified(chain, key)?)))
    }

    /// Replaces both; on an error the old ones stay.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.0.store(Arc::new(certified(chain, key)?));
        Ok(())
    }

    /// The leaf, DER.
    pub fn leaf(&self) -> Option<rustls_pki_types::CertificateDer<'static>> {
        self.0.load().cert.first().cloned()
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A server configuration that shows `current` and asks clients for no certificate: for doors and for the operator's API.
///
/// # Errors
/// When the TLS library refuses, which it does not with the provider that is compiled in.
pub fn server_config(current: Arc<Current>, alpn: &[&[u8]]) -> Result<rustls::ServerConfig, TlsError> {
    let mut config = rustls::ServerConfig::builder_with_provider(crate::crypto::provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn certified(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
    CertifiedKey::from_der(certificates(chain)?, private_key(key)?, &crate::crypto::provider())
        .map_err(|_| TlsError::Mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_key_changes_nothing() {
        let one = rcgen::generate_simple_self_signed(vec!["one".to_owned()]).unwrap();
        let two = rcgen::generate_simple_self_signed(vec!["two".to_owned()]).unwrap();
        let (chain, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let current = Current::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        assert!(matches!(
            current.replace(two.cert.pem().as_bytes(), key.as_bytes()),
            Err(TlsError::Mismatch)
        ));
        assert_eq!(current.leaf().unwrap(), *one.cert.der());
        current
            .replace(two.cert.pem().as_bytes(), two.signing_key.serialize_pem().as_bytes())
            .unwrap();
        assert_eq!(current.leaf().unwrap(), *two.cert.der());
    }
}
