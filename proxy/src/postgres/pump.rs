//! Waiting on both peers of a session at once.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::{FLUSH_AT, Wire};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Bytes from the client.
    pub client: bool,
    /// Bytes from the target.
    pub target: bool,
}

/// What happened.
#[derive(Debug)]
pub enum Moved {
    /// Bytes came from the client.
    Client,
    /// The client's stream ended, or failed in either direction.
    ClientGone(Option<io::Error>),
    /// The target took what was held back: there is room for more of what the client has sent before.
    Sent,
    /// Bytes came from the target.
    Target,
    /// The target's stream ended, or failed in either direction.
    TargetGone(Option<io::Error>),
}

/// Sends what waits for either peer and takes what they send, until something arrived.
///
/// What can be read is read before anything is sent, so that writes are coalesced; a peer is read only while the other
/// takes what was made of it, so a slow reader costs two buffers and no more. May be cancelled without loss.
pub async fn turn<C, T>(client: &mut Wire<C>, target: &mut Wire<T>, want: Want) -> Moved
where
    C: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| poll_turn(cx, client, target, want)).await
}

fn poll_turn<C, T>(cx: &mut Context<'_>, client: &mut Wire<C>, target: &mut Wire<T>, want: Want) -> Poll<Moved>
where
    C: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let (held_client, held_target) = (client.pending() >= FLUSH_AT, target.pending() >= FLUSH_AT);
        if want.target
            && !held_client
            && let Poll::Ready(read) = target.poll_fill(cx)
        {
            return Poll::Ready(match read {
                Ok(true) => Moved::Target,
                Ok(false) => Moved::TargetGone(None),
                Err(error) => Moved::TargetGone(Some(error)),
            });
        }
        if want.client
            && !held_target
            && let Poll::Ready(read) = client.poll_fill(cx)
        {
            return Poll::Ready(match read {
                Ok(true) => Moved::Client,
                Ok(false) => Moved::ClientGone(None),
                Err(error) => Moved::ClientGone(Some(error)),
            });
        }
        if target.unsent()
            && let Poll::Ready(Err(error)) = target.poll_flush(cx)
        {
            return Poll::Ready(Moved::TargetGone(Some(error)));
        }
        if client.unsent()
            && let Poll::Ready(Err(error)) = client.poll_flush(cx)
        {
            return Poll::Ready(Moved::ClientGone(Some(error)));
        }
        // What was held back by a full buffer may be read now, and nobody else would wake this task for it.
        let freed = held_client && client.pending() < FLUSH_AT || held_target && target.pending() < FLUSH_AT;
        if !freed {
            return Poll::Pending;
        }
        // What the client has sent before may go on, and it may have nothing more to send.
        if held_target && target.pending() < FLUSH_AT {
            return Poll::Ready(Moved::Sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_slow_reader_costs_two_buffers() {
        let (_client_end, client) = duplex(1024);
        let (mut target_end, target) = duplex(16 * 1024 * 1024);
        target_end.write_all(&vec![7; 8 * 1024 * 1024]).await.unwrap();
        let (mut client, mut target) = (Wire::new(client), Wire::new(target));
        let want = Want {
            client: false,
            target: true,
        };
        let mut relayed = 0;
        let relay = async {
            loop {
                assert!(matches!(turn(&mut client, &mut target, want).await, Moved::Target));
                let n = target.arrived().len();
                client.out.extend_from_slice(target.arrived());
                target.consume(n);
                relayed += n;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_millis(100), relay).await;
        assert!(waited.is_err(), "nobody reads, so it has to stop");
        assert!(relayed < 4 * FLUSH_AT, "{relayed}");
    }

    #[tokio::test]
    async fn room_at_the_target_is_told_to_whoever_reads_nothing_more() {
        let (_client_end, client) = duplex(64);
        let (mut target_end, target) = duplex(1024);
        let (mut client, mut target) = (Wire::new(client), Wire::new(target));
        target.out.extend_from_slice(&vec![1; 2 * FLUSH_AT]);
        let want = Want {
            client: false,
            target: true,
        };
        let mut taken = vec![0; FLUSH_AT + 1];
        let (moved, read) = tokio::join!(turn(&mut client, &mut target, want), target_end.read_exact(&mut taken));
        assert!(matches!(moved, Moved::Sent) && read.is_ok());
    }

    #[tokio::test]
    async fn what_waits_is_sent_while_nothing_arrives() {
        let (mut client_end, client) = duplex(64);
        let (mut target_end, target) = duplex(64);
        let (mut client, mut target) = (Wire::new(client), Wire::new(target));
        client.out.extend_from_slice(&[1; 1000]);
        target.out.extend_from_slice(&[2; 1000]);
        let peers = async {
            let (mut to_client, mut to_target) = (vec![0; 1000], vec![0; 1000]);
            tokio::join!(async { client_end.read_exact(&mut to_client).await.unwrap() }, async {
                target_end.read_exact(&mut to_target).await.unwrap();
            });
            assert_eq!((to_client, to_target), (vec![1; 1000], vec![2; 1000]));
            target_end.write_all(b"x").await.unwrap();
        };
        let want = Want {
            client: true,
            target: true,
        };
        let (moved, ()) = tokio::join!(turn(&mut client, &mut target, want), peers);
        assert!(matches!(moved, Moved::Target));
        assert!(!client.unsent() && !target.unsent());
    }
}
