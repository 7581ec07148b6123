//! Births, ends and latest checkpoints of all logs, in the operator's own namespace: a missing log is as visible as a
//! missing record, and who may delete a sink cannot delete this.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use sallyport_audit::record::ObjectRef;
use sallyport_crds::audit_sink::Checkpoint;
use sallyport_crds::names::FIELD_MANAGER;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::witness::{Outcome, Sight, Writes};
use crate::shared::labels;

/// Name of the ConfigMap. Its keys are the sinks' uids.
pub const CONFIG_MAP: &str = "sallyport-logs";
/// The format of entries. The first says nothing of it; one that means something else by what stands there gets another number.
const FORMAT: u32 = 1;
/// Bytes of entries that there is room for. A ConfigMap holds 1 MiB, and what is known of a log grows: by its end, and by sizes.
const ROOM: usize = 900_000;

/// What is known of one log, for as long as the installation lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Namespace of the sink.
    pub namespace: String,
    /// Name of the sink.
    pub name: String,
    /// When the operator first saw the log.
    pub born: Timestamp,
    /// When the operator saw that the sink was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The log's origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The log's verifier key at first sight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier_key: Option<String>,
    /// The latest checkpoint that was consistent with all before it, cosigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// The start of a recorder that may write, and by which permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<Writes>,
}

/// Why something is not noted.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The API server refused or did not answer.
    #[error("the API server refused or did not answer: {0}")]
    Api(#[from] kube::Error),
    /// One more log of the namespace would take what is left for those of others.
    #[error(
        "logs of namespace {0} take as much of ConfigMap {logs} as is left for all others: take entries of logs that have ended, and that nobody has to prove any more, out of it and restart the operator",
        logs = CONFIG_MAP
    )]
    Full(String),
}

/// All entries, as they are stored.
pub struct Ledger {
    namespace: String,
    entries: BTreeMap<String, Entry>,
    /// Sinks whose entry does not decode. What was seen of their logs is not known, so nothing is believed of them.
    unreadable: BTreeSet<String>,
}

// === impl Ledger ===

