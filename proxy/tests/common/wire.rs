//! A client of the bare protocol: what drivers do and psql does not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use sallyport_proxy::postgres::frame::{put, put_cstr};

use super::door::TestDoor;
use super::postgres::Postgres;

/// How long a message may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What messages go over.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A session.
pub struct Client {
    stream: Box<dyn Stream + Send>,
    out: Vec<u8>,
    /// The backend's process and the secret for cancels.
    pub key: (i32, Vec<u8>),
}

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its tag.
    pub tag: char,
    /// Its body.
    pub body: Vec<u8>,
}

impl Message {
    /// The body as text, lossy.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// One field of an error.
    pub fn field(&self, code: char) -> Option<String> {
        let mut rest = self.body.as_slice();
        while let Some((&tag, after)) = rest.split_first() {
            let end = after.iter().position(|byte| *byte == 0)?;
            if tag == code as u8 {
                return Some(String::from_utf8_lossy(&after[..end]).into_owned());
            }
            rest = &after[end + 1..];
        }
        None
    }

    /// The values of a row.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        let mut rest = &self.body[2..];
        let mut values = Vec::new();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let len = i32::from_be_bytes(*len);
            let (value, after) = after.split_at(usize::try_from(len).unwrap_or(0));
            values.push((len >= 0).then(|| value.to_vec()));
            rest = after;
        }
        values
    }
}

/// TLS to a door, agreed on by SSLRequest.
pub fn tls(door: &TestDoor, alpn: bool, request: bool) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    tls_over(TcpStream::connect(door.address)?, door, alpn, request)
}

fn tls_over(
    mut tcp: TcpStream,
    door: &TestDoor,
    alpn: bool,
    request: bool,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    tcp.set_read_timeout(Some(PATIENCE))?;
    if request {
        tcp.write_all(&[0, 0, 0, 8, 4, 210, 22, 47])?;
        let mut answer = [0];
        tcp.read_exact(&mut answer)?;
        assert_eq!(&answer, b"S");
    }
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(door.ca.path()).unwrap())
        .unwrap();
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    if alpn {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap();
    Ok(StreamOwned::new(connection, tcp))
}

/// A startup packet.
pub fn startup(version: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (key, value) in pairs {
        put_cstr(&mut body, key);
        put_cstr(&mut body, value);
    }
    body.push(0);
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
}

impl Client {
    /// Logs in as `user` by protocol 3.0, with more startup parameters.
    pub fn login(door: &TestDoor, user: &str, more: &[(&str, &str)]) -> Result<Self, Vec<Message>> {
        Self::login_as(door, user, 0x3_0000, more)
    }

