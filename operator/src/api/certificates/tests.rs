use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

fn status(change: impl FnOnce(&mut serde_json::Value)) -> TokenReviewStatus {
    let mut value = json!({
        "authenticated": true,
        "audiences": ["sallyport-operator"],
        "user": {
            "username": "system:serviceaccount:doors:door-bank",
            "extra": { POD_NAME: ["door-bank-1"], POD_UID: ["uid-1"] },
        },
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_pod_bound_token_says_who_bears_it() {
    let bearer = bearer(Some(&status(|_| {}))).unwrap();
    assert_eq!(
        (bearer.namespace.as_str(), bearer.account.as_str(), bearer.pod.as_str()),
        ("doors", "door-bank", "door-bank-1")
    );
}

#[test]
fn whatever_is_missing_is_nobody() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, Change); 6] = [
        ("not authenticated", |v| v["authenticated"] = json!(false)),
        ("another audience", |v| v["audiences"] = json!(["kubernetes"])),
        ("no audience", |v| v["audiences"] = json!(null)),
        ("a person", |v| v["user"]["username"] = json!("oidc:alice")),
        ("bound to no Pod", |v| v["user"]["extra"] = json!({})),
        ("two Pods", |v| v["user"]["extra"][POD_NAME] = json!(["a", "b"])),
    ];
    for (what, change) in cases {
        assert_eq!(bearer(Some(&status(change))), None, "{what}");
    }
    assert_eq!(bearer(None), None);
}

#[test]
fn a_certificate_says_what_the_token_said_and_nothing_of_the_request() {
    let authority = Authority::make("test").unwrap();
    let key = KeyPair::generate().unwrap();
    let mut asked = CertificateParams::new(vec!["sallyport-operator.sallyport-system.svc".to_owned()]).unwrap();
    asked
        .subject_alt_names
        .push(SanType::URI("spiffe://sallyport/operator".try_into().unwrap()));
    let csr = asked.serialize_request(&key).unwrap().pem().unwrap();
    let request = CertificateSigningRequestParams::from_pem(&csr).unwrap();
    let identity = PeerIdentity::Connection(Workload {
        namespace: "doors".into(),
        name: "bank".into(),
        uid: "uid-bank".into(),
        pod: "door-bank-1".into(),
        pod_uid: "uid-1".into(),
    });
    let signed = sign(&authority, &request, &identity).unwrap();
    let der = CertificateDer::from_pem_slice(signed.as_bytes()).unwrap();
    assert_eq!(PeerIdentity::of(&der).unwrap(), identity);
}

#[test]
fn the_operators_own_certificate_names_the_operator() {
    let (certificate, _) = own(&Authority::make("test").unwrap()).unwrap();
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    assert_eq!(PeerIdentity::of(&der).unwrap(), PeerIdentity::Operator);
}

#[test]
fn a_certificate_is_good_where_the_clock_is_a_minute_behind() {
    let authority = Authority::make("test").unwrap();
    let (own, _) = own(&authority).unwrap();
    for (what, pem) in [
        ("the authority's", authority.certificate()),
        ("the operator's", own.as_str()),
    ] {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let begins = parsed.validity().not_before.timestamp();
        assert!(begins <= jiff::Timestamp::now().as_second() - 60, "{what}: {begins}");
    }
}
