//! The door's own certificate, where the operator's CA issues it, and the key by which AccessRequests bind to commands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::rand;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, Service};
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sallyport_crds::names;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::build::metadata_named;
use super::plan::Plan;
use crate::context::Error;
pub use crate::keys::authority::end;
use crate::keys::{Authority, Keys, Leaf};
use crate::settings::Settings;

/// How long a door certificate is valid.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);
/// It is renewed when less than this is left.
pub const RENEW_BEFORE: i64 = 10 * 24 * 3_600;
/// Name of the binding key in its Secret.
pub const BINDING_KEY: &str = "binding";

/// The names that a door's certificate must carry.
pub fn wanted(plan: &Plan, service: Option<&Service>, settings: &Settings) -> BTreeSet<String> {
    let door = names::door(&plan.name);
    let namespace = &plan.namespace;
    let mut wanted = BTreeSet::from([
        door.clone(),
        format!("{door}.{namespace}"),
        format!("{door}.{namespace}.svc"),
        format!("{door}.{namespace}.svc.{}", settings.cluster_domain),
    ]);
    let own = |name: &&String| !is_of_others(name, namespace, &settings.cluster_domain);
    let given = plan.spec.certificate.names.iter().filter(own);
    wanted.extend(given.map(|name| canonical(name)));
    let dialed = service.map(dialed).unwrap_or_default();
    wanted.extend(dialed.into_iter().filter(|name| own(&name)));
    wanted
}

/// By what a Service is dialed beside its names: its addresses in the cluster, and what a load balancer gave it.
pub fn dialed(service: &Service) -> BTreeSet<String> {
    let addresses = service
        .spec
        .iter()
        .flat_map(|spec| spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip))
        .filter(|address| address.parse::<IpAddr>().is_ok());
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
    // Some load balancers take the name from an annotation.
    let given = ingress
        .into_iter()
        .flatten()
        .flat_map(|ingress| ingress.ip.iter().chain(&ingress.hostname));
    addresses.chain(given).map(|name| canonical(name)).collect()
}

/// Whether it is a name of a door of another namespace, or would be of one that is yet to come. All doors' certificates are by one
/// authority, and whoever may read Secrets here would pass for that door with this one's key.
pub fn is_of_others(name: &str, namespace: &str, cluster_domain: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let domain = format!(".{}", cluster_domain.to_ascii_lowercase());
    let Some((_, rest)) = name.strip_prefix("door-").and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let service = rest.strip_suffix(&domain).unwrap_or(rest);
    let of = service.strip_suffix(".svc").unwrap_or(service);
    // Beyond that it is a name outside the cluster. So may be `door-tech.com`, and clients in the cluster find the door `tech` of a
    // namespace `com` by it: whether there is one may change as long as the certificate lasts.
    !of.contains('.') && of != namespace
}

/// Whether the certificate that is there will do: by our CA, with exactly these names, and not about to end.
pub fn is_good(secret: Option<&Secret>, wanted: &BTreeSet<String>, keys: &Keys, now: Timestamp) -> bool {
    let text = |key: &str| {
        secret
            .and_then(|secret| secret.data.as_ref()?.get(key))
            .map(|value| value.0.as_slice())
    };
    let (Some(chain), Some(_), Some(bundle)) = (text("tls.crt"), text("tls.key"), text("ca.crt")) else {
        return false;
    };
    if bundle != keys.door.bundle().as_bytes() {
        return false;
    }
    let Ok(der) = CertificateDer::from_pem_slice(chain) else {
        return false;
    };
    let Ok((_, parsed)) = X509Certificate::from_der(&der) else {
        return false;
    };
    signed_by(&parsed, &keys.door)
        && parsed.validity().not_after.timestamp() - now.as_second() > RENEW_BEFORE
        && names_of(&parsed) == *wanted
}

