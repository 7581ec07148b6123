//! What an admin scrapes.

use anyhow::Result;

use crate::demo::{DOORS, Demo, EVIDENCE, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{LIMIT, run, wait_until};

pub(super) fn metrics(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let programs = [
        (DOORS, "app.kubernetes.io/component=door", "sallyport_"),
        (EVIDENCE, "app.kubernetes.io/component=recorder", "sallyport_recorder_"),
        (SYSTEM, "app.kubernetes.io/component=operator", "sallyport_operator_"),
    ];
    for (namespace, selector, prefix) in programs {
        let pods = |path: &str| -> Result<String> {
            let shown = demo.admin(&["-n", namespace, "get", "pods", "-l", selector, "-o", path])?;
            Ok(shown.stdout)
        };
        // One that a rollout has replaced answers no more.
        wait_until(LIMIT, "no Pod is about to end", || {
            let ending = pods("jsonpath={.items[*].metadata.deletionTimestamp}")?;
            Ok(ending.trim().is_empty().then_some(()))
        })?;
        let address = pods("jsonpath={.items[0].status.podIP}")?;
        let url = format!("http://{}:9090/metrics", address.trim());
        let mut fetch = demo.command_inside("curl");
        fetch.args(["-sf", "--max-time", "60", &url]);
        narrator.types("admin", &fetch);
        let text = run(&mut fetch)?.ok()?.stdout;
        let ours: Vec<&str> = text.lines().filter(|line| line.starts_with(prefix)).collect();
        let telling: Vec<&str> = ours
            .iter()
            .filter(|line| !line.contains("_bucket"))
            .take(10)
            .copied()
            .collect();
        narrator.shows_text(&telling.join("\n"));
        narrator.check(&format!("metrics of {prefix}*"), !ours.is_empty())?;
        narrator.check("no label carries a value of the bank", !text.contains("536-90-4399"))?;
    }
    Ok(())
}
