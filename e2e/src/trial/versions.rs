//! An upgrade between two versions that differ, as an admin makes it, and the way back, while many read and write. Doors are held
//! back for as long as it takes to look, so that they run beside operator and recorder of the other version, in both directions.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::{ask_directly, psql, start};
use crate::demo::{ALICE, BOB, CONNECTION, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::installation::{DOOR, Installation, MANAGER, OPERATOR, RECORDER};
use super::load::throughout;
use super::requests::{answer, asked, shown, text};
use super::rule::{CARD, CARD_BEFORE, CARD_EDITED, edit, edit_shows, edited};
use super::second_person::named;
use super::undo::Undo;
use super::{HELD_BACK, SETTLE, SSN, becomes, condition, open, pods, readers, records};

const CARDS: &str = "maskingrule/cards";
/// What `Accepted` says while definitions and operator are of two versions.
const MISMATCH: &str = "False SchemaMismatch";
/// The first format of carriers that can say ranges of parameters.
const RANGES: u64 = 2;
/// Grants ranges, for what nobody does here.
const RANGED: &str = "trial-ranges";
const RANGED_POLICY: &str = r#"
apiVersion: sallyport.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: trial-ranges, namespace: doors}
spec:
  connectionSelector:
    matchLabels: {data: customer}
  subjects:
    - {kind: Group, name: "oidc:engineers"}
  rules:
    - name: merges
      match: {cel: "'merge' in command.verbs"}
      action: RequireApproval
      approval:
        approvers: [{kind: Group, name: "oidc:dba"}]
        grant: {scope: Fingerprint, validFor: 30m, parameters: [{position: 1, minimum: 1, maximum: 1000}]}
        onHold: Refuse
    - name: else
      match: {any: true}
      action: Allow
"#;

/// Upgrades a cluster on which the version of `checkout` is installed, with the samples, from the image `before`: to the present version
/// in the image `after`, back, and there again. Leaves the present one.
///
/// # Errors
/// At the first thing that is not as docs/upgrades.md says.
pub fn upgrade_from(demo: &Demo, checkout: &Path, before: &str, after: &str) -> Result<()> {
    let mut narrator = Narrator::default();
    let narrator = &mut narrator;
    let old = Installation::of(demo, "before", &checkout.join("config"), before.to_owned())?;
    let new = Installation::of(demo, "after", &demo.repository().join("config"), after.to_owned())?;

    narrator.step("the version of before serves");
    open(demo)?;
    let (ids, mut doors) = (old.ids()?, door_names(demo)?);
    narrator.check(
        &format!("doors run {}", old.image),
        DOOR.serving(demo)? == BTreeSet::from([old.image.clone()]),
    )?;

    narrator.step("upgraded under load: definitions, operator and recorder, and doors once there is room for them");
    busy(demo, narrator, "up", |narrator| up(demo, narrator, &old, &new))?;
    let now = new.ids()?;
    narrator.check(
        "nothing of the version before runs any more",
        now.iter().all(|id| !ids.contains(id)),
    )?;
    open(demo)?;
    doors.extend(door_names(demo)?);
    proved(demo, narrator)?;
    narrator.check(
        &format!("records of all doors, of both versions, are in it: {}", doors.len()),
        doors.is_subset(&told_by(demo)?),
    )?;

    narrator.step("rolled back under load");
    busy(demo, narrator, "back", |narrator| back(demo, narrator, &old, &new))?;
    narrator.check("everything runs as before", old.ids()? == ids)?;
    open(demo)?;
    proved(demo, narrator)?;

    narrator.step("upgraded again under load, in one go");
    busy(demo, narrator, "again", |_| new.rolled_out())?;
    narrator.check("everything runs as after the first time", new.ids()? == now)?;
    open(demo)?;
    proved(demo, narrator)?;
    old.remove()?;
    new.remove()
}

/// Many write and read while that happens; then the books are compared.
fn busy(demo: &Demo, narrator: &mut Narrator, mark: &str, act: impl FnOnce(&mut Narrator) -> Result<()>) -> Result<()> {
    readers::meanwhile(demo, narrator, mark, |narrator| throughout(demo, narrator, mark, act))
}

fn up(demo: &Demo, narrator: &mut Narrator, old: &Installation<'_>, new: &Installation<'_>) -> Result<()> {
    let held = held(demo)?;
    let first = carried(demo)?;
    let _edit = definitions(demo, narrator)?;
    beside(demo, narrator, old, new)?;
    edit_shows(demo)?;
    enforced(demo, narrator)?;
    narrator.check(
        &format!("their policy is written in format {first}, as they were given it before"),
        carried(demo)? == first,
    )?;
    let ranges = ranges(demo, narrator, first)?;
    answered(demo, narrator)?;
    drop(held);
    new.whole()?;
    becomes(demo, &format!("approvalpolicy/{RANGED}"), "Enforced", "True")?;
    let last = carried(demo)?;
    narrator.check(
        &format!("with the last of them gone it is written in format {last}, and all of it is enforced"),
        last >= first && last >= RANGES,
    )?;
    drop(ranges);
    Ok(())
}

