//! A CA and an operator for tests: who gets a certificate, and who is believed with it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, SanType, date_time_ymd,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::enroll::due;
use super::*;
use crate::PeerIdentity;
use crate::tls::Accept;

const DOOR: &str = "spiffe://sallyport/connection/doors/bank/uid-1/pod/door-bank-0/pod-1";
const RECORDER: &str = "spiffe://sallyport/sink/evidence/main/uid-2/pod/recorder-main-0/pod-2";
const OPERATOR: &str = "spiffe://sallyport/operator";

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn params(uris: &[&str], usages: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()))
            .collect();
        params.extended_key_usages = usages.to_vec();
        params
    }

    fn issue(&self, uris: &[&str], usages: &[ExtendedKeyUsagePurpose]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let leaf = Self::params(uris, usages).signed_by(&key, &self.issuer).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    fn credential(&self, uri: &str) -> Credential {
        let (chain, key) = self.issue(&[uri], &both());
        Credential::from_pem(chain.as_bytes(), key.as_bytes(), self.pem.as_bytes()).unwrap()
    }
}

fn both() -> [ExtendedKeyUsagePurpose; 2] {
    [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
}

fn only(uri: &'static str) -> Accept {
    Arc::new(move |peer: &PeerIdentity| peer.to_string() == uri)
}

fn meet(client: &Arc<rustls::ClientConfig>, server: &Arc<rustls::ServerConfig>) -> Result<(), String> {
    let mut client = rustls::ClientConnection::new(client.clone(), "any.name".try_into().unwrap()).unwrap();
    let mut server = rustls::ServerConnection::new(server.clone()).unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server
            .process_new_packets()
            .map_err(|error| format!("server: {error}"))?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client
            .process_new_packets()
            .map_err(|error| format!("client: {error}"))?;
    }
    if client.is_handshaking() || server.is_handshaking() {
        Err("unfinished".to_owned())
    } else {
        Ok(())
    }
}

#[test]
fn peers_are_known_by_name_and_by_nothing_else() {
    let (ca, other) = (Ca::new(), Ca::new());
    let (door, recorder) = (ca.credential(DOOR), ca.credential(RECORDER));
    let server = |accept| recorder.server_config(accept, &[]).unwrap();
    let client = |credential: &Credential, accept| credential.client_config(accept).unwrap();
    meet(&client(&door, only(RECORDER)), &server(only(DOOR))).unwrap();

    let namesake = ca.credential(&DOOR.replace("uid-1", "uid-9"));
    let stranger = other.credential(DOOR);
    let (chain, key) = ca.issue(&[DOOR], &[ExtendedKeyUsagePurpose::ClientAuth]);
    let half = Credential::from_pem(chain.as_bytes(), key.as_bytes(), ca.pem.as_bytes()).unwrap();
    let (chain, key) = ca.issue(&[DOOR, OPERATOR], &both());
    let two_names = Credential::from_pem(chain.as_bytes(), key.as_bytes(), ca.pem.as_bytes()).unwrap();
    let refused = [
        (
            "a namesake's door",
            meet(&client(&namesake, only(RECORDER)), &server(only(DOOR))),
        ),
        (
            "another CA's door",
            meet(&client(&stranger, only(RECORDER)), &server(only(DOOR))),
        ),
        (
            "no workload certificate",
            meet(&client(&half, only(RECORDER)), &server(only(DOOR))),
        ),
        (
            "two names",
            meet(&client(&two_names, only(RECORDER)), &server(only(DOOR))),
        ),
        (
            "not the recorder that is wanted",
            meet(&client(&door, only(OPERATOR)), &server(only(DOOR))),
        ),
    ];
    for (what, result) in refused {
        assert!(result.is_err(), "{what}");
    }
    let anonymous = Arc::new(super::credential::anonymous(ca.pem.as_bytes(), only(RECORDER)).unwrap());
    assert!(meet(&anonymous, &server(only(DOOR))).is_err(), "no certificate");
    let optional = recorder.server_config_optional(only(DOOR), &[]).unwrap();
    meet(&anonymous, &optional).unwrap();
    assert!(
        meet(&client(&namesake, only(RECORDER)), &optional).is_err(),
        "optional is not careless"
    );
}

