//! Label selectors, as Kubernetes defines them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use sallyport_crds::{ApprovalPolicySpec, MaskingRuleSpec, Mode};

/// A specification that selects Connections.
pub trait Selecting {
    /// Which Connections.
    fn selector(&self) -> &LabelSelector;
    /// Whether it acts.
    fn mode(&self) -> Mode;
}

/// Whether `selector` selects what carries `labels`. An operator that is not known selects nothing; an empty selector, which
/// our schema refuses, selects everything.
pub fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|wanted| {
            let value = labels.get(&wanted.key);
            let listed = value.is_some_and(|value| wanted.values.iter().flatten().any(|one| one == value));
            match wanted.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

// === impl Selecting ===

impl Selecting for MaskingRuleSpec {
    fn selector(&self) -> &LabelSelector {
        &self.connection_selector
    }

    fn mode(&self) -> Mode {
        self.mode
    }
}

impl Selecting for ApprovalPolicySpec {
    fn selector(&self) -> &LabelSelector {
        &self.connection_selector
    }

    fn mode(&self) -> Mode {
        self.mode
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects_as_kubernetes_does() {
        let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned()), ("pci".to_owned(), String::new())]);
        let cases = [
            (json!({}), true),
            (json!({ "matchLabels": { "env": "prod" } }), true),
            (json!({ "matchLabels": { "env": "prod", "team": "x" } }), false),
            (
                json!({ "matchExpressions": [{ "key": "env", "operator": "In", "values": ["dev", "prod"] }] }),
                true,
            ),
            (
                json!({ "matchExpressions": [{ "key": "env", "operator": "NotIn", "values": ["prod"] }] }),
                false,
            ),
            (
                json!({ "matchExpressions": [{ "key": "team", "operator": "NotIn", "values": ["x"] }] }),
                true,
            ),
            (
                json!({ "matchExpressions": [{ "key": "pci", "operator": "Exists" }] }),
                true,
            ),
            (
                json!({ "matchExpressions": [{ "key": "pci", "operator": "DoesNotExist" }] }),
                false,
            ),
            (
                json!({ "matchExpressions": [{ "key": "pci", "operator": "Sometimes" }] }),
                false,
            ),
            (
                json!({ "matchLabels": { "env": "prod" }, "matchExpressions": [{ "key": "team", "operator": "Exists" }] }),
                false,
            ),
        ];
        for (selector, expected) in cases {
            let read: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(selects(&read, &labels), expected, "{selector}");
        }
    }
}
