//! One socket with its two buffers: bytes that have arrived and are scanned in place, bytes that wait to leave together.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{self, FrameError, HEADER, Head};

/// What one read takes at most.
const CHUNK: usize = 64 * 1024;
/// What a buffer of a quiet session keeps.
const RESTING: usize = 4 * 1024;

/// Where output is handed to the socket even though more is to come: it bounds what a slow reader costs.
pub const FLUSH_AT: usize = 64 * 1024;

/// A stream of frames in both directions.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    input: BytesMut,
    /// Bytes to be sent. Appended to freely; [`Wire::flush`] sends them.
    pub out: Vec<u8>,
    /// How much of `out` has been sent.
    sent: usize,
}

/// The peer is gone or speaks another language.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The stream ended between two messages.
    #[error("the connection was closed")]
    Closed,
    /// The stream ended within a message, or failed.
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
    /// A message that cannot be taken.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer takes or gives nothing for too long.
    #[error("the peer was silent for too long")]
    Stalled,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Wraps a stream of which nothing has been read.
    pub fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), out: Vec::new(), sent: 0 }
    }

    /// The stream itself, once its buffers are empty.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Bytes that have arrived and are not consumed.
    #[must_use]
    pub fn arrived(&self) -> &[u8] {
        &self.input
    }

    /// The head of the first frame, once it has arrived.
    ///
    /// # Errors
    /// When the first frame cannot be taken.
    pub fn head(&self, cap: impl Fn(u8) -> Option<usize>) -> Result<Option<Head>, FrameError> {
        frame::head(&self.input, cap)
    }

    /// The first frame, once it has arrived whole. It stays until [`Wire::consume`].
    ///
    /// # Errors
    /// When the first frame cannot be taken.
    pub fn whole(&self, cap: impl Fn(u8) -> Option<usize>) -> Result<Option<(Head, &[u8])>, FrameError> {
        let Some(head) = self.head(cap)? else { return Ok(None) };
        Ok(self.input.get(..head.len).map(|bytes| (head, bytes)))
    }

    /// Drops the first `n` bytes of the input.
    pub fn consume(&mut self, n: usize) {
        self.input.advance(n.min(self.input.len()));
        if self.input.is_empty() && self.input.capacity() > CHUNK {
            self.input = BytesMut::new();
        }
    }

    /// Takes the first `n` bytes of the input out.
    pub fn take(&mut self, n: usize) -> BytesMut {
        self.input.split_to(n.min(self.input.len()))
    }

    /// Reads what is there, at least one byte; `false` at the end of the stream. May be cancelled without loss.
    ///
    /// # Errors
    /// When the stream fails.
    pub async fn fill(&mut self) -> io::Result<bool> {
        let spare = self.input.capacity() - self.input.len();
        if spare < RESTING / 2 {
            // The buffer grows by what has arrived, never by what a length announces.
            let more = if self.input.is_empty() { RESTING } else { CHUNK.max(self.input.len()) };
            self.input.reserve(more);
        }
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    /// Waits until the first frame is there whole.
    ///
    /// # Errors
    /// When the stream ends or the frame cannot be taken.
    pub async fn frame(&mut self, cap: impl Fn(u8) -> Option<usize> + Copy) -> Result<Head, WireError> {
        loop {
            if let Some(head) = self.head(cap)?
                && self.input.len() >= head.len
            {
                return Ok(head);
            }
            if !self.fill().await? {
                return Err(self.ended());
            }
        }
    }

    /// The bytes of a frame whose [`Head`] was given by [`Wire::frame`].
    #[must_use]
    pub fn bytes(&self, head: Head) -> &[u8] {
        self.input.get(..head.len).unwrap_or_default()
    }

    /// What the end of the stream means: in order between two frames, a loss within one.
    #[must_use]
    pub fn ended(&self) -> WireError {
        if self.input.len() < HEADER && self.input.is_empty() {
            WireError::Closed
        } else {
            WireError::Lost(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Whether bytes wait to be sent.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Sends everything. May be cancelled and called again without loss or repetition.
    ///
    /// # Errors
    /// When the stream fails.
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            let rest = self.out.get(self.sent..).unwrap_or_default();
            match self.stream.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => self.sent += n,
            }
        }
        self.stream.flush().await?;
        self.sent = 0;
        self.out.clear();
        if self.out.capacity() > 4 * FLUSH_AT {
            self.out = Vec::new();
        }
        Ok(())
    }

    /// As [`Wire::flush`], for a peer that may take its time but not for ever.
    ///
    /// # Errors
    /// When the stream fails, or nothing is taken within `patience`.
    pub async fn flush_within(&mut self, patience: Duration) -> Result<(), WireError> {
        if self.pending() == 0 {
            return Ok(());
        }
        match tokio::time::timeout(patience, self.flush()).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(WireError::Stalled),
        }
    }

    /// Gives memory back before a long wait.
    pub fn rest(&mut self) {
        if self.input.is_empty() && self.input.capacity() > RESTING {
            self.input = BytesMut::new();
        }
        if self.out.is_empty() && self.out.capacity() > RESTING {
            self.out = Vec::new();
        }
    }

    /// Sends what is left and says goodbye, for at most `within`; whatever fails then no longer matters.
    pub async fn close(mut self, within: Duration) {
        let goodbye = async {
            self.flush().await?;
            self.stream.shutdown().await
        };
        let _ = tokio::time::timeout(within, goodbye).await;
    }
}
