//! The installation's own authorities are replaced while people work: by the next step as an admin takes it, not a month later.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{ask, psql};
use crate::demo::{ALICE, CONNECTION, DOORS, Demo, EVIDENCE, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::columns::begin_anew;
use super::requests::{shown, text};
use super::rule::edited;
use super::session::asleep;
use super::{SETTLE, SSN, Skipped, kill_recorder, open, pods};

const SECRET: &str = "sallyport-operator-keys";
/// Both authorities: what Pods know each other by, and what clients know doors by.
const BOTH: [&str; 2] = ["workload", "door"];
/// What is due at such a time is due now.
const PAST: &str = "2026-01-01T00:00:00Z";

/// The file by which the demo's clients know the door, which holds in the end what the Connection publishes.
struct Bundle<'a>(&'a Demo);

pub(super) fn replaced(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.is_local() {
        bail!(Skipped("this cluster's clients keep copies of the authorities"));
    }
    let bundle = Bundle(demo);
    trusted(demo, narrator, &bundle)?;
    signs(demo, narrator)?;
    distrusted(demo, narrator, &bundle)
}

/// The next ones are trusted beside the present ones: Pods are rolled, clients fetch the bundle.
fn trusted(demo: &Demo, narrator: &mut Narrator, bundle: &Bundle<'_>) -> Result<()> {
    let before = keys(demo)?;
    ensure!(
        BOTH.iter().all(|kind| part(&before, kind, "-next.crt").is_none()),
        "a replacement is under way already: see docs/certificates.md"
    );
    let rotate = format!("sallyport.dev/rotate={}", BOTH.join(","));
    demo.admin(&["-n", SYSTEM, "annotate", "--overwrite", "secret", SECRET, &rotate])?;
    another_leads(demo, "the next authorities are made", |keys| {
        BOTH.iter().all(|kind| part(keys, kind, "-next.crt").is_some())
    })?;
    rolled(demo, 2)?;
    narrator.check("by the file that clients had, doors are known", answered(demo)?)?;
    bundle.fetch(2)?;
    narrator.check("and by the one with both authorities", answered(demo)?)
}

/// The next ones sign. Nothing is rolled, and who is in stays in.
fn signs(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let (before, pods) = (keys(demo)?, pods::of_door(demo)?);
    let asleep = asleep(demo)?;
    due(demo, "-next.from")?;
    let after = another_leads(demo, "the next authorities sign", |keys| {
        let next = |kind: &&str| part(keys, kind, ".crt") == part(&before, kind, "-next.crt");
        BOTH.iter().all(next)
    })?;
    let next = demo.path("trial-next-door.pem");
    std::fs::write(&next, part(&after, "door", ".crt").context("the door's authority")?)?;
    wait_until(SETTLE, "doors show certificates of the next authority", || {
        let mut strict = psql(demo, ALICE, &["SELECT 1"])?;
        let output = run(strict.env("PGSSLROOTCERT", &next))?;
        Ok(output.status.success().then_some(()))
    })?;
    std::fs::remove_file(&next)?;
    narrator.check("doors show certificates that the next authority signed", true)?;
    let ended = asleep.woken()?;
    narrator.shows(&ended);
    narrator.check(
        "a session from before goes on, and its statements are recorded",
        ended.stdout.contains("still here"),
    )?;
    enforced(demo, narrator)?;
    narrator.check(
        "no Pod of the door was replaced or restarted",
        pods::of_door(demo)? == pods,
    )
}

/// Doors, whose certificates the old authority signed, still hear the operator and are heard.
fn enforced(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _undo = edited(demo)?;
    wait_until(SETTLE, "doors report that they enforce it", || {
        let rule = shown(demo, "maskingrule/cards")?;
        let conditions = rule.pointer("/status/conditions").and_then(Value::as_array);
        let reported = conditions.into_iter().flatten().any(|one| {
            text(one, "/type") == "Enforced"
                && text(one, "/status") == "True"
                && one.get("observedGeneration") == rule.pointer("/metadata/generation")
        });
        Ok(reported.then_some(()))
    })?;
    narrator.check("doors go on hearing the operator, and the operator them", true)
}

