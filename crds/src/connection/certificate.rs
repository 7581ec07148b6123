//! The certificate that the door itself shows.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::reference::LocalReference;

/// The door's own certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.secretRef) || !has(self.names) || size(self.names) == 0").message("names are for the certificate that the operator issues: one from secretRef has its own"))]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// A kubernetes.io/tls Secret of this namespace. Left out: the operator's own CA issues one and rotates it; its bundle stands in `status.caBundle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// More names and addresses for the certificate that the operator issues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 253), pattern("^[A-Za-z0-9:]([-A-Za-z0-9.:]*[A-Za-z0-9])?$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Vec<String>,
}
