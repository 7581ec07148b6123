//! Whose tokens are taken, and which agents may act for whom.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Subject;

/// Whose tokens are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.issuers) && size(self.issuers) > 0 || has(self.serviceAccounts) && self.serviceAccounts").message("name at least one issuer, or set serviceAccounts: true: otherwise nobody could come in"))]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Issuers of the operator's configuration, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub issuers: Vec<IssuerReference>,
    /// Whether ServiceAccount tokens with the audience `sallyport://namespace/name` are taken.
    #[serde(default)]
    pub service_accounts: bool,
}

/// An issuer of the operator's configuration. What is given here only narrows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerReference {
    /// Name in the operator's configuration.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Only this one of the issuer's audiences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub audience: Option<String>,
    /// Only members of one of these groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub groups: Vec<String>,
}

/// Which agents may act for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentRule {
    /// The agent.
    pub agent: Subject,
    /// The people it may act for.
    #[schemars(length(min = 1, max = 32))]
    pub acts_for: Vec<Subject>,
}
