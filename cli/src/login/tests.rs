//! A login against a provider of its own, over real HTTP.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// A provider: what it was sent, and how often somebody has to ask before the person has come.
#[derive(Clone, Default)]
struct Fake {
    seen: Arc<Mutex<Vec<String>>>,
    pending: Arc<Mutex<usize>>,
}

impl Fake {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/realms/bank", listener.local_addr().unwrap());
        let (fake, url) = (self.clone(), base.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fake, url) = (fake.clone(), url.clone());
                let answer = move |request| fake.clone().answer(url.clone(), request);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(answer)),
                );
            }
        });
        base
    }

    async fn answer(self, base: String, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let form = String::from_utf8_lossy(&body).into_owned();
        self.seen.lock().unwrap().push(form.clone());
        let (status, answer) = self.say(&base, &path, &form);
        Ok(Response::builder()
            .status(status)
            .body(Full::new(Bytes::from(answer.to_string())))
            .unwrap())
    }

    fn say(&self, base: &str, path: &str, form: &str) -> (u16, Value) {
        let tokens = |access: &str| json!({"access_token": access, "refresh_token": "r/1", "expires_in": 300});
        match path {
            "/realms/bank/.well-known/openid-configuration" => (
                200,
                json!({"issuer": base, "token_endpoint": format!("{base}/token"), "device_authorization_endpoint": format!("{base}/device")}),
            ),
            "/realms/bank/device" => (
                200,
                json!({"device_code": "d&=1", "user_code": "ABCD", "verification_uri": base, "expires_in": u64::MAX, "interval": 0}),
            ),
            "/realms/bank/token" if form.contains("refresh_token=r%2F1") => (200, tokens("second")),
            "/realms/bank/token" if form.contains("device_code=d%26%3D1") => {
                let mut pending = self.pending.lock().unwrap();
                match pending.checked_sub(1) {
                    Some(left) => {
                        *pending = left;
                        (400, json!({"error": "authorization_pending"}))
                    }
                    None => (200, tokens("first")),
                }
            }
            _ => (
                400,
                json!({"error": "invalid_grant", "error_description": "no such grant"}),
            ),
        }
    }
}

#[tokio::test]
async fn a_person_logs_in_once_and_tokens_stay_fresh() {
    sallyport_runtime::crypto::install();
    let fake = Fake::default();
    *fake.pending.lock().unwrap() = 2;
    let issuer = fake.start().await;
    let provider = Provider::discover(&issuer, None).await.unwrap();
    let tokens = by_device(&provider, "people", "openid").await.unwrap();
    assert_eq!(tokens.access_token, "first");

    let directory = std::env::temp_dir().join(format!("sallyport-login-{}", std::process::id()));
    let store = Store::at(&directory);
    assert!(
        fresh(&store, None, 0)
            .await
            .unwrap_err()
            .to_string()
            .contains("not logged in")
    );
    store.keep(Login::new(&issuer, "people", None, tokens, 1_000)).unwrap();
    assert_eq!(fresh(&store, None, 1_000).await.unwrap(), "first");
    assert_eq!(
        fresh(&store, Some(&issuer), 1_280).await.unwrap(),
        "second",
        "it ends too soon"
    );
    assert_eq!(fresh(&store, None, 1_280).await.unwrap(), "second");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(directory.join("logins.json")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let mut ended = store.find(None).unwrap();
    ended.refresh_token = Some("old".into());
    ended.expires = 0;
    store.keep(ended).unwrap();
    let refused = format!("{:#}", fresh(&store, None, 2_000).await.unwrap_err());
    assert!(
        refused.contains("kubectl sallyport login") && refused.contains("no such grant"),
        "{refused}"
    );
    let turn = store.turn().unwrap();
    let other = std::fs::File::open(directory.join("logins.lock")).unwrap();
    assert!(other.try_lock().is_err(), "one renews at a time");
    drop(turn);
    other.try_lock().unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn tokens_go_to_the_issuer_alone() {
    sallyport_runtime::crypto::install();
    let issuer = Fake::default().start().await;
    let other = format!("{issuer}/../shop");
    for (url, words) in [
        ("http://idp.example/realms/bank", "over https only"),
        ("ftp://127.0.0.1/x", "over https only"),
        (other.as_str(), "another issuer"),
    ] {
        let refused = format!("{:#}", Provider::discover(url, None).await.err().unwrap());
        assert!(
            refused.contains(words) || refused.contains("HTTP 400"),
            "{url}: {refused}"
        );
    }
}

#[test]
fn a_service_is_written_beside_others() {
    let entry = service::Entry {
        name: "bank".into(),
        address: "door-bank.doors.svc:5432".into(),
        authority: None,
        database: Some("bank".into()),
        direct_tls: true,
    };
    let text = service::text(&entry, "/ca.pem").unwrap();
    assert_eq!(
        text,
        "[bank]\nhost=door-bank.doors.svc\nport=5432\nsslmode=verify-full\nsslrootcert=/ca.pem\nsslnegotiation=direct\ndbname=bank\n"
    );
    let before = "# mine\n[shop]\nhost=a\n[bank]\nport=1\nhost=old\n";
    for (name, host) in [("bank", Some("old")), ("shop", Some("a")), ("other", None)] {
        assert_eq!(service::host(before, name), host, "{name}");
    }
    let file = service::replaced("# mine\n[shop]\nhost=a\n[bank]\nhost=old\n", "bank", &text);
    assert_eq!(file, format!("# mine\n[shop]\nhost=a\n\n{text}"));
    assert_eq!(service::replaced(&file, "bank", &text), file);
    for (address, words) in [
        ("x\nhostaddr=1.2.3.4:5432", "no service file can"),
        ("<any node>:30432", "port 30432 of any node"),
        ("door-bank", "has no port"),
    ] {
        let entry = service::Entry {
            address: address.into(),
            name: "bank".into(),
            authority: None,
            database: None,
            direct_tls: false,
        };
        let refused = service::text(&entry, "/ca.pem").unwrap_err().to_string();
        assert!(refused.contains(words), "{address}: {refused}");
    }
}
