//! Rules on their way: what is enforced, and what a change may never open.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::client::ask;
use crate::demo::{ALICE, CONNECTION, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::process::Stopped;
use super::undo::Undo;
use super::{SETTLE, SSN, Skipped, becomes, condition, pods};

/// What everybody sees of a card under the samples, and once the rule was edited.
pub(super) const CARD_BEFORE: &str = "************0016";
pub(super) const CARD_EDITED: &str = "**************16";
/// Asks for that card.
pub(super) const CARD: &str = "SELECT card FROM customers WHERE id = 1";

/// Edits a rule and waits until doors do as it says; it is as before when the guard goes.
pub(super) fn edited(demo: &Demo) -> Result<Undo<'_>> {
    let undo = edit(demo)?;
    edit_shows(demo)?;
    Ok(undo)
}

/// The same without a wait.
pub(super) fn edit(demo: &Demo) -> Result<Undo<'_>> {
    let edit = ["-n", DOORS, "patch", "maskingrule", "cards", "--type=json", "-p"];
    let keeping = |last| format!(r#"[{{"op":"replace","path":"/spec/action/partial/keepLast","value":{last}}}]"#);
    let (fewer, as_before) = (keeping(2), keeping(4));
    let undo = Undo::by(demo, &[&edit[..], &[&as_before]].concat());
    demo.admin(&[&edit[..], &[&fewer]].concat())?;
    Ok(undo)
}

/// Waits until doors do as the edited rule says.
pub(super) fn edit_shows(demo: &Demo) -> Result<()> {
    wait_until(SETTLE, "an edit is enforced", || {
        let output = ask(demo, ALICE, &[CARD])?;
        Ok(output.stdout.contains(CARD_EDITED).then_some(()))
    })
}

pub(super) fn misspelled(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let edit = ["-n", DOORS, "patch", "maskingrule", "cards", "--type=json", "-p"];
    let naming = |column| format!(r#"[{{"op":"replace","path":"/spec/match/columns","value":["{column}"]}}]"#);
    let (wrong, right) = (naming("public.customers.crad"), naming("public.customers.card"));
    let _undo = Undo::by(demo, &[&edit[..], &[&right]].concat());
    demo.admin(&[&edit[..], &[&wrong]].concat())?;
    let objects = ["maskingrule/cards".to_owned(), format!("connection/{CONNECTION}")];
    for object in &objects {
        let said = wait_until(
            SETTLE,
            &format!("{object} says that no database has the column"),
            || {
                // Doors look where they judge.
                ask(demo, ALICE, &["SELECT id FROM customers WHERE id = 1"])?;
                let said = condition(demo, object, "Advisory")?;
                Ok(said.contains("public.customers.crad").then_some(said))
            },
        )?;
        narrator.shows_text(&said);
        narrator.check(
            "it names the column that may have been meant",
            said.contains("did you mean public.customers.card?"),
        )?;
    }
    demo.admin(&[&edit[..], &[&right]].concat())?;
    for object in &objects {
        wait_until(SETTLE, &format!("{object} says so no longer"), || {
            let said = condition(demo, object, "Advisory")?;
            Ok((!said.contains("public.customers.crad")).then_some(()))
        })?;
    }
    narrator.check("once the rule is mended, nothing is said", true)
}

pub(super) fn silent_replica(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let pod = pods::of_door(demo)?.into_iter().next().context("a Pod of the door")?;
    let Some(process) = process_of(&pod.container)? else {
        bail!(Skipped("the door's processes are not on this machine"));
    };
    let back = r#"{"spec":{"action":{"type":"Redact","replace":null}}}"#;
    let _undo = Undo::by(
        demo,
        &[
            "-n",
            DOORS,
            "patch",
            "maskingrule",
            "customer-numbers",
            "--type=merge",
            "-p",
            back,
        ],
    );
    let stopped = Stopped::stop(process)?;
    let patch = r#"{"spec":{"action":{"type":"Replace","replace":{"with":"[trial]"},"redact":null}}}"#;
    demo.admin(&[
        "-n",
        DOORS,
        "patch",
        "maskingrule",
        "customer-numbers",
        "--type=merge",
        "-p",
        patch,
    ])?;
    let said = becomes(demo, "maskingrule/customer-numbers", "Enforced", "False")?;
    narrator.shows_text(&said);
    narrator.check("with one replica stopped, the rule's Enforced is False", true)?;
    let said = becomes(
        demo,
        &format!("connection/{CONNECTION}"),
        "Enforced",
        "False ProxySilent",
    )?;
    narrator.shows_text(&said);
    narrator.check("and so is the Connection's, which says that one is silent", true)?;
    drop(stopped);
    becomes(demo, "maskingrule/customer-numbers", "Enforced", "True")?;
    narrator.check("it is True again once that replica answers", true)?;
    let output = run(&mut pods::psql(demo, &pod, SSN)?)?;
    narrator.shows(&output);
    narrator.check(
        "that replica itself shows the new mask",
        output.stdout.contains("[trial]"),
    )
}

/// The process of the door's program in that container (`runtime://id`), when it runs on this machine.
fn process_of(container: &str) -> Result<Option<String>> {
    let id = container.rsplit('/').next().context("the container's id")?;
    let Ok(listed) = Command::new("pgrep").args(["-x", "sallyport-proxy"]).output() else {
        return Ok(None);
    };
    let listed = String::from_utf8_lossy(&listed.stdout);
    let inside = |process: &&str| {
        std::fs::read_to_string(format!("/proc/{process}/cgroup")).is_ok_and(|groups| groups.contains(id))
    };
    Ok(listed.lines().find(inside).map(str::to_owned))
}

pub(super) fn label_taken_off(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _undo = Undo::by(
        demo,
        &[
            "-n",
            DOORS,
            "label",
            "--overwrite",
            "connection",
            CONNECTION,
            "data=customer",
        ],
    );
    demo.admin(&["-n", DOORS, "label", "connection", CONNECTION, "data-"])?;
    let said = becomes(demo, &format!("connection/{CONNECTION}"), "Accepted", "False")?;
    narrator.shows_text(&said);
    narrator.check(
        "the Connection says which rule no longer selects it",
        said.contains("customer-numbers") || said.contains("changes"),
    )?;
    closed(demo, narrator)
}

pub(super) fn required_rule_lost(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _undo = Undo::by_samples(demo);
    demo.admin(&["-n", DOORS, "delete", "maskingrule", "customer-numbers"])?;
    let said = becomes(demo, &format!("connection/{CONNECTION}"), "Accepted", "False")?;
    narrator.shows_text(&said);
    narrator.check(
        "the Connection names the rule that is missing",
        said.contains("customer-numbers"),
    )?;
    closed(demo, narrator)
}

/// No Pod of the door lets anybody in.
fn closed(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    narrator.shows(&pods::all_refuse(demo)?);
    narrator.check("every Pod of the door is closed, in words", true)?;
    becomes(demo, &format!("connection/{CONNECTION}"), "Ready", "False")?;
    narrator.check("Ready is False", true)
}