#[test]
fn certificates_and_cas_change_under_configurations() {
    let (old, new) = (Ca::new(), Ca::new());
    let (door, recorder) = (old.credential(DOOR), old.credential(RECORDER));
    let (client, server) = (
        door.client_config(only(RECORDER)).unwrap(),
        recorder.server_config(only(DOOR), &[]).unwrap(),
    );
    meet(&client, &server).unwrap();

    let issue = |ca: &Ca, uri| ca.issue(&[uri], &both());
    let bundle = format!("{}{}", old.pem, new.pem);
    let (chain, key) = issue(&new, DOOR);
    door.replace(chain.as_bytes(), key.as_bytes(), bundle.as_bytes())
        .unwrap();
    assert!(
        meet(&client, &server).is_err(),
        "the recorder does not know the new CA yet"
    );
    let (chain, key) = issue(&old, RECORDER);
    recorder
        .replace(chain.as_bytes(), key.as_bytes(), bundle.as_bytes())
        .unwrap();
    meet(&client, &server).unwrap();

    let (chain, _) = issue(&new, DOOR);
    assert!(
        door.replace(chain.as_bytes(), key.as_bytes(), bundle.as_bytes())
            .is_err(),
        "a foreign key"
    );
    assert!(door.replace(chain.as_bytes(), key.as_bytes(), b"").is_err(), "no CA");
    meet(&client, &server).expect("what failed changed nothing");
    assert_eq!(door.identity().unwrap().to_string(), DOOR);
}

/// Serves `POST /v1/certificates` as the operator does, for one token.
async fn operator(ca: Arc<Ca>, as_whom: &str, token: &'static str) -> SocketAddr {
    let config = ca
        .credential(as_whom)
        .server_config_optional(Arc::new(|_: &PeerIdentity| true), &[])
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    tokio::spawn(async move {
        loop {
            let Ok((tcp, _)) = listener.accept().await else {
                continue;
            };
            let Ok(tls) = acceptor.accept(tcp).await else { continue };
            let ca = ca.clone();
            let service = hyper::service::service_fn(move |request| answer(ca.clone(), request, token));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service));
        }
    });
    address
}

