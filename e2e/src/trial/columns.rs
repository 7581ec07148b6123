//! Columns stay protected when every process that knew why is gone.

use anyhow::Result;

use crate::client::{ask, ask_directly};
use crate::demo::{ALICE, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::wait_until;

use super::undo::PutBack;
use super::{HELD_BACK, SETTLE, SSN, open};

pub(super) fn outlive_the_door(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let known = ask(demo, ALICE, &[SSN])?.ok()?;
    anyhow::ensure!(
        !known.all().contains(HELD_BACK),
        "the number was shown before anything was done"
    );
    let uid = demo.admin(&[
        "-n",
        DOORS,
        "get",
        "maskingrule",
        "customer-numbers",
        "-o",
        "jsonpath={.metadata.uid}",
    ])?;
    let list = format!("door-rule-{}-columns", uid.stdout.trim());
    wait_until(SETTLE, "the rule's columns are kept", || {
        let found = demo.admin(&[
            "-n",
            DOORS,
            "get",
            "configmap",
            "--ignore-not-found",
            "-o",
            "name",
            &list,
        ])?;
        Ok((!found.stdout.trim().is_empty()).then_some(()))
    })?;
    renamed(demo, narrator)?;
    copied(demo, narrator)
}

fn renamed(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _back = PutBack(demo, "ALTER TABLE customers RENAME COLUMN harmless TO ssn");
    ask_directly(demo, "ALTER TABLE customers RENAME COLUMN ssn TO harmless")?.ok()?;
    begin_anew(demo)?;
    let read = ask(demo, ALICE, &["SELECT harmless FROM customers WHERE id = 1"])?.ok()?;
    narrator.shows(&read);
    narrator.check(
        "a column that was renamed past the door is masked by Pods that never saw its name",
        !read.all().contains(HELD_BACK),
    )
}

fn copied(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _back = PutBack(demo, "DROP TABLE IF EXISTS trial_copy");
    let copy = "CREATE TABLE trial_copy AS SELECT id, md5(ssn) AS harmless FROM customers WHERE id = 1";
    let made = ask(demo, ALICE, &[copy])?;
    narrator.shows(&made);
    narrator.check("a copy is made once every replica protects it", made.status.success())?;
    let digest = ask_directly(demo, "SELECT harmless FROM trial_copy")?.ok()?;
    begin_anew(demo)?;
    let read = ask(demo, ALICE, &["SELECT harmless FROM trial_copy"])?.ok()?;
    narrator.shows(&read);
    narrator.check(
        "what it holds is masked by Pods that did not see it made",
        !read.all().contains(digest.stdout.trim()),
    )
}

/// All Pods of the door go, and new ones serve.
pub(super) fn begin_anew(demo: &Demo) -> Result<()> {
    let doors = "app.kubernetes.io/component=door,sallyport.dev/connection=bank";
    demo.admin(&["-n", DOORS, "delete", "pods", "--wait", "-l", doors])?;
    open(demo)
}
