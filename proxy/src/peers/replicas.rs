//! Telling and asking other replicas.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use rustls_pki_types::ServerName;
use sallyport_audit::Digest;
use sallyport_audit::record::ObjectRef;
use sallyport_runtime::tls::TlsError;
use sallyport_runtime::workload::Credential;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::frame::{self, FrameError};
use super::{PATIENCE, of};
use crate::door::Peers;

/// Cancels that are told at one time; more are dropped. Anybody may send cancels that nobody knows.
const AT_ONCE: usize = 16;
/// Tokens that are asked about at one time; who comes in beside them is not asked about. The places at which others hear are for
/// cancels first.
const ASKED_AT_ONCE: usize = 4;
/// Somebody waits to come in while others are asked about their token.
const SOON: Duration = Duration::from_millis(500);
/// Replicas that are told; a Connection has at most so many, and one more while they are replaced.
const MOST: usize = 65;
/// A look at who they are serves for this long, however many cancels come.
const FRESH: Duration = Duration::from_secs(1);

/// Where the replicas of a door are.
#[derive(Clone, Debug)]
pub struct Way {
    /// The name that has the addresses of all of them.
    pub host: String,
    /// The port on which they hear each other.
    pub port: u16,
    /// The address among them that is this process.
    pub own: Option<IpAddr>,
}

/// The other replicas of a door.
pub struct Replicas {
    others: Arc<Others>,
    slots: Arc<Semaphore>,
    asking: Arc<Semaphore>,
    runtime: Handle,
}

struct Others {
    way: Way,
    tls: TlsConnector,
    /// Held while they are looked for, so that a resolver that does not answer is not asked by everybody.
    known: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

// === impl Replicas ===

impl Replicas {
    /// The replicas of `connection`, told over connections that live on `runtime`.
    ///
    /// # Errors
    /// When TLS cannot be configured.
    pub fn new(credential: &Credential, connection: &ObjectRef, way: Way, runtime: Handle) -> Result<Self, TlsError> {
        Ok(Self {
            others: Arc::new(Others {
                tls: TlsConnector::from(credential.client_config(of(connection))?),
                way,
                known: Mutex::default(),
            }),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            asking: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
            runtime,
        })
    }
}

impl Peers for Replicas {
    fn cancel(&self, key: Vec<u8>) -> BoxFuture<'static, ()> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Box::pin(std::future::ready(()));
        };
        let others = Arc::clone(&self.others);
        // On one runtime, whichever session's thread took the cancel; and to its end, though the client leaves.
        let told = self.runtime.spawn(async move {
            if tokio::time::timeout(PATIENCE, others.tell(&key)).await.is_err() {
                tracing::debug!("not every replica heard of a cancel in time");
            }
            drop(slot);
        });
        Box::pin(async move {
            let _ = told.await;
        })
    }

    fn elsewhere(&self, token: Digest, from: IpAddr) -> BoxFuture<'static, Option<IpAddr>> {
        let Ok(slot) = Arc::clone(&self.asking).try_acquire_owned() else {
            return Box::pin(std::future::ready(None));
        };
        let others = Arc::clone(&self.others);
        let asked = self.runtime.spawn(async move {
            let found = tokio::time::timeout(SOON, others.ask(&token, from)).await;
            drop(slot);
            found.ok().flatten()
        });
        Box::pin(async move { asked.await.ok().flatten() })
    }
}

// === impl Others ===

impl Others {
    async fn tell(&self, key: &[u8]) {
        let message = match frame::message(key) {
            Ok(message) => message,
            Err(error) => return tracing::debug!(%error, "a cancel that no replica takes"),
        };
        let told = self.addresses().await.into_iter().map(|address| {
            let message = &message;
            async move {
                // One that is gone is among them for a moment, one that starts does not hear yet.
                if let Err(error) = self.one(address, message).await {
                    tracing::debug!(%address, %error, "a replica did not hear of a cancel");
                }
            }
        });
        join_all(told).await;
    }

    /// The first address that one of them gives.
    async fn ask(&self, token: &Digest, from: IpAddr) -> Option<IpAddr> {
        let message = frame::question(token, from);
        let asked = self.addresses().await.into_iter().map(|address| {
            let message = &message;
            async move {
                let finding = async { frame::finding(&mut self.say(address, message).await?).await };
                // One that is gone, starts, or is of a version that knows no tokens has nothing to say.
                finding.await.unwrap_or_else(|error| {
                    tracing::debug!(%address, %error, "a replica did not say whether it knows a token");
                    None
                })
            }
        });
        let mut answers = asked.collect::<FuturesUnordered<_>>();
        while let Some(answer) = answers.next().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    async fn one(&self, address: SocketAddr, message: &[u8]) -> Result<(), FrameError> {
        frame::answered(&mut self.say(address, message).await?).await
    }

    /// Says something to one of them; its answer comes on the stream.
    async fn say(&self, address: SocketAddr, message: &[u8]) -> Result<TlsStream<TcpStream>, FrameError> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        // Who answers is known by the name in their certificate, which is no host's.
        let mut tls = self.tls.connect(ServerName::from(address.ip()), tcp).await?;
        tls.write_all(message).await?;
        tls.flush().await?;
        Ok(tls)
    }

    async fn addresses(&self) -> Vec<SocketAddr> {
        let mut known = self.known.lock().await;
        if let Some((at, addresses)) = &*known
            && at.elapsed() < FRESH
        {
            return addresses.clone();
        }
        let found = match tokio::net::lookup_host((self.way.host.as_str(), self.way.port)).await {
            Ok(found) => found
                .filter(|address| Some(address.ip()) != self.way.own)
                .take(MOST)
                .collect(),
            Err(error) => {
                tracing::debug!(host = %self.way.host, %error, "the other replicas are not found");
                Vec::new()
            }
        };
        known.insert((Instant::now(), found)).1.clone()
    }
}
