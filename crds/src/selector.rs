//! The schema of label selectors: Kubernetes' own type, with the bounds and rules that its own schema leaves out.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Schema of a `LabelSelector` that must select something in particular.
///
/// A custom resource's selector is checked by nobody but its schema: without these rules a typing error in an operator or
/// a label would be found by whoever evaluates it, and an empty selector would select everything.
pub fn selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "Labels with the value that each must have. All must hold.",
                "type": "object",
                "maxProperties": 16,
                "additionalProperties": {
                    "type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
                },
                "x-kubernetes-validations": [{
                    "rule": format!("self.all(key, key.size() <= 317 && key.matches('{LABEL_KEY}'))"),
                    "message": "matchLabels holds a key that is no label key, such as team or example.org/team"
                }]
            },
            "matchExpressions": {
                "description": "Expressions over labels. All must hold, and matchLabels too.",
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "atomic",
                "items": expression()
            }
        },
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-validations": [{
            "rule": "has(self.matchLabels) && size(self.matchLabels) > 0 || has(self.matchExpressions) && size(self.matchExpressions) > 0",
            "message": "the selector must not be empty: an empty selector would select every Connection; name at least one label"
        }]
    })
}

const LABEL_KEY: &str = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";

fn expression() -> serde_json::Value {
    serde_json::json!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": {
                "description": "The label.", "type": "string", "minLength": 1, "maxLength": 317, "pattern": LABEL_KEY
            },
            "operator": {
                "description": "In, NotIn, Exists or DoesNotExist.",
                "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]
            },
            "values": {
                "description": "The values of In and NotIn.",
                "type": "array", "maxItems": 64, "x-kubernetes-list-type": "atomic",
                "items": { "type": "string", "maxLength": 63 }
            }
        },
        "x-kubernetes-validations": [{
            "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "message": "operators In and NotIn need values, Exists and DoesNotExist take none"
        }]
    })
}
