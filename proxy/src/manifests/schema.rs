//! What the API server would refuse at apply: unknown fields, bounds, patterns, CEL rules of the definitions.
//!
//! Not a whole validator: types, enums and required fields are found when the object is read into its type.

use std::collections::BTreeMap;

use serde_json::Value;

/// The schemas of the five kinds, by kind.
pub(super) struct Schemas(BTreeMap<String, Value>);

// === impl Schemas ===

impl Schemas {
    pub(super) fn new() -> Self {
        let schemas = sallyport_crds::definitions().into_iter().filter_map(|definition| {
            let version = definition.spec.versions.into_iter().next()?;
            let mut schema = serde_json::to_value(version.schema?.open_api_v3_schema?).ok()?;
            spell(&mut schema);
            Some((definition.spec.names.kind, schema))
        });
        Self(schemas.collect())
    }

    /// Fields that the schema does not know, and values outside its bounds, in the document as it was written.
    pub(super) fn faults(&self, kind: &str, written: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(schema) = self.0.get(kind) {
            // Metadata is the API server's own and not in the schema.
            for (name, value) in written.as_object().into_iter().flatten() {
                if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
                    field(schema, name, value, name, &mut faults);
                }
            }
        }
        faults
    }

    /// CEL rules of the definition, for the object with all defaults in.
    pub(super) fn violations(&self, kind: &str, object: &Value) -> Vec<String> {
        let Some(schema) = self.0.get(kind) else {
            return Vec::new();
        };
        match kube_cel::Validator::new().validate(schema, object, None) {
            Ok(()) => Vec::new(),
            Err(errors) => errors
                .into_iter()
                .map(|error| format!("{}: {}", error.field_path, error.message))
                .collect(),
        }
    }
}

/// The API server lets a rule say `self.namespace`; the evaluator here knows the field, whose name is a word of CEL, by its
/// escaped spelling alone.
fn spell(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(rule) if name == "rule" => *rule = escape(rule),
                    value => spell(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(spell),
        _ => {}
    }
}

fn escape(rule: &str) -> String {
    let mut parts = rule.split(".namespace");
    let mut escaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let longer = part.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        escaped.push_str(if longer { ".namespace" } else { ".__namespace__" });
        escaped.push_str(part);
    }
    escaped
}

fn field(schema: &Value, name: &str, value: &Value, path: &str, faults: &mut Vec<String>) {
    let known = schema.get("properties").and_then(|properties| properties.get(name));
    match known.or_else(|| schema.get("additionalProperties").filter(|more| more.is_object())) {
        Some(schema) => check(schema, value, path, faults),
        None if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) => {}
        None => faults.push(format!("{path}: unknown field")),
    }
}

fn check(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let mut outside = |name: &str, what: &str| {
        faults.push(format!(
            "{path}: {what} ({name} is {})",
            schema.get(name).unwrap_or(&Value::Null)
        ))
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "lengths of documents that a person wrote are exact in an f64"
    )]
    let mut length = |length: usize, [min, max]: [&str; 2]| {
        if bound(min).is_some_and(|bound| (length as f64) < bound) {
            outside(min, "too short");
        }
        if bound(max).is_some_and(|bound| length as f64 > bound) {
            outside(max, "too long");
        }
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                field(schema, name, value, &format!("{path}.{name}"), faults);
            }
        }
        Value::Array(items) => {
            length(items.len(), ["minItems", "maxItems"]);
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{index}]"), faults);
                }
            }
        }
        Value::String(text) => {
            length(text.chars().count(), ["minLength", "maxLength"]);
            let pattern = schema.get("pattern").and_then(Value::as_str);
            if pattern.is_some_and(|pattern| regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))) {
                outside("pattern", "not of the form that is asked for");
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if bound("minimum").is_some_and(|bound| number < bound) {
                outside("minimum", "too small");
            }
            if bound("maximum").is_some_and(|bound| number > bound) {
                outside("maximum", "too large");
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}
