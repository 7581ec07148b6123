//! Hearing other replicas.

use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::record::ObjectRef;
use sallyport_runtime::tls::TlsError;
use sallyport_runtime::workload::Credential;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::frame::{self, FrameError, Said};
use super::{PATIENCE, of};
use crate::door::Sessions;

/// Replicas that are heard at one time; more are closed at once.
const AT_ONCE: usize = 64;
/// After an accept that failed, most likely for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks a cancel up by the key that it carries. It must not tell other replicas.
pub type Hear = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Hears replicas of `connection` for as long as the returned future is polled; `heard` looks for what they cancel, and
/// `sessions` tell by which tokens they came. A drain ends nothing here: while a door drains its sessions can be cancelled
/// through other replicas alone.
///
/// # Errors
/// When TLS cannot be configured.
pub fn hear(
    listener: TcpListener,
    credential: &Credential,
    connection: &ObjectRef,
    heard: Hear,
    sessions: Sessions,
) -> Result<impl Future<Output = ()> + Send + use<>, TlsError> {
    let acceptor = TlsAcceptor::from(credential.server_config(of(connection), &[])?);
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    Ok(async move {
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                // Anybody who reaches the port can make this happen at will: nobody's log is to be filled by it.
                tracing::debug!(%peer, "too many replicas at once; closed");
                continue;
            };
            let (acceptor, heard, sessions) = (acceptor.clone(), Arc::clone(&heard), sessions.clone());
            tokio::spawn(async move {
                match tokio::time::timeout(PATIENCE, one(stream, &acceptor, &heard, &sessions)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "nothing that another replica says"),
                    Err(_) => tracing::debug!(%peer, "another replica took too long to say something"),
                }
                drop(slot);
            });
        }
    })
}

async fn one(stream: TcpStream, acceptor: &TlsAcceptor, heard: &Hear, sessions: &Sessions) -> Result<(), FrameError> {
    let mut tls = acceptor.accept(stream).await?;
    match frame::read(&mut tls).await? {
        Said::Cancel(key) => {
            heard(&key);
            frame::answer(&mut tls).await
        }
        Said::Token(token, from) => frame::found(&mut tls, sessions.elsewhere(&token, from)).await,
    }
}
