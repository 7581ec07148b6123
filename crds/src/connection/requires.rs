//! The rules without which the door stays shut.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The rules without which the door stays shut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(has(self.none) && self.none) != (has(self.maskingRules) && size(self.maskingRules) > 0 || has(self.approvalPolicies) && size(self.approvalPolicies) > 0)").message("name maskingRules and approvalPolicies that must hold, or say none: true, and not both"))]
#[serde(rename_all = "camelCase")]
pub struct Requires {
    /// MaskingRules of this namespace, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub masking_rules: Vec<String>,
    /// ApprovalPolicies of this namespace, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub approval_policies: Vec<String>,
    /// No rule is required: in so many words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<bool>,
}
