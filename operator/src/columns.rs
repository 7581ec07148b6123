//! What stays protected, kept for each MaskingRule in a ConfigMap that the rule owns: it ends with the rule, and with nothing
//! else.
//!
//! The lists are signed: whoever writes one past admission takes protection away from nobody unseen.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use sallyport_crds::{MaskingRule, names};
use sallyport_policy::carrier::CarrierError;
use sallyport_policy::columns::{Columns, Kept};

use crate::keys::Keys;
use crate::shared::labels::{self, MANAGED_BY};
use crate::shared::owner::owned_by;

/// All lists, read once and written through.
pub struct Lists {
    client: Client,
    keys: Arc<Keys>,
    known: Mutex<HashMap<String, Arc<Kept>>>,
    /// One writes at a time: each begins from what the one before it wrote.
    writing: tokio::sync::Mutex<()>,
}

/// The rule whose list it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its generation in force.
    pub generation: i64,
}

/// Why a list cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The API server refused or did not answer.
    #[error("the API server refused or did not answer: {0}")]
    Api(#[from] kube::Error),
    /// Not signed by the operator's key, or unreadable: nobody may guess what was in it.
    #[error(
        "ConfigMap {0}, which lists the columns that the rule keeps protected, is not believed ({1}): restore it from a backup, or delete the rule and make it anew; copies made before are then no longer protected"
    )]
    Unbelieved(String, CarrierError),
    /// It is as long as it may be.
    #[error("the list is full")]
    Full,
}

// === impl Lists ===

impl Lists {
    /// Nothing read yet.
    pub fn new(client: Client, keys: Arc<Keys>) -> Self {
        Self {
            client,
            keys,
            known: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// The list of a rule. Only the leader writes, so what was read once is asked for no more.
    ///
    /// # Errors
    /// When the API server does not answer, or the list is not believed.
    pub async fn of(&self, namespace: &str, uid: &str) -> Result<Arc<Kept>, ListError> {
        if let Some(kept) = self.with(|known| known.get(uid).cloned()) {
            return Ok(kept);
        }
        let _writing = self.writing.lock().await;
        let (kept, _) = self.read(namespace, uid).await?;
        let kept = Arc::new(kept);
        self.with(|known| known.insert(uid.to_owned(), Arc::clone(&kept)));
        Ok(kept)
    }

    /// Takes more into the list of a rule, durably.
    ///
    /// # Errors
    /// When the API server does not answer, the list is not believed, or it is full.
    pub async fn merge(&self, owner: &Owner, target: &str, database: &str, more: &Columns) -> Result<(), ListError> {
        let _writing = self.writing.lock().await;
        let (mut kept, version) = self.read(&owner.namespace, &owner.uid).await?;
        if kept.merge(target, database, owner.generation, more) {
            let bytes = kept.sign(self.keys.carrier.pair()).map_err(|_| ListError::Full)?;
            self.write(owner, version, bytes).await?;
        }
        self.with(|known| known.insert(owner.uid.clone(), Arc::new(kept)));
        Ok(())
    }

    /// Forgets the lists of rules that are gone.
    pub fn retain(&self, present: impl Fn(&str) -> bool) {
        self.with(|known| known.retain(|uid, _| present(uid)));
    }

    async fn read(&self, namespace: &str, uid: &str) -> Result<(Kept, Option<String>), ListError> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        let name = names::columns(uid);
        let Some(map) = api.get_opt(&name).await? else {
            return Ok((Kept::new(uid), None));
        };
        let text = map.data.as_ref().and_then(|data| data.get(names::COLUMNS_KEY));
        let trusted = [self.keys.carrier.public().to_vec()];
        let kept = text
            .ok_or(CarrierError::Unreadable)
            .and_then(|text| Kept::verify(text.as_bytes(), uid, &trusted));
        let kept = kept.map_err(|error| ListError::Unbelieved(name, error))?;
        Ok((kept, map.metadata.resource_version))
    }

    /// Writes over the very version that was read: another operator that still leads must not be undone.
    async fn write(&self, owner: &Owner, version: Option<String>, bytes: Vec<u8>) -> Result<(), ListError> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), &owner.namespace);
        let exists = version.is_some();
        let map = config_map(owner, version, &bytes);
        if exists {
            let params = PatchParams::apply(names::FIELD_MANAGER).force();
            api.patch(&names::columns(&owner.uid), &params, &Patch::Apply(&map))
                .await?;
        } else {
            let params = PostParams {
                field_manager: Some(names::FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            api.create(&params, &map).await?;
        }
        Ok(())
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Arc<Kept>>) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn config_map(owner: &Owner, version: Option<String>, bytes: &[u8]) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(names::columns(&owner.uid)),
            namespace: Some(owner.namespace.clone()),
            resource_version: version,
            labels: Some(labels::labels([
                ("app.kubernetes.io/name", "sallyport"),
                ("app.kubernetes.io/managed-by", MANAGED_BY),
            ])),
            owner_references: Some(owned_by::<MaskingRule>(&owner.name, &owner.uid)),
            ..ObjectMeta::default()
        },
        // A signed list is JSON, so it is text.
        data: Some(BTreeMap::from([(
            names::COLUMNS_KEY.to_owned(),
            String::from_utf8_lossy(bytes).into_owned(),
        )])),
        ..ConfigMap::default()
    }
}
