//! Who: subjects as in RBAC.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a [`Subject`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A person, by the user name that the issuer's configuration gives them (for example `oidc:alice`).
    User,
    /// A group, by the name that the issuer's configuration gives it (for example `oidc:dba`).
    Group,
    /// A Kubernetes ServiceAccount, by namespace and name.
    ServiceAccount,
}

/// One person, group or ServiceAccount, as in an RBAC RoleBinding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.kind == 'ServiceAccount') == has(self.namespace)").message("namespace is given for a ServiceAccount, and only there"))]
#[x_kube(validation = Rule::new("self.name != '*'").message("there is no wildcard: name people, groups and ServiceAccounts"))]
#[x_kube(validation = Rule::new("self.kind != 'User' || !self.name.startsWith('system:')").message("no token ever carries a user name that begins with system:; for a ServiceAccount say kind: ServiceAccount"))]
#[x_kube(validation = Rule::new("self.kind != 'Group' || !self.name.startsWith('system:') || self.name.matches('^system:serviceaccounts(:[a-z0-9]([-a-z0-9]*[a-z0-9])?)?$')").message("of the groups that begin with system: only system:serviceaccounts and system:serviceaccounts:NAMESPACE say who somebody is"))]
#[x_kube(validation = Rule::new("self.kind != 'ServiceAccount' || !self.name.contains(':')").message("give a ServiceAccount's own name, and its namespace beside it"))]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// User, Group or ServiceAccount.
    pub kind: SubjectKind,
    /// The name as the API server knows it, with the issuer's prefix: `oidc:alice`, `oidc:dba`, or a ServiceAccount's name.
    #[schemars(length(min = 1, max = 253), pattern(r"^[^\s]([^\r\n\t]*[^\s])?$"))]
    pub name: String,
    /// The namespace of a ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
}
