//! An identity provider for tests: https with a CA of its own, discovery, rotating keys, any token one could wish for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use sallyport_policy::issuer::{ClaimSource, Issuer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(super) struct Provider {
    pub(super) url: String,
    pub(super) ca: String,
    pub(super) state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
pub(super) struct State {
    /// The published set.
    pub(super) keys: Vec<Value>,
    /// What the discovery document calls the issuer, if not by its own name.
    pub(super) calls_itself: Option<String>,
    /// How often the set was fetched.
    pub(super) fetched: usize,
    url: String,
}

pub(super) struct SigningKey {
    pub(super) kid: String,
    pair: KeyPair,
}

impl Provider {
    pub(super) async fn start(keys: &[&SigningKey]) -> Self {
        sallyport_runtime::crypto::install();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let url = format!("https://localhost:{}/realms/bank", address.port());
        let state = State {
            keys: keys.iter().map(|key| key.jwk()).collect(),
            url: url.clone(),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
        let current = sallyport_runtime::tls::Current::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let config = sallyport_runtime::tls::server_config(Arc::new(current), &[]).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let answering = Arc::clone(&state);
        let server = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else {
                    continue;
                };
                let Ok(mut tls) = acceptor.accept(tcp).await else {
                    continue;
                };
                let mut request = Vec::new();
                let mut buffer = [0; 1024];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match tls.read(&mut buffer).await {
                        Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                        _ => break,
                    }
                }
                let body = answering.lock().unwrap().answer(&String::from_utf8_lossy(&request));
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = tls.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = tls.shutdown().await;
            }
        });
        Self {
            url,
            ca: pair.cert.pem(),
            state,
            server,
        }
    }

    /// The issuer as the admin configures it: names from `preferred_username`, groups from `groups`, both `oidc:`.
    pub(super) fn issuer(&self) -> Issuer {
        let source = |claim: &str| ClaimSource {
            claim: claim.to_owned(),
            prefix: "oidc:".to_owned(),
        };
        Issuer {
            name: "idp".to_owned(),
            url: self.url.clone(),
            discovery_url: None,
            certificate_authority: Some(self.ca.clone()),
            audiences: vec!["sallyport".to_owned()],
            username: source("preferred_username"),
            groups: Some(source("groups")),
            required_claims: BTreeMap::new(),
            only_groups: Vec::new(),
            human_clients: Vec::new(),
        }
    }

    /// Claims of a token that opens the door now.
    pub(super) fn claims(&self) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({
            "iss": self.url, "sub": "a-1", "aud": ["sallyport"], "exp": now + 600, "iat": now - 5, "nbf": now - 5,
            "jti": "t-1", "auth_time": now - 60, "preferred_username": "alice", "groups": ["engineers"],
            "email": "alice@bank.example", "email_verified": true,
        })
    }

    pub(super) fn stop(&self) {
        self.server.abort();
    }
}

impl State {
    fn answer(&mut self, request: &str) -> String {
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.ends_with("/.well-known/openid-configuration") {
            let issuer = self.calls_itself.as_ref().unwrap_or(&self.url);
            return json!({ "issuer": issuer, "jwks_uri": format!("{}/certs", self.url) }).to_string();
        }
        self.fetched += 1;
        json!({ "keys": self.keys }).to_string()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

impl SigningKey {
    pub(super) fn new(kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            pair: KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        }
    }

    /// The public half, as it stands in a key set.
    pub(super) fn jwk(&self) -> Value {
        let point = self.pair.public_key_raw();
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&point[1..33]),
            URL_SAFE_NO_PAD.encode(&point[33..]),
        );
        json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "alg": "ES256", "x": x, "y": y })
    }

    pub(super) fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::ES256)
        };
        self.sign_with(&header, claims)
    }

    pub(super) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ec_der(&self.pair.serialize_der())).unwrap()
    }
}

/// `claims` with some of them replaced; null takes one away.
pub(super) fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// A token put together by hand, with whatever signature.
pub(super) fn forged(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!(
        "{}.{}.{}",
        part(header.to_string().as_bytes()),
        part(claims.to_string().as_bytes()),
        part(signature)
    )
}
