//! The evidence port: doors come by mutual TLS, each able to speak for its own Connection and Pod only.

mod room;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::record::{ObjectRef, PodRef};
use sallyport_identity::Shares;
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::tls::Accept;
use sallyport_runtime::workload::Credential;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attest::People;
use crate::log::Log;
use room::Room;

pub use stream::serve_stream;

/// Bounds of the evidence port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams at one time.
    pub streams: usize,
    /// From accept to the door's Hello.
    pub handshake: Duration,
    /// A stream on which nothing is heard for this long is dead, and so is one that takes no answer for this long. Doors send
    /// keep-alives far more often.
    pub silence: Duration,
    /// Bytes of batches that are read and not yet on disk, over all streams.
    pub bytes: usize,
    /// As many of them are of one door, which has four batches on its way at most.
    pub bytes_of_one: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 4096,
            handshake: Duration::from_secs(10),
            silence: Duration::from_secs(15),
            bytes: 256 * 1024 * 1024,
            bytes_of_one: 32 * 1024 * 1024,
        }
    }
}

/// The far end of a stream, as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Door {
    /// The Connection that it may speak for.
    pub connection: ObjectRef,
    /// The Pod that it runs in.
    pub pod: PodRef,
}

impl Door {
    /// The door behind a workload certificate; `None` for anybody else.
    #[must_use]
    pub fn of(identity: &PeerIdentity) -> Option<Self> {
        let PeerIdentity::Connection(workload) = identity else {
            return None;
        };
        let workload = workload.clone();
        Some(Self {
            connection: ObjectRef {
                name: workload.name,
                namespace: workload.namespace,
                uid: workload.uid,
            },
            pod: PodRef {
                name: workload.pod,
                uid: workload.pod_uid,
            },
        })
    }
}

/// What every stream shares.
#[derive(Clone)]
pub struct Shared {
    /// The log.
    pub log: Log,
    /// Bounds.
    pub limits: Limits,
    /// Who says whom a door lets in.
    people: People,
    /// Namespaces whose Connections are taken; `None` for any.
    namespaces: Option<Arc<[String]>>,
    room: Arc<Room>,
    /// Streams by door: one that opens many leaves some to others.
    seats: Arc<Shares<Door>>,
    end: CancellationToken,
}

impl Shared {
    /// Streams into `log` until `end`.
    #[must_use]
    pub fn new(log: Log, limits: Limits, end: CancellationToken) -> Self {
        Self {
            log,
            limits,
            people: People::Door,
            namespaces: None,
            room: Arc::new(Room::new(limits)),
            seats: Shares::new(limits.streams),
            end,
        }
    }

    /// Takes Connections of these namespaces alone (AuditSink `spec.namespaces`).
    #[must_use]
    pub fn only_from(self, namespaces: impl IntoIterator<Item = String>) -> Self {
        Self {
            namespaces: Some(namespaces.into_iter().collect()),
            ..self
        }
    }

    /// Asks itself, too, whom doors let in.
    #[must_use]
    pub fn attesting(self, people: People) -> Self {
        Self { people, ..self }
    }

    fn takes(&self, namespace: &str) -> bool {
        self.namespaces
            .as_ref()
            .is_none_or(|list| list.iter().any(|known| known == namespace))
    }
}

/// Serves the evidence port until the shared end; then every stream is told and given time to go.
///
/// # Errors
/// When TLS cannot be configured.
pub async fn serve(listener: TcpListener, credential: &Credential, shared: Shared) -> io::Result<()> {
    let doors: Accept = Arc::new(|identity| matches!(identity, PeerIdentity::Connection(_)));
    let config = credential.server_config(doors, &[]).map_err(io::Error::other)?;
    let acceptor = TlsAcceptor::from(config);
    // Before it is known who comes, too, one that opens many leaves some to others; an address may be a node's, for all of its Pods.
    let slots = Shares::new(shared.limits.streams.saturating_mul(2));
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.end.cancelled() => break,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors, most likely: others return some in a moment.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(slot) = slots.take(&peer.ip()) else {
            tracing::warn!(%peer, "too many connections from there; closed");
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        tracker.spawn(async move {
            accept(stream, acceptor, shared).await;
            drop(slot);
        });
    }
    sallyport_runtime::shutdown::drain(&tracker, Duration::from_secs(5)).await;
    Ok(())
}

async fn accept(stream: TcpStream, acceptor: TlsAcceptor, shared: Shared) {
    let peer = stream
        .peer_addr()
        .map_or_else(|_| "?".to_owned(), |address| address.to_string());
    // Small frames wait for nothing: a statement waits for each.
    let _ = stream.set_nodelay(true);
    let tls = match tokio::time::timeout(shared.limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return tracing::warn!(%peer, %error, "TLS handshake failed"),
        Err(_) => return tracing::warn!(%peer, "TLS handshake took too long"),
    };
    let identity = PeerIdentity::of_peer(tls.get_ref().1);
    let Some(door) = identity.as_ref().and_then(Door::of) else {
        return tracing::warn!(%peer, "a peer that is no door");
    };
    let name = format!("{}/{}", door.connection.namespace, door.connection.name);
    tracing::info!(%peer, connection = %name, pod = %door.pod.name, "a door's stream begins");
    match serve_stream(tls, door, shared).await {
        Ok(()) => tracing::info!(%peer, connection = %name, "a door's stream ends"),
        Err(reason) => tracing::warn!(%peer, connection = %name, %reason, "a door's stream breaks"),
    }
}
