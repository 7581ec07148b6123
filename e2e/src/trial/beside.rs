//! Policies beside the samples, by which inserting asks somebody.

use anyhow::Result;

use crate::client::ask;
use crate::demo::{ALICE, DOORS, Demo};
use crate::run::Output;

use super::becomes;
use super::undo::Undo;

/// Applies an ApprovalPolicy of this name and waits until it is enforced; it goes when the guard does.
pub(super) fn enforced<'a>(demo: &'a Demo, name: &str, policy: &str) -> Result<Undo<'a>> {
    let file = demo.path(&format!("{name}.yaml"));
    std::fs::write(&file, policy)?;
    let undo = Undo::by(
        demo,
        &["-n", DOORS, "delete", "approvalpolicy", name, "--ignore-not-found"],
    );
    demo.admin(&["apply", "--server-side", "-f", &file.to_string_lossy()])?;
    std::fs::remove_file(&file)?;
    becomes(demo, &format!("approvalpolicy/{name}"), "Enforced", "True")?;
    Ok(undo)
}

/// alice inserts a row.
pub(super) fn insert(demo: &Demo, id: u32) -> Result<Output> {
    let statement = format!("INSERT INTO accounts VALUES ({id}, 1, 0)");
    ask(demo, ALICE, &[&statement])
}
