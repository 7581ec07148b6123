//! An upgrade as an admin makes it, and the way back: another image of operator, doors and recorders, in the order of
//! docs/upgrades.md, while many write.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::demo::{CONNECTION, DOORS, Demo, EVIDENCE, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::load::throughout;
use super::rule::edited;
use super::undo::Undo;
use super::{SETTLE, Skipped, becomes};

const OPERATOR: &str = "deployment/sallyport-operator";
/// What runs from the image, with the label of its Pods: the operator first, which rolls the others.
const WORKLOADS: [(&str, &str, &str); 3] = [
    (SYSTEM, OPERATOR, "app.kubernetes.io/component=operator"),
    (EVIDENCE, "statefulset/recorder-evidence", "sallyport.dev/sink=evidence"),
    (DOORS, "deployment/door-bank", "sallyport.dev/connection=bank"),
];
/// The image that a workload is to run.
const IMAGE: &str = "jsonpath={.spec.template.spec.containers[0].image}";
/// The image as config/default names it.
const SHIPPED: &str = "localhost/sallyport:dev";
/// Who applied it at first.
const MANAGER: &str = "--field-manager=demo";

/// `config/default` with one image in it, as a file.
struct Installation<'a> {
    demo: &'a Demo,
    image: String,
    file: PathBuf,
}

pub(super) fn there_and_back(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.is_local() {
        bail!(Skipped("images get to this cluster's nodes by a way of their owner's"));
    }
    let before = Installation::of(demo, "before", present(demo)?)?;
    let after = Installation::of(demo, "after", another(demo)?)?;
    ensure!(before.image != after.image, "{} is what runs already", after.image);
    let old = before.ids()?;
    let undo = Undo::by(demo, &before.applying());
    throughout(demo, narrator, "upgraded", || {
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

/// The image that runs.
fn present(demo: &Demo) -> Result<String> {
    Ok(demo.admin(&["-n", SYSTEM, "get", OPERATOR, "-o", IMAGE])?.stdout)
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

/// One field of each Pod with that label, where it has it.
fn pods(demo: &Demo, namespace: &str, label: &str, field: &str) -> Result<Vec<String>> {
    let path = format!("jsonpath={{range .items[*]}}{{{field}}}{{\"\\n\"}}{{end}}");
    let shown = demo.admin(&["-n", namespace, "get", "pods", "-l", label, "-o", &path])?;
    let lines = shown.stdout.lines().filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

// === impl Installation ===

impl<'a> Installation<'a> {
    fn of(demo: &'a Demo, name: &str, image: String) -> Result<Self> {
        let config = demo.repository().join("config/default");
        let manifests = demo.admin(&["kustomize", &config.to_string_lossy()])?.stdout;
        ensure!(
            manifests.matches(SHIPPED).count() >= 3,
            "{SHIPPED} is said of the operator, of what it runs, and of what admission lets it run"
        );
        let file = demo.path(&format!("trial-upgrade-{name}.yaml"));
        std::fs::write(&file, manifests.replace(SHIPPED, &image))?;
        Ok(Self { demo, image, file })
    }

    /// The one command that makes it so.
    fn applying(&self) -> [&str; 6] {
        let file = self.file.to_str().unwrap_or_default();
        ["apply", "--server-side", "--force-conflicts", MANAGER, "-f", file]
    }

    /// Applies it, and waits until everything runs from its image and is whole.
    fn rolled_out(&self) -> Result<()> {
        self.demo.admin(&self.applying())?;
        for (namespace, workload, _) in WORKLOADS {
            wait_until(SETTLE, &format!("{workload} is to run {}", self.image), || {
                let wanted = self.demo.admin(&["-n", namespace, "get", workload, "-o", IMAGE])?;
                Ok((wanted.stdout == self.image).then_some(()))
            })?;
            self.demo
                .admin(&["-n", namespace, "rollout", "status", workload, "--timeout=150s"])?;
        }
        let connection = format!("connection/{CONNECTION}");
        becomes(self.demo, &connection, "Enforced", "True")?;
        becomes(self.demo, &connection, "Ready", "True")?;
        self.nothing_else_runs()
    }

    /// Waits until the last Pod of another image is gone: doors let their sessions end.
    fn nothing_else_runs(&self) -> Result<()> {
        for (namespace, workload, label) in WORKLOADS {
            wait_until(SETTLE, &format!("Pods of {workload} run {}", self.image), || {
                let images = pods(self.demo, namespace, label, ".spec.containers[0].image")?;
                let all = images.iter().all(|image| *image == self.image);
                Ok((all && !images.is_empty()).then_some(()))
            })?;
        }
        Ok(())
    }

    /// What runs, as the nodes know it by its content.
    fn ids(&self) -> Result<BTreeSet<String>> {
        let mut ids = BTreeSet::new();
        for (namespace, _, label) in WORKLOADS {
            ids.extend(pods(
                self.demo,
                namespace,
                label,
                ".status.containerStatuses[0].imageID",
            )?);
        }
        ensure!(!ids.is_empty(), "nothing runs");
        Ok(ids)
    }

    /// Removes its file, once nothing has to be put back.
    fn remove(self) -> Result<()> {
        Ok(std::fs::remove_file(&self.file)?)
    }
}
