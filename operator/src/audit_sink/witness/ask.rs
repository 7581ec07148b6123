//! Asking a recorder for its newest checkpoint: `GET /v1/checkpoint?from=SIZE` over mutual TLS.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sallyport_audit::Digest;
use sallyport_crds::names;
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::tls::TlsError;
use sallyport_runtime::workload::Credential;
use serde::Deserialize;

use crate::audit_sink::READ_PORT;

/// A recorder that does not answer within this time is unavailable.
const LIMIT: Duration = Duration::from_secs(4);
/// A note and a proof of 64 hashes are a few kibibytes.
const MAX_BODY: usize = 64 * 1024;

/// What a recorder answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer {
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
    /// TLS cannot be configured.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Asks the recorder of one sink. Only a peer whose certificate names this very sink is believed.
pub async fn ask(
    credential: &Credential,
    namespace: &str,
    name: &str,
    uid: &str,
    from: u64,
) -> Result<Answer, AskError> {
    let wanted = (namespace.to_owned(), name.to_owned(), uid.to_owned());
    let accept = Arc::new(move |peer: &PeerIdentity| match peer {
        PeerIdentity::Sink(sink) => sink.namespace == wanted.0 && sink.name == wanted.1 && sink.uid == wanted.2,
        _ => false,
    });
    let config = credential.client_config(accept)?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config.as_ref().clone())
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT)
        .build()
        .map_err(|_| AskError::Unreachable)?;
    let url = format!(
        "https://{}.{namespace}.svc:{READ_PORT}/v1/checkpoint?from={from}",
        names::recorder(name)
    );
    let mut response = client.get(url).send().await.map_err(|error| {
        tracing::debug!(%error, namespace, sink = name, "the recorder cannot be reached");
        AskError::Unreachable
    })?;
    match response.status().as_u16() {
        200 => {}
        404 | 503 => return Err(AskError::None),
        409 => return Err(AskError::Shorter),
        other => return Err(AskError::Status(other)),
    }
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
