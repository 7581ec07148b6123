//! The door's own certificate is another one while the door is used.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::demo::{CONNECTION, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{Output, run, wait_until};

use super::load::under_load;
use super::pods::{self, Pod};
use super::session::asleep;
use super::undo::Undo;
use super::{SETTLE, SSN};

const ADDED: &str = "rotated.doors.example";

pub(super) fn rotates(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let (names, authority) = published(demo)?;
    let before = pods::of_door(demo)?;
    ensure!(!before.is_empty(), "the door has no Pods");
    for pod in &before {
        let stranger = by_added_name(demo, pod, &authority)?;
        narrator.check(
            &format!("{} is not {ADDED} so far", pod.name),
            stranger.stderr.contains("does not match host name"),
        )?;
    }
    let asleep = asleep(demo)?;
    with_added_name(demo, narrator, &names, &before, &authority)?;
    all_show(demo, &before, false)?;
    narrator.check("with the name taken back, no Pod shows it any more", true)?;
    let ended = asleep.woken()?;
    narrator.shows(&ended);
    narrator.check(
        "a session from before outlives both certificates",
        ended.stdout.contains("still here"),
    )?;
    narrator.check("no Pod was replaced or restarted", pods::of_door(demo)? == before)
}

/// The certificate gets one more name under load, and loses it in the end.
fn with_added_name(
    demo: &Demo,
    narrator: &mut Narrator,
    names: &[Value],
    pods: &[Pod],
    authority: &Path,
) -> Result<()> {
    let edit = ["-n", DOORS, "patch", "connection", CONNECTION, "--type=merge", "-p"];
    let naming = |names: &[Value]| json!({"spec": {"certificate": {"names": names}}}).to_string();
    let (one_more, as_before) = (naming(&[names, &[Value::from(ADDED)]].concat()), naming(names));
    // A patch and not the samples: another manager's items stay in a set that is applied.
    let _undo = Undo::by(demo, &[&edit[..], &[&as_before]].concat());
    let lost = under_load(demo, narrator, "certified", || {
        demo.admin(&[&edit[..], &[&one_more]].concat())?;
        all_show(demo, pods, true)
    })?;
    narrator.check("no statement noticed that the certificate was replaced", lost == 0)?;
    for pod in pods {
        narrator.shows_text(&shown(demo, pod)?);
        let named = by_added_name(demo, pod, authority)?;
        narrator.shows(&named);
        narrator.check(
            &format!("{} is {ADDED} by the authority that the Connection publishes", pod.name),
            named.status.success() && named.stdout.contains("[REDACTED]"),
        )?;
    }
    Ok(())
}

/// The names that the Connection asks for, and a file with the authority that its status publishes.
fn published(demo: &Demo) -> Result<(Vec<Value>, PathBuf)> {
    let shown = demo
        .admin(&["-n", DOORS, "get", "connection", CONNECTION, "-o", "json"])?
        .stdout;
    let connection: Value = serde_json::from_str(&shown)?;
    let names = connection.pointer("/spec/certificate/names").and_then(Value::as_array);
    let bundle = connection.pointer("/status/caBundle").and_then(Value::as_str);
    let file = demo.path("trial-door-ca.pem");
    fs::write(&file, bundle.context("status.caBundle of the Connection")?)?;
    Ok((names.cloned().unwrap_or_default(), file))
}

/// Waits until new handshakes with each of these Pods show the added name, or none does.
fn all_show(demo: &Demo, pods: &[Pod], added: bool) -> Result<()> {
    wait_until(SETTLE, "new handshakes show the certificate that is asked for", || {
        for pod in pods {
            if shown(demo, pod)?.contains(ADDED) != added {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
}

/// Serial number and names of the certificate that a new handshake with that Pod shows.
fn shown(demo: &Demo, pod: &Pod) -> Result<String> {
    let mut look = demo.command("bash");
    look.args([
        "-c",
        "timeout 60 openssl s_client -starttls postgres -connect \"$0:5432\" 2>&1 |
            openssl x509 -noout -serial -ext subjectAltName",
        &pod.address,
    ]);
    Ok(run(&mut look)?.ok()?.stdout)
}

/// psql at that Pod as if it were the host of the added name, under `verify-full`.
fn by_added_name(demo: &Demo, pod: &Pod, authority: &Path) -> Result<Output> {
    let mut command = pods::psql(demo, pod, SSN)?;
    command
        .env("PGHOST", ADDED)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", authority);
    run(&mut command)
}
