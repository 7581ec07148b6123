//! Which log, and what is known about it from outside: flags or an AuditSink become a directory and a [`Trust`].

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kube::Api;
use sallyport_audit::note::VerifierKey;
use sallyport_audit::verify::Trust;
use sallyport_crds::audit_sink::AuditSink;
use sallyport_crds::audit_sink::AuditSinkStatus;

use super::fetch::Fetch;
use super::mirror::mirror;
use crate::cluster;

/// Which log, and whom to believe.
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// The AuditSink, as NAME or NAMESPACE/NAME: its status has the key and a checkpoint, its recorder the log.
    #[arg(long, value_name = "SINK", required_unless_present = "log")]
    pub sink: Option<String>,
    /// Directory or http(s) URL of a log; with --sink, what is known still comes from the AuditSink.
    #[arg(long, value_name = "DIR|URL")]
    pub log: Option<String>,
    /// The log's public key (verifier key), or a file that holds it. Must not come from the log itself.
    #[arg(long, value_name = "VKEY|FILE")]
    pub key: Option<String>,
    /// File with a checkpoint that was kept outside the log. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
    /// Client certificate and key in PEM, for an https URL that asks for one.
    #[arg(long, value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// CA bundle in PEM, for an https URL.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// A log at hand.
pub struct Known {
    /// Where its files are.
    pub dir: PathBuf,
    /// What is believed; `None` where no key was given.
    pub trust: Option<Trust>,
    /// Where what is believed comes from, in words.
    pub from: String,
    /// Removes a copy that nobody asked to keep.
    _copy: Option<Scratch>,
}

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of its temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Flags {
    /// Gets hold of log and trust. `save` keeps the copy that is made of a remote log.
    pub async fn resolve(&self, cluster: &cluster::Flags, save: Option<&Path>) -> Result<Known> {
        // First what is known, then the log: a log is never younger than the checkpoint that it is held against.
        let sink = match &self.sink {
            Some(sink) => Some(Sink::find(cluster, sink).await?),
            None => None,
        };
        let (trust, from) = self.trust(sink.as_ref())?;
        let fetch = match (&self.log, &sink) {
            (Some(log), _) if log.starts_with("http://") || log.starts_with("https://") => {
                Fetch::url(log, self.ca.as_deref(), self.client_cert.as_deref())?
            }
            (Some(dir), _) => {
                // A directory that is not there is a log that is missing: verification says so.
                let dir = PathBuf::from(dir);
                if save.is_some() {
                    bail!(
                        "--save copies a log out of the cluster or from a URL; {} is here already",
                        dir.display()
                    );
                }
                return Ok(Known {
                    dir,
                    trust,
                    from,
                    _copy: None,
                });
            }
            (None, Some(sink)) => Fetch::recorder(sink.client.clone(), &sink.namespace, &sink.name).await?,
            (None, None) => bail!("give --sink or --log"),
        };
        let (dir, copy) = match save {
            Some(dir) => (dir.to_owned(), None),
            None => {
                let dir = scratch()?;
                (dir.clone(), Some(Scratch(dir)))
            }
        };
        mirror(fetch, &dir).await?;
        Ok(Known {
            dir,
            trust,
            from,
            _copy: copy,
        })
    }

    fn trust(&self, sink: Option<&Sink>) -> Result<(Option<Trust>, String)> {
        let mut from = Vec::new();
        let key = match (&self.key, sink.and_then(|sink| sink.status.verifier_key.clone())) {
            (Some(key), _) => {
                from.push("the key given".to_owned());
                key_of(key)?
            }
            (None, Some(key)) => key.parse().context("the AuditSink's status.verifierKey")?,
            (None, None) => return Ok((None, "nothing".to_owned())),
        };
        let mut trust = Trust::new(key);
        if let Some(sink) = sink {
            if let Some(checkpoint) = &sink.status.checkpoint {
                trust
                    .add(&checkpoint.note)
                    .context("the AuditSink's status.checkpoint")?;
            }
            from.push(format!("the status of AuditSink {}/{}", sink.namespace, sink.name));
        }
        for path in &self.checkpoint {
            let name = path.display().to_string();
            let note = std::fs::read_to_string(path).with_context(|| name.clone())?;
            trust.add(&note).with_context(|| name.clone())?;
            from.push(name);
        }
        Ok((Some(trust), from.join(", ")))
    }
}

fn key_of(text: &str) -> Result<VerifierKey> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let file = std::fs::read_to_string(text).with_context(|| format!("{text} is neither a verifier key nor a file"))?;
    file.trim().parse().with_context(|| text.to_owned())
}

fn scratch() -> Result<PathBuf> {
    let name = sallyport_audit::record::Instance::random()?;
    let dir = std::env::temp_dir().join(format!("sallyport-log-{name}"));
    std::fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
    Ok(dir)
}

struct Sink {
    client: kube::Client,
    namespace: String,
    name: String,
    status: AuditSinkStatus,
}

impl Sink {
    async fn find(cluster: &cluster::Flags, sink: &str) -> Result<Self> {
        let (client, context) = cluster.client().await?;
        let (namespace, name) = sink.split_once('/').unwrap_or((&context, sink));
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let api: Api<AuditSink> = Api::namespaced(client.clone(), &namespace);
        let object = api
            .get(&name)
            .await
            .with_context(|| format!("AuditSink {namespace}/{name}"))?;
        Ok(Self {
            client,
            namespace,
            name,
            status: object.status.unwrap_or_default(),
        })
    }
}
