//! Reaching the target: TLS with its name checked, SCRAM or a certificate of the door, and nothing weaker.

mod backend;
mod error;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::authentication::sasl::ScramSha256;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use error::DialError;

use super::errors;
use super::frame::{Body, FrameError};
use super::held::Held;
use super::message::{self, Transaction};
use super::scram::{self, Offered};
use super::showing::Showing;
use super::startup::{self, CancelKey};
use super::stream::TargetStream;
use super::wire::{Wire, WireError};
use crate::door::Credential;
use crate::session::Target;

/// How long reaching a target may take in all.
const PATIENCE: Duration = Duration::from_secs(15);
/// Major versions that were tried.
const VERSIONS: std::ops::RangeInclusive<u32> = 15..=18;
/// The longest message of a target before it has let the door in.
const HANDSHAKE_CAP: usize = 16 * 1024;

/// What a target is asked for.
#[derive(Clone, Debug)]
pub struct Asking<'a> {
    /// The database.
    pub database: &'a str,
    /// The client's program name, passed on.
    pub application: &'a str,
    /// Settings that the client chose and the door lets through.
    pub settings: &'a [(String, String)],
}

/// A target that has let the door in.
#[derive(Debug)]
pub struct Reached {
    /// The connection, ready for a query.
    pub wire: Wire<TargetStream>,
    /// Process of the backend.
    pub pid: i32,
    /// Its secret, for cancels.
    pub secret: Vec<u8>,
    /// What it reported, in order.
    pub parameters: Vec<(String, String)>,
}

/// Dials, within a bounded time.
///
/// # Errors
/// In words that name no secret.
pub async fn dial(target: &Target, asking: &Asking<'_>) -> Result<Reached, DialError> {
    tokio::time::timeout(PATIENCE, reach(target, asking))
        .await
        .map_err(|_| DialError::Slow)?
}

async fn reach(target: &Target, asking: &Asking<'_>) -> Result<Reached, DialError> {
    let (stream, shown) = connect(target).await?;
    let mut wire = Wire::new(stream);
    let mut hello = BytesMut::new();
    let fixed = [
        ("user", target.credential.username.as_str()),
        ("database", asking.database),
        ("client_encoding", "UTF8"),
        ("application_name", asking.application),
    ];
    let chosen = asking
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    frontend::startup_message(fixed.into_iter().chain(chosen), &mut hello).map_err(WireError::from)?;
    wire.out.extend_from_slice(&hello);
    match authenticate(&mut wire, &target.credential, shown).await {
        Ok(()) => {
            let reached = settle(wire).await?;
            let held = Held::new(&target.name(), reached.pid);
            reached.wire.stream().served_by(held);
            Ok(reached)
        }
        // In TLS 1.3 a client is done before the server has looked at its certificate.
        Err(DialError::Wire(error @ (WireError::Lost(_) | WireError::Closed))) if shown => {
            Err(DialError::Certificate(error))
        }
        Err(error) => Err(error),
    }
}

/// Asks the target to cancel what a backend runs. Whether it did is not said.
///
/// # Errors
/// When the target cannot be reached.
pub async fn cancel(target: &Target, key: &CancelKey) -> Result<(), DialError> {
    let send = async {
        let (mut stream, _) = connect(target).await?;
        let length = u32::try_from(12 + key.secret.len()).unwrap_or(u32::MAX);
        let mut packet = length.to_be_bytes().to_vec();
        packet.extend_from_slice(&startup::CANCEL.to_be_bytes());
        packet.extend_from_slice(&key.pid.to_be_bytes());
        packet.extend_from_slice(&key.secret);
        stream.write_all(&packet).await.map_err(DialError::Connect)?;
        stream.flush().await.map_err(DialError::Connect)?;
        // The target closes once it has done it: then the cancel cannot hit what comes next.
        let mut end = [0];
        let _ = stream.read(&mut end).await;
        Ok(())
    };
    tokio::time::timeout(PATIENCE, send)
        .await
        .map_err(|_| DialError::Slow)?
}

