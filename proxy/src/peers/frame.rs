//! The messages: a kind, what it carries, and its answer.
//!
//! A cancel carries its key and is answered by one byte. A question about a token carries its hash and the address that it came
//! from, and is answered by another address, or by none. A length is checked before anything is allocated or read by it.

use std::net::{IpAddr, Ipv6Addr};

use sallyport_audit::Digest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A cancel.
const CANCEL: u8 = 1;
/// A question about a token. A replica of a version that knows none closes.
const TOKEN: u8 = 2;
/// A process and a secret of four bytes.
const SHORTEST: usize = 8;
/// A process and a secret of 256 bytes.
const LONGEST: usize = 260;
/// The answer, whether the key named a session or not.
const DONE: u8 = 0;

/// What another replica says. Without `Debug`: a key stops somebody's statement.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub(super) enum Said {
    /// A cancel that it does not know, by its key.
    Cancel(Vec<u8>),
    /// Somebody came in by this token, from this address.
    Token(Digest, IpAddr),
}

/// A message that is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The stream failed or ended early.
    #[error("the stream broke: {0}")]
    Lost(#[from] std::io::Error),
    /// Another version's.
    #[error("kind {0} is not spoken here")]
    Kind(u8),
    /// No key has this length.
    #[error("no key has {0} bytes")]
    Length(usize),
    /// Not the one answer there is.
    #[error("an answer that is none")]
    Answer,
}

/// A key as it is sent.
pub(super) fn message(key: &[u8]) -> Result<Vec<u8>, FrameError> {
    let length = u16::try_from(check(key.len())?).map_err(|_| FrameError::Length(key.len()))?;
    Ok([&[CANCEL][..], &length.to_be_bytes(), key].concat())
}

/// A question about a token as it is sent.
pub(super) fn question(token: &Digest, from: IpAddr) -> Vec<u8> {
    [&[TOKEN][..], token.as_bytes(), &bytes(from)].concat()
}

/// Reads what is said.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Said, FrameError> {
    match stream.read_u8().await? {
        CANCEL => {
            let mut key = vec![0; check(usize::from(stream.read_u16().await?))?];
            stream.read_exact(&mut key).await?;
            Ok(Said::Cancel(key))
        }
        TOKEN => {
            let mut token = [0; 32];
            stream.read_exact(&mut token).await?;
            Ok(Said::Token(Digest::from_bytes(token), address(stream).await?))
        }
        other => Err(FrameError::Kind(other)),
    }
}

/// Says that the key was looked up.
pub(super) async fn answer(stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), FrameError> {
    stream.write_all(&[DONE]).await?;
    Ok(stream.shutdown().await?)
}

/// Reads that it was.
pub(super) async fn answered(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), FrameError> {
    match stream.read_u8().await? {
        DONE => Ok(()),
        _ => Err(FrameError::Answer),
    }
}

/// Says by which other address the token is in use.
pub(super) async fn found(stream: &mut (impl AsyncWrite + Unpin), address: Option<IpAddr>) -> Result<(), FrameError> {
    let none = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    stream.write_all(&bytes(address.unwrap_or(none))).await?;
    Ok(stream.shutdown().await?)
}

/// Reads it. Nobody comes from the address that stands for none.
pub(super) async fn finding(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, FrameError> {
    let address = address(stream).await?;
    Ok((!address.is_unspecified()).then_some(address))
}

async fn address(stream: &mut (impl AsyncRead + Unpin)) -> Result<IpAddr, FrameError> {
    let mut octets = [0; 16];
    stream.read_exact(&mut octets).await?;
    Ok(IpAddr::from(octets).to_canonical())
}

fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn check(length: usize) -> Result<usize, FrameError> {
    if (SHORTEST..=LONGEST).contains(&length) {
        Ok(length)
    } else {
        Err(FrameError::Length(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_read_as_it_was_sent_and_no_prefix_of_it_is() {
        for length in [SHORTEST, 36, LONGEST] {
            let key: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let sent = message(&key).unwrap();
            assert_eq!(read(&mut &sent[..]).await.unwrap(), Said::Cancel(key));
            for end in 0..sent.len() {
                let cut = read(&mut &sent[..end]).await;
                assert!(matches!(cut, Err(FrameError::Lost(_))), "{end} of {length}");
            }
        }
    }

    #[tokio::test]
    async fn a_token_and_an_address_are_read_as_they_were_sent() {
        let token = Digest::of(b"t");
        for from in ["10.0.0.1", "::1", "2001:db8::7"] {
            let from: IpAddr = from.parse().unwrap();
            let sent = question(&token, from);
            assert_eq!(read(&mut &sent[..]).await.unwrap(), Said::Token(token, from));
            for end in 0..sent.len() {
                let cut = read(&mut &sent[..end]).await;
                assert!(matches!(cut, Err(FrameError::Lost(_))), "{end}: {from}");
            }
            for answer in [Some(from), None] {
                let mut said = Vec::new();
                found(&mut said, answer).await.unwrap();
                assert_eq!(finding(&mut &said[..]).await.unwrap(), answer);
                assert!(finding(&mut &said[1..]).await.is_err(), "half of an answer");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused_by_its_head() {
        for length in 0..=u16::MAX {
            let [high, low] = length.to_be_bytes();
            let refused = matches!(read(&mut &[CANCEL, high, low][..]).await, Err(FrameError::Length(_)));
            assert_eq!(
                refused,
                !(SHORTEST..=LONGEST).contains(&usize::from(length)),
                "{length}"
            );
        }
        for kind in (0..=u8::MAX).filter(|kind| ![CANCEL, TOKEN].contains(kind)) {
            let refused = read(&mut &[kind][..]).await;
            assert!(matches!(refused, Err(FrameError::Kind(_))), "{kind}");
        }
        for length in [0, SHORTEST - 1, LONGEST + 1, 1 << 20] {
            assert!(
                matches!(message(&vec![0; length]), Err(FrameError::Length(_))),
                "{length}"
            );
        }
    }

    #[tokio::test]
    async fn there_is_one_answer() {
        let mut said = Vec::new();
        answer(&mut said).await.unwrap();
        answered(&mut &said[..]).await.unwrap();
        for mut other in [&[][..], &[1], &[0xff]] {
            assert!(answered(&mut other).await.is_err(), "{other:?}");
        }
    }
}