/// The old ones are trusted no more. Who holds a certificate by them has another before that.
fn distrusted(demo: &Demo, narrator: &mut Narrator, bundle: &Bundle<'_>) -> Result<()> {
    kill_recorder(demo)?;
    begin_anew(demo)?;
    due(demo, "-old.until")?;
    another_leads(demo, "the old authorities are trusted no more", |keys| {
        BOTH.iter().all(|kind| part(keys, kind, "-old.crt").is_none())
    })?;
    rolled(demo, 1)?;
    bundle.fetch(1)?;
    narrator.check("with the old authorities gone, alice reads, masked", answered(demo)?)?;
    let verified = demo.admin(&["sallyport", "audit", "verify", "--sink", "evidence/evidence"])?;
    narrator.shows(&verified);
    narrator.check(
        "and the log is proved over all that",
        verified.stdout.starts_with("PROVEN"),
    )
}

/// The operator's keys, as the Secret holds them.
fn keys(demo: &Demo) -> Result<Value> {
    let shown = demo.admin(&["-n", SYSTEM, "get", "secret", SECRET, "-o", "json"])?;
    let secret: Value = serde_json::from_str(&shown.stdout)?;
    secret.get("data").cloned().context("the Secret's data")
}

/// One part of an authority, such as `door-ca-next.crt`; None where it is not there.
fn part(keys: &Value, kind: &str, which: &str) -> Option<String> {
    let encoded = keys.get(format!("{kind}-ca{which}"))?.as_str()?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

/// Lets the next step of both authorities be due.
fn due(demo: &Demo, when: &str) -> Result<()> {
    let moments: serde_json::Map<String, Value> = BOTH
        .iter()
        .map(|kind| (format!("{kind}-ca{when}"), Value::from(PAST)))
        .collect();
    let patch = json!({ "stringData": moments }).to_string();
    demo.admin(&["-n", SYSTEM, "patch", "secret", SECRET, "--type=merge", "-p", &patch])
        .map(drop)
}

/// Whoever leads looks within a minute what is due, and who begins to lead looks at once. Gives the keys as they are then.
fn another_leads(demo: &Demo, what: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
    let path = "jsonpath={.spec.holderIdentity}";
    let holder = demo.admin(&["-n", SYSTEM, "get", "lease", "sallyport-operator", "-o", path])?;
    let pod = holder.stdout.split(['_', '/']).next().context("the leader's Pod")?;
    demo.admin(&[
        "-n",
        SYSTEM,
        "delete",
        "pod",
        pod.trim(),
        "--wait=false",
        "--ignore-not-found",
    ])?;
    wait_until(SETTLE, what, || {
        let keys = keys(demo)?;
        Ok(done(&keys).then_some(keys))
    })
}

/// Waits until doors and recorder run with so many authorities to trust, and serve.
fn rolled(demo: &Demo, authorities: usize) -> Result<()> {
    for [namespace, workload] in [
        [DOORS, "deployment/door-bank"],
        [EVIDENCE, "statefulset/recorder-evidence"],
    ] {
        let path = "jsonpath={.spec.template.spec.containers[0].env[?(@.name=='SALLYPORT_OPERATOR_CA')].value}";
        wait_until(SETTLE, "the operator rolls what trusts other authorities", || {
            let trusted = demo.admin(&["-n", namespace, "get", workload, "-o", path])?.stdout;
            Ok((trusted.matches("BEGIN CERTIFICATE").count() == authorities).then_some(()))
        })?;
        demo.admin(&["-n", namespace, "rollout", "status", workload, "--timeout=150s"])?;
    }
    open(demo)
}

/// Whether alice reads through the door, masked: what she reads is on the recorder's disk by then.
fn answered(demo: &Demo) -> Result<bool> {
    let read = ask(demo, ALICE, &[SSN])?;
    Ok(read.stdout.contains("[REDACTED]"))
}

// === impl Bundle ===

impl Bundle<'_> {
    /// Fetches what the Connection publishes once that is so many authorities, as clients do.
    fn fetch(&self, authorities: usize) -> Result<()> {
        let bundle = wait_until(SETTLE, "the Connection publishes whom clients are to trust", || {
            let bundle = self.published()?;
            let count = bundle.matches("BEGIN CERTIFICATE").count();
            Ok((count == authorities).then_some(bundle))
        })?;
        std::fs::write(self.file(), bundle)?;
        Ok(())
    }

    fn published(&self) -> Result<String> {
        let connection = shown(self.0, &format!("connection/{CONNECTION}"))?;
        Ok(text(&connection, "/status/caBundle").to_owned())
    }

    fn file(&self) -> PathBuf {
        PathBuf::from(self.0.variable("PGSSLROOTCERT"))
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        let kept = self
            .published()
            .and_then(|bundle| std::fs::write(self.file(), bundle).map_err(Into::into));
        if let Err(cause) = kept {
            eprintln!("clients may know the door no more; e2e/demo/environment fetches its authorities: {cause:#}");
        }
    }
}
