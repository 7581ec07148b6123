//! Asking a client for its token, inside TLS: as a password, or by OAUTHBEARER.

use pgwire::messages::Message;
use pgwire::messages::startup::Authentication;
use tokio::io::{AsyncRead, AsyncWrite};

use super::errors::{Said, sqlstate};
use super::frame::{self, Body, FrameError};
use super::oauthbearer::{self, MECHANISM, Presented};
use super::settings::Login;
use super::wire::{Wire, WireError};
use crate::door::Secret;

/// As PostgreSQL's limit for tokens; an identity provider's token with many groups is longer than a password.
const MAX_TOKEN: usize = 65_535;
/// AuthenticationSASLContinue.
const SASL_CONTINUE: u32 = 11;

/// Asks for the token, and reads it. `None`: the client left, or has none and was told where to get one.
///
/// # Errors
/// When the client answers something else.
pub async fn token(
    wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>,
    login: Login,
    configuration: Option<&str>,
) -> Result<Option<Secret>, WireError> {
    let asking = match login {
        Login::Password => Authentication::CleartextPassword,
        Login::OAuth => Authentication::SASL(vec![MECHANISM.to_owned()]),
    };
    put(&mut wire.out, &asking);
    let body = match answer(wire).await {
        // psql leaves to ask its user for a password, and comes again.
        Err(WireError::Closed) => return Ok(None),
        answer => answer?,
    };
    if login == Login::Password {
        return Ok(Some(Secret::new(password(Body::new(&body))?.to_vec())));
    }
    match oauthbearer::initial(Body::new(&body))? {
        Presented::Token(token) => Ok(Some(Secret::new(token.to_vec()))),
        Presented::Nothing => {
            failed(wire, configuration).await?;
            Said::fatal(sqlstate::BAD_LOGIN, "a token of the identity provider is needed").put(&mut wire.out);
            wire.flush().await?;
            Ok(None)
        }
    }
}

/// Tells a client that logs in by OAUTHBEARER that its token does not serve, and waits for its answer: only then is an
/// ErrorResponse what it expects (RFC 7628, 3.2.3).
///
/// # Errors
/// When the client leaves or answers something else.
pub async fn failed(
    wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>,
    configuration: Option<&str>,
) -> Result<(), WireError> {
    frame::put(&mut wire.out, b'R', |out| {
        out.extend_from_slice(&SASL_CONTINUE.to_be_bytes());
        out.extend_from_slice(oauthbearer::failure(configuration).as_bytes());
    });
    let body = answer(wire).await?;
    Ok(oauthbearer::acknowledged(Body::new(&body))?)
}

/// The body of the client's answer.
async fn answer(wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>) -> Result<Vec<u8>, WireError> {
    wire.flush().await?;
    let head = wire.frame(|tag| (tag == b'p').then_some(MAX_TOKEN)).await?;
    let body = Body::of(wire.bytes(head)).rest().to_vec();
    wire.consume(head.len);
    Ok(body)
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
            frame::put(&mut message, b'p', |out| {
                out.extend(std::iter::repeat_n(b'a', len));
                out.push(0);
            });
            tokio::io::AsyncWriteExt::write_all(&mut client, &message)
                .await
                .unwrap();
            let got = token(&mut Wire::new(server), Login::Password, None).await;
            let read = got.is_ok_and(|secret| secret.is_some_and(|secret| secret.expose().len() == len));
            assert_eq!(read, ok, "{len}");
        }
    }
}
