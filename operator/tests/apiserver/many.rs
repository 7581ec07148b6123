//! As many Connections as a large installation has, without Pods.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::stage::{LIMIT, Stage};

/// How long one Connection's share may take on a busy machine.
const EACH: Duration = Duration::from_millis(300);

pub fn many_connections(count: usize) -> Result<()> {
    let mut stage = Stage::open()?;
    let samples = stage.samples(0)?;
    stage.apply(&samples)?;
    let bank = samples
        .split("\n---\n")
        .find(|document| document.contains("kind: Connection"))
        .unwrap_or_default();
    for hundred in (0..count).collect::<Vec<_>>().chunks(100) {
        let mut manifest = String::new();
        for number in hundred {
            let one = bank.replace("name: bank\n", &format!("name: bank-{number}\n"));
            write!(manifest, "---\n{one}\n")?;
        }
        stage.apply(&manifest)?;
    }
    stage.start("operator-1")?;
    let operator = stage.operator()?;
    let number = u32::try_from(count)?;
    let (wanted, limit) = (f64::from(number) + 1.0, LIMIT.max(EACH * number));
    let enforced = "sallyport_operator_conditions{condition=\"Enforced\",kind=\"Connection\",status=\"True\"}";
    let begun = Instant::now();
    stage.until_within(limit, "all Connections are enforced", || {
        Ok(operator.metric(enforced)? == Some(wanted))
    })?;
    let first = begun.elapsed();
    let memory = operator.resident_kib()?;
    let patch = r#"{"spec": {"action": {"partial": {"keepLast": 2}}}}"#;
    let begun = Instant::now();
    stage.kubectl(&[
        "-n",
        "doors",
        "patch",
        "maskingrule",
        "cards",
        "--type=merge",
        "-p",
        patch,
    ])?;
    let rule = "maskingrule/cards";
    stage.until_within(limit, "the edit is enforced", || {
        let said = stage.condition("doors", rule, "Enforced")?;
        Ok(said.is_some_and(|(status, _)| status == "True"))
    })?;
    let edited = begun.elapsed();
    // As `make bench` collects lines.
    for (name, value, unit, what) in [
        (
            "enforced-s",
            first.as_secs_f64(),
            "s",
            "from the operator's beginning until all are enforced",
        ),
        (
            "edit-to-enforced-s",
            edited.as_secs_f64(),
            "s",
            "from an edit of a rule of all until it is enforced",
        ),
        (
            "operator-mib",
            f64::from(u32::try_from(memory / 1_024)?),
            "MiB",
            "resident memory of the operator",
        ),
    ] {
        let value = (value * 10.0).round() / 10.0;
        let line = json!({
            "name": format!("operator/connections-{count}/{name}"), "value": value, "unit": unit, "runs": [value],
            "what": format!("{count} Connections without Pods on a kube-apiserver of their own: {what}"),
        });
        println!("{line}");
    }
    Ok(())
}
