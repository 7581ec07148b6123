//! With which object of ours a child goes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

/// Whether the object with this uid controls the child: one of its name may be left of a predecessor, or be somebody else's.
pub fn is_owned(child: &impl Resource, uid: &str) -> bool {
    let mut owners = child.meta().owner_references.iter().flatten();
    owners.any(|owner| owner.uid == uid && owner.controller == Some(true))
}

/// The owner of a child: the object of kind `K` with this name and uid.
pub fn owned_by<K: Resource<DynamicType = ()>>(name: &str, uid: &str) -> Vec<OwnerReference> {
    vec![OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        // `true` would need the right to set finalizers on owners in every cluster that checks it.
        block_owner_deletion: None,
    }]
}