fn back(demo: &Demo, narrator: &mut Narrator, old: &Installation<'_>, new: &Installation<'_>) -> Result<()> {
    let held = held(demo)?;
    beside(demo, narrator, new, old)?;
    let _edit = edited(demo)?;
    enforced(demo, narrator)?;
    sealed(demo, narrator)?;
    drop(held);
    old.whole()
}

/// New Pods of the door find no node until this is dropped, and those that run go on: a Deployment takes none away before another
/// one is ready.
fn held(demo: &Demo) -> Result<Undo<'_>> {
    let patch = |room: &str| format!(r#"{{"spec":{{"proxy":{{"nodeSelector":{room}}}}}}}"#);
    let connection = ["-n", DOORS, "patch", "connection", CONNECTION, "--type=merge", "-p"];
    let (none, any) = (patch(r#"{"trial.example/room":"none"}"#), patch("null"));
    let undo = Undo::by(demo, &[&connection[..], &[&any]].concat());
    demo.admin(&[&connection[..], &[&none]].concat())?;
    wait_until(SETTLE, "the door's next Pods are to find no node", || {
        let door = shown(demo, "deployment/door-bank")?;
        let selector = door.pointer("/spec/template/spec/nodeSelector/trial.example~1room");
        Ok(selector.is_some().then_some(()))
    })?;
    Ok(undo)
}

/// Definitions of the new version under the operator of before: an edit has to wait, and what is in force stays so. Gives the edit,
/// which is taken back when that is dropped.
fn definitions<'a>(demo: &'a Demo, narrator: &mut Narrator) -> Result<Undo<'a>> {
    let config = demo.repository().join("config/crd");
    let config = config.to_string_lossy();
    demo.admin(&["apply", "--server-side", "--force-conflicts", MANAGER, "-k", &config])?;
    let noticed = wait_until(SETTLE / 2, "the operator of before notices", || {
        let said = condition(demo, CARDS, "Accepted")?;
        Ok(said.starts_with(MISMATCH).then_some(()))
    });
    let edit = edit(demo)?;
    if noticed.is_err() {
        narrator.check("the operator of before knows the definitions of now", true)?;
        return Ok(edit);
    }
    let said = becomes(demo, CARDS, "Accepted", MISMATCH)?;
    narrator.shows_text(&said);
    narrator.check(
        "what is edited between definitions and operator has to wait, and doors go by what was accepted before",
        each_shows(demo, CARD_BEFORE)?,
    )?;
    Ok(edit)
}

/// Rolls operator and recorder to what runs from `others`, and leaves doors.
fn beside(demo: &Demo, narrator: &mut Narrator, doors: &Installation<'_>, others: &Installation<'_>) -> Result<()> {
    let rolled = [OPERATOR, RECORDER];
    others.applied()?;
    others.runs(&rolled)?;
    others.nothing_else_runs(&rolled)?;
    wait_until(SETTLE, "the operator would roll the doors", || {
        Ok((DOOR.image(demo)? == others.image).then_some(()))
    })?;
    narrator.check(
        &format!("operator and recorder run {}, doors {}", others.image, doors.image),
        DOOR.serving(demo)? == BTreeSet::from([doors.image.clone()]),
    )
}

/// `Enforced` says that the edited rule is enforced everywhere, and that is so.
fn enforced(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    becomes(demo, CARDS, "Enforced", "True")?;
    becomes(demo, &format!("connection/{CONNECTION}"), "Enforced", "True")?;
    narrator.check(
        "an edit is enforced by doors of the other version: Enforced says so, and every Pod does so",
        each_shows(demo, CARD_EDITED)?,
    )
}

/// Whether every Pod of the door shows the card so, and no Pod a number that is held back.
fn each_shows(demo: &Demo, card: &str) -> Result<bool> {
    let token = demo.token(ALICE)?;
    let pods = pods::of_door(demo)?;
    let mut all = !pods.is_empty();
    for pod in pods {
        let number = run(&mut pods::psql_by(demo, &pod, &token, SSN))?.ok()?;
        ensure!(!number.all().contains(HELD_BACK), "{} showed the number", pod.name);
        let shown = run(&mut pods::psql_by(demo, &pod, &token, CARD))?.ok()?;
        all &= number.stdout.contains("[REDACTED]") && shown.stdout.contains(card);
    }
    Ok(all)
}

