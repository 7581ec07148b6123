//! One socket with its two buffers: bytes that have arrived and are scanned in place, bytes that wait to leave together.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{self, FrameError, Head};

/// What one read takes at most.
const CHUNK: usize = 64 * 1024;
/// What a buffer of a quiet session keeps: most statements, and the answers to most of them, are shorter.
const RESTING: usize = 2 * 1024;

/// How long a peer that is turned away may go on sending a message that it announced.
const SENDING: Duration = Duration::from_secs(60);

/// Where output is handed to the socket even though more is to come: it bounds what a slow reader costs.
pub const FLUSH_AT: usize = 64 * 1024;

/// A stream of frames in both directions.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    input: BytesMut,
    /// Bytes to be sent. Appended to freely; [`Wire::flush`] and [`Wire::poll_flush`] send them.
    pub out: Vec<u8>,
    /// How much of `out` the stream has taken.
    sent: usize,
    /// Whether the stream has taken bytes that it may still hold back.
    dirty: bool,
    /// Whether the last read took all the room that there was: more is on its way.
    full: bool,
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
        Self {
            stream,
            input: BytesMut::new(),
            out: Vec::new(),
            sent: 0,
            dirty: false,
            full: false,
        }
    }

    /// The stream itself.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Bytes that have arrived and are not consumed.
    #[must_use]
    pub fn arrived(&self) -> &[u8] {
        &self.input
    }

    /// The first frame, once it has arrived whole. It stays until [`Wire::consume`].
    ///
    /// # Errors
    /// When the first frame cannot be taken, which is known from its head on.
    pub fn whole(&self, cap: impl Fn(u8) -> Option<usize>) -> Result<Option<(Head, &[u8])>, FrameError> {
        let Some(head) = frame::head(&self.input, cap)? else {
            return Ok(None);
        };
        Ok(self.input.get(..head.len).map(|bytes| (head, bytes)))
    }

    /// Drops the first `n` bytes of the input.
    pub fn consume(&mut self, n: usize) {
        self.input.advance(n.min(self.input.len()));
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
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// As [`Wire::fill`].
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.input.capacity() - self.input.len() < RESTING / 2 {
            // The buffer grows by what has arrived, never by what a length announces.
            let more = if self.input.is_empty() && !self.full {
                RESTING
            } else {
                CHUNK.max(self.input.len())
            };
            self.input.reserve(more);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        self.full = read == room;
        Poll::Ready(Ok(read > 0))
    }

    /// Waits until the first frame is there whole.
    ///
    /// # Errors
    /// When the stream ends or the frame cannot be taken.
    pub async fn frame(&mut self, cap: impl Fn(u8) -> Option<usize> + Copy) -> Result<Head, WireError> {
        loop {
            if let Some((head, _)) = self.whole(cap)? {
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
        if self.input.is_empty() {
            WireError::Closed
        } else {
            WireError::Lost(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Whether there is anything left for [`Wire::poll_flush`] to do.
    #[must_use]
    pub fn unsent(&self) -> bool {
        self.pending() > 0 || self.dirty
    }

    /// Sends everything. May be cancelled and called again without loss or repetition.
    ///
    /// # Errors
    /// When the stream fails.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// As [`Wire::flush`].
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
            self.dirty = true;
        }
        if self.dirty {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.dirty = false;
        }
        self.sent = 0;
        self.out.clear();
        Poll::Ready(Ok(()))
    }

    /// Throws away what waits to be sent to a peer that is gone.
    pub fn discard(&mut self) {
        self.out.clear();
        self.sent = 0;
        self.dirty = false;
    }

    /// Takes back what waits to be sent and the stream has not taken. Whether all that it has taken is whole: else it may end within a
    /// message.
    pub fn withdraw(&mut self) -> bool {
        let whole = self.sent == 0;
        self.out.clear();
        self.sent = 0;
        whole
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

    /// As [`Wire::close`], and goes on taking what the peer still sends until it closes too: an end with bytes left unread is
    /// a reset, which takes the last words from whoever has not read them yet. Of a message of `announced` bytes that stands
    /// first in the input, all is taken before the stream ends: libpq reads while it sends, and whoever finds the end in the
    /// middle of a message gives up without a look at the words before it. `within` is how long the peer may be silent.
    pub async fn dismiss(mut self, announced: usize, within: Duration) {
        let mut owed = announced.saturating_sub(self.input.len());
        let message = async {
            while owed > 0 {
                match tokio::time::timeout(within, self.drop_some()).await {
                    Ok(Ok(n)) if n > 0 => owed = owed.saturating_sub(n),
                    _ => break,
                }
            }
        };
        let _ = tokio::time::timeout(SENDING, message).await;
        let goodbye = async {
            self.flush().await?;
            self.stream.shutdown().await?;
            while self.drop_some().await? > 0 {}
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(within, goodbye).await;
    }

    /// As [`Wire::close`], and goes on taking what the peer still sends until it closes too, all for at most `within`. A peer that does
    /// not read before it has sent is not waited for.
    pub async fn see_off(mut self, within: Duration) {
        let mut closed = false;
        let gone = poll_fn(|cx| {
            if !closed {
                match self.poll_close(cx) {
                    Poll::Ready(Ok(())) => closed = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            loop {
                self.input.clear();
                match ready!(self.poll_fill(cx)) {
                    Ok(true) => {}
                    Ok(false) | Err(_) => return Poll::Ready(()),
                }
            }
        });
        let _ = tokio::time::timeout(within, gone).await;
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Sends while it reads what the peer sends and drops it; gives how many bytes came, none at the end of the stream.
    async fn drop_some(&mut self) -> io::Result<usize> {
        self.input.clear();
        poll_fn(|cx| {
            // Whoever is still sending may not read before it is done: neither waits for the other.
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            self.poll_fill(cx).map_ok(|_| self.input.len())
        })
        .await
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

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_behind_the_whole_of_a_message_that_is_too_long() {
        let (mut peer, stream) = duplex(64);
        let mut wire = Wire::new(stream);
        peer.write_all(b"Qabcd").await.unwrap();
        assert!(wire.fill().await.unwrap());
        // More than the stream takes at once: it goes out while the message comes in.
        wire.out.extend_from_slice(&[7; 100]);
        let message = async {
            // Slower than anybody may be silent, and never silent for so long.
            for _ in 0..10 {
                tokio::time::sleep(WITHIN / 2).await;
                peer.write_all(&[0; 50]).await.unwrap();
            }
            let mut words = [0; 100];
            peer.read_exact(&mut words).await.unwrap();
            let end = tokio::time::timeout(WITHIN / 2, peer.read(&mut [0])).await;
            assert!(end.is_err(), "the last byte of the message is still to come");
            peer.write_all(&[0]).await.unwrap();
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
            drop(peer);
        };
        tokio::join!(wire.dismiss(5 + 500 + 1, WITHIN), message);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_sent_is_taken_back() {
        let (mut peer, stream) = duplex(64);
        let mut wire = Wire::new(stream);
        wire.out.extend_from_slice(b"never sent");
        assert!(wire.withdraw(), "nothing was begun");
        wire.out.extend_from_slice(&[7; 100]);
        assert!(tokio::time::timeout(WITHIN, wire.flush()).await.is_err());
        assert!(!wire.withdraw(), "it ends within a message");
        let mut got = Vec::new();
        let ((), read) = tokio::join!(wire.close(WITHIN), peer.read_to_end(&mut got));
        assert_eq!((read.unwrap(), got), (64, vec![7; 64]));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_before_they_have_sent_is_seen_off_all_the_same() {
        let (mut peer, stream) = duplex(64);
        let mut wire = Wire::new(stream);
        wire.out.extend_from_slice(&[7; 100]);
        let began = tokio::time::Instant::now();
        let sends = async {
            peer.write_all(&[1; 1000]).await.unwrap();
            let mut words = Vec::new();
            peer.read_to_end(&mut words).await.unwrap();
            assert_eq!(words, [7; 100]);
            drop(peer);
        };
        tokio::join!(wire.see_off(WITHIN), sends);
        assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());

        let (_peer, stream) = duplex(64);
        Wire::new(stream).see_off(WITHIN).await;
        assert!((WITHIN..WITHIN * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer_than_they_may_be_silent() {
        let (mut peer, stream) = duplex(64);
        let mut wire = Wire::new(stream);
        wire.out.extend_from_slice(b"words");
        let began = tokio::time::Instant::now();
        let read = async {
            let mut words = Vec::new();
            peer.read_to_end(&mut words).await.unwrap();
            assert_eq!(words, b"words");
            drop(peer);
        };
        tokio::join!(wire.dismiss(1 << 30, WITHIN), read);
        assert!((WITHIN..WITHIN * 2).contains(&began.elapsed()), "{:?}", began.elapsed());

        // Nor is one who sends a byte now and then listened to for ever.
        let (mut peer, stream) = duplex(64);
        let began = tokio::time::Instant::now();
        let trickle = async {
            while peer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(WITHIN / 2).await;
            }
        };
        tokio::join!(Wire::new(stream).dismiss(1 << 30, WITHIN), trickle);
        assert!(began.elapsed() <= SENDING + WITHIN * 2, "{:?}", began.elapsed());
    }
}