/// A new certificate in its Secret.
///
/// # Errors
/// When it cannot be signed.
pub fn issue(plan: &Plan, wanted: &BTreeSet<String>, keys: &Keys) -> Result<Secret, Error> {
    let leaf = Leaf {
        common_name: &names::door(&plan.name),
        names: wanted.iter().filter_map(|name| alternative_name(name)).collect(),
        usages: &[ExtendedKeyUsagePurpose::ServerAuth],
        lifetime: LIFETIME,
    };
    let (certificate, key) = keys.door.issue(&leaf)?;
    let data = [
        ("tls.crt", certificate),
        ("tls.key", key),
        ("ca.crt", keys.door.bundle().to_owned()),
    ];
    Ok(Secret {
        metadata: metadata_named(plan, names::door_certificate(&plan.name)),
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(
            data.map(|(name, value)| (name.to_owned(), ByteString(value.into_bytes())))
                .into_iter()
                .collect(),
        ),
        ..Secret::default()
    })
}

/// A new binding key in its Secret. Made once: with another one, open requests would fit no command any more.
///
/// # Errors
/// When the system gives no random bytes.
pub fn binding_key(plan: &Plan) -> Result<Secret, Error> {
    let mut key = [0_u8; 32];
    rand::fill(&mut key).map_err(|_| Error::Random)?;
    Ok(Secret {
        metadata: metadata_named(plan, names::binding_key(&plan.name)),
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([(BINDING_KEY.to_owned(), ByteString(key.to_vec()))])),
        ..Secret::default()
    })
}

/// As it is read from a certificate again: an address that is spelled otherwise would be issued anew at every look.
pub fn canonical(name: &str) -> String {
    name.parse::<IpAddr>()
        .map_or_else(|_| name.to_owned(), |address| address.to_string())
}

fn alternative_name(name: &str) -> Option<SanType> {
    match name.parse::<IpAddr>() {
        Ok(address) => Some(SanType::IpAddress(address)),
        Err(_) => name.try_into().ok().map(SanType::DnsName),
    }
}

fn names_of(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(found)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    };
    found.value.general_names.iter().filter_map(text).collect()
}

