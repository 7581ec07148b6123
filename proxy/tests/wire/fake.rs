//! A target that speaks the protocol as far as it is told to, and then lies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sallyport_proxy::postgres::frame::{put, put_cstr};

use super::common::postgres::PASSWORD;

/// What every lie carries; no client, record or log may ever show it.
pub const CANARY: &str = "536-90-4399-canary";

/// What a connection does.
pub type Script = Arc<dyn Fn(&mut Peer) + Send + Sync>;

/// A target.
pub struct Fake {
    /// Where it listens.
    pub port: u16,
    script: Arc<Mutex<Script>>,
    /// Everything that doors sent to it.
    pub heard: Arc<Mutex<Vec<u8>>>,
}

/// One connection to it.
pub struct Peer {
    stream: TcpStream,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Arc::new(|_: &mut Peer| {})));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (scripts, hears) = (Arc::clone(&script), Arc::clone(&heard));
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let script = Arc::clone(&scripts.lock().unwrap());
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                let heard = Arc::clone(&hears);
                std::thread::spawn(move || script(&mut Peer { stream, heard }));
            }
        });
        Self { port, script, heard }
    }

    /// Connections let the door in from now on, answer one Query with bytes, and close.
    pub fn answers(&self, answer: Vec<u8>) {
        self.does(move |peer| {
            // A door that left hears nothing.
            let _ = peer.lets_in().and_then(|()| peer.answers(&answer));
        });
    }

    /// What connections do from now on.
    pub fn does(&self, script: impl Fn(&mut Peer) + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }
}

impl Peer {
    /// Sends bytes; a door that has closed takes none.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a message.
    pub fn message(&mut self, tag: u8, body: &[u8]) {
        self.send(&message(tag, body));
    }

    fn exact(&mut self, n: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; n];
        self.stream.read_exact(&mut bytes).ok()?;
        self.heard.lock().unwrap().extend_from_slice(&bytes);
        Some(bytes)
    }

    /// The door's startup packet.
    pub fn startup(&mut self) -> Option<Vec<u8>> {
        let length = self.exact(4)?;
        self.exact(u32::from_be_bytes(length.try_into().unwrap()) as usize - 4)
    }

    /// One message of the door.
    pub fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.exact(5)?;
        let length = u32::from_be_bytes(*head[1..].first_chunk().unwrap()) as usize - 4;
        Some((head[0], self.exact(length)?))
    }

    /// Waits until the door closes.
    pub fn until_closed(&mut self) {
        while self.exact(1).is_some() {}
    }

    /// SCRAM-SHA-256 as a server that knows the password; `spoil` changes the last message.
    pub fn scram(&mut self, spoil: impl Fn(String) -> String) -> Option<()> {
        self.message(b'R', &[&10u32.to_be_bytes()[..], b"SCRAM-SHA-256\0\0"].concat());
        let (_, first) = self.read()?;
        let first = String::from_utf8_lossy(&first).into_owned();
        let bare = first.split_once("n,,")?.1.to_owned();
        let nonce = bare.split_once("r=")?.1.to_owned();
        let salt = b"salt of a fake";
        let server_first = format!("r={nonce}fake,s={},i=4096", STANDARD.encode(salt));
        self.message(b'R', &[&11u32.to_be_bytes()[..], server_first.as_bytes()].concat());
        let (_, last) = self.read()?;
        let last = String::from_utf8_lossy(&last).into_owned();
        let without_proof = last.split_once(",p=")?.0;
        let mut salted = [0; 32];
        let rounds = std::num::NonZeroU32::new(4_096).unwrap();
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            rounds,
            salt,
            PASSWORD.as_bytes(),
            &mut salted,
        );
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let server_key = sign(&salted, b"Server Key");
        let signature = sign(
            server_key.as_ref(),
            format!("{bare},{server_first},{without_proof}").as_bytes(),
        );
        let end = spoil(format!("v={}", STANDARD.encode(signature)));
        self.message(b'R', &[&12u32.to_be_bytes()[..], end.as_bytes()].concat());
        Some(())
    }

    /// AuthenticationOk and what follows it.
    pub fn welcome(&mut self, version: &str, client_encoding: &str, server_encoding: &str) {
        self.welcome_by((version, client_encoding, server_encoding), &[1, 2, 3, 4]);
    }

    /// The same with a secret for cancels.
    pub fn welcome_by(&mut self, (version, client_encoding, server_encoding): (&str, &str, &str), secret: &[u8]) {
        self.message(b'R', &0u32.to_be_bytes());
        for (name, value) in [
            ("server_version", version),
            ("client_encoding", client_encoding),
            ("server_encoding", server_encoding),
        ] {
            self.message(b'S', format!("{name}\0{value}\0").as_bytes());
        }
        self.message(b'K', &[&[0, 0, 0, 7][..], secret].concat());
        self.message(b'Z', b"I");
    }

    /// The process that answers.
    pub fn backend(&mut self, pid: &str) {
        let length = u32::try_from(pid.len()).unwrap().to_be_bytes();
        self.message(b'V', &[&length[..], pid.as_bytes()].concat());
        self.message(b'Z', b"I");
    }

    /// Lets the door in as a good server would.
    pub fn lets_in(&mut self) -> Option<()> {
        self.startup()?;
        self.scram(|end| end)?;
        self.welcome("15.4", "UTF8", "UTF8");
        self.backend("7");
        Some(())
    }

    /// Answers the next Query with bytes.
    pub fn answers(&mut self, answer: &[u8]) -> Option<()> {
        while self.read()?.0 != b'Q' {}
        self.send(answer);
        Some(())
    }
}

/// A message.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

/// An ErrorResponse or NoticeResponse with these fields.
pub fn said(tag: u8, fields: &[(u8, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (code, text) in fields {
        body.push(*code);
        put_cstr(&mut body, text);
    }
    body.push(0);
    message(tag, &body)
}

/// RowDescription of one text column.
pub fn described() -> Vec<u8> {
    let mut body = vec![0, 1];
    put_cstr(&mut body, "c");
    body.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]);
    message(b'T', &body)
}
