//! TLS in parts: PEM text, roots, certificates that change while they are used, and peers known by name.

mod current;
mod files;
mod verify;

pub use current::{Current, server_config};
pub use files::Files;
pub(crate) use verify::verifier;
pub use verify::{Accept, Trust};

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why certificates, keys or bundles cannot be used. Never holds key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the text.
    #[error("no certificate was found: PEM text with at least one CERTIFICATE block is needed")]
    NoCertificate,
    /// A block that cannot be read.
    #[error("a certificate cannot be read: check that the PEM text is whole")]
    BadCertificate,
    /// No private key in the text.
    #[error("no private key was found: PEM text with a PKCS #8, PKCS #1 or SEC 1 key is needed")]
    NoKey,
    /// The key does not belong to the certificate, or is of a kind that is not supported.
    #[error("the private key does not fit the certificate, or is of a kind that is not supported")]
    Mismatch,
    /// A certificate that cannot be a trust anchor.
    #[error("a certificate of the bundle cannot be a trust anchor")]
    BadAnchor,
    /// The system has no roots.
    #[error("the system's certificate store is empty: install CA certificates or name a bundle")]
    NoSystemRoots,
    /// A file that cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The TLS library refused a configuration.
    #[error("TLS cannot be configured: {0}")]
    Config(#[from] rustls::Error),
}

/// The certificates of a PEM text, in its order. Other blocks are skipped.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::BadCertificate)?;
    if found.is_empty() {
        Err(TlsError::NoCertificate)
    } else {
        Ok(found)
    }
}

/// The subject's common name of a PEM text's first certificate; `None` where it has none or several.
#[must_use]
pub fn common_name(pem: &[u8]) -> Option<String> {
    let first = certificates(pem).ok()?.into_iter().next()?;
    let (_, parsed) = X509Certificate::from_der(&first).ok()?;
    let names: Vec<_> = parsed.subject().iter_common_name().collect();
    match names.as_slice() {
        [only] => only.as_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// The first private key of a PEM text.
///
/// # Errors
/// When there is none that can be read.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoKey)
}

/// A bundle of trust anchors. One bad certificate fails the whole: a bundle is trusted as it was written or not at all.
///
/// # Errors
/// When the text holds no certificate or one that cannot be an anchor.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate).map_err(|_| TlsError::BadAnchor)?;
    }
    Ok(store)
}

/// The system's trust anchors (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured). Anchors that cannot be read are skipped: the
/// store is not ours.
///
/// # Errors
/// When none is left.
pub fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        Err(TlsError::NoSystemRoots)
    } else {
        Ok(store)
    }
}

/// A client configuration that checks chain and host name against `roots`, without a certificate of its own.
///
/// # Errors
/// When the TLS library refuses, which it does not with the provider that is compiled in.
pub fn client_config(roots: RootCertStore) -> Result<rustls::ClientConfig, TlsError> {
    let config = rustls::ClientConfig::builder_with_provider(crate::crypto::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_taken_whole_or_not_at_all() {
        let pair = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let pem = pair.cert.pem();
        assert_eq!(roots(format!("{pem}{pem}").as_bytes()).unwrap().len(), 2);
        assert!(matches!(roots(b"nothing"), Err(TlsError::NoCertificate)));
        let broken = pem.replace("MII", "%%%");
        assert!(matches!(
            roots(format!("{pem}{broken}").as_bytes()),
            Err(TlsError::BadCertificate)
        ));
        assert!(private_key(pair.signing_key.serialize_pem().as_bytes()).is_ok());
        assert!(matches!(private_key(pem.as_bytes()), Err(TlsError::NoKey)));
    }

    #[test]
    fn a_common_name_is_one_or_none() {
        for (names, wanted) in [
            (&["door"][..], Some("door")),
            (&[], None),
            (&["door", "postgres"], None),
        ] {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for (at, name) in names.iter().enumerate() {
                // A name keeps one value of each type; two common names are two types to it.
                let kind = match at {
                    0 => rcgen::DnType::CommonName,
                    _ => rcgen::DnType::CustomDnType(vec![2, 5, 4, 3]),
                };
                params.distinguished_name.push(kind, *name);
            }
            let own = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(common_name(own.pem().as_bytes()).as_deref(), wanted, "{names:?}");
        }
        assert_eq!(common_name(b"nothing"), None);
    }
}
