//! Label selectors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::shared::labels::Labels;

/// Whether all of a selector's requirements hold. An empty selector matches everything.
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let mut equal = selector.match_labels.iter().flatten();
    let mut required = selector.match_expressions.iter().flatten();
    equal.all(|(key, value)| labels.get(key) == Some(value)) && required.all(|one| holds(one, labels))
}

fn holds(required: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let values = required.values.as_deref().unwrap_or_default();
    let value = labels.get(&required.key);
    let listed = value.is_some_and(|value| values.contains(value));
    let operator = required.operator.as_str();
    assert_eq!(
        values.is_empty(),
        matches!(operator, "Exists" | "DoesNotExist"),
        "{operator} with {values:?}"
    );
    match operator {
        "In" => listed,
        // A label that is not there is in no list.
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        other => panic!("no operator: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shared::labels::labels;

    #[test]
    fn requirements() {
        let low = labels([("role", "batch"), ("tier", "low")]);
        let table = [
            (json!({}), true),
            (json!({ "matchLabels": { "role": "batch", "tier": "low" } }), true),
            (json!({ "matchLabels": { "role": "batch", "tier": "high" } }), false),
            (
                json!({ "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["high", "low"] }] }),
                true,
            ),
            (
                json!({ "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["high"] }] }),
                false,
            ),
            (
                json!({ "matchExpressions": [{ "key": "none", "operator": "In", "values": ["high"] }] }),
                false,
            ),
            (
                json!({ "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["low"] }] }),
                false,
            ),
            (
                json!({ "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["high"] }] }),
                true,
            ),
            (
                json!({ "matchExpressions": [{ "key": "none", "operator": "NotIn", "values": ["high"] }] }),
                true,
            ),
            (
                json!({ "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }),
                true,
            ),
            (
                json!({ "matchExpressions": [{ "key": "none", "operator": "Exists" }] }),
                false,
            ),
            (
                json!({ "matchExpressions": [{ "key": "none", "operator": "DoesNotExist" }] }),
                true,
            ),
            (
                json!({ "matchExpressions": [{ "key": "tier", "operator": "DoesNotExist" }] }),
                false,
            ),
            (
                json!({ "matchLabels": { "role": "db" }, "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }),
                false,
            ),
        ];
        for (selector, expected) in table {
            let read = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(matches(&read, &low), expected, "{selector}");
        }
    }
}
