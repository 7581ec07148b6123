//! The identity provider: discovery, the device grant, refreshing.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// No answer of a provider is longer.
const MAX_ANSWER: usize = 1024 * 1024;
/// A provider that does not answer within this time is away: others may wait for their turn to ask.
const LIMIT: Duration = Duration::from_secs(30);

/// A provider that was found.
pub struct Provider {
    client: reqwest::Client,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    issuer: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
}

/// A login that waits for its person.
#[derive(Deserialize)]
pub struct Device {
    /// What this program proves itself by. Secret.
    pub device_code: String,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// Seconds until the code ends.
    pub expires_in: u64,
    /// Seconds between two questions.
    #[serde(default = "five")]
    pub interval: u64,
}

/// What a person logged in with. Secret, hence no `Debug`.
#[derive(Deserialize)]
pub struct Tokens {
    /// For doors.
    pub access_token: String,
    /// For the next access token.
    pub refresh_token: Option<String>,
    /// Seconds until the access token ends.
    pub expires_in: Option<i64>,
}

/// What the provider says to somebody who asks whether the person came.
pub enum Answer {
    /// They did.
    Tokens(Tokens),
    /// Not yet.
    Pending,
    /// Not yet, and less often please.
    SlowDown,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

fn five() -> u64 {
    5
}

// === impl Provider ===

impl Provider {
    /// Reads the provider's own description.
    ///
    /// # Errors
    /// When it cannot be had, or is another provider's.
    pub async fn discover(issuer: &str, ca: Option<&Path>) -> Result<Self> {
        let issuer = issuer.trim_end_matches('/');
        safe(issuer)?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(LIMIT);
        if let Some(ca) = ca {
            let pem = std::fs::read(ca).with_context(|| ca.display().to_string())?;
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
        }
        let client = builder.build()?;
        let url = format!("{issuer}/.well-known/openid-configuration");
        let response = client.get(&url).send().await.with_context(|| url.clone())?;
        if !response.status().is_success() {
            bail!("{url}: HTTP {}", response.status().as_u16());
        }
        let endpoints: Endpoints = serde_json::from_slice(&read(response).await?).with_context(|| url.clone())?;
        if endpoints.issuer.trim_end_matches('/') != issuer {
            bail!("{url} describes another issuer: {}", endpoints.issuer);
        }
        safe(&endpoints.token_endpoint)?;
        Ok(Self { client, endpoints })
    }

    /// Begins a login.
    ///
    /// # Errors
    /// When the provider has no device grant, or not for this client.
    pub async fn device(&self, client_id: &str, scope: &str) -> Result<Device> {
        let endpoint = self
            .endpoints
            .device_authorization_endpoint
            .as_deref()
            .context("the issuer has no device grant")?;
        safe(endpoint)?;
        let (status, body) = self
            .post(endpoint, &[("client_id", client_id), ("scope", scope)])
            .await?;
        if status != 200 {
            bail!("the issuer refused to begin a login: {}", refusal(&body));
        }
        serde_json::from_slice(&body).context("the issuer's answer to a login")
    }

    /// Asks whether the person came.
    ///
    /// # Errors
    /// When they said no, or came too late.
    pub async fn poll(&self, client_id: &str, device_code: &str) -> Result<Answer> {
        let form = [
            ("grant_type", DEVICE_GRANT),
            ("client_id", client_id),
            ("device_code", device_code),
        ];
        let (status, body) = self.post(&self.endpoints.token_endpoint, &form).await?;
        if status == 200 {
            return Ok(Answer::Tokens(tokens(&body)?));
        }
        let said = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.error);
        match said.as_deref().unwrap_or_default() {
            "authorization_pending" => Ok(Answer::Pending),
            "slow_down" => Ok(Answer::SlowDown),
            _ => bail!("the issuer refused: {}", refusal(&body)),
        }
    }

    /// Exchanges a refresh token.
    ///
    /// # Errors
    /// When the provider does not take it any more.
    pub async fn refresh(&self, client_id: &str, refresh_token: &str) -> Result<Tokens> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", client_id),
            ("refresh_token", refresh_token),
        ];
        let (status, body) = self.post(&self.endpoints.token_endpoint, &form).await?;
        if status != 200 {
            bail!("the issuer refused: {}", refusal(&body));
        }
        tokens(&body)
    }

    async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<(u16, Vec<u8>)> {
        let response = self
            .client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded(form))
            .send()
            .await
            .with_context(|| url.to_owned())?;
        Ok((response.status().as_u16(), read(response).await?))
    }
}

/// Tokens travel over TLS, or not beyond this machine.
fn safe(url: &str) -> Result<()> {
    let parsed = reqwest::Url::parse(url).with_context(|| url.to_owned())?;
    let here = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if here => Ok(()),
        _ => bail!("{url}: tokens are sent over https only"),
    }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            bail!("the issuer's answer is too long");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn tokens(body: &[u8]) -> Result<Tokens> {
    // What it says is secret, so the error does not quote it.
    serde_json::from_slice(body).map_err(|_| anyhow::anyhow!("the issuer's answer holds no token"))
}

fn refusal(body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.error_description.unwrap_or(refusal.error),
        Err(_) => "in words that are not understood".to_owned(),
    }
}

/// `application/x-www-form-urlencoded`.
fn encoded(form: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in form {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
                _ => {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
    }
    out
}