/// Opens the stream, and TLS on it unless the Connection says in so many words that there is none. Tells whether the door's
/// certificate was asked for and shown.
async fn connect(target: &Target) -> Result<(TargetStream, bool), DialError> {
    let mut tcp = resolve(target).await?;
    let Some(trust) = &target.trust else {
        return Ok((TargetStream::plain(tcp), false));
    };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    tcp.write_all(&request).await.map_err(DialError::Connect)?;
    // One byte and no more: whatever follows it in clear is the TLS layer's to refuse.
    match tcp.read_u8().await.map_err(DialError::Connect)? {
        b'S' => {}
        _ => return Err(DialError::NoTls),
    }
    let showing = target.credential.certificate.as_ref().map(Showing::new);
    let config = match &showing {
        Some(showing) => showing.in_config(&trust.config),
        None => Arc::clone(&trust.config),
    };
    let tls = TlsConnector::from(config)
        .connect(trust.server_name.clone(), tcp)
        .await
        .map_err(DialError::Tls)?;
    let shown = showing.is_some_and(|showing| showing.was_shown());
    Ok((TargetStream::tls(tls), shown))
}

async fn resolve(target: &Target) -> Result<TcpStream, DialError> {
    let addresses = tokio::net::lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(|_| DialError::Address)?;
    let mut last = None;
    for address in addresses.filter(|address| target.may_dial(canonical(address.ip()))) {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(DialError::Connect)?;
                crate::listener::keep_alive(&tcp);
                return Ok(tcp);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or(DialError::Address, DialError::Connect))
}

/// An IPv4 address in IPv6 clothes is judged as what it is.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// SCRAM-SHA-256 or the door's certificate and nothing else: a target that asks for the password itself, or for MD5 of it, is
/// not given it. `shown`: it asked for the certificate, and its own was checked.
async fn authenticate(wire: &mut Wire<TargetStream>, credential: &Credential, shown: bool) -> Result<(), DialError> {
    let mut scram: Option<ScramSha256> = None;
    let mut proven = false;
    loop {
        wire.flush().await.map_err(WireError::from)?;
        let message = handshake(wire).await?;
        let mut body = Body::of(&message);
        let mut reply = BytesMut::new();
        match body.u32().map_err(WireError::from)? {
            // AuthenticationOk counts only after the target has proven that it knows the password, too.
            0 if proven => return Ok(()),
            0 if shown && scram.is_none() => {
                backend::ask(&mut wire.out);
                return Ok(wire.flush().await.map_err(WireError::from)?);
            }
            0 => return Err(DialError::Weak("no proof at all")),
            10 if scram.is_none() => {
                let offered = Offered::read(body).map_err(WireError::from)?;
                let password = credential.password.as_ref().ok_or(DialError::NoPassword)?;
                let (mechanism, fresh) = scram::begin(offered, password, wire.stream().certificate())
                    .ok_or(DialError::Weak("an unknown SASL mechanism"))?;
                frontend::sasl_initial_response(mechanism, fresh.message(), &mut reply).map_err(WireError::from)?;
                scram = Some(fresh);
            }
            11 => {
                let scram = scram.as_mut().ok_or(WireError::from(FrameError::Malformed))?;
                scram.update(body.rest()).map_err(|_| DialError::Scram)?;
                frontend::sasl_response(scram.message(), &mut reply).map_err(WireError::from)?;
                wire.out.extend_from_slice(&reply.split());
                // Answered together with the greeting: it costs no round trip of its own.
                backend::ask(&mut wire.out);
            }
            12 if !proven => {
                let scram = scram.as_mut().ok_or(WireError::from(FrameError::Malformed))?;
                scram.finish(body.rest()).map_err(|_| DialError::Scram)?;
                proven = true;
            }
            3 => return Err(DialError::Weak("the password in clear")),
            5 => return Err(DialError::Weak("MD5")),
            7..=9 => return Err(DialError::Weak("GSSAPI or SSPI")),
            _ => return Err(WireError::from(FrameError::Malformed).into()),
        }
        wire.out.extend_from_slice(&reply);
    }
}

/// One message of the handshake; an ErrorResponse ends it, notices are passed over.
async fn handshake(wire: &mut Wire<TargetStream>) -> Result<Vec<u8>, DialError> {
    loop {
        let head = wire
            .frame(|tag| matches!(tag, b'R' | b'E' | b'N' | b'v').then_some(HANDSHAKE_CAP))
            .await?;
        let message = wire.take(head.len).to_vec();
        match head.tag {
            b'R' => return Ok(message),
            b'E' => return Err(refused(&message)),
            b'N' => {}
            _ => return Err(WireError::from(FrameError::Tag(head.tag)).into()),
        }
    }
}

