//! Asking the operator for a certificate, and asking again in time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::api::{MAX_BODY, PATH, Request, Response};
use super::credential::{Credential, anonymous};
use crate::PeerIdentity;
use crate::tls::TlsError;

/// One attempt may take this long.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Pauses between failed attempts grow from here…
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// …to here.
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// The wall clock is looked at this often, since a suspended machine's timers are not to be trusted with a date.
const LOOK: Duration = Duration::from_secs(30);
/// Service account tokens are about a kibibyte; more is not one.
const MAX_TOKEN: usize = 64 * 1024;

/// Where and how a Pod asks for its certificate; for `#[command(flatten)]`.
#[derive(Clone, Debug, clap::Args)]
pub struct Enrollment {
    /// The operator's API, such as https://sallyport-operator.sallyport-system.svc:8443.
    #[arg(
        long,
        env = "SALLYPORT_OPERATOR_URL",
        default_value = "https://sallyport-operator.sallyport-system.svc:8443"
    )]
    pub operator_url: String,
    /// PEM text of the CAs by which the operator's certificate is checked.
    #[arg(
        long,
        env = "SALLYPORT_OPERATOR_CA",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    pub operator_ca: String,
    /// File with the Pod-bound ServiceAccount token of audience `sallyport-operator`; read anew at each attempt.
    #[arg(
        long,
        env = "SALLYPORT_TOKEN_FILE",
        default_value = "/var/run/secrets/sallyport/token"
    )]
    pub token_file: PathBuf,
}

/// Why the operator gave no certificate. Holds neither token nor key.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The token file cannot be read.
    #[error("the token file {path} cannot be read: {source}")]
    Token {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// No key or CSR could be made.
    #[error("no key or certificate request could be made: {0}")]
    Key(#[from] rcgen::Error),
    /// The operator cannot be reached.
    #[error("the operator cannot be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// The operator refused.
    #[error("the operator refused the certificate request: HTTP {0}; is this Pod one that the operator made?")]
    Refused(u16),
    /// The operator's answer cannot be used.
    #[error("the operator's answer cannot be used: {0}")]
    Answer(&'static str),
    /// Certificates that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The process ends.
    #[error("the process ends before a certificate came")]
    Ended,
}

struct Issued {
    chain: String,
    key: String,
    ca_bundle: String,
}

// === impl Enrollment ===

impl Enrollment {
    /// Asks until a certificate comes or `end`; then renews it in the background until `end`.
    ///
    /// # Errors
    /// Only [`EnrollError::Ended`], and what no retry mends: a CA bundle that cannot be read.
    pub async fn start(self, end: CancellationToken) -> Result<Credential, EnrollError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.ask().await {
                Ok(issued) => {
                    let credential = Credential::from_pem(
                        issued.chain.as_bytes(),
                        issued.key.as_bytes(),
                        issued.ca_bundle.as_bytes(),
                    )?;
                    // What the Pod was told at its start may be older than the authority that the operator now has.
                    let renewing = Self {
                        operator_ca: issued.ca_bundle,
                        ..self
                    };
                    tokio::spawn(renewing.renew(credential.clone(), end));
                    return Ok(credential);
                }
                Err(error @ EnrollError::Tls(_)) => return Err(error),
                Err(error) => tracing::warn!(%error, "no workload certificate yet; trying again"),
            }
            tokio::select! {
                () = end.cancelled() => return Err(EnrollError::Ended),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
            }
        }
    }

    async fn renew(mut self, credential: Credential, end: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        let mut due = due(&credential);
        loop {
            let left = due.duration_since(SystemTime::now()).unwrap_or_default();
            let wait = if left.is_zero() { Duration::ZERO } else { left.min(LOOK) };
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            if SystemTime::now() < due {
                continue;
            }
            let renewed = self.renewed(&credential).await;
            match renewed {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    due = self::due(&credential);
                    tracing::info!("workload certificate renewed");
                }
                Err(error) => {
                    tracing::warn!(%error, "the workload certificate could not be renewed; trying again");
                    due = SystemTime::now() + pause;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// Asks once more, and trusts from then on whom the operator says.
    pub(super) async fn renewed(&mut self, credential: &Credential) -> Result<(), EnrollError> {
        let Issued { chain, key, ca_bundle } = self.ask().await?;
        credential.replace(chain.as_bytes(), key.as_bytes(), ca_bundle.as_bytes())?;
        self.operator_ca = ca_bundle;
        Ok(())
    }

    async fn ask(&self) -> Result<Issued, EnrollError> {
        let token = self.token()?;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key)?.pem()?;
        let accept = Arc::new(|peer: &PeerIdentity| *peer == PeerIdentity::Operator);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(anonymous(self.operator_ca.as_bytes(), accept)?)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ATTEMPT)
            .build()
            .map_err(EnrollError::Unreachable)?;
        let url = format!("{}{PATH}", self.operator_url.trim_end_matches('/'));
        let response = client
            .post(url)
            .bearer_auth(token)
            .json(&Request { csr })
            .send()
            .await
            .map_err(EnrollError::Unreachable)?;
        if !response.status().is_success() {
            return Err(EnrollError::Refused(response.status().as_u16()));
        }
        let Response { certificate, ca_bundle } = read(response).await?;
        Ok(Issued {
            chain: certificate,
            key: key.serialize_pem(),
            ca_bundle,
        })
    }

    fn token(&self) -> Result<String, EnrollError> {
        let failed = |source| EnrollError::Token {
            path: self.token_file.display().to_string(),
            source,
        };
        let text = std::fs::read_to_string(&self.token_file).map_err(failed)?;
        if text.len() > MAX_TOKEN {
            return Err(failed(std::io::Error::other("too large for a token")));
        }
        Ok(text.trim().to_owned())
    }
}

async fn read(mut response: reqwest::Response) -> Result<Response, EnrollError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(EnrollError::Unreachable)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(EnrollError::Answer("too large"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| EnrollError::Answer("not the JSON object that was expected"))
}

/// Two thirds of the life of the certificate, less up to a tenth so that Pods started together do not ask together; soon, but
/// not at once, where that is past already or cannot be read: an operator with a wrong clock must not be flooded.
pub(super) fn due(credential: &Credential) -> SystemTime {
    let life = credential.current().leaf().and_then(|leaf| {
        let (_, parsed) = X509Certificate::from_der(&leaf).ok()?;
        let validity = parsed.validity();
        Some((
            seconds(validity.not_before.timestamp())?,
            seconds(validity.not_after.timestamp())?,
        ))
    });
    let soon = SystemTime::now() + LAST_PAUSE;
    let Some((from, until)) = life else { return soon };
    let life = until.saturating_sub(from);
    let mut byte = [0u8; 1];
    let _ = rand::fill(&mut byte);
    let spread = life / 10 * u32::from(byte[0]) / 255;
    (UNIX_EPOCH + from + (life * 2 / 3).saturating_sub(spread)).max(soon)
}

fn seconds(timestamp: i64) -> Option<Duration> {
    u64::try_from(timestamp).ok().map(Duration::from_secs)
}