    /// The same from another of this machine's own addresses.
    pub fn login_from(door: &TestDoor, user: &str, from: &str) -> Result<Self, Vec<Message>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let socket = async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(format!("{from}:0").parse().unwrap())?;
            socket.connect(door.address).await?.into_std()
        };
        let tcp = runtime.block_on(socket).unwrap();
        tcp.set_nonblocking(false).unwrap();
        let stream = tls_over(tcp, door, true, true).unwrap();
        Self::login_on(Box::new(stream), (user, &door.database), 0x3_0000, &[]).map(|(client, _)| client)
    }

    /// The same by another version.
    pub fn login_as(door: &TestDoor, user: &str, version: u32, more: &[(&str, &str)]) -> Result<Self, Vec<Message>> {
        let stream = tls(door, true, true).unwrap();
        Self::login_on(Box::new(stream), (user, &door.database), version, more).map(|(client, _)| client)
    }

    /// Logs in past any door, as the superuser.
    pub fn direct(server: &Postgres, database: &str, more: &[(&str, &str)]) -> Result<Self, Vec<Message>> {
        Self::direct_as("postgres", server, database, more)
    }

    /// The same as somebody else.
    pub fn direct_as(
        role: &str,
        server: &Postgres,
        database: &str,
        more: &[(&str, &str)],
    ) -> Result<Self, Vec<Message>> {
        let stream = UnixStream::connect(server.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::login_on(Box::new(stream), (role, database), 0x3_0000, more).map(|(client, _)| client)
    }

    /// A stream on which nothing has been said.
    pub fn on(stream: Box<dyn Stream + Send>) -> Self {
        Self {
            stream,
            out: Vec::new(),
            key: (0, Vec::new()),
        }
    }

    /// Logs in as `alice` with a token.
    pub fn present(door: &TestDoor, token: &str) -> Result<Self, Vec<Message>> {
        let stream = Box::new(tls(door, true, true).unwrap());
        Self::start(stream, ("alice", token, &door.database), 0x3_0000, &[]).map(|(client, _)| client)
    }

    /// Logs in on a stream; gives what came before the first ReadyForQuery, too.
    pub fn login_on(
        stream: Box<dyn Stream + Send>,
        (user, database): (&str, &str),
        version: u32,
        more: &[(&str, &str)],
    ) -> Result<(Self, Vec<Message>), Vec<Message>> {
        Self::start(stream, (user, user, database), version, more)
    }

    fn start(
        stream: Box<dyn Stream + Send>,
        (user, token, database): (&str, &str, &str),
        version: u32,
        more: &[(&str, &str)],
    ) -> Result<(Self, Vec<Message>), Vec<Message>> {
        let mut client = Self::on(stream);
        let base = [("user", user), ("database", database)];
        let pairs: Vec<_> = base.into_iter().chain(more.iter().copied()).collect();
        client.stream.write_all(&startup(version, &pairs)).unwrap();
        let mut before = Vec::new();
        loop {
            let message = client.read();
            match (message.tag, message.body.as_slice()) {
                ('R', [0, 0, 0, 3]) => {
                    put(&mut client.out, b'p', |out| put_cstr(out, token));
                    client.send();
                }
                ('K', body) => client.key = (i32::from_be_bytes(*body.first_chunk().unwrap()), body[4..].to_vec()),
                ('Z', _) => return Ok((client, before)),
                ('E', _) => {
                    before.push(message);
                    return Err(before);
                }
                _ => before.push(message),
            }
        }
    }

    /// Appends a message.
    pub fn put(&mut self, tag: u8, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        put(&mut self.out, tag, write);
        self
    }

    /// Parse.
    pub fn parse(&mut self, name: &str, sql: &str) -> &mut Self {
        self.parse_typed(name, sql, &[])
    }

    /// Parse, with types of parameters.
    pub fn parse_typed(&mut self, name: &str, sql: &str, types: &[u32]) -> &mut Self {
        self.put(b'P', |out| {
            put_cstr(out, name);
            put_cstr(out, sql);
            out.extend(u16::try_from(types.len()).unwrap().to_be_bytes());
            out.extend(types.iter().flat_map(|oid| oid.to_be_bytes()));
        })
    }

    /// Bind, with text parameters and one format for all results.
    pub fn bind(&mut self, portal: &str, statement: &str, values: &[&str], format: i16) -> &mut Self {
        self.put(b'B', |out| {
            put_cstr(out, portal);
            put_cstr(out, statement);
            out.extend([0, 0]);
            out.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
            for value in values {
                out.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                out.extend(value.as_bytes());
            }
            out.extend([0, 1]);
            out.extend(format.to_be_bytes());
        })
    }

    /// Describe of a portal (`P`) or statement (`S`).
    pub fn describe(&mut self, kind: u8, name: &str) -> &mut Self {
        self.put(b'D', |out| {
            out.push(kind);
            put_cstr(out, name);
        })
    }

    /// Execute.
    pub fn execute(&mut self, portal: &str, rows: i32) -> &mut Self {
        self.put(b'E', |out| {
            put_cstr(out, portal);
            out.extend(rows.to_be_bytes());
        })
    }

    /// Sync, and everything is sent.
    pub fn sync(&mut self) -> &mut Self {
        self.put(b'S', |_| {}).send();
        self
    }

    /// Sends what was appended.
    pub fn send(&mut self) {
        self.stream.write_all(&self.out).unwrap();
        self.stream.flush().unwrap();
        self.out.clear();
    }

    /// A Query, and its answer.
    pub fn query(&mut self, sql: &str) -> Vec<Message> {
        self.put(b'Q', |out| put_cstr(out, sql)).send();
        self.ready()
    }

    /// A statement alone in a pipeline, and its answer.
    pub fn pipeline(&mut self, sql: &str) -> Vec<Message> {
        self.parse("", sql)
            .bind("", "", &[], 0)
            .describe(b'P', "")
            .execute("", 0)
            .sync();
        self.ready()
    }

    /// So many messages.
    pub fn some(&mut self, count: usize) -> Vec<Message> {
        (0..count).map(|_| self.read()).collect()
    }

    /// Everything up to the end of the stream, which has to come.
    pub fn end(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.try_read() {
                Ok(message) => messages.push(message),
                Err(error) => {
                    let slow = matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    );
                    assert!(!slow, "the stream did not end: {messages:?}");
                    return messages;
                }
            }
        }
    }

    /// Messages up to ReadyForQuery.
    pub fn ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            messages.push(self.read());
            if messages.last().is_some_and(|message| message.tag == 'Z') {
                return messages;
            }
        }
    }

    /// One message.
    pub fn read(&mut self) -> Message {
        self.try_read().expect("a message")
    }

    /// One message, or the end.
    pub fn try_read(&mut self) -> std::io::Result<Message> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes(*head[1..].first_chunk().unwrap()) as usize - 4;
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body)?;
        Ok(Message {
            tag: head[0] as char,
            body,
        })
    }

    /// The head of one message, and its body read and thrown away.
    pub fn skim(&mut self) -> std::io::Result<(char, usize)> {
        self.pour(|_| {})
    }

    /// The head of one message, and its body handed on as it arrives.
    pub fn pour(&mut self, mut take: impl FnMut(&[u8])) -> std::io::Result<(char, usize)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes(*head[1..].first_chunk().unwrap()) as usize - 4;
        let mut left = len;
        let mut piece = vec![0; 64 * 1024];
        while left > 0 {
            let n = left.min(piece.len());
            self.stream.read_exact(&mut piece[..n])?;
            take(&piece[..n]);
            left -= n;
        }
        Ok((head[0] as char, len))
    }

    /// Bytes as they are, if the peer takes them.
    pub fn try_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }
}

/// The tags of messages, in order.
pub fn tags(messages: &[Message]) -> String {
    messages.iter().map(|message| message.tag).collect()
}

/// The first value of an answer.
pub fn value(said: &[Message]) -> String {
    let row = said.iter().find(|message| message.tag == 'D');
    let row = row.unwrap_or_else(|| panic!("no row: {said:?}"));
    String::from_utf8_lossy(row.values()[0].as_deref().unwrap_or_default()).into_owned()
}
