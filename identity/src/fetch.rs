//! An issuer's discovery document and key set over https, bounded in time and size.

use std::fmt;
use std::time::Duration;

use sallyport_policy::issuer::Issuer;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One request, all told.
const REQUEST: Duration = Duration::from_secs(5);
/// A discovery document or a key set is a few kibibytes.
const MAX_BODY: usize = 512 * 1024;

/// Why an issuer's keys could not be fetched. The texts are fixed: what a provider's server says is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchError {
    Bundle,
    Address,
    Unreachable,
    Certificate,
    Status,
    TooLarge,
    Document,
    OtherIssuer,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// A key set; every key is read by itself, so that one that is not understood does not hide the others.
#[derive(Deserialize)]
pub(super) struct KeySet {
    pub(super) keys: Vec<serde_json::Value>,
}

/// A way to one issuer.
pub(super) struct Source {
    client: Result<reqwest::Client, FetchError>,
    issuer: String,
    discovery: String,
}

// === impl FetchError ===

impl FetchError {
    /// The sentence, for places that keep it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Bundle => "its CA bundle cannot be used",
            Self::Address => "its address is no https address",
            Self::Unreachable => "it cannot be reached",
            Self::Certificate => "its server shows no certificate of the configured CA",
            Self::Status => "it answered with an error",
            Self::TooLarge => "its answer is too large",
            Self::Document => "its answer is not the document that was expected",
            Self::OtherIssuer => "its discovery document names another issuer",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

// === impl Source ===

impl Source {
    pub(super) fn new(issuer: &Issuer) -> Self {
        let base = issuer.url.trim_end_matches('/');
        let discovery = issuer
            .discovery_url
            .clone()
            .unwrap_or_else(|| format!("{base}/.well-known/openid-configuration"));
        Self {
            client: client(issuer.certificate_authority.as_deref()),
            issuer: issuer.url.clone(),
            discovery,
        }
    }

    /// Discovery, then keys. The document is read every time: a provider may move its keys.
    pub(super) async fn keys(&self) -> Result<KeySet, FetchError> {
        let discovery: Discovery = self.get(&self.discovery).await?;
        // OpenID Connect Discovery 1.0, 4.3: another issuer's document must not lend us its keys.
        if discovery.issuer != self.issuer {
            return Err(FetchError::OtherIssuer);
        }
        self.get(&discovery.jwks_uri).await
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let client = self.client.as_ref().map_err(|error| *error)?;
        let mut response = client.get(url).send().await.map_err(|error| reason(&error))?;
        if !response.status().is_success() {
            return Err(FetchError::Status);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| FetchError::Document)
    }
}

fn client(bundle: Option<&str>) -> Result<reqwest::Client, FetchError> {
    let roots = match bundle {
        Some(pem) => sallyport_runtime::tls::roots(pem.as_bytes()),
        None => sallyport_runtime::tls::system_roots(),
    };
    let config = roots
        .and_then(sallyport_runtime::tls::client_config)
        .map_err(|_| FetchError::Bundle)?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .https_only(true)
        .no_proxy()
        // A redirect could lead to a server that the CA bundle was not given for.
        .redirect(reqwest::redirect::Policy::none())
        .timeout(REQUEST)
        .build()
        .map_err(|_| FetchError::Bundle)
}

fn reason(error: &reqwest::Error) -> FetchError {
    if error.is_builder() {
        return FetchError::Address;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.to_string().contains("invalid peer certificate") {
            return FetchError::Certificate;
        }
        cause = inner.source();
    }
    FetchError::Unreachable
}