/// Compares the key identifier only: whoever can write the Secret can put any certificate there, and doors and clients check
/// the signature themselves. This asks whether the authority was replaced.
fn signed_by(certificate: &X509Certificate<'_>, authority: &Authority) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(authority.certificate().as_bytes()) else {
        return false;
    };
    let Ok((_, issuer)) = X509Certificate::from_der(&der) else {
        return false;
    };
    let own = issuer
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
    let named = certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
                id.key_identifier.as_ref().map(|id| id.0.to_vec())
            }
            _ => None,
        });
    own.is_some() && own == named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::rotation::{ROTATE_ANNOTATION, turn};
    use crate::testing::{plan, settings};

    fn service(address: &str) -> Service {
        serde_json::from_value(json!({ "spec": { "clusterIP": address, "clusterIPs": [address] } })).unwrap()
    }

    fn day(days: i64) -> Timestamp {
        Timestamp::from_second(Timestamp::now().as_second() + days * 24 * 3_600).unwrap()
    }

    #[test]
    fn carries_the_names_and_addresses_that_clients_dial() {
        let mut plan = plan();
        plan.spec.certificate.names = vec!["db.bank.example".into()];
        let wanted = wanted(&plan, Some(&service("10.96.4.2")), &settings());
        for name in [
            "door-bank",
            "door-bank.doors.svc",
            "door-bank.doors.svc.cluster.local",
            "db.bank.example",
            "10.96.4.2",
        ] {
            assert!(wanted.contains(name), "{name} in {wanted:?}");
        }
        let keys = Keys::make().unwrap();
        let secret = issue(&plan, &wanted, &keys).unwrap();
        assert!(is_good(Some(&secret), &wanted, &keys, day(0)));
    }

    #[test]
    fn is_issued_anew_when_anything_it_says_changes() {
        let (plan, keys) = (plan(), Keys::make().unwrap());
        let before = wanted(&plan, Some(&service("10.96.4.2")), &settings());
        let secret = issue(&plan, &before, &keys).unwrap();
        let moved = wanted(&plan, Some(&service("10.96.4.3")), &settings());
        assert!(!is_good(Some(&secret), &moved, &keys, day(0)), "another address");
        assert!(is_good(Some(&secret), &before, &keys, day(19)), "still good");
        assert!(!is_good(Some(&secret), &before, &keys, day(21)), "about to end");
        assert!(
            !is_good(Some(&secret), &before, &Keys::make().unwrap(), day(0)),
            "another authority"
        );
        assert!(!is_good(None, &before, &keys, day(0)), "none at all");
        let mut stored = keys.secret();
        let annotations = stored.metadata.annotations.get_or_insert_default();
        annotations.insert(ROTATE_ANNOTATION.to_owned(), "door".to_owned());
        turn(&mut stored, day(0)).unwrap();
        let both = Keys::read(&stored).unwrap();
        assert!(
            !is_good(Some(&secret), &before, &both, day(0)),
            "clients are to trust the next one, too"
        );
        let under_both = issue(&plan, &before, &both).unwrap();
        assert!(is_good(Some(&under_both), &before, &both, day(0)));
        turn(&mut stored, day(31)).unwrap();
        let next = Keys::read(&stored).unwrap();
        assert!(
            !is_good(Some(&under_both), &before, &next, day(0)),
            "the next one signs"
        );
        let mut without_key = secret;
        without_key.data.as_mut().unwrap().remove("tls.key");
        assert!(!is_good(Some(&without_key), &before, &keys, day(0)), "its key is gone");
    }

    #[test]
    fn an_address_is_the_same_however_it_is_spelled() {
        let mut plan = plan();
        plan.spec.certificate.names = vec!["2001:DB8:0::1".into()];
        let (wanted, keys) = (wanted(&plan, None, &settings()), Keys::make().unwrap());
        let secret = issue(&plan, &wanted, &keys).unwrap();
        assert!(is_good(Some(&secret), &wanted, &keys, day(0)), "issued for {wanted:?}");
    }

    #[test]
    fn nobody_gets_a_certificate_with_names_of_another_namespace() {
        for (name, refused) in [
            ("db.bank.example", false),
            ("bank.example", false),
            ("door-1.bank.example", false),
            ("localhost", false),
            ("192.0.2.10", false),
            ("2001:db8::1", false),
            ("doors.svc", false),
            ("door-bank.doors", false),
            ("ours.doors.svc", false),
            ("door-other.doors.svc.cluster.local", false),
            ("door-bank.other", true),
            ("door-tech.com", true),
            ("db.door-tech.com", false),
            ("door-db.door-tech.com", false),
            ("door-bank.other.svc", true),
            ("DOOR-Bank.Other.SVC.Cluster.Local", true),
            // A Service of theirs may lead to this door by an alias.
            ("postgres.other.svc", false),
            ("postgres.other.svc.cluster.local", false),
        ] {
            assert_eq!(is_of_others(name, "doors", "cluster.local"), refused, "{name}");
            let mut plan = plan();
            plan.spec.certificate.names = vec![name.into()];
            assert_eq!(!wanted(&plan, None, &settings()).contains(name), refused, "{name}");
        }
        let balanced = json!({ "status": { "loadBalancer": { "ingress": [
            { "hostname": "door-bank.other.svc" }, { "hostname": "lb.cloud.example", "ip": "192.0.2.11" },
        ] } } });
        let balanced: Service = serde_json::from_value(balanced).unwrap();
        let wanted = wanted(&plan(), Some(&balanced), &settings());
        assert!(!wanted.contains("door-bank.other.svc"), "{wanted:?}");
        assert!(
            wanted.contains("lb.cloud.example") && wanted.contains("192.0.2.11"),
            "{wanted:?}"
        );
    }

    #[test]
    fn headless_services_have_no_address() {
        assert!(!wanted(&plan(), Some(&service("None")), &settings()).contains("None"));
    }
}
