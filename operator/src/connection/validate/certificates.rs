//! Certificates in Secrets of users: the one that the door shows to clients, and the one that it shows to its target.

use sallyport_crds::connection::TlsMode;
use sallyport_crds::{ConnectionSpec, Reason};
use sallyport_policy::problem::Problem;
use sallyport_runtime::tls::{Current, common_name};

use super::problem;
use super::secrets::{missing, value};
use crate::connection::certificate;
use crate::connection::dereference::Found;

/// The certificate that the door shows to clients, where the Connection names one.
pub(super) fn own(found: &Found, spec: &ConnectionSpec) -> Option<Problem> {
    let name = &spec.certificate.secret_ref.as_ref()?.name;
    missing(found, "spec.certificate.secretRef", name, |secret| {
        ["tls.crt", "tls.key"]
            .into_iter()
            .find(|key| value(secret, key).is_none())
    })
}

/// Names of other namespaces' doors, which are not this one's to have in a certificate by the authority of them all.
pub(super) fn names_of_others(found: &Found, spec: &ConnectionSpec, cluster_domain: &str) -> Option<Problem> {
    let namespace = &found.place.namespace;
    let mut names = spec.certificate.names.iter();
    let name = names.find(|name| certificate::is_of_others(name, namespace, cluster_domain))?;
    let message = format!(
        "{name} is, in the cluster, a name of a door that is not of namespace {namespace}: leave it out, or bring a certificate of \
         your own (certificate.secretRef)"
    );
    Some(problem(found, "spec.certificate.names", Reason::Invalid, message))
}

/// A certificate that no client can take is a door that fails without saying why.
pub(super) fn own_holds(found: &Found, spec: &ConnectionSpec) -> Option<Problem> {
    let name = &spec.certificate.secret_ref.as_ref()?.name;
    let chain = value(found.secrets.get(name)?, "tls.crt")?;
    holds(found, "spec.certificate.secretRef", name, chain)
}

/// Whether the certificate in a Secret can be read and has not ended.
fn holds(found: &Found, field: &str, name: &str, chain: &[u8]) -> Option<Problem> {
    let refused = |reason, message: String| Some(problem(found, field, reason, message));
    match certificate::end(chain) {
        None => refused(
            Reason::Invalid,
            format!("tls.crt of Secret {name} is no certificate in PEM"),
        ),
        Some(end) if end <= found.now => refused(
            Reason::CertificateExpired,
            format!("the certificate in Secret {name} expired at {end}; replace it"),
        ),
        Some(_) => None,
    }
}

/// The certificate by which the target is to know the door.
pub(super) fn shown_to_target(found: &Found, spec: &ConnectionSpec) -> Option<Problem> {
    let name = &spec.credentials_ref.name;
    let field = "spec.credentialsRef";
    let secret = found.secrets.get(name)?;
    let (chain, key) = (value(secret, "tls.crt")?, value(secret, "tls.key")?);
    let refused = |reason, message| Some(problem(found, field, reason, message));
    if let Err(error) = Current::from_pem(chain, key) {
        return refused(Reason::Invalid, format!("Secret {name}: {error}"));
    }
    if spec.target.tls.as_ref().is_none_or(|tls| tls.mode == TlsMode::Disable) {
        let message = format!(
            "Secret {name} holds a certificate, which is of no use without TLS: set target.tls.mode to VerifyFull"
        );
        return refused(Reason::Invalid, message);
    }
    if value(secret, "username").is_none_or(<[u8]>::is_empty) && common_name(chain).is_none() {
        let message = format!(
            "Secret {name} has no username, and its certificate not one common name: give username, the role at the target"
        );
        return refused(Reason::SecretMissing, message);
    }
    holds(found, field, name, chain)
}
