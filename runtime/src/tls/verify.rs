//! Peers known by the name in their workload certificate.
//!
//! Host names are not compared: a Service's name says where a packet goes, the `spiffe://sallyport/…` name says who
//! answered, with uid, so that a namesake is refused.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{TlsError, roots};
use crate::PeerIdentity;
use crate::crypto::provider;

/// Which peers are taken.
pub type Accept = Arc<dyn Fn(&PeerIdentity) -> bool + Send + Sync>;

/// The CAs that may have signed a workload certificate, replaced while connections are made.
pub struct Trust(ArcSwap<Anchors>);

struct Anchors {
    roots: RootCertStore,
    clients: Arc<dyn ClientCertVerifier>,
}

/// The certificate is genuine, its holder is not who is wanted here.
#[derive(Debug, thiserror::Error)]
#[error("the peer's certificate is genuine but names somebody who is not accepted here")]
struct NotAccepted;

/// Both directions: a server's check of clients and a client's check of servers.
pub(crate) struct PeerVerifier {
    trust: Arc<Trust>,
    accept: Accept,
    /// Whether a client may come without a certificate.
    optional: bool,
}

/// A verifier of peers by name; `optional` lets clients come without a certificate.
pub(crate) fn verifier(trust: Arc<Trust>, accept: Accept, optional: bool) -> Arc<PeerVerifier> {
    Arc::new(PeerVerifier {
        trust,
        accept,
        optional,
    })
}

// === impl Trust ===

impl Trust {
    /// Begins with this PEM bundle.
    ///
    /// # Errors
    /// When the bundle cannot be used.
    pub fn from_pem(bundle: &[u8]) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::from_pointee(Anchors::from_pem(bundle)?)))
    }

    /// Replaces the bundle; on an error the old one stays.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn replace(&self, bundle: &[u8]) -> Result<(), TlsError> {
        self.0.store(Arc::new(Anchors::from_pem(bundle)?));
        Ok(())
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} anchors)", self.0.load().roots.len())
    }
}

// === impl Anchors ===

impl Anchors {
    fn from_pem(bundle: &[u8]) -> Result<Self, TlsError> {
        let roots = roots(bundle)?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider())
            .build()
            .map_err(|_| TlsError::BadAnchor)?;
        Ok(Self { roots, clients })
    }
}

// === impl PeerVerifier ===

impl PeerVerifier {
    fn check(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        let refuse = |error: Arc<dyn std::error::Error + Send + Sync>| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(error)))
        };
        let identity = PeerIdentity::of(leaf).map_err(|error| refuse(Arc::new(error)))?;
        if (self.accept)(&identity) {
            Ok(())
        } else {
            Err(refuse(Arc::new(NotAccepted)))
        }
    }

    fn signature12(
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn signature13(
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerVerifier({:?})", self.trust)
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let anchors = self.trust.0.load();
        let algorithms = provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &anchors.roots, intermediates, now, algorithms)?;
        self.check(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::signature12(m, c, d)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::signature13(m, c, d)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Hints would be those of the bundle at this moment; peers have one certificate and need none.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .trust
            .0
            .load()
            .clients
            .verify_client_cert(end_entity, intermediates, now)?;
        self.check(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::signature12(m, c, d)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::signature13(m, c, d)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
