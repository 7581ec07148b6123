//! The door's half of SCRAM towards a target, bound to the target's TLS wherever that can be.
//!
//! Bound by `tls-server-end-point` (RFC 5929, 4.1), an exchange is worth nothing to whoever ends the door's TLS with another
//! certificate and passes it on.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;

use super::frame::{Body, FrameError};
use crate::door::Secret;

/// The mechanisms that a target offers, of those that the door knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    plain: bool,
    bound: bool,
}

/// Begins an exchange: the mechanism, and what to say. `None`: the target offers nothing that the door takes.
pub fn begin(
    offered: Offered,
    password: &Secret,
    certificate: Option<&CertificateDer<'_>>,
) -> Option<(&'static str, ScramSha256)> {
    let (mechanism, binding) = match certificate.and_then(server_end_point) {
        Some(data) if offered.bound => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(data)),
        // Says that the door could: a target whose offer was struck out on the road then refuses.
        Some(_) if offered.plain => (SCRAM_SHA_256, ChannelBinding::unrequested()),
        None if offered.plain => (SCRAM_SHA_256, ChannelBinding::unsupported()),
        _ => return None,
    };
    Some((mechanism, ScramSha256::new(password.expose(), binding)))
}

/// What ties an exchange to a certificate. `None` where the RFC defines nothing, as for Ed25519.
fn server_end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let hash = hash_of(&parsed.signature_algorithm)?;
    Some(digest(hash, certificate).as_ref().to_vec())
}

/// The hash of a signature's algorithm; SHA-256 in the place of what is weaker.
fn hash_of(algorithm: &AlgorithmIdentifier<'_>) -> Option<&'static Algorithm> {
    match algorithm.algorithm.to_id_string().as_str() {
        // RSA with MD5, SHA-1 and SHA-256; ECDSA with SHA-1 and SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Some(&SHA256),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(&SHA384),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(&SHA512),
        // RSASSA-PSS names its hash in its parameters; SHA-1 if it does not.
        "1.2.840.113549.1.1.10" => {
            let params = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
            let Some(named) = params.hash_algorithm() else {
                return Some(&SHA256);
            };
            match named.algorithm.to_id_string().as_str() {
                "1.3.14.3.2.26" | "2.16.840.1.101.3.4.2.1" => Some(&SHA256),
                "2.16.840.1.101.3.4.2.2" => Some(&SHA384),
                "2.16.840.1.101.3.4.2.3" => Some(&SHA512),
                _ => None,
            }
        }
        _ => None,
    }
}

// === impl Offered ===

impl Offered {
    /// Reads AuthenticationSASL.
    ///
    /// # Errors
    /// When the list does not end as it must.
    pub fn read(mut body: Body<'_>) -> Result<Self, FrameError> {
        let mut offered = Self::default();
        loop {
            match body.text()? {
                "" => return body.end().map(|()| offered),
                SCRAM_SHA_256 => offered.plain = true,
                SCRAM_SHA_256_PLUS => offered.bound = true,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn begun(offer: &[u8], certificate: Option<&CertificateDer<'_>>) -> Option<(&'static str, String)> {
        let offered = Offered::read(Body::new(offer)).unwrap();
        let (mechanism, scram) = begin(offered, &Secret::new(b"secret".to_vec()), certificate)?;
        let said = String::from_utf8(scram.message().to_vec()).unwrap();
        let (header, _) = said.split_once(",,").unwrap();
        Some((mechanism, header.to_owned()))
    }

    #[test]
    fn mechanisms_are_a_list_that_ends() {
        let read = |bytes| Offered::read(Body::new(bytes)).map(|offered| (offered.plain, offered.bound));
        assert_eq!(read(BOTH), Ok((true, true)));
        assert_eq!(read(b"SCRAM-SHA-256-PLUS\0\0"), Ok((false, true)));
        assert_eq!(read(b"SCRAM-SHA-256\0"), Err(FrameError::Malformed));
        assert_eq!(read(b"\0x"), Err(FrameError::Malformed));
    }

    #[test]
    fn an_exchange_is_bound_wherever_it_can_be_and_says_so_where_the_target_does_not_offer_it() {
        let (bindable, not) = (
            certificate(&rcgen::PKCS_ECDSA_P256_SHA256),
            certificate(&rcgen::PKCS_ED25519),
        );
        let (plus, plain) = (b"SCRAM-SHA-256-PLUS\0\0".as_slice(), b"SCRAM-SHA-256\0\0".as_slice());
        let table = [
            (
                BOTH,
                Some(&bindable),
                Some(("SCRAM-SHA-256-PLUS", "p=tls-server-end-point")),
            ),
            (
                plus,
                Some(&bindable),
                Some(("SCRAM-SHA-256-PLUS", "p=tls-server-end-point")),
            ),
            (plain, Some(&bindable), Some(("SCRAM-SHA-256", "y"))),
            (BOTH, Some(&not), Some(("SCRAM-SHA-256", "n"))),
            (BOTH, None, Some(("SCRAM-SHA-256", "n"))),
            (plus, None, None),
            (b"PLAIN\0\0".as_slice(), Some(&bindable), None),
        ];
        for (number, (offer, certificate, wanted)) in table.into_iter().enumerate() {
            let wanted = wanted.map(|(mechanism, header)| (mechanism, header.to_owned()));
            assert_eq!(begun(offer, certificate), wanted, "{number}");
        }
    }

    #[test]
    fn the_hash_is_that_of_the_certificates_signature() {
        for (algorithm, hash) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, &SHA256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, &SHA384),
        ] {
            let certificate = certificate(algorithm);
            let wanted = digest(hash, &certificate).as_ref().to_vec();
            assert_eq!(server_end_point(&certificate), Some(wanted));
        }
        assert_eq!(server_end_point(&certificate(&rcgen::PKCS_ED25519)), None);
        assert_eq!(server_end_point(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
