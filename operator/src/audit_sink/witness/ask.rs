//! Talking to a recorder over mutual TLS: `GET /v1/checkpoint?from=SIZE` for its newest checkpoint, `POST /v1/permit` to let
//! it write, `POST /v1/issuers` to say whose tokens count.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sallyport_audit::Digest;
use sallyport_audit::record::ObjectRef;
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::tls::TlsError;
use sallyport_runtime::workload::Credential;
use serde::Deserialize;

use crate::audit_sink::READ_PORT;
use crate::audit_sink::build::pod_host;

/// A recorder that does not answer within this time is unavailable.
const LIMIT: Duration = Duration::from_secs(4);
/// A note and a proof of 64 hashes are a few kibibytes.
const MAX_BODY: usize = 64 * 1024;

/// What a recorder answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// This start of the recorder.
    #[serde(default)]
    pub boot: String,
    /// It takes nothing until it gets a permit.
    #[serde(default)]
    pub fenced: bool,
    /// SHA-256 of what it was last told of whose tokens count, empty where it was told nothing; none from a recorder that
    /// checks no tokens.
    #[serde(default)]
    pub issuers: Option<String>,
    /// In words, why it takes no records for now.
    #[serde(default)]
    pub problem: Option<String>,
    /// The signed note.
    pub checkpoint: String,
    /// The log's verifier key.
    pub vkey: String,
    /// RFC 6962 consistency proof from the size that was asked about, base64.
    #[serde(default)]
    proof: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The recorder cannot be reached, or is not the one of this sink.
    #[error("the recorder cannot be reached")]
    Unreachable,
    /// It has no checkpoint yet.
    #[error("the recorder has no checkpoint yet")]
    None,
    /// Its log is shorter than what was seen of it.
    #[error("the recorder's log is shorter than it was")]
    Shorter,
    /// An answer that cannot be used.
    #[error("the recorder answered HTTP {0}")]
    Status(u16),
    /// An answer that cannot be read.
    #[error("the recorder's answer cannot be read")]
    Unreadable,
    /// It takes what it is told, and knows something else.
    #[error(
        "the recorder was told whose tokens count and states something else: see that it runs the operator's image, and restart it"
    )]
    Untold,
    /// TLS cannot be configured.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The way to the recorder of one sink. Only a peer whose certificate names this very sink is believed.
pub struct Recorder {
    pub(super) client: reqwest::Client,
    pub(super) base: String,
}

impl Recorder {
    /// The recorder of `sink`.
    ///
    /// # Errors
    /// When TLS cannot be configured.
    pub fn of(sink: &ObjectRef, credential: &Credential) -> Result<Self, AskError> {
        let client = client(sink, credential)?;
        let base = format!("https://{}:{READ_PORT}/v1", pod_host(&sink.namespace, &sink.name));
        Ok(Self { client, base })
    }

    /// Asks for a checkpoint of what is on disk, with the proof that the log only grew since it had `from` records.
    ///
    /// # Errors
    /// When there is no usable answer.
    pub async fn ask(&self, from: u64) -> Result<Answer, AskError> {
        let url = format!("{}/checkpoint?from={from}", self.base);
        let response = self.client.get(url).send().await.map_err(|error| {
            tracing::debug!(%error, recorder = self.base, "the recorder cannot be reached");
            AskError::Unreachable
        })?;
        match response.status().as_u16() {
            200 => read(response).await,
            404 | 503 => Err(AskError::None),
            409 => Err(AskError::Shorter),
            other => Err(AskError::Status(other)),
        }
    }

    /// Lets it write.
    ///
    /// # Errors
    /// When it does not take the permit.
    pub async fn permit(&self, note: String) -> Result<(), AskError> {
        self.post("permit", note).await
    }

    /// Says whose tokens count ([`sallyport_policy::issuer::Trusted`] as JSON).
    ///
    /// # Errors
    /// When it does not take that.
    pub async fn trust(&self, trusted: String) -> Result<(), AskError> {
        self.post("issuers", trusted).await
    }

    async fn post(&self, what: &str, body: String) -> Result<(), AskError> {
        let url = format!("{}/{what}", self.base);
        let sent = self.client.post(url).body(body).send().await;
        match sent.map_err(|_| AskError::Unreachable)?.status().as_u16() {
            200 => Ok(()),
            other => Err(AskError::Status(other)),
        }
    }
}

fn client(sink: &ObjectRef, credential: &Credential) -> Result<reqwest::Client, AskError> {
    let wanted = (sink.namespace.clone(), sink.name.clone(), sink.uid.clone());
    let accept = Arc::new(move |peer: &PeerIdentity| match peer {
        PeerIdentity::Sink(sink) => sink.namespace == wanted.0 && sink.name == wanted.1 && sink.uid == wanted.2,
        _ => false,
    });
    let config = credential.client_config(accept)?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(config.as_ref().clone())
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT)
        .build()
        .map_err(|_| AskError::Unreachable)
}

async fn read(mut response: reqwest::Response) -> Result<Answer, AskError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| AskError::Unreachable)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(AskError::Unreadable);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| AskError::Unreadable)
}

// === impl Answer ===

impl Answer {
    /// An answer, for tests.
    #[cfg(test)]
    pub fn new(checkpoint: String, vkey: String, proof: &[Digest]) -> Self {
        Self {
            boot: String::new(),
            fenced: false,
            issuers: None,
            problem: None,
            checkpoint,
            vkey,
            proof: proof.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect(),
        }
    }

    /// The proof's hashes.
    ///
    /// # Errors
    /// When one is none.
    pub fn proof(&self) -> Result<Vec<Digest>, String> {
        let read = |hash: &String| {
            STANDARD
                .decode(hash)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .map(Digest::from_bytes)
        };
        self.proof
            .iter()
            .map(read)
            .collect::<Option<_>>()
            .ok_or_else(|| "the proof cannot be read".to_owned())
    }
}
