//! The read port: the published log as C2SP tlog-tiles over HTTP GET, and for the operator a checkpoint with the proof that
//! the log only grew.
//!
//! | path | answer |
//! |---|---|
//! | `/checkpoint` | the newest signed checkpoint |
//! | `/tile/…` | hash tiles and entry bundles |
//! | `/v1/checkpoint?from=SIZE` | [`Grown`] as JSON: a checkpoint of what is on disk now, key, and the consistency proof from SIZE records on |
//! | `POST /v1/permit` | the operator's leave to write ([`sallyport_audit::permit`]); over mutual TLS only |
//! | `POST /v1/issuers` | whose tokens count ([`Trusted`] as JSON), by the operator's word; over mutual TLS only |
//!
//! It is served twice: to the operator over mutual TLS, and on loopback, where only a port-forward through the API server
//! reaches it, which has then authenticated and authorised the reader.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sallyport_audit::Digest;
use sallyport_audit::checkpoint::{Checkpoint, Head};
use sallyport_audit::merkle::consistency_proof;
use sallyport_audit::note::VerifierKey;
use sallyport_audit::store::{Store, StoreError};
use sallyport_audit::tiles::{Tile, TileHashes, read_tile};
use sallyport_identity::{Shares, Trusted};
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::tls::Accept;
use sallyport_runtime::workload::Credential;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::attest::People;
use crate::log::{Log, Published};

/// Readers at one time.
const CONNECTIONS: usize = 1_024;
/// As many of them come from one address: who comes by port-forward comes from the Pod's own.
const CONNECTIONS_OF_ONE: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADER_TIME: Duration = Duration::from_secs(10);
/// A reader of a large log asks for many tiles over one connection.
const CONNECTION_TIME: Duration = Duration::from_secs(600);

/// How long a reader waits for what is on disk to be published.
const PUBLISHING: Duration = Duration::from_secs(3);
/// The longest permit.
const MAX_PERMIT: usize = 16 * 1024;
/// Twice what Kubernetes keeps in one object, which the issuers come from: JSON escapes the lines of their CAs.
const MAX_ISSUERS: usize = 2 * 1024 * 1024;

/// What the operator polls for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grown {
    /// This start of the recorder.
    pub boot: String,
    /// A checkpoint of what was on disk when it was asked, a signed note.
    pub checkpoint: String,
    /// Nothing is taken until the operator permits it.
    pub fenced: bool,
    /// SHA-256 of what the operator last said of whose tokens count; empty before it has. Left out where the recorder checks
    /// no tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuers: Option<String>,
    /// In words, why records are refused for now (a full volume).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// RFC 6962 consistency proof from the size asked for, each hash in base64; empty when there is nothing to prove.
    pub proof: Vec<String>,
    /// The log's public key, as it says itself: whoever keeps evidence compares it with the one they know.
    pub vkey: String,
}

#[derive(Clone)]
struct Reader {
    log: Log,
    published: Published,
    key: VerifierKey,
    people: People,
    /// Whether the peer is the operator.
    operator: bool,
}

/// Serves the operator over mutual TLS until `end`.
///
/// # Errors
/// When TLS cannot be configured.
pub async fn serve_tls(
    listener: TcpListener,
    credential: &Credential,
    log: &Log,
    people: &People,
    end: CancellationToken,
) -> io::Result<()> {
    let operator: Accept = Arc::new(|identity| matches!(identity, PeerIdentity::Operator));
    let acceptor = TlsAcceptor::from(credential.server_config(operator, &[]).map_err(io::Error::other)?);
    accept(listener, Some(acceptor), Reader::new(log, people, true), end).await;
    Ok(())
}

