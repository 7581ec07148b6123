//! Who leads, where one was stopped and goes on.

use anyhow::{Result, ensure};

use super::scenes::carrier;
use super::stage::Stage;

/// Another leads once the Lease has stood still, and the first, which has slept over that, writes nothing when it goes on: it ends.
pub fn another_leads_when_the_first_is_stopped(stage: &mut Stage) -> Result<()> {
    stage.start("operator-3")?;
    let standby = stage.operator()?;
    stage.until("the second stands by", || {
        Ok(standby.metric("sallyport_operator_leader")? == Some(0.0))
    })?;
    let mut first = stage.operators.remove(0);
    first.signal("-STOP")?;
    stage.until_leading("the second leads")?;
    let patch = r#"{"spec": {"action": {"partial": {"keepLast": 4}}}}"#;
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
    stage.until_condition("doors", "maskingrule/cards", "Enforced", "True", "Enforced")?;

    let told = carrier(stage)?;
    first.signal("-CONT")?;
    stage.until("the first ends", || first.has_ended())?;
    ensure!(
        carrier(stage)? == told,
        "doors were told something by who leads no more"
    );
    stage.until_condition("doors", "maskingrule/cards", "Enforced", "True", "Enforced")?;
    stage.until_leading("the second leads still")
}
