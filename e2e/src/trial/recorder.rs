//! A recorder that stays away: whoever watches the Connection hears of it, and of its return.

use anyhow::{Result, bail};

use crate::client::ask;
use crate::demo::{ALICE, CONNECTION, Demo};
use crate::narrator::Narrator;

use super::undo::Undo;
use super::{Skipped, answers, becomes, kill_recorder};

pub(super) fn stays_away(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.is_local() {
        bail!(Skipped("this cluster's nodes take other people's Pods"));
    }
    let path = "jsonpath={.items[*].metadata.name}";
    let open = ["get", "nodes", "--field-selector=spec.unschedulable=false", "-o", path];
    let nodes = demo.admin(&open)?.stdout;
    let every_node = |verb| -> Vec<&str> { std::iter::once(verb).chain(nodes.split_whitespace()).collect() };
    let connection = format!("connection/{CONNECTION}");
    {
        // No node takes its next Pod.
        let _undo = Undo::by(demo, &every_node("uncordon"));
        demo.admin(&every_node("cordon"))?;
        kill_recorder(demo)?;
        let said = becomes(demo, &connection, "Ready", "False RecorderUnavailable")?;
        narrator.shows_text(&said);
        narrator.check(
            "the Connection is not ready and names the sink",
            said.contains("evidence/evidence"),
        )?;
        becomes(demo, &connection, "Enforced", "True")?;
        narrator.check("its rules are enforced all the same", true)?;
        let refusal = ask(demo, ALICE, &["SELECT 1"])?;
        narrator.shows(&refusal);
        narrator.check(
            "and nobody gets in, in words",
            !refusal.status.success() && refusal.stderr.contains("FATAL"),
        )?;
    }
    let said = becomes(demo, &connection, "Ready", "True")?;
    narrator.shows_text(&said);
    answers(demo)?;
    narrator.check("it is ready again when the recorder is back", true)
}