/// Serves readers without TLS until `end`. For loopback only.
pub async fn serve_loopback(listener: TcpListener, log: &Log, end: CancellationToken) {
    accept(listener, None, Reader::new(log, &People::Door, false), end).await;
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, reader: Reader, end: CancellationToken) {
    // Before it is known who comes, too: who opens many from several addresses leaves some to others, the operator among them.
    let slots = Shares::with_most(CONNECTIONS, CONNECTIONS_OF_ONE);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end.cancelled() => return,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(slot) = slots.take(&peer.ip()) else {
            tracing::debug!(%peer, "too many readers from there; closed");
            continue;
        };
        let (tls, reader, end) = (tls.clone(), reader.clone(), end.clone());
        tokio::spawn(async move {
            let served = async {
                match tls {
                    None => reader.serve(stream).await,
                    Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        Ok(Ok(stream)) => reader.serve(stream).await,
                        Ok(Err(error)) => tracing::warn!(%error, "a reader's TLS handshake failed"),
                        Err(_) => tracing::warn!("a reader's TLS handshake took too long"),
                    },
                }
            };
            tokio::select! {
                _ = tokio::time::timeout(CONNECTION_TIME, served) => {}
                () = end.cancelled() => {}
            }
            drop(slot);
        });
    }
}

impl Reader {
    fn new(log: &Log, people: &People, operator: bool) -> Self {
        Self {
            log: log.clone(),
            published: log.published(),
            key: log.key().clone(),
            people: people.clone(),
            operator,
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let reader = self.clone();
            async move { Ok::<_, Infallible>(reader.answer(request).await) }
        });
        // A reader that breaks off loses its own answer only.
        let _ = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self.operator && *request.method() == Method::POST && request.uri().path() == "/v1/permit" {
            return self.permit(request.into_body()).await;
        }
        if self.operator && *request.method() == Method::POST && request.uri().path() == "/v1/issuers" {
            return self.issuers(request.into_body()).await;
        }
        if *request.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        let now = match request.uri().path() {
            // A volume that takes nothing answers with what was published before.
            "/v1/checkpoint" => tokio::time::timeout(PUBLISHING, self.log.publish()).await.ok(),
            _ => None,
        };
        let now = now.and_then(Result::ok);
        let (path, query) = (
            request.uri().path().to_owned(),
            request.uri().query().unwrap_or_default().to_owned(),
        );
        let reader = self.clone();
        // Files are read off the runtime's threads, which carry evidence.
        let answered = tokio::task::spawn_blocking(move || reader.look_up(&path, &query, now)).await;
        answered.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "the answer failed\n"))
    }

    fn look_up(&self, path: &str, query: &str, now: Option<Head>) -> Response<Full<Bytes>> {
        let result = match path {
            "/checkpoint" => self
                .checkpoint()
                .map(|note| response("text/plain; charset=utf-8", note.into_bytes())),
            "/v1/checkpoint" => match from(query) {
                Some(from) => self.grown(from, now),
                None => return text(StatusCode::BAD_REQUEST, "/v1/checkpoint?from=SIZE\n"),
            },
            _ => match path.strip_prefix('/').and_then(Tile::parse) {
                Some(tile) => read_tile(&self.published, tile).map(|bytes| response("application/octet-stream", bytes)),
                None => {
                    return text(
                        StatusCode::NOT_FOUND,
                        "/checkpoint, /tile/…, /v1/checkpoint?from=SIZE\n",
                    );
                }
            },
        };
        match result {
            Ok(response) => response,
            Err(StoreError::Missing(_)) => text(StatusCode::NOT_FOUND, "not published\n"),
            Err(error) => {
                tracing::error!(%error, "the published log cannot be read");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the published log cannot be read\n")
            }
        }
    }

    fn checkpoint(&self) -> Result<String, StoreError> {
        let missing = || StoreError::Missing("checkpoint".to_owned());
        let bytes = self.published.read("checkpoint")?.ok_or_else(missing)?;
        String::from_utf8(bytes).map_err(|_| missing())
    }

    async fn permit(&self, body: Incoming) -> Response<Full<Bytes>> {
        let Ok(body) = Limited::new(body, MAX_PERMIT).collect().await else {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "a permit is shorter\n");
        };
        match self
            .log
            .permit(String::from_utf8_lossy(&body.to_bytes()).into_owned())
            .await
        {
            Ok(()) => text(StatusCode::OK, "the recorder writes\n"),
            Err(error) => {
                tracing::warn!(%error, "a permit is refused");
                text(StatusCode::CONFLICT, "the permit is refused\n")
            }
        }
    }

    async fn issuers(&self, body: Incoming) -> Response<Full<Bytes>> {
        let People::Checked(attestor) = &self.people else {
            return text(StatusCode::NOT_FOUND, "no tokens are checked here\n");
        };
        let Ok(body) = Limited::new(body, MAX_ISSUERS).collect().await else {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "issuers are fewer\n");
        };
        let body = body.to_bytes();
        match serde_json::from_slice::<Trusted>(&body) {
            Ok(trusted) => {
                tracing::info!(issuers = trusted.issuers.len(), "the operator says whose tokens count");
                attestor.trust(&trusted, Digest::of(&body));
                text(StatusCode::OK, "their tokens count\n")
            }
            Err(error) => {
                tracing::warn!(%error, "what the operator says of issuers cannot be read; those known stay");
                text(StatusCode::BAD_REQUEST, "not a list of issuers\n")
            }
        }
    }

    fn grown(&self, from: u64, now: Option<Head>) -> Result<Response<Full<Bytes>>, StoreError> {
        let note = match now {
            Some(head) => self
                .key
                .note_of(&head.checkpoint(self.key.name()).text(), &head.signature),
            None => self.checkpoint()?,
        };
        let Ok(checkpoint) = Checkpoint::open(&note, &self.key) else {
            return Err(StoreError::Missing("checkpoint".to_owned()));
        };
        if from > checkpoint.size {
            return Ok(text(StatusCode::CONFLICT, "the log is shorter than that\n"));
        }
        let mut hashes = TileHashes::new(&self.published, checkpoint.size);
        let proof = consistency_proof(from, checkpoint.size, &mut hashes)?;
        let proof = proof.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        let status = self.log.status().borrow().clone();
        let grown = Grown {
            boot: self.log.boot().to_string(),
            checkpoint: note,
            fenced: status.fenced,
            issuers: match &self.people {
                People::Checked(attestor) => {
                    Some(attestor.trusts().map_or_else(String::new, |digest| digest.to_string()))
                }
                People::Door | People::SameProcess => None,
            },
            problem: status.broken.or(status.problem),
            proof,
            vkey: self.key.to_string(),
        };
        Ok(response(
            "application/json",
            serde_json::to_vec(&grown).unwrap_or_default(),
        ))
    }
}

