//! Withdrawals while the API server is away. Time is tokio's own and costs none.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use kube::{Api, Client};
use sallyport_audit::record::RequestRef;
use sallyport_crds::access_request::AccessRequestStatus;
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::approval::{spec, withdraw};
use crate::manifests::sample;

/// How often nobody answers: some attempts hang, others fail at once.
const AWAY: usize = 20;

/// An API server that is away at first and then has one request, which is over once it was withdrawn; with everything that it was
/// asked.
struct Server {
    asked: Mutex<Vec<Method>>,
    over: bool,
    tell: mpsc::UnboundedSender<String>,
}

impl Server {
    async fn serve(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(request.method().clone());
            asked.len()
        };
        let answer =
            |status: StatusCode, body: Vec<u8>| Response::builder().status(status).body(Body::from(body)).unwrap();
        if number <= AWAY {
            if number % 2 == 0 {
                std::future::pending::<()>().await;
            }
            return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, Vec::new()));
        }
        if request.method() == Method::PATCH {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect_bytes().await.unwrap();
            self.tell
                .send(format!("{path} {}", String::from_utf8_lossy(&body)))
                .unwrap();
        }
        let found = serde_json::to_vec(&there(self.over)).unwrap();
        Ok(answer(StatusCode::OK, found))
    }
}

/// The request as the API server has it.
fn there(over: bool) -> sallyport_crds::AccessRequest {
    let carrier = sample().0;
    let asked = question(&carrier, DIGEST, GrantScope::Command);
    let mut request = spec::request(asked, &place(&carrier, "door-bank-0"), None);
    request.metadata.name = Some("bank-1".into());
    request.metadata.uid = Some("uid-bank-1".into());
    let condition = json!({
        "type": "Expired", "status": if over { "True" } else { "False" }, "reason": "TimedOut", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    request.status = Some(AccessRequestStatus {
        approvals: Some(Vec::new()),
        conditions: vec![serde_json::from_value(condition).unwrap()],
        ..AccessRequestStatus::default()
    });
    request
}

/// A withdrawal on its way to such a server; and what that is told.
fn withdrawn(over: bool) -> (Arc<Server>, mpsc::UnboundedReceiver<String>) {
    sallyport_runtime::crypto::install();
    let (tell, told) = mpsc::unbounded_channel();
    let server = Arc::new(Server {
        asked: Mutex::default(),
        over,
        tell,
    });
    let serving = Arc::clone(&server);
    let serve = move |request: Request<Body>| Arc::clone(&serving).serve(request);
    let client = Client::new(tower::service_fn(serve), "default");
    let place = place(&sample().0, "door-bank-0");
    let queue = withdraw::start(Api::namespaced(client, "doors"), place, &Handle::current());
    let request = RequestRef {
        name: "bank-1".into(),
        namespace: "doors".into(),
        uid: "uid-bank-1".into(),
    };
    let reason = "the asker cancelled the command".to_owned();
    queue.try_send((request, reason)).unwrap();
    (server, told)
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_outlives_an_api_server_that_is_away() {
    let (_server, mut told) = withdrawn(false);
    let began = tokio::time::Instant::now();
    let hour = Duration::from_secs(3_600);
    let patched = tokio::time::timeout(hour, told.recv()).await.unwrap().unwrap();
    assert!(began.elapsed() > Duration::from_secs(120), "{:?}", began.elapsed());
    assert!(
        patched.contains("/namespaces/doors/accessrequests/bank-1/status "),
        "{patched}"
    );
    assert!(patched.contains("Withdraw") && patched.contains("the asker cancelled the command"));
    assert!(
        tokio::time::timeout(hour, told.recv()).await.is_err(),
        "it is said once"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_over_by_itself_is_let_be() {
    let (server, mut told) = withdrawn(true);
    let day = Duration::from_secs(86_400);
    assert!(tokio::time::timeout(day, told.recv()).await.is_err());
    assert_eq!(server.asked.lock().unwrap().len(), AWAY + 1, "and nobody asks any more");
}
