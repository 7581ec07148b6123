//! Tells the operator which columns stay protected, and waits until every replica protects them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::StatusCode;
use sallyport_policy::columns::{ANSWER_WITHIN, PATH, Told};
use sallyport_runtime::tls::TlsError;
use sallyport_runtime::workload::Credential;
use tokio::runtime::Handle;

use super::report;
use crate::door::{Columns, NotKept};

/// The operator answers within [`ANSWER_WITHIN`]; an answer that takes longer by this is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// The operator, who keeps columns.
pub(super) struct Operator {
    url: Arc<str>,
    client: reqwest::Client,
    runtime: Handle,
}

// === impl Operator ===

impl Operator {
    pub(super) fn new(operator_url: &str, credential: &Credential, runtime: Handle) -> Result<Self, TlsError> {
        Ok(Self {
            url: format!("{}{PATH}", operator_url.trim_end_matches('/')).into(),
            client: report::client(credential, ANSWER_WITHIN + PATIENCE)?,
            runtime,
        })
    }
}

impl Columns for Operator {
    fn keep(&self, told: Told) -> BoxFuture<'static, Result<(), NotKept>> {
        let (url, client) = (Arc::clone(&self.url), self.client.clone());
        // The client's connections live on one runtime, whichever session asks.
        let asked = self.runtime.spawn(async move { post(&client, &url, &told).await });
        Box::pin(async move { asked.await.unwrap_or(Err(NotKept::Away)) })
    }
}

async fn post(client: &reqwest::Client, url: &str, told: &Told) -> Result<(), NotKept> {
    let status = match client.post(url).json(told).send().await {
        Ok(response) => response.status(),
        Err(error) => {
            tracing::warn!(error = %error.without_url(), "the operator cannot be told of protected columns");
            return Err(NotKept::Away);
        }
    };
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::INSUFFICIENT_STORAGE => Err(NotKept::Full),
        status => {
            tracing::warn!(status = status.as_u16(), "the operator does not keep protected columns");
            Err(NotKept::Away)
        }
    }
}
