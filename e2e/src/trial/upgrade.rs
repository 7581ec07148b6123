//! An upgrade as an admin makes it, and the way back: another image of operator, doors and recorders, in the order of
//! docs/upgrades.md, while many write. Both images hold the present version; `versions` is about two that differ.

use anyhow::{Context, Result, bail, ensure};

use crate::demo::Demo;
use crate::narrator::Narrator;
use crate::run::run;

use super::Skipped;
use super::installation::{Installation, OPERATOR};
use super::load::throughout;
use super::rule::edited;
use super::undo::Undo;

pub(super) fn there_and_back(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.is_local() {
        bail!(Skipped("images get to this cluster's nodes by a way of their owner's"));
    }
    let config = demo.repository().join("config");
    let before = Installation::of(demo, "before", &config, OPERATOR.image(demo)?)?;
    let after = Installation::of(demo, "after", &config, another(demo)?)?;
    ensure!(before.image != after.image, "{} is what runs already", after.image);
    let old = before.ids()?;
    let undo = Undo::by(demo, &before.applying());
    throughout(demo, narrator, "upgraded", |_| {
        after.rolled_out()?;
        let new = after.ids()?;
        ensure!(
            new.iter().all(|id| !old.contains(id)),
            "the new image is the old one: {new:?}"
        );
        before.rolled_out()
    })?;
    narrator.shows_text(&format!("{} → {} → {}", before.image, after.image, before.image));
    narrator.check(
        "by one command each way operator, recorder and doors ran from another image, and run from the first one again",
        before.ids()? == old,
    )?;
    // What it would put back is back.
    drop(undo);
    let verified = demo.admin(&["sallyport", "audit", "verify", "--sink", "evidence/evidence"])?;
    narrator.shows(&verified);
    narrator.check(
        "the log is proved over both rollouts",
        verified.stdout.starts_with("PROVEN"),
    )?;
    let _undo = edited(demo)?;
    narrator.check("an edit is enforced by those that run now", true)?;
    let mut forget = demo.command(&demo.path("bin/ctr").to_string_lossy());
    run(forget.args(["images", "rm", &after.image]))?.ok()?;
    before.remove()?;
    after.remove()
}

/// The same programs as an image of their own, which the cluster knows as well. Gives its name.
fn another(demo: &Demo) -> Result<String> {
    let door = demo.path("bin/sallyport-proxy").canonicalize()?;
    let programs = door.parent().context("the programs' directory")?;
    let mut make = demo.command(&demo.repository().join("e2e/images/sallyport").to_string_lossy());
    make.args(["--edition", "next"]).arg(programs);
    let made = run(&mut make)?.ok()?;
    Ok(made.stdout.trim().to_owned())
}
