//! A certificate authority of the operator's own.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long an authority's own certificate is valid. Leaves live hours or days; it is replaced before (see
/// [`super::rotation`]), with both in the bundle meanwhile.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
/// Certificates begin this much in the past, since clocks of nodes differ.
const BACKDATED: Duration = Duration::from_secs(120);

/// A certificate authority: signs leaves, is trusted through [`Authority::bundle`].
pub struct Authority {
    certificate: String,
    bundle: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a leaf certificate says.
pub struct Leaf<'a> {
    /// The subject's common name: for people who look, never for a decision.
    pub common_name: &'a str,
    /// The names that decisions are made by.
    pub names: Vec<SanType>,
    /// What the key may be used for in TLS.
    pub usages: &'a [ExtendedKeyUsagePurpose],
    /// For how long, from now on.
    pub lifetime: Duration,
}

/// Why an authority cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The stored key or certificate cannot be read.
    #[error("the authority's stored key or certificate cannot be read; restore the Secret from a backup: {0}")]
    Stored(rcgen::Error),
    /// Making or signing failed.
    #[error("a certificate could not be made: {0}")]
    Sign(rcgen::Error),
}

// === impl Authority ===

impl Authority {
    /// A new authority with a P-256 key of its own.
    pub fn make(common_name: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Sign)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity(AUTHORITY_LIFETIME);
        let certificate = params.self_signed(&key).map_err(AuthorityError::Sign)?.pem();
        Self::load(certificate, key.serialize_pem())
    }

    /// The authority whose PEM texts are given.
    pub fn load(certificate: String, key: String) -> Result<Self, AuthorityError> {
        let pair = KeyPair::from_pem(&key).map_err(AuthorityError::Stored)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, pair).map_err(AuthorityError::Stored)?;
        Ok(Self {
            bundle: certificate.clone(),
            certificate,
            key,
            issuer,
        })
    }

    /// The same, trusted together with the one before and the one after it.
    #[must_use]
    pub fn between(mut self, old: Option<&str>, next: Option<&str>) -> Self {
        // In the order of their lives: when the next one takes over, the text stays the same.
        let all = old.into_iter().chain([self.certificate.as_str()]).chain(next);
        self.bundle = all.map(|pem| format!("{}\n", pem.trim_end())).collect();
        self
    }

    /// The certificate of the authority that signs, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The PEM bundle by which others check leaves: this authority's, and those of the ones before and after it.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// The private key as PEM, to be stored and shown to nobody.
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// A certificate (PEM) for somebody else's public key.
    pub fn sign(&self, public_key: &impl PublicKeyData, leaf: &Leaf<'_>) -> Result<String, AuthorityError> {
        let certificate = leaf
            .params()
            .signed_by(public_key, &self.issuer)
            .map_err(AuthorityError::Sign)?;
        Ok(certificate.pem())
    }

    /// A new key and its certificate: (certificate PEM, key PEM).
    pub fn issue(&self, leaf: &Leaf<'_>) -> Result<(String, String), AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Sign)?;
        Ok((self.sign(&key, leaf)?, key.serialize_pem()))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

// === impl Leaf ===

impl Leaf<'_> {
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(self.common_name);
        params.subject_alt_names.clone_from(&self.names);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = self.usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity(self.lifetime);
        params
    }
}

/// When a certificate ends; None where it cannot be read.
pub fn end(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, parsed) = X509Certificate::from_der(&der).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // X.520 allows 64 characters; the names that count are alternative names, which have no such bound.
    name.push(DnType::CommonName, common_name.chars().take(64).collect::<String>());
    name
}

fn validity<T: From<SystemTime>>(lifetime: Duration) -> (T, T) {
    let now = SystemTime::now();
    ((now - BACKDATED).into(), (now + lifetime).into())
}
