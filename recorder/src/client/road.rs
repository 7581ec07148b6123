//! How records get to a log: over a stream to its recorder, or straight into it where it is in the same process.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use sallyport_audit::wire::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};

use super::Link;
use crate::attest::People;
use crate::frames::{FrameReader, StreamError};
use crate::log::{Attached, Checked, Log, LogError};
use crate::server::Door;

/// A stream to a recorder, however it is carried.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Dialling = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;
/// Opens a stream.
pub(super) type Dial = Arc<dyn Fn() -> Dialling + Send + Sync>;

/// Where the log is.
pub(super) enum Road {
    /// Behind a recorder.
    Stream(Dial),
    /// In this process. Nothing is said that both know: no frames, no checks of what was just written, and one thread less.
    Here {
        /// It.
        log: Log,
        /// Who writes to it.
        door: Arc<Door>,
    },
}

/// An open road.
pub(super) enum Live {
    /// The recorder has welcomed us.
    Stream {
        /// What it says.
        reader: FrameReader<ReadHalf<Box<dyn Stream>>>,
        /// What it hears.
        out: WriteHalf<Box<dyn Stream>>,
    },
    /// The log knows of us.
    Here {
        /// Our hold on it.
        attached: Attached,
        /// Who we are.
        door: Arc<Door>,
    },
}

/// A stream over TCP and mutual TLS.
pub(super) fn tls(link: &Link) -> Dial {
    let (endpoint, server_name, source) = (link.endpoint.clone(), link.server_name.clone(), Arc::clone(&link.tls));
    Arc::new(move || {
        let (endpoint, server_name, config) = (endpoint.clone(), server_name.clone(), source());
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(&endpoint).await?;
            stream.set_nodelay(true)?;
            let name = rustls_pki_types::ServerName::try_from(server_name).map_err(io::Error::other)?;
            let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    })
}

impl Live {
    /// What the recorder says next; a log in this process answers at once and says nothing by itself.
    pub(super) async fn next(&mut self) -> Result<Frame, StreamError> {
        match self {
            Self::Stream { reader, .. } => reader.next().await,
            Self::Here { .. } => std::future::pending().await,
        }
    }
}

/// Brings records to disk here, as a recorder would: with what it finds of people, which is the door's own word. Gives the
/// running number of the last, and the log's size.
pub(super) fn write_here(log: &Log, door: &Door, records: Vec<Checked>) -> Result<(u64, u64), LogError> {
    let judged = records
        .into_iter()
        .map(|record| People::SameProcess.judge(record, door, log));
    log.append_here(judged.collect::<Result<_, _>>()?)
}