fn from(query: &str) -> Option<u64> {
    if query.is_empty() {
        Some(0)
    } else {
        query.strip_prefix("from=")?.parse().ok()
    }
}

fn response(kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = response("text/plain; charset=utf-8", body.as_bytes().to_vec());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use sallyport_identity::Pace;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::runtime::Handle;

    use super::*;
    use crate::attest::Attestor;
    use crate::testing;

    /// Status and body of the answer.
    async fn ask(people: &People, operator: bool, request: &str, body: &str) -> (u16, String) {
        let log = testing::open(&Arc::default());
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(Reader::new(&log, people, operator).serve(far));
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nhost: r\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        near.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, body.to_owned())
    }

    #[tokio::test]
    async fn only_the_operator_says_whose_tokens_count() {
        const SAID: &str = r#"{"apiServerAudiences":["kubernetes"],"issuers":[],"later":1}"#;
        let attestor = Arc::new(Attestor::new(Handle::current(), None, Pace::default()));
        let people = People::Checked(Arc::clone(&attestor));
        let told = async |people: &People| {
            let (_, body) = ask(people, true, "GET /v1/checkpoint?from=0", "").await;
            serde_json::from_str::<Grown>(&body).unwrap().issuers
        };
        assert_eq!(told(&people).await.as_deref(), Some(""));
        assert_eq!(told(&People::Door).await, None, "as the first version answers");
        let post = "POST /v1/issuers";
        for (people, operator, body, status) in [
            (&people, false, SAID, 405),
            (&People::Door, true, SAID, 404),
            (&people, true, "{", 400),
        ] {
            assert_eq!(ask(people, operator, post, body).await.0, status);
            assert_eq!(attestor.trusts(), None);
        }
        assert_eq!(ask(&people, true, post, SAID).await.0, 200);
        let digest = Digest::of(SAID.as_bytes());
        assert_eq!(attestor.trusts(), Some(digest));
        assert_eq!(told(&people).await, Some(digest.to_string()));
    }
}
