//! Writing status.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Client, Resource};
use sallyport_crds::names::FIELD_MANAGER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Applies the status subresource of an object of ours. Fields that were applied earlier and are left out now are removed.
///
/// The uid goes along, so that a namesake made meanwhile does not get the status of its predecessor. An object that is gone
/// needs no status: that is no error. The answer is not read, since it may hold an object that does not decode.
pub async fn write<K>(client: &Client, object: &impl Resource, status: &impl Serialize) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
{
    let meta = object.meta();
    let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else {
        return Ok(());
    };
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": name, "uid": meta.uid },
        "status": status,
    });
    let api = Api::<DeserializeGuard<K>>::namespaced(client.clone(), namespace);
    match api
        .patch_status(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
