//! Frames on a byte stream, read so that a cancelled read loses nothing.

use std::io;

use sallyport_audit::wire::{Frame, FrameHeader, HEADER_LEN, WireError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Read at once when there is more to come.
const CHUNK: usize = 64 * 1024;

/// What ends a stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    #[error("the stream ended")]
    Ended,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("nothing was heard for too long")]
    Silent,
}

/// The reading half.
pub(crate) struct FrameReader<R> {
    stream: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next frame's header; its payload is not read yet, so that room can be made for it first.
    pub(crate) async fn header(&mut self) -> Result<FrameHeader, StreamError> {
        self.fill(HEADER_LEN).await?;
        let bytes = self.buffer.first_chunk::<HEADER_LEN>().ok_or(StreamError::Ended)?;
        Ok(FrameHeader::parse(*bytes)?)
    }

    /// The frame whose header was read.
    pub(crate) async fn body(&mut self, header: FrameHeader) -> Result<Frame, StreamError> {
        let len = HEADER_LEN + header.payload_len();
        self.fill(len).await?;
        let frame = header.decode(self.buffer.get(HEADER_LEN..len).unwrap_or_default())?;
        self.buffer.drain(..len);
        Ok(frame)
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Result<Frame, StreamError> {
        let header = self.header().await?;
        self.body(header).await
    }

    async fn fill(&mut self, len: usize) -> Result<(), StreamError> {
        while self.buffer.len() < len {
            // The bound of `len` is the frame kind's; the rest of the chunk is what came along.
            self.buffer.reserve((len - self.buffer.len()).max(CHUNK / 8));
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(StreamError::Ended);
            }
        }
        Ok(())
    }
}

/// Writes frames and flushes.
pub(crate) async fn write<W: AsyncWrite + Unpin>(stream: &mut W, frames: &[Frame]) -> io::Result<()> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    stream.write_all(&bytes).await?;
    stream.flush().await
}
