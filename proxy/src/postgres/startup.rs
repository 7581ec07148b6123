//! The first packets of a client: TLS, what it asks for, and what is refused before anybody is known.
//!
//! Until TLS stands, exactly the bytes of one packet are read and no more, so nothing that was sent in clear can be taken
//! for something that came inside TLS (CVE-2021-23222).

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::errors::Said;
use super::errors::sqlstate;
use super::frame::{Body, FrameError};
use super::settings::{self, Wanted};

/// As PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
const MAX_PACKET: usize = 10_000;
/// SSLRequest.
const SSL: u32 = 80_877_103;
/// GSSENCRequest.
const GSSENC: u32 = 80_877_104;
/// CancelRequest.
pub(super) const CANCEL: u32 = 80_877_102;
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// The ALPN name of the protocol, by which direct TLS is agreed on.
pub const ALPN: &[u8] = b"postgresql";

/// A startup that goes no further.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The stream failed or ended.
    #[error("the connection was lost: {0}")]
    Lost(#[from] std::io::Error),
    /// Bytes that are no startup packet.
    #[error("malformed startup packet")]
    Malformed,
    /// Refused in words, which the client is told.
    #[error("{}", .0.message)]
    Refused(Box<Said>),
}

/// What a client wants before TLS.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// TLS by SSLRequest; `S` has been answered.
    Tls,
    /// TLS from the first byte.
    DirectTls,
    /// A cancel, in clear: psql up to 17 does so even under sslmode=require.
    Cancel(CancelKey),
}

/// What names a session to be cancelled.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CancelKey {
    /// The backend's process.
    pub pid: i32,
    /// Its secret, 4 to 256 bytes.
    pub secret: Vec<u8>,
}

/// Minor versions of protocol 3 that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minor {
    /// 3.0: a cancel's secret has 4 bytes.
    V0,
    /// 3.2: up to 256.
    V2,
}

/// A startup message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// The version that both sides speak.
    pub minor: Minor,
    /// Whether NegotiateProtocolVersion has to say so.
    pub negotiate: bool,
    /// What the client wants.
    pub wanted: Wanted,
}

/// What comes first inside TLS.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// A session.
    Startup(Startup),
    /// A cancel.
    Cancel(CancelKey),
}

/// Reads what a client sends before TLS, and answers `S` where it asks for TLS.
///
/// # Errors
/// Plaintext sessions are refused in words; anything else that is not known ends the connection.
pub async fn open(stream: &mut TcpStream) -> Result<Opening, StartupError> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(StartupError::Lost(std::io::ErrorKind::UnexpectedEof.into()));
    }
    if first == [TLS_HANDSHAKE] {
        return Ok(Opening::DirectTls);
    }
    let mut refused_gss = false;
    loop {
        let packet = packet(stream).await?;
        let mut body = Body::new(&packet);
        match body.u32()? {
            SSL if body.rest().is_empty() => {
                stream.write_all(b"S").await?;
                return Ok(Opening::Tls);
            }
            // libpq asks once, then goes on with what it gets; a client that asks again only wastes time.
            GSSENC if body.rest().is_empty() && !refused_gss => {
                refused_gss = true;
                stream.write_all(b"N").await?;
            }
            CANCEL => return Ok(Opening::Cancel(CancelKey::read(body)?)),
            code if code >> 16 == 3 => {
                let words = "this door speaks TLS only";
                let said = Said::fatal(sqlstate::BAD_LOGIN, words)
                    .hint("Connect with sslmode=verify-full, or at least sslmode=require.");
                return Err(said.into());
            }
            code => return Err(unknown(code)),
        }
    }
}

