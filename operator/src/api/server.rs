//! The HTTPS server: a client certificate is needed for reports, and cannot be had yet by who asks for one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sallyport_policy::columns::{self, Told};
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::peer::Workload;
use sallyport_runtime::report::{self, Report};
use sallyport_runtime::shares::{Place, Shares};
use sallyport_runtime::workload::{Credential, api};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{certificates, columns as told, report as reports};
use crate::context::Context;

/// Connections at one time: one of each process, and some that come and go.
const CONNECTIONS: usize = 8_192;
/// As many of them come from one address, be it a node's for all of its Pods.
const CONNECTIONS_OF_ONE: usize = 512;
/// A body beyond this many bytes is a long one. Only accounts of columns are.
const LONG: u64 = 64 * 1_024;
/// So many long ones are read at one time; a door has half of them at most.
const LONG_AT_ONCE: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(30);
const BODY: Duration = Duration::from_secs(10);

/// Whether this process leads, and all that answers are made of is there.
pub type Leading = Arc<dyn Fn() -> bool + Send + Sync>;

/// What requests are answered from.
#[derive(Clone)]
pub struct Api {
    context: Arc<Context>,
    leading: Leading,
    long: Arc<Shares<String>>,
}

/// Why a request is refused: a status and a word for the log. Callers get the status alone.
#[derive(Debug)]
pub struct Refused(pub StatusCode, pub &'static str);

/// Serves until `end`.
///
/// # Errors
/// When the address cannot be bound or TLS cannot be configured.
pub async fn serve(
    address: SocketAddr,
    credential: &Credential,
    context: Arc<Context>,
    leading: Leading,
    end: CancellationToken,
) -> anyhow::Result<()> {
    let accept = Arc::new(|peer: &PeerIdentity| matches!(peer, PeerIdentity::Connection(_) | PeerIdentity::Sink(_)));
    let acceptor = TlsAcceptor::from(credential.server_config_optional(accept, &[b"http/1.1"])?);
    let listener = TcpListener::bind(address).await?;
    let slots = Shares::with_most(CONNECTIONS, CONNECTIONS_OF_ONE);
    let long = Shares::new(LONG_AT_ONCE);
    let api = Api { context, leading, long };
    tracing::info!(%address, "serving the API");
    loop {
        let (stream, peer) = tokio::select! {
            () = end.cancelled() => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    // Out of descriptors, most likely: give others a moment to return some.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        // One process that takes all that it gets must not keep the others' certificates and reports away.
        let Some(slot) = slots.take(&peer.ip()) else {
            tracing::debug!(%peer, "too many connections from there; closed");
            continue;
        };
        let (api, acceptor, end) = (api.clone(), acceptor.clone(), end.clone());
        tokio::spawn(async move {
            api.connection(stream, acceptor, end).await;
            drop(slot);
        });
    }
}

// === impl Api ===

impl Api {
    async fn connection(self, stream: TcpStream, acceptor: TlsAcceptor, end: CancellationToken) {
        let _ = stream.set_nodelay(true);
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
            return;
        };
        let peer = PeerIdentity::of_peer(stream.get_ref().1);
        let service = hyper::service::service_fn(move |request| {
            let (api, peer) = (self.clone(), peer.clone());
            async move { Ok::<_, Infallible>(api.answer(request, peer).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            () = end.cancelled() => {}
            _ = connection => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: Option<PeerIdentity>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let answered = self.route(request, peer).await;
        if let Err(Refused(status, why)) = &answered {
            tracing::info!(path, status = status.as_u16(), why, "refused");
        }
        answered.unwrap_or_else(|Refused(status, _)| empty(status))
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        peer: Option<PeerIdentity>,
    ) -> Result<Response<Full<Bytes>>, Refused> {
        if request.method() != Method::POST {
            return Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "POST only"));
        }
        if !(self.leading)() {
            return Err(Refused(StatusCode::SERVICE_UNAVAILABLE, "another process leads"));
        }
        match request.uri().path() {
            api::PATH => {
                let token = bearer(&request).ok_or(Refused(StatusCode::UNAUTHORIZED, "no token"))?;
                let asked: api::Request = body(request, api::MAX_BODY).await?;
                let outcome = certificates::answer(&self.context, &token, &asked).await;
                let label = if outcome.is_ok() { "signed" } else { "refused" };
                self.context.metrics.certificates.with_label_values(&[label]).inc();
                json(&outcome?)
            }
            report::PATH => {
                let Some(PeerIdentity::Connection(peer)) = peer else {
                    return Err(Refused(StatusCode::UNAUTHORIZED, "no certificate of a door"));
                };
                let told: Report = body(request, api::MAX_BODY).await?;
                json(&reports::answer(&self.context, &peer, &told).await?)
            }
            columns::PATH => {
                let Some(PeerIdentity::Connection(peer)) = peer else {
                    return Err(Refused(StatusCode::UNAUTHORIZED, "no certificate of a door"));
                };
                let _place = self.place(&request, &peer)?;
                let told: Told = body(request, told::MAX_BODY).await?;
                json(&told::answer(&self.context, &peer, &told).await?)
            }
            _ => Err(Refused(StatusCode::NOT_FOUND, "no such path")),
        }
    }

    /// A place for a long body, which is kept until it is answered.
    fn place(&self, request: &Request<Incoming>, peer: &Workload) -> Result<Option<Place<String>>, Refused> {
        if request.body().size_hint().upper().is_some_and(|size| size <= LONG) {
            return Ok(None);
        }
        let busy = Refused(
            StatusCode::TOO_MANY_REQUESTS,
            "as many long bodies of the Connection as are read at once",
        );
        self.long.take(&peer.uid).map(Some).ok_or(busy)
    }
}

fn bearer(request: &Request<Incoming>) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>, max: usize) -> Result<T, Refused> {
    let bad = |why| Refused(StatusCode::BAD_REQUEST, why);
    let collected = tokio::time::timeout(BODY, Limited::new(request.into_body(), max).collect()).await;
    let bytes = collected
        .map_err(|_| bad("a body that never ends"))?
        .map_err(|_| bad("a body that is too large"))?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|_| bad("a body that cannot be read"))
}

fn json(value: &impl Serialize) -> Result<Response<Full<Bytes>>, Refused> {
    let bytes = serde_json::to_vec(value)
        .map_err(|_| Refused(StatusCode::INTERNAL_SERVER_ERROR, "an answer cannot be written"))?;
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}
