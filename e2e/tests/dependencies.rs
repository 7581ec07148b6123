//! What `deny.toml` forbids is in no build: its bans and sources, held against `Cargo.lock` by every `make test`. Licences and
//! advisories are for `cargo deny check`, which needs the crates' sources and the network.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::fs;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn read(file: &str) -> String {
    fs::read_to_string(format!("{TOP}/{file}")).unwrap()
}

/// What stands between quotes after `before`, line by line.
fn quoted(text: &str, before: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix(before)?.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_banned_crate_and_no_other_source_is_built() {
    let (deny, lock) = (read("deny.toml"), read("Cargo.lock"));
    let banned = quoted(&deny, "{ crate = ");
    assert!(banned.contains("openssl-sys") && banned.len() >= 3, "{banned:?}");
    let built = quoted(&lock, "name = ");
    assert!(built.contains("aws-lc-rs") && built.len() > 200, "{}", built.len());
    let found: Vec<_> = banned.intersection(&built).collect();
    assert!(
        found.is_empty(),
        "deny.toml bans {found:?}; cargo tree -i tells who brings them"
    );
    assert_eq!(quoted(&lock, "source = "), BTreeSet::from([REGISTRY.to_owned()]));
}
