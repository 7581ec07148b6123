//! Asking a client for its token, inside TLS.

use pgwire::messages::Message;
use pgwire::messages::startup::Authentication;
use tokio::io::{AsyncRead, AsyncWrite};

use super::frame::{Body, FrameError};
use super::wire::{Wire, WireError};
use crate::door::Secret;

/// As PostgreSQL's limit for tokens; an identity provider's token with many groups is longer than a password.
const MAX_TOKEN: usize = 65_535;

/// Asks for the token as a password, and reads it.
///
/// # Errors
/// When the client leaves (psql does, to ask its user for a password, and comes again) or answers something else.
pub async fn token(wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>) -> Result<Secret, WireError> {
    put(&mut wire.out, &Authentication::CleartextPassword);
    wire.flush().await?;
    let head = wire.frame(|tag| (tag == b'p').then_some(MAX_TOKEN)).await?;
    let token = password(Body::of(wire.bytes(head)))?.to_vec();
    wire.consume(head.len);
    Ok(Secret::new(token))
}

/// PasswordMessage: the text up to its NUL, and nothing after.
///
/// # Errors
/// When the body is anything else.
pub fn password(mut body: Body<'_>) -> Result<&[u8], FrameError> {
    let text = body.cstr()?;
    body.end().map(|()| text)
}

/// Appends one of the door's own messages.
pub(super) fn put(out: &mut Vec<u8>, message: &impl Message) {
    let mut bytes = bytes::BytesMut::new();
    // These encoders fail on nothing that the door says; were it otherwise, nothing would be sent.
    if message.encode(&mut bytes).is_ok() {
        out.extend_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_ends_with_its_nul() {
        assert_eq!(password(Body::new(b"secret\0")), Ok(&b"secret"[..]));
        for bad in [&b""[..], b"secret", b"secret\0more", b"\0\0"] {
            assert_eq!(password(Body::new(bad)), Err(FrameError::Malformed));
        }
    }

    #[tokio::test]
    async fn long_tokens_pass_and_longer_ones_do_not() {
        for (len, ok) in [(60_000, true), (65_534, true), (65_535, false)] {
            let (mut client, server) = tokio::io::duplex(256 * 1024);
            let mut message = Vec::new();
            super::super::frame::put(&mut message, b'p', |out| {
                out.extend(std::iter::repeat_n(b'a', len));
                out.push(0);
            });
            tokio::io::AsyncWriteExt::write_all(&mut client, &message)
                .await
                .unwrap();
            let got = token(&mut Wire::new(server)).await;
            assert_eq!(got.is_ok_and(|secret| secret.expose().len() == len), ok, "{len}");
        }
    }
}
