//! YAML files to documents.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::StartError;

/// A file of manifests is written by people.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// One document of a file.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// For messages: `policy.yaml, document 2`.
    pub(super) origin: String,
    pub(super) value: Value,
}

/// Reads every `.yaml`, `.yml` and `.json` of a directory, in the order of their names, not below it.
pub(super) fn read(directory: &Path) -> Result<Vec<Document>, StartError> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| StartError::file(directory, error))?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json")
            && path.is_file()
    });
    paths.sort();
    let mut documents = Vec::new();
    for path in paths {
        let size = std::fs::metadata(&path)
            .map_err(|error| StartError::file(&path, error))?
            .len();
        if size > MAX_BYTES {
            return Err(StartError::file(&path, "larger than 4 MiB"));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| StartError::file(&path, error))?;
        documents.extend(parse(&path, &text)?);
    }
    Ok(documents)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Document>, StartError> {
    let values: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| StartError::file(path, error))?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let numbered = values.into_iter().enumerate().filter(|(_, value)| !value.is_null());
    Ok(numbered
        .flat_map(|(index, value)| {
            let origin = format!("{name}, document {}", index + 1);
            let document = move |value| Document {
                origin: origin.clone(),
                value,
            };
            items(value).into_iter().map(document)
        })
        .collect())
}

/// The objects of a document: `kubectl get -o yaml` writes several as items of one list.
fn items(mut value: Value) -> Vec<Value> {
    if value.get("kind").and_then(Value::as_str) != Some("List") {
        return vec![value];
    }
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}
