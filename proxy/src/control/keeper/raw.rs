//! A carrier as it stands in its ConfigMap, believed by nobody yet.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use sallyport_crds::names;

/// Bytes, and which version of the object holds them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw {
    pub(super) version: Option<String>,
    pub(super) bytes: Option<Arc<[u8]>>,
}

/// What a ConfigMap holds.
pub(super) fn of(map: ConfigMap) -> Raw {
    let bytes = map
        .data
        .and_then(|mut data| data.remove(names::CARRIER_KEY))
        .map(|text| Arc::from(text.into_bytes()));
    Raw {
        version: map.metadata.resource_version,
        bytes,
    }
}
