//! The manifests of `config/crd`, as text. Writing them to disk is the `crdgen` binary's affair.

use std::fmt;

use serde_json::Value;

/// One file of `config/crd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the file.
    pub file: String,
    /// Its whole content.
    pub content: String,
}

/// A definition could not be written as YAML.
#[derive(Debug)]
pub struct Unwritable(String);

const HEADER: &str = "# Generated from the types in crds/src: change those, then run `make crds`.\n";

/// All files of `config/crd`, the same bytes each time for the same types.
///
/// # Errors
///
/// [`Unwritable`] when a definition has no YAML form, which would be a defect of the types.
pub fn manifests() -> Result<Vec<Manifest>, Unwritable> {
    let mut files = Vec::new();
    let mut resources = String::new();
    for definition in crate::definitions() {
        let file = format!("{}.yaml", definition.spec.names.plural);
        resources.push_str(&format!("  - {file}\n"));
        let mut value = serde_json::to_value(&definition).map_err(Unwritable::new)?;
        // The map's own order depends on a feature of serde_json that any crate in the build may switch on.
        value.sort_all_objects();
        whole_numbers(&mut value);
        let body = serde_saphyr::to_string(&value).map_err(Unwritable::new)?;
        files.push(Manifest {
            file,
            content: format!("{HEADER}{body}"),
        });
    }
    let head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
    files.push(Manifest {
        file: "kustomization.yaml".to_owned(),
        content: format!("{HEADER}{head}{resources}"),
    });
    Ok(files)
}

/// Bounds are floating-point numbers in Kubernetes' types; people write and read `64`, not `64.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|n| n.fract() == 0.0)
                .and_then(|n| format!("{n:.0}").parse::<i64>().ok());
            if let Some(whole) = whole {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

// === impl Unwritable ===

impl Unwritable {
    fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a definition cannot be written as YAML: {}", self.0)
    }
}

impl std::error::Error for Unwritable {}
