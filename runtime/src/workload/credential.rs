//! A workload certificate with those whom its holder trusts, and TLS configurations that follow both.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::NoServerSessionStorage;

use crate::PeerIdentity;
use crate::crypto::provider;
use crate::tls::{Accept, Current, TlsError, Trust, verifier};

/// A workload certificate and the workload CAs. Cheap to clone; every configuration made from it shows the certificate and
/// trusts the CAs of the moment of each handshake.
///
/// Sessions are never resumed: resumption would skip the look at the peer's certificate, and with it a CA or a name that is
/// no longer trusted.
#[derive(Clone, Debug)]
pub struct Credential {
    current: Arc<Current>,
    trust: Arc<Trust>,
}

// === impl Credential ===

impl Credential {
    /// Begins with a chain, its key and a CA bundle, all PEM.
    ///
    /// # Errors
    /// When one of them cannot be read or chain and key do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8], ca_bundle: &[u8]) -> Result<Self, TlsError> {
        Ok(Self {
            current: Arc::new(Current::from_pem(chain, key)?),
            trust: Arc::new(Trust::from_pem(ca_bundle)?),
        })
    }

    /// Replaces certificate and CAs; on an error both stay as they were.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn replace(&self, chain: &[u8], key: &[u8], ca_bundle: &[u8]) -> Result<(), TlsError> {
        // Both are tried before either is changed.
        Self::from_pem(chain, key, ca_bundle)?;
        self.trust.replace(ca_bundle)?;
        self.current.replace(chain, key)
    }

    /// Who we are by our own certificate.
    pub fn identity(&self) -> Option<PeerIdentity> {
        PeerIdentity::of(&self.current.leaf()?).ok()
    }

    /// The certificate in use now.
    pub fn current(&self) -> &Arc<Current> {
        &self.current
    }

    /// A server that takes only peers with a workload certificate whose name `accept` takes.
    ///
    /// # Errors
    /// When the TLS library refuses, which it does not with the provider that is compiled in.
    pub fn server_config(&self, accept: Accept, alpn: &[&[u8]]) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        self.server(accept, false, alpn)
    }

    /// The same, but a peer may also come without a certificate: the operator's API gives certificates to those who have none.
    ///
    /// # Errors
    /// As [`Self::server_config`].
    pub fn server_config_optional(
        &self,
        accept: Accept,
        alpn: &[&[u8]],
    ) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        self.server(accept, true, alpn)
    }

    /// A client that shows our certificate and goes on only with a peer whose name `accept` takes. The host name is not
    /// compared.
    ///
    /// # Errors
    /// As [`Self::server_config`].
    pub fn client_config(&self, accept: Accept) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        let mut config = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier(self.trust.clone(), accept, false))
            .with_client_cert_resolver(self.current.clone());
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    fn server(&self, accept: Accept, optional: bool, alpn: &[&[u8]]) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier(self.trust.clone(), accept, optional))
            .with_cert_resolver(self.current.clone());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// A client that has no certificate yet and goes on only with a peer whose name `accept` takes.
pub(super) fn anonymous(ca_bundle: &[u8], accept: Accept) -> Result<rustls::ClientConfig, TlsError> {
    let trust = Arc::new(Trust::from_pem(ca_bundle)?);
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier(trust, accept, false))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}