fn refused(message: &[u8]) -> DialError {
    match errors::fields(Body::of(message)) {
        Ok(fields) => DialError::Refused(errors::code(&fields).unwrap_or("unknown").to_owned()),
        Err(error) => WireError::from(error).into(),
    }
}

/// From AuthenticationOk to the first ReadyForQuery, and the answer to what was asked with the last proof.
async fn settle(mut wire: Wire<TargetStream>) -> Result<Reached, DialError> {
    let (mut key, mut parameters) = (None, Vec::new());
    loop {
        let head = wire
            .frame(|tag| matches!(tag, b'S' | b'K' | b'Z' | b'E' | b'N').then_some(HANDSHAKE_CAP))
            .await?;
        let bytes = wire.take(head.len);
        let body = Body::of(&bytes);
        match head.tag {
            b'S' => {
                let (name, value) = message::parameter_status(body).map_err(WireError::from)?;
                if parameters.len() < 128 {
                    parameters.push((name.to_owned(), value.to_owned()));
                }
            }
            b'K' => {
                key = Some(
                    message::key_data(body)
                        .map(|(pid, secret)| (pid, secret.to_vec()))
                        .map_err(WireError::from)?,
                )
            }
            b'E' => return Err(refused(&bytes)),
            b'Z' => {
                let idle = message::ready(body).map_err(WireError::from)? == Transaction::Idle;
                let (pid, secret) = key.filter(|_| idle).ok_or(WireError::from(FrameError::Malformed))?;
                supported(&parameters)?;
                backend::answers(&mut wire, pid).await?;
                return Ok(Reached {
                    wire,
                    pid,
                    secret,
                    parameters,
                });
            }
            _ => {}
        }
    }
}

fn supported(parameters: &[(String, String)]) -> Result<(), DialError> {
    let value = |wanted: &str| {
        parameters
            .iter()
            .rev()
            .find(|(name, _)| name == wanted)
            .map_or("", |(_, value)| value)
    };
    let version = value("server_version");
    let major = version
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok());
    if !major.is_some_and(|major: u32| VERSIONS.contains(&major)) {
        return Err(DialError::Version(
            // A number of a version and nothing else that a target might put there.
            version
                .chars()
                .take_while(|c| c.is_ascii_digit() || *c == '.')
                .take(8)
                .collect(),
        ));
    }
    if value("client_encoding") != "UTF8" {
        return Err(DialError::Encoding);
    }
    let encoding = value("server_encoding");
    if encoding != "UTF8" {
        return Err(DialError::ServerEncoding(match encoding {
            "" => "what it does not say".to_owned(),
            // An encoding's name and nothing else that a target might put there.
            said => said
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .take(16)
                .collect(),
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tried_versions_and_utf8() {
        let with = |version: &str, client: &str, server: &str| {
            supported(&[
                ("server_version".into(), version.into()),
                ("client_encoding".into(), client.into()),
                ("server_encoding".into(), server.into()),
            ])
        };
        for good in ["15.18 (Debian 15.18-0+deb12u1)", "16.1", "17beta1", "18.1"] {
            assert!(with(good, "UTF8", "UTF8").is_ok(), "{good}");
        }
        for bad in ["14.9", "19devel", "", "x15", "150.1"] {
            assert!(matches!(with(bad, "UTF8", "UTF8"), Err(DialError::Version(_))), "{bad}");
        }
        assert!(matches!(with("15.1", "LATIN1", "UTF8"), Err(DialError::Encoding)));
        for (encoding, told) in [
            ("LATIN1", "encoded in LATIN1;"),
            ("SQL_ASCII", "encoded in SQL_ASCII;"),
            ("MULE_INTERNAL\n\u{1b}[2J", "encoded in MULE_INTERNAL;"),
            ("", "encoded in what it does not say;"),
        ] {
            let error = with("15.1", "UTF8", encoding).expect_err(encoding);
            assert_eq!(error.kind(), "unsupported");
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
