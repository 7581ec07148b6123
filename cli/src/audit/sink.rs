//! The AuditSink as a witness: what its status vouches for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::Api;
use sallyport_audit::checkpoint::Checkpoint;
use sallyport_audit::note::Note;
use sallyport_audit::verify::Trust;
use sallyport_crds::audit_sink::{AuditSink, AuditSinkStatus};

use super::trust::at;
use crate::cluster::{self, object_name};

/// Between two looks at the status.
const LOOK: Duration = Duration::from_millis(250);

/// An AuditSink and what its status said last.
pub struct Sink {
    /// The way to its cluster.
    pub client: kube::Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: AuditSinkStatus,
}

impl Sink {
    /// The AuditSink `sink` (NAME or NAMESPACE/NAME).
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub async fn find(cluster: &cluster::Flags, sink: &str) -> Result<Self> {
        let (client, context) = cluster.client().await?;
        let (namespace, name) = sink.split_once('/').unwrap_or((&context, sink));
        for part in [namespace, name] {
            object_name(part).with_context(|| format!("--sink {sink}: write NAME or NAMESPACE/NAME"))?;
        }
        let mut found = Self {
            client,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            status: AuditSinkStatus::default(),
        };
        found.look().await?;
        Ok(found)
    }

    async fn look(&mut self) -> Result<()> {
        let api: Api<AuditSink> = Api::namespaced(self.client.clone(), &self.namespace);
        let object = api
            .get(&self.name)
            .await
            .with_context(|| format!("AuditSink {}/{}", self.namespace, self.name))?;
        self.status = object.status.unwrap_or_default();
        Ok(())
    }

    /// Looks at the status until its checkpoint covers `size` records, for at most `wait`.
    ///
    /// # Errors
    /// When the AuditSink cannot be read any more.
    pub async fn wait_for_cosignature(&mut self, size: u64, wait: Duration) -> Result<()> {
        let until = Instant::now() + wait;
        while self.size() < size && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            self.look().await?;
        }
        Ok(())
    }

    /// Records under the checkpoint in the status: by what is signed, and not by the field beside it.
    fn size(&self) -> u64 {
        let note = self.note().and_then(|note| Note::parse(note).ok());
        let checkpoint = note.and_then(|note| Checkpoint::parse_text(note.text()).ok());
        checkpoint.map_or(0, |checkpoint| checkpoint.size)
    }

    /// The checkpoint in the status, a signed note.
    pub fn note(&self) -> Option<&str> {
        self.status
            .checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.note.as_str())
    }

    /// Adds what the status vouches for; says what it is.
    ///
    /// # Errors
    /// When the checkpoint in the status is not signed by the log, or not by the operator.
    pub fn vouch(&self, trust: &mut Trust) -> Result<Option<String>> {
        let place = format!("the status of AuditSink {}/{}", self.namespace, self.name);
        let Some(note) = self.note() else { return Ok(None) };
        if trust.witness().is_none() {
            bail!(
                "{place} has a checkpoint and no witnessKey: whether the operator cosigned it cannot be checked; give --witness-key"
            );
        }
        let time = trust
            .add_cosigned(note)
            .with_context(|| format!("the checkpoint in {place}"))?;
        Ok(Some(format!(
            "the checkpoint over {} records that the operator cosigned at {} ({place})",
            self.size(),
            at(time)
        )))
    }
}
