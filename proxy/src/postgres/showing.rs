//! The door's own certificate towards a target that asks for one (`cert` or `clientcert` in its pg_hba.conf).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use sallyport_runtime::tls::Current;

/// Shows the certificate in one handshake, and keeps whether the target asked for it: only then is its word that the door is
/// in worth anything without a password.
#[derive(Debug)]
pub struct Showing {
    certificate: Arc<Current>,
    shown: AtomicBool,
}

// === impl Showing ===

impl Showing {
    /// Of this certificate.
    pub fn new(certificate: &Arc<Current>) -> Arc<Self> {
        Arc::new(Self {
            certificate: Arc::clone(certificate),
            shown: AtomicBool::new(false),
        })
    }

    /// The same TLS, with the certificate.
    pub fn in_config(self: &Arc<Self>, config: &ClientConfig) -> Arc<ClientConfig> {
        let mut config = config.clone();
        config.client_auth_cert_resolver = Arc::<Self>::clone(self);
        // A session that is resumed asks for no certificate, so that nobody could tell whether this target wants one.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    /// Whether the target asked for the certificate, and got it.
    pub fn was_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Showing {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let certified = ResolvesClientCert::resolve(&*self.certificate, hints, schemes)?;
        // With no scheme in common an empty certificate goes out.
        certified.key.choose_scheme(schemes)?;
        self.shown.store(true, Ordering::Relaxed);
        Some(certified)
    }

    fn has_certs(&self) -> bool {
        true
    }
}