async fn answer(
    ca: Arc<Ca>,
    request: hyper::Request<Incoming>,
    token: &str,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let authorised = request
        .headers()
        .get("authorization")
        .is_some_and(|header| header == format!("Bearer {token}").as_str());
    if !authorised || request.uri().path() != api::PATH {
        return Ok(hyper::Response::builder().status(403).body(Full::default()).unwrap());
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let asked: api::Request = serde_json::from_slice(&body).unwrap();
    let mut csr = CertificateSigningRequestParams::from_pem(&asked.csr).unwrap();
    assert!(
        csr.params.subject_alt_names.is_empty(),
        "a Pod does not choose its name"
    );
    csr.params = Ca::params(&[DOOR], &both());
    let certificate = csr.signed_by(&ca.issuer).unwrap().pem();
    let body = serde_json::to_vec(&api::Response {
        certificate,
        ca_bundle: ca.pem.clone(),
    })
    .unwrap();
    Ok(hyper::Response::new(Full::from(body)))
}

fn enrollment(address: SocketAddr, ca: &Ca, token: &str) -> (Enrollment, tempfile::TempDir) {
    crate::crypto::install();
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    (
        Enrollment {
            operator_url: format!("https://{address}/"),
            operator_ca: ca.pem.clone(),
            token_file,
        },
        directory,
    )
}

#[tokio::test]
async fn a_pod_gets_its_certificate_against_its_token() {
    let ca = Arc::new(Ca::new());
    let address = operator(ca.clone(), OPERATOR, "good").await;
    let (ours, _directory) = enrollment(address, &ca, "good");
    let credential = ours.start(CancellationToken::new()).await.unwrap();
    assert_eq!(credential.identity().unwrap().to_string(), DOOR);
    let recorder = ca.credential(RECORDER).server_config(only(DOOR), &[]).unwrap();
    meet(&credential.client_config(only(RECORDER)).unwrap(), &recorder).unwrap();
}

#[tokio::test]
async fn a_pod_follows_the_operator_to_its_next_ca() {
    let (mut old, new) = (Ca::new(), Arc::new(Ca::new()));
    let alone = old.pem.clone();
    old.pem = format!("{}{}", old.pem, new.pem);
    let old = Arc::new(old);
    let credential = old.credential(DOOR);
    let before = operator(old.clone(), OPERATOR, "good").await;
    let after = operator(new.clone(), OPERATOR, "good").await;
    let (mut ours, _directory) = enrollment(before, &old, "good");
    ours.operator_ca = alone;
    let untold = Enrollment {
        operator_url: format!("https://{after}/"),
        ..ours.clone()
    };
    // What it hears with its certificate counts from then on, not what its Pod was told at its start.
    ours.renewed(&credential).await.unwrap();
    ours.operator_url.clone_from(&untold.operator_url);
    ours.renewed(&credential).await.unwrap();
    let recorder = new.credential(RECORDER).server_config(only(DOOR), &[]).unwrap();
    meet(&credential.client_config(only(RECORDER)).unwrap(), &recorder).unwrap();
    let mut untold = untold;
    assert!(matches!(
        untold.renewed(&credential).await,
        Err(EnrollError::Unreachable(_))
    ));
}

#[tokio::test]
async fn it_asks_again_until_the_end() {
    let ca = Arc::new(Ca::new());
    let table = [
        (
            "a wrong token",
            operator(ca.clone(), OPERATOR, "good").await,
            "bad",
            ca.clone(),
        ),
        (
            "somebody who is no operator",
            operator(ca.clone(), DOOR, "good").await,
            "good",
            ca.clone(),
        ),
        (
            "another CA's operator",
            operator(Arc::new(Ca::new()), OPERATOR, "good").await,
            "good",
            ca.clone(),
        ),
        ("nobody", "127.0.0.1:1".parse().unwrap(), "good", ca.clone()),
    ];
    for (what, address, token, ca) in table {
        let (ours, _directory) = enrollment(address, &ca, token);
        let end = CancellationToken::new();
        let asking = tokio::spawn(ours.start(end.clone()));
        end.cancel();
        assert!(matches!(asking.await.unwrap(), Err(EnrollError::Ended)), "{what}");
    }
    let (mut ours, _directory) = enrollment("127.0.0.1:1".parse().unwrap(), &ca, "good");
    ours.operator_ca = "no PEM".to_owned();
    assert!(
        matches!(ours.start(CancellationToken::new()).await, Err(EnrollError::Tls(_))),
        "no retry mends that"
    );
}

#[test]
fn renewal_is_due_at_two_thirds_of_life() {
    let ca = Ca::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let hour = Duration::from_secs(3_600);
    let credential = |from: Duration, until: Duration| {
        let key = KeyPair::generate().unwrap();
        let mut params = Ca::params(&[DOOR], &both());
        let epoch = date_time_ymd(1970, 1, 1);
        (params.not_before, params.not_after) = (epoch + from, epoch + until);
        let leaf = params.signed_by(&key, &ca.issuer).unwrap().pem();
        Credential::from_pem(leaf.as_bytes(), key.serialize_pem().as_bytes(), ca.pem.as_bytes()).unwrap()
    };
    let from = now - hour;
    let due_at = due(&credential(from, from + hour * 6))
        .duration_since(UNIX_EPOCH)
        .unwrap();
    let latest = from + hour * 4;
    assert!(
        due_at <= latest && due_at + hour * 6 / 10 + Duration::from_secs(2) >= latest,
        "{due_at:?} {latest:?}"
    );
    // Past, or nonsense: soon, but never at once in a circle.
    for (from, until) in [(now - hour * 6, now - hour), (now, now)] {
        let due_at = due(&credential(from, until)).duration_since(UNIX_EPOCH).unwrap();
        assert!(due_at > now + Duration::from_secs(20) && due_at < now + Duration::from_secs(60));
    }
}