/// Reads the startup message inside TLS.
///
/// # Errors
/// Old versions, replication and settings that would weaken the door are refused in words.
pub async fn first(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<First, StartupError> {
    let packet = packet(stream).await?;
    read(&packet)
}

/// One startup packet, without its length: pure, for any bytes.
///
/// # Errors
/// As [`first`].
pub fn read(packet: &[u8]) -> Result<First, StartupError> {
    let mut body = Body::new(packet);
    match body.u32()? {
        CANCEL => Ok(First::Cancel(CancelKey::read(body)?)),
        code if code >> 16 == 3 => {
            let (minor, negotiate) = match code & 0xffff {
                0 => (Minor::V0, false),
                1 => (Minor::V0, true),
                2 => (Minor::V2, false),
                _ => (Minor::V2, true),
            };
            let wanted = settings::wanted(body)?;
            Ok(First::Startup(Startup {
                minor,
                negotiate: negotiate || !wanted.unknown.is_empty(),
                wanted,
            }))
        }
        code => Err(unknown(code)),
    }
}

fn unknown(code: u32) -> StartupError {
    match code {
        SSL | GSSENC => Said::fatal(sqlstate::PROTOCOL, "encryption is already agreed on").into(),
        _ => {
            let words = format!(
                "unsupported frontend protocol {}.{}: this door speaks 3.0 and 3.2",
                code >> 16,
                code & 0xffff
            );
            Said::fatal(sqlstate::UNSUPPORTED, words).into()
        }
    }
}

/// One packet without its length, read exactly.
async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, StartupError> {
    let length = stream.read_u32().await? as usize;
    let body = length
        .checked_sub(4)
        .filter(|body| (4..=MAX_PACKET).contains(body))
        .ok_or(StartupError::Malformed)?;
    let mut packet = vec![0; body];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}

// === impl StartupError ===

impl From<FrameError> for StartupError {
    fn from(_: FrameError) -> Self {
        Self::Malformed
    }
}

impl From<Said> for StartupError {
    fn from(said: Said) -> Self {
        Self::Refused(Box::new(said))
    }
}

// === impl CancelKey ===

impl CancelKey {
    /// Reads a key as a CancelRequest carries it.
    ///
    /// # Errors
    /// When its secret has no sane length.
    pub(super) fn read(mut body: Body<'_>) -> Result<Self, StartupError> {
        let pid = body.i32()?;
        let secret = body.rest();
        if (4..=256).contains(&secret.len()) {
            Ok(Self {
                pid,
                secret: secret.to_vec(),
            })
        } else {
            Err(StartupError::Malformed)
        }
    }

    /// The key as a CancelRequest carries it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [&self.pid.to_be_bytes()[..], &self.secret].concat()
    }
}

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey({}, …)", self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(version: u32, pairs: &[(&str, &str)]) -> Result<First, StartupError> {
        let mut packet = version.to_be_bytes().to_vec();
        for (key, value) in pairs {
            for text in [key, value] {
                packet.extend_from_slice(text.as_bytes());
                packet.push(0);
            }
        }
        packet.push(0);
        read(&packet)
    }

    #[test]
    fn versions_are_taken_or_refused_in_words() {
        let cases = [
            (0x3_0000, Minor::V0, false),
            (0x3_0001, Minor::V0, true),
            (0x3_0002, Minor::V2, false),
            (0x3_270f, Minor::V2, true),
        ];
        for (code, minor, negotiate) in cases {
            let Ok(First::Startup(got)) = startup(code, &[("user", "alice")]) else {
                panic!("{code:x}")
            };
            assert_eq!(
                (got.minor, got.negotiate, got.wanted.database.as_str()),
                (minor, negotiate, "alice")
            );
        }
        for code in [0x2_0000, 0x4_0000, SSL, GSSENC, 0] {
            assert!(
                matches!(startup(code, &[("user", "alice")]), Err(StartupError::Refused(_))),
                "{code:x}"
            );
        }
    }

    #[test]
    fn a_cancel_needs_a_secret_of_sane_length() {
        let packet = |len: usize| {
            let mut packet = CANCEL.to_be_bytes().to_vec();
            packet.extend_from_slice(&7i32.to_be_bytes());
            packet.extend(std::iter::repeat_n(9, len));
            packet
        };
        for (len, ok) in [(0, false), (3, false), (4, true), (32, true), (256, true), (257, false)] {
            assert_eq!(matches!(read(&packet(len)), Ok(First::Cancel(_))), ok, "{len}");
        }
    }

    #[tokio::test]
    async fn plaintext_gss_and_direct_tls() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let request = |code: u32| [8u32.to_be_bytes(), code.to_be_bytes()].concat();
        let plain = [
            13u32.to_be_bytes().to_vec(),
            0x3_0000u32.to_be_bytes().to_vec(),
            b"user\0".to_vec(),
        ]
        .concat();
        let cases: [(Vec<u8>, &[u8], &str); 5] = [
            (request(SSL), b"S", "Ok(Tls)"),
            ([request(GSSENC), request(SSL)].concat(), b"NS", "Ok(Tls)"),
            ([request(GSSENC), request(GSSENC)].concat(), b"N", "Err(Refused"),
            (vec![TLS_HANDSHAKE], b"", "Ok(DirectTls)"),
            (plain, b"", "Err(Refused"),
        ];
        for (sent, answered, want) in cases {
            let mut client = TcpStream::connect(address).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            client.write_all(&sent).await.unwrap();
            let got = format!("{:?}", open(&mut server).await);
            assert!(got.starts_with(want), "{got}");
            drop(server);
            let mut answer = Vec::new();
            // A reset is as good as an end: bytes may be left unread on purpose.
            let _ = client.read_to_end(&mut answer).await;
            assert!(answer.starts_with(answered) || sent == [TLS_HANDSHAKE], "{answer:?}");
        }
    }
}
