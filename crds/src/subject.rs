//! Who: subjects as in RBAC.

use std::fmt;

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

/// How many of whom, as people read it: `2 of group oidc:dba, oidc:carol`.
pub fn some_of(required: impl fmt::Display, subjects: &[Subject]) -> String {
    let names: Vec<String> = subjects.iter().map(ToString::to_string).collect();
    format!("{required} of {}", names.join(", "))
}

// === impl Subject ===

impl fmt::Display for Subject {
    /// As people read it: a person by the bare name, anybody else with what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (self.kind, &self.namespace) {
            (SubjectKind::User, _) => f.write_str(name),
            (SubjectKind::Group, _) => write!(f, "group {name}"),
            // Two namespaces may hold accounts of one name.
            (SubjectKind::ServiceAccount, Some(namespace)) => write!(f, "ServiceAccount {namespace}/{name}"),
            (SubjectKind::ServiceAccount, None) => write!(f, "ServiceAccount {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_who_is_meant_and_accounts_of_one_name_apart() {
        let subject = |kind: SubjectKind, namespace: Option<&str>, name: &str| Subject {
            kind,
            name: name.into(),
            namespace: namespace.map(Into::into),
        };
        let all = [
            subject(SubjectKind::Group, None, "oidc:dba"),
            subject(SubjectKind::User, None, "oidc:carol"),
            subject(SubjectKind::ServiceAccount, Some("ci"), "robot"),
            subject(SubjectKind::ServiceAccount, Some("lab"), "robot"),
        ];
        let words = "2 of group oidc:dba, oidc:carol, ServiceAccount ci/robot, ServiceAccount lab/robot";
        assert_eq!(some_of(2, &all), words);
    }
}
