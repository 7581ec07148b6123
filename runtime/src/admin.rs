//! The admin port: `/metrics`, `/healthz`, `/readyz`, on a thread of its own so that it answers however busy the rest is.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, Registry, TextEncoder};

use crate::shares::Shares;

/// Answers a probe: Ok, or why not in one sentence.
pub type Probe = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Connections at one time.
const CONNECTIONS: usize = 512;
/// As many of them come from one address. Scrapers and probes need a handful; more is somebody else.
const CONNECTIONS_OF_ONE: usize = 16;
const HEADER_TIME: Duration = Duration::from_secs(5);
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// A probe that always says yes.
pub fn always() -> Probe {
    Arc::new(|| Ok(()))
}

#[derive(Clone)]
struct Admin {
    registry: Registry,
    liveness: Probe,
    readiness: Probe,
}

/// Binds `address` and serves from a thread of its own until the process ends. Returns the address that was bound.
///
/// # Errors
/// When the address cannot be bound or the thread cannot be started.
pub fn serve(
    address: SocketAddr,
    registry: Registry,
    liveness: Probe,
    readiness: Probe,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let admin = Admin {
        registry,
        liveness,
        readiness,
    };
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, admin).await,
                Err(error) => tracing::error!(%error, "the admin port cannot be served"),
            }
        });
    })?;
    Ok(bound)
}

async fn accept(listener: tokio::net::TcpListener, admin: Admin) {
    let slots = Shares::with_most(CONNECTIONS, CONNECTIONS_OF_ONE);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, most likely: give others a moment to return some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // Probes come by this port: a process that somebody keeps from answering them is taken for dead, and ended.
        let Some(slot) = slots.take(&peer.ip()) else {
            continue;
        };
        let admin = admin.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let response = admin.answer(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
            drop(slot);
        });
    }
}

// === impl Admin ===

impl Admin {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
        }
        match request.uri().path() {
            "/metrics" => self.metrics(),
            "/healthz" => probe(&self.liveness),
            "/readyz" => probe(&self.readiness),
            _ => text(StatusCode::NOT_FOUND, "/metrics, /healthz, /readyz\n".to_owned()),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let encoder = TextEncoder::new();
        let mut body = Vec::new();
        if encoder.encode(&self.registry.gather(), &mut body).is_err() {
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics cannot be written\n".to_owned(),
            );
        }
        let mut response = Response::new(Full::new(Bytes::from(body)));
        if let Ok(kind) = HeaderValue::from_str(encoder.format_type()) {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        response
    }
}

fn probe(probe: &Probe) -> Response<Full<Bytes>> {
    match probe() {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        crate::crypto::install();
        let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn tells_the_truth_about_readiness() {
        let registry = Registry::new();
        let counter = prometheus::IntCounter::new("sallyport_test_total", "A count.").unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        counter.inc_by(3);
        let ready = Arc::new(AtomicBool::new(false));
        let seen = ready.clone();
        let readiness: Probe = Arc::new(move || {
            if seen.load(Ordering::SeqCst) {
                Ok(())
            } else {
                Err("no policy".to_owned())
            }
        });
        let address = serve("127.0.0.1:0".parse().unwrap(), registry, always(), readiness).unwrap();

        assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get(address, "/readyz").await, (503, "no policy\n".to_owned()));
        ready.store(true, Ordering::SeqCst);
        assert_eq!(get(address, "/readyz").await.0, 200);
        let (status, body) = get(address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("sallyport_test_total 3"), "{body}");
        assert_eq!(get(address, "/etc").await.0, 404);
    }

    #[tokio::test]
    async fn who_opens_many_connections_keeps_no_probe_from_its_answer() {
        let address = serve("127.0.0.1:0".parse().unwrap(), Registry::new(), always(), always()).unwrap();
        let mut open = Vec::new();
        for _ in 0..2 * CONNECTIONS_OF_ONE {
            open.push(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        let probe = tokio::net::TcpSocket::new_v4().unwrap();
        probe.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut probe = probe.connect(address).await.unwrap();
        let asked = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        probe.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // Those that say nothing are let go of after some seconds: the answer comes before that.
        let read = tokio::time::timeout(HEADER_TIME / 2, probe.read_to_string(&mut answer));
        read.await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(open.len(), 2 * CONNECTIONS_OF_ONE);
    }
}
