//! The one message: a version, a length, the key of a cancel; and its answer, one byte.
//!
//! The length is checked before anything is allocated or read by it.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The one version that is spoken.
const VERSION: u8 = 1;
/// A process and a secret of four bytes.
const SHORTEST: usize = 8;
/// A process and a secret of 256 bytes.
const LONGEST: usize = 260;
/// The answer, whether the key named a session or not.
const DONE: u8 = 0;

/// A message that is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The stream failed or ended early.
    #[error("the stream broke: {0}")]
    Lost(#[from] std::io::Error),
    /// Another version's.
    #[error("version {0} is not spoken here")]
    Version(u8),
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
    Ok([&[VERSION][..], &length.to_be_bytes(), key].concat())
}

/// Reads a key.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, FrameError> {
    let version = stream.read_u8().await?;
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let mut key = vec![0; check(usize::from(stream.read_u16().await?))?];
    stream.read_exact(&mut key).await?;
    Ok(key)
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
            assert_eq!(read(&mut &sent[..]).await.unwrap(), key);
            for end in 0..sent.len() {
                let cut = read(&mut &sent[..end]).await;
                assert!(matches!(cut, Err(FrameError::Lost(_))), "{end} of {length}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused_by_its_head() {
        for length in 0..=u16::MAX {
            let [high, low] = length.to_be_bytes();
            let refused = matches!(read(&mut &[VERSION, high, low][..]).await, Err(FrameError::Length(_)));
            assert_eq!(
                refused,
                !(SHORTEST..=LONGEST).contains(&usize::from(length)),
                "{length}"
            );
        }
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            let refused = read(&mut &[version][..]).await;
            assert!(matches!(refused, Err(FrameError::Version(_))), "{version}");
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
