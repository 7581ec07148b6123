//! Applying the samples.

use anyhow::Result;

use crate::demo::{CONNECTION, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::run;

pub(super) fn apply_samples(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let samples = demo.repository().join("config/samples");
    let samples = samples.to_string_lossy();
    let mut apply = demo.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &samples]);
    narrator.types("admin", &apply);
    narrator.shows(&run(&mut apply)?.ok()?);
    for resource in ["connection/bank", "maskingrules", "approvalpolicies"] {
        let mut arguments = vec![
            "-n",
            DOORS,
            "wait",
            "--for=condition=Enforced",
            "--timeout=120s",
            resource,
        ];
        if !resource.contains('/') {
            arguments.push("--all");
        }
        let mut wait = demo.kubectl(&arguments);
        narrator.types("admin", &wait);
        let output = crate::run::Running::start(&mut wait)?.finish(crate::run::LIMIT)?;
        narrator.shows(&output);
        if !output.status.success() {
            let state = demo.admin(&["-n", DOORS, "describe", "connection", CONNECTION])?;
            narrator.shows(&state);
        }
        narrator.check(&format!("{resource}: Enforced is True"), output.status.success())?;
    }
    let mut list = demo.kubectl(&["-n", DOORS, "get", "sallyport"]);
    narrator.types("admin", &list);
    narrator.shows(&run(&mut list)?.ok()?);
    Ok(())
}
