//! Writing children by server-side apply, and not writing what is already as it should be.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, Resource, ResourceExt};
use sallyport_crds::names::FIELD_MANAGER;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::owner::is_owned;

/// What a child must be able to do.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

impl<K> Child for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

/// Applies children, and remembers what it applied: an unchanged child costs no request. A watch tells it what others
/// changed ([`Applier::noticed`]), so that drift is mended.
pub struct Applier {
    client: Client,
    known: Mutex<HashMap<Key, Known>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: String,
    namespace: String,
    name: String,
}

struct Known {
    digest: u64,
    version: Option<String>,
}

// === impl Applier ===

impl Applier {
    /// An applier that knows nothing yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    /// Makes the child as it is given. `None`: it already was.
    pub async fn apply<K: Child>(&self, child: &K) -> Result<Option<K>, kube::Error> {
        let (Some(key), Some(digest)) = (Key::of(child), digest(child)) else {
            return Ok(None);
        };
        if self.with(|known| known.get(&key).is_some_and(|known| known.digest == digest)) {
            return Ok(None);
        }
        let api = Api::<K>::namespaced(self.client.clone(), &key.namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(&key.name, &params, &Patch::Apply(child)).await?;
        let version = applied.resource_version();
        self.with(|known| known.insert(key, Known { digest, version }));
        Ok(Some(applied))
    }

    /// Removes a child that is no longer wanted, if it is controlled by `owner` (a uid). What belongs to others stays.
    pub async fn remove<K: Child>(&self, namespace: &str, name: &str, owner: &str) -> Result<(), kube::Error> {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let Some(found) = api.get_metadata_opt(name).await? else {
            return Ok(());
        };
        if !is_owned(&found, owner) {
            return Ok(());
        }
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: found.uid(),
                ..Preconditions::default()
            }),
            ..DeleteParams::background()
        };
        match api.delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A watch saw this child. If it is not the version that was applied last, it is applied again at the next reconcile.
    pub fn noticed<K: Resource<DynamicType = ()>>(&self, child: &K) {
        let Some(key) = Key::of(child) else { return };
        let version = child.meta().resource_version.clone();
        self.with(|known| {
            if known.get(&key).is_some_and(|known| known.version != version) {
                known.remove(&key);
            }
        });
    }

    /// Forgets what was applied in a namespace: after a watch lost events, anything may have changed.
    pub fn forget(&self, namespace: &str) {
        self.with(|known| known.retain(|key, _| key.namespace != namespace));
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Key, Known>) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Key ===

impl Key {
    fn of<K: Resource<DynamicType = ()>>(child: &K) -> Option<Self> {
        let meta = child.meta();
        Some(Self {
            kind: K::kind(&()).into_owned(),
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
        })
    }
}

/// Not a security boundary: only says whether the same thing would be written again.
fn digest(value: &impl Serialize) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(value).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}
