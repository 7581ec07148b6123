//! One webhook: signed, tried again, bounded in time and in number.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use sallyport_audit::digest::hex;
use sallyport_runtime::shares::{Place, Shares};
use sallyport_runtime::tls;

use super::notice::{Format, Notice};
use super::webhooks::Webhook;

/// One attempt, all told.
const WITHIN: Duration = Duration::from_secs(10);
/// After the first attempt; each pause is twice the one before, which comes to about a quarter of an hour.
const PAUSE: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;
/// Notices that are on their way to one webhook; those of one person's requests have half of the room at most.
pub(super) const ROOM: usize = 256;

/// A webhook that can be told. Without `Debug`: its address is a secret, as its key is.
pub struct Hook {
    name: String,
    url: String,
    format: Format,
    namespaces: Vec<String>,
    key: hmac::Key,
    client: reqwest::Client,
    room: Arc<Shares<String>>,
    pause: Duration,
}

/// There is no way to send with what the admin wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificates by which its server is to be checked cannot be used: see certificateAuthority")]
pub struct NoClient;

/// Why a notice was not taken. The texts hold neither the address nor what the server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    /// No connection, no answer in time, no certificate that is trusted.
    #[error("it cannot be reached")]
    Away,
    /// It answered, and not with success.
    #[error("it answered with status {0}")]
    Status(u16),
}

// === impl Hook ===

impl Hook {
    /// A webhook of the admin's.
    ///
    /// # Errors
    /// When its certificates cannot be used.
    pub fn new(webhook: &Webhook) -> Result<Self, NoClient> {
        let roots = match &webhook.certificate_authority {
            Some(pem) => tls::roots(pem.as_bytes()),
            None => tls::system_roots(),
        };
        let config = roots.and_then(tls::client_config).map_err(|_| NoClient)?;
        let builder = reqwest::Client::builder().tls_backend_preconfigured(config);
        Self::with(webhook, builder.https_only(true), PAUSE)
    }

    pub(super) fn with(webhook: &Webhook, builder: reqwest::ClientBuilder, pause: Duration) -> Result<Self, NoClient> {
        let client = builder
            .no_proxy()
            // A redirect could lead to a server that nobody named.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WITHIN)
            .build()
            .map_err(|_| NoClient)?;
        Ok(Self {
            name: webhook.name.clone(),
            url: webhook.url.clone(),
            format: webhook.format,
            namespaces: webhook.namespaces.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, webhook.key.as_bytes()),
            client,
            room: Shares::new(ROOM),
            pause,
        })
    }

    /// Its name in the admin's file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is told of requests of that namespace.
    pub fn wants(&self, notice: &Notice) -> bool {
        self.namespaces.is_empty() || self.namespaces.contains(&notice.namespace)
    }

    /// Room for this notice; None while as many of its person's requests are on their way as are left to others: who asks without
    /// end must not have anybody's break-glass go untold.
    pub fn place(&self, notice: &Notice) -> Option<Place<String>> {
        self.room.take(&notice.requester)
    }

    /// Sends a notice until it is taken.
    ///
    /// # Errors
    /// When it was refused for good, or nobody took it in as many attempts as there are.
    pub async fn deliver(&self, notice: &Notice) -> Result<(), Untaken> {
        let body = notice.body(self.format).to_string();
        let mut pause = self.pause;
        let mut tries = 1;
        loop {
            match self.once(notice, &body).await {
                Ok(()) => return Ok(()),
                Err(untaken) if tries == TRIES || untaken.is_final() => return Err(untaken),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
            tries += 1;
        }
    }

    async fn once(&self, notice: &Notice, body: &str) -> Result<(), Untaken> {
        let sent = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("sallyport-notice", notice.id())
            .header(
                "sallyport-signature",
                self.signature(Timestamp::now().as_second(), body),
            )
            .body(body.to_owned());
        let answer = sent.send().await.map_err(|_| Untaken::Away)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Untaken::Status(status.as_u16())),
        }
    }

    /// HMAC-SHA-256 over the moment and the body: what was overheard cannot be sent again later.
    fn signature(&self, at: i64, body: &str) -> String {
        let signed = hmac::sign(&self.key, format!("{at}.{body}").as_bytes());
        format!("t={at},v1={}", hex(signed.as_ref()))
    }
}

// === impl Untaken ===

impl Untaken {
    /// Whether another attempt would get the same answer.
    fn is_final(self) -> bool {
        matches!(self, Self::Status(status) if (300..500).contains(&status) && !matches!(status, 408 | 425 | 429))
    }
}