impl Ledger {
    /// Reads the ledger, or begins one.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn open(client: &Client, namespace: &str) -> Result<Self, kube::Error> {
        let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
        let map = match api.get_opt(CONFIG_MAP).await? {
            Some(map) => map,
            None => {
                let metadata = ObjectMeta {
                    name: Some(CONFIG_MAP.to_owned()),
                    labels: Some(labels::operator()),
                    ..ObjectMeta::default()
                };
                api.create(
                    &PostParams::default(),
                    &ConfigMap {
                        metadata,
                        ..ConfigMap::default()
                    },
                )
                .await?
            }
        };
        let (mut entries, mut unreadable) = (BTreeMap::new(), BTreeSet::new());
        for (uid, text) in map.data.unwrap_or_default() {
            match read(&text) {
                Ok(entry) => drop(entries.insert(uid, entry)),
                Err(error) => {
                    tracing::error!(uid, %error, "an entry of the ledger cannot be read and is left alone");
                    unreadable.insert(uid);
                }
            }
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            entries,
            unreadable,
        })
    }

    /// Sinks of which it cannot be read what was seen.
    pub fn unreadable(&self) -> &BTreeSet<String> {
        &self.unreadable
    }

    /// Why nothing is believed of a sink's log, where that is so.
    pub fn fault(&self, uid: &str) -> Option<String> {
        self.unreadable.contains(uid).then(|| {
            format!(
                "what was seen of the log cannot be read: run the operator that wrote it; else mend the entry {uid} of ConfigMap {CONFIG_MAP} in namespace {}, or take it away so that the checkpoint in this status counts",
                self.namespace
            )
        })
    }

    /// Reads again what could not be read, and gives what can be now or is gone. What was read before is not asked again:
    /// memory is harder to write to than a ConfigMap.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn open_again(&mut self, client: &Client) -> Result<Vec<String>, kube::Error> {
        let mut now = Self::open(client, &self.namespace).await?;
        let mended: Vec<String> = self.unreadable.difference(&now.unreadable).cloned().collect();
        for uid in &mended {
            self.unreadable.remove(uid);
            if let Some(entry) = now.entries.remove(uid) {
                self.entries.insert(uid.clone(), entry);
            }
        }
        Ok(mended)
    }

    /// What is known of one log.
    pub fn entry(&self, uid: &str) -> Option<&Entry> {
        self.entries.get(uid)
    }

    /// What is known.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// Notes a log's newest state. Its birth stays as it was first noted.
    ///
    /// # Errors
    /// When there is no room for one more log of its namespace, or the API server refuses or does not answer; nothing is noted then.
    pub async fn note(&mut self, client: &Client, uid: &str, mut entry: Entry) -> Result<(), LedgerError> {
        match self.entries.get(uid) {
            Some(before) => {
                entry.born = before.born;
                if *before == entry {
                    return Ok(());
                }
            }
            None if !self.has_room(&entry.namespace) => return Err(LedgerError::Full(entry.namespace)),
            None => {}
        }
        self.write(client, uid, &entry).await?;
        self.entries.insert(uid.to_owned(), entry);
        Ok(())
    }

    /// Notes the end of every log whose sink is no longer there.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn ended(
        &mut self,
        client: &Client,
        present: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let gone: Vec<String> = self
            .entries
            .iter()
            .filter(|(uid, entry)| entry.ended.is_none() && !present.contains(*uid))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in gone {
            let Some(entry) = self.entries.get(&uid).cloned() else {
                continue;
            };
            let entry = Entry {
                ended: Some(now),
                ..entry
            };
            self.write(client, &uid, &entry).await?;
            tracing::info!(
                namespace = entry.namespace,
                sink = entry.name,
                "the log has ended with its sink"
            );
            self.entries.insert(uid, entry);
        }
        Ok(())
    }

    /// Whether one more log of the namespace is taken. What is noted of a log stays when its sink goes, and anybody who may make sinks
    /// makes logs: whoever takes all that they get has half of the room, and stops nobody.
    fn has_room(&self, namespace: &str) -> bool {
        let size = |entry: &Entry| serde_json::to_string(entry).map_or(ROOM, |text| text.len());
        let (mut own, mut all) = (0_usize, 0_usize);
        for (uid, entry) in &self.entries {
            let size = size(entry).saturating_add(uid.len());
            all = all.saturating_add(size);
            if entry.namespace == namespace {
                own = own.saturating_add(size);
            }
        }
        own < ROOM.saturating_sub(all)
    }

    async fn write(&self, client: &Client, uid: &str, entry: &Entry) -> Result<(), kube::Error> {
        let text = serde_json::to_string(entry).map_err(kube::Error::SerdeError)?;
        let patch = json!({ "data": { uid: text } });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = Api::<ConfigMap>::namespaced(client.clone(), &self.namespace);
        api.patch(CONFIG_MAP, &params, &Patch::Merge(patch)).await.map(drop)
    }
}

// === impl Entry ===

impl Entry {
    /// What a sight says of a log that is alive.
    pub fn new(sink: &ObjectRef, sight: &Sight, now: Timestamp) -> Self {
        Self {
            namespace: sink.namespace.clone(),
            name: sink.name.clone(),
            born: now,
            ended: None,
            origin: sight.origin.clone(),
            verifier_key: sight.verifier_key.clone(),
            checkpoint: sight.checkpoint.clone(),
            writes: sight.writes.clone(),
        }
    }

    /// What is remembered after a restart.
    pub fn sight(&self) -> Sight {
        Sight {
            outcome: Outcome::default(),
            origin: self.origin.clone(),
            verifier_key: self.verifier_key.clone(),
            checkpoint: self.checkpoint.clone(),
            writes: self.writes.clone(),
        }
    }
}

/// An entry of a format that is known: what a later one leaves out, or means otherwise, must not be taken for what was seen.
fn read(text: &str) -> Result<Entry, serde_json::Error> {
    #[derive(Deserialize)]
    struct Formatted {
        #[serde(default)]
        format: Option<u32>,
    }
    match serde_json::from_str(text)? {
        Formatted { format: Some(later) } if later > FORMAT => Err(serde::de::Error::custom(format!(
            "it has format {later}, which this version does not know"
        ))),
        Formatted { .. } => serde_json::from_str(text),
    }
}

#[cfg(test)]
mod tests;
