//! Every field that this version acts upon, and every value of a closed set, stands in some object of `config/samples` or
//! `config/reference`: what nobody shows, nobody finds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config");

/// Kubernetes' own types: their fields are in its own documentation.
const FOREIGN: [&str; 3] = ["resources", "tolerations", "topologySpreadConstraints"];

/// What is refused as `NotImplemented`, with all that is below.
const TO_COME: [&str; 4] = [
    "AuditSink.destinations",
    "Connection.kubernetes",
    "Connection.ssh",
    "MaskingRule.match.resources",
];
/// The same for values.
const VALUES_TO_COME: [&str; 2] = ["protocol=Kubernetes", "protocol=SSH"];

/// Paths of fields (`Kind.a.b`), and values of closed sets by the field's last name (`a=X`): a set is shared by many fields.
#[derive(Default)]
struct Seen {
    fields: BTreeSet<String>,
    values: BTreeSet<String>,
}

// === impl Seen ===

impl Seen {
    fn schema(&mut self, schema: &Value, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, field) in properties.into_iter().flatten() {
            let path = format!("{path}.{name}");
            if TO_COME.contains(&path.as_str()) {
                continue;
            }
            if !FOREIGN.contains(&name.as_str()) {
                self.schema(field, &path);
            }
            self.fields.insert(path);
        }
        if let Some(items) = schema.get("items") {
            self.schema(items, path);
        }
        for value in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
            self.value(value, path);
        }
    }

    fn object(&mut self, value: &Value, path: &str) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    let path = format!("{path}.{name}");
                    self.object(field, &path);
                    self.fields.insert(path);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.object(item, path)),
            value => self.value(value, path),
        }
    }

    fn value(&mut self, value: &Value, path: &str) {
        let name = path.rsplit('.').next().unwrap_or(path);
        self.values
            .extend(value.as_str().map(|value| format!("{name}={value}")));
    }
}

/// All that the definitions allow to say.
fn sayable() -> Seen {
    let mut seen = Seen::default();
    for definition in sallyport_crds::definitions() {
        let definition = serde_json::to_value(definition).unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        seen.schema(&schema["properties"]["spec"], kind);
    }
    seen
}

/// All that is said.
fn said() -> Seen {
    let mut seen = Seen::default();
    for directory in ["samples", "reference"] {
        for entry in fs::read_dir(Path::new(CONFIG).join(directory)).unwrap() {
            let path = entry.unwrap().path();
            // What is below is no object: the admin's issuers.
            if path.is_dir() {
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            let ours = documents
                .iter()
                .filter(|document| document["apiVersion"] == "sallyport.dev/v1alpha1");
            for object in ours {
                seen.object(&object["spec"], object["kind"].as_str().unwrap());
            }
        }
    }
    seen
}

#[test]
fn every_field_and_value_is_shown_somewhere() {
    let (wanted, found) = (sayable(), said());
    let missing: Vec<_> = wanted
        .fields
        .difference(&found.fields)
        .chain(wanted.values.difference(&found.values))
        .filter(|one| !VALUES_TO_COME.contains(&one.as_str()))
        .collect();
    assert!(missing.is_empty(), "no sample shows {missing:#?}");
    assert!(wanted.fields.len() > 200, "{}", wanted.fields.len());
    let to_come = |path: &&String| TO_COME.iter().any(|one| path.starts_with(*one));
    let shown: Vec<_> = found.fields.iter().filter(to_come).collect();
    assert!(shown.is_empty(), "shown, and refused as not implemented: {shown:#?}");
}