/// Applies a policy with ranges of parameters, which carriers of the first format cannot say: it is enforced at once where doors read
/// another, and else `Enforced` names those that do not.
fn ranges<'a>(demo: &'a Demo, narrator: &mut Narrator, format: u64) -> Result<Undo<'a>> {
    let undo = Undo::by(
        demo,
        &["-n", DOORS, "delete", "approvalpolicy", RANGED, "--ignore-not-found"],
    );
    let file = demo.path(&format!("{RANGED}.yaml"));
    std::fs::write(&file, RANGED_POLICY)?;
    demo.admin(&["apply", "--server-side", "-f", &file.to_string_lossy()])?;
    std::fs::remove_file(&file)?;
    let policy = format!("approvalpolicy/{RANGED}");
    if format >= RANGES {
        becomes(demo, &policy, "Enforced", "True")?;
        narrator.check("doors of before read ranges of parameters", true)?;
        return Ok(undo);
    }
    becomes(demo, &policy, "Enforced", "False WaitingForProxies")?;
    let older = door_names(demo)?;
    let said = wait_until(SETTLE, "Enforced names the doors of before", || {
        let said = condition(demo, &format!("connection/{CONNECTION}"), "Enforced")?;
        let named = said.contains(RANGED) && older.iter().all(|pod| said.contains(pod));
        Ok((named && said.starts_with("False WaitingForProxies")).then_some(said))
    })?;
    narrator.shows_text(&said);
    narrator.check(
        "what doors of before cannot be told is not said to be enforced, and they are named",
        true,
    )?;
    Ok(undo)
}

/// A door asks a second person, and goes on by the answer, whichever version each of the others is of.
fn answered(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    ask_directly(demo, "INSERT INTO accounts VALUES (7301, 1, 0) ON CONFLICT DO NOTHING")?.ok()?;
    let mut held = start(demo, ALICE, &["DELETE FROM accounts WHERE id = 7301"])?;
    let request = named(&held.wait_for_line(SETTLE, |line| line.contains("kubectl sallyport approve"))?)?;
    wait_until(SETTLE, "bob approves", || {
        let answer = answer(demo, BOB, "approve", &request)?;
        Ok(answer.status.success().then_some(()))
    })?;
    let ended = held.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check(
        "what a door of before asks is answered by way of the operator of now",
        ended.stdout.contains("DELETE 1"),
    )
}

/// A door of now goes by an answer where its operator sealed it, and by none where the operator is of before seals.
fn sealed(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    const DELETE: &str = "DELETE FROM accounts WHERE id = 7302";
    ask_directly(demo, "INSERT INTO accounts VALUES (7302, 1, 0) ON CONFLICT DO NOTHING")?.ok()?;
    let request = asked(demo, ALICE, DELETE)?;
    answer(demo, BOB, "approve", &request)?.ok()?;
    let request = format!("accessrequest/{request}");
    becomes(demo, &request, "Approved", "True")?;
    let is_sealed = shown(demo, &request)?.pointer("/status/seal").is_some();
    let again = || run(psql(demo, ALICE, &[DELETE])?.env("PGOPTIONS", "-c sallyport.on_hold=refuse"));
    if is_sealed {
        wait_until(SETTLE, "an answer that is sealed is used", || {
            Ok(again()?.stdout.contains("DELETE 1").then_some(()))
        })?;
        return narrator.check("a door of now goes by what the operator of before sealed", true);
    }
    let said = again()?;
    narrator.shows(&said);
    let left = ask_directly(demo, "SELECT count(*) FROM accounts WHERE id = 7302")?.stdout;
    narrator.check(
        "a door of now goes by no answer that the operator of before could not seal",
        said.stderr.contains("ERROR") && !said.stdout.contains("DELETE 1") && left.trim() == "1",
    )
}

/// The log of both versions, by the plugin of now.
fn proved(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let verified = demo.admin(&["sallyport", "audit", "verify", "--sink", "evidence/evidence"])?;
    narrator.shows(&verified);
    narrator.check(
        "the log is proved, whichever version wrote what of it",
        verified.stdout.starts_with("PROVEN"),
    )
}

/// Names of the door's Pods that run.
fn door_names(demo: &Demo) -> Result<BTreeSet<String>> {
    Ok(pods::of_door(demo)?.into_iter().map(|pod| pod.name).collect())
}

/// Names of the Pods of doors that wrote anything.
fn told_by(demo: &Demo) -> Result<BTreeSet<String>> {
    let records = records(demo)?;
    let doors = records
        .iter()
        .filter(|record| text(record, "/source/writer") == "proxy");
    Ok(doors
        .map(|record| text(record, "/source/pod/name").to_owned())
        .collect())
}

/// In which format the policy for the door's Pods is written.
fn carried(demo: &Demo) -> Result<u64> {
    let carrier = shown(demo, "configmap/door-bank-policy")?;
    let signed: Value = serde_json::from_str(text(&carrier, "/data/carrier.json"))?;
    let payload = STANDARD.decode(text(&signed, "/payload"))?;
    let payload: Value = serde_json::from_slice(&payload)?;
    let format = payload.get("format").and_then(Value::as_u64);
    format.context("the policy says in which format it is written")
}
