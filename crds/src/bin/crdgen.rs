//! Writes `config/crd` from the types of this crate. `make crds` runs it; a test compares.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = env::args_os().nth(1).map_or_else(default_directory, PathBuf::from);
    fs::create_dir_all(&directory)?;
    for manifest in sallyport_crds::manifests::manifests()? {
        fs::write(directory.join(manifest.file), manifest.content)?;
    }
    Ok(())
}

fn default_directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/crd"))
}
