//! Files of a remote log: over HTTP, or from a recorder's loopback through the API server's port-forward.

use std::path::Path;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use sallyport_audit::tiles::MAX_BUNDLE;

/// Where a recorder serves its published log to whoever the API server lets through.
const LOOPBACK: u16 = 7445;

/// A way to a remote log's files.
pub enum Fetch {
    /// tlog-tiles at a URL.
    Url { client: reqwest::Client, base: String },
    /// A recorder behind the API server.
    Forwarded(SendRequest<Empty<Bytes>>),
}

impl Fetch {
    /// The log at `base`.
    pub fn url(base: &str, ca: Option<&Path>, client_cert: Option<&Path>) -> Result<Self> {
        let read = |path: &Path| std::fs::read(path).with_context(|| path.display().to_string());
        let mut builder = reqwest::Client::builder();
        if let Some(ca) = ca {
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&read(ca)?)?);
        }
        if let Some(cert) = client_cert {
            builder = builder.identity(reqwest::Identity::from_pem(&read(cert)?)?);
        }
        Ok(Self::Url {
            client: builder.build()?,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// The log of the sink's recorder. Needs the right to `create pods/portforward` in the sink's namespace.
    pub async fn recorder(client: Client, namespace: &str, sink: &str) -> Result<Self> {
        let pod = format!("{}-0", sallyport_crds::names::recorder(sink));
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let forwarded = pods.portforward(&pod, &[LOOPBACK]).await;
        let mut forwarder = forwarded.with_context(|| format!("port-forward to Pod {namespace}/{pod}"))?;
        let stream = forwarder
            .take_stream(LOOPBACK)
            .context("the port-forward has no stream")?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // The end of either shows in the next request.
            let _ = connection.await;
            drop(forwarder);
        });
        Ok(Self::Forwarded(sender))
    }

    /// The file at `path`; `None` where the log has none.
    pub async fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        let (status, body) = match self {
            Self::Url { client, base } => {
                let response = client.get(format!("{base}/{path}")).send().await?;
                (response.status().as_u16(), capped(reqwest::Body::from(response)).await?)
            }
            Self::Forwarded(sender) => {
                let request = hyper::Request::get(format!("/{path}"))
                    .header(HOST, "recorder")
                    .body(Empty::new())?;
                sender.ready().await.context("the port-forward broke")?;
                let response = sender.send_request(request).await.context("the port-forward broke")?;
                (response.status().as_u16(), capped(response.into_body()).await?)
            }
        };
        match status {
            200 => Ok(Some(body)),
            404 => Ok(None),
            status => bail!("{path}: HTTP {status}"),
        }
    }
}

/// No file of a log is longer than a full bundle of the longest records.
async fn capped<B>(body: B) -> Result<Vec<u8>>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = Limited::new(body, MAX_BUNDLE).collect().await;
    Ok(collected
        .map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?
        .to_bytes()
        .to_vec())
}
