//! The stream to a target: TLS, or plain where the Connection says so in so many words.

use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::held::Held;

/// A connection to a target.
#[derive(Debug)]
pub struct TargetStream {
    way: Way,
    /// The backend at its other end, once that is known.
    held: OnceLock<Held>,
}

#[derive(Debug)]
enum Way {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl TargetStream ===

impl TargetStream {
    /// Without TLS.
    pub fn plain(stream: TcpStream) -> Self {
        Self::new(Way::Plain(stream))
    }

    /// With TLS.
    pub fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::new(Way::Tls(Box::new(stream)))
    }

    fn new(way: Way) -> Self {
        Self {
            way,
            held: OnceLock::new(),
        }
    }

    /// The certificate that the target has shown.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        match &self.way {
            Way::Plain(_) => None,
            Way::Tls(stream) => stream.get_ref().1.peer_certificates()?.first(),
        }
    }

    /// States which backend serves it, until it is closed.
    pub fn served_by(&self, held: Held) {
        // A connection has one backend for all its life, and is told once.
        let _ = self.held.set(held);
    }
}

impl AsyncRead for TargetStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Way::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for TargetStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Way::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Way::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Way::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
