//! Golden files: what was reviewed once, compared ever after.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

/// The text of a file under `testdata`.
pub fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("testdata/{name}: {error}"))
}

/// Fails unless the file under `testdata` holds exactly this text. With UPDATE_GOLDEN set, writes it instead.
pub fn compare(name: &str, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(name), actual).unwrap();
    }
    assert_eq!(
        read(name),
        actual,
        "testdata/{name} differs; UPDATE_GOLDEN=1 writes it anew"
    );
}

/// An object as YAML.
pub fn yaml(object: &impl Serialize) -> String {
    let mut text = serde_saphyr::to_string(object).unwrap();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
