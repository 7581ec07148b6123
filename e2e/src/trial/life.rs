//! What happens to every installation in time: nodes are drained, the operator is upgraded, credentials change.

use anyhow::{Result, ensure};

use crate::client::{ask, ask_directly};
use crate::demo::{ALICE, CONNECTION, DOORS, Demo, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{run, wait_until};

use super::load::under_load;
use super::rule::edited;
use super::session::asleep;
use super::undo::Undo;
use super::{SETTLE, answers, condition};

const CREDENTIALS: &str = "bank-credentials";

pub(super) fn node_drained(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let pods = "app.kubernetes.io/component=door,sallyport.dev/connection=bank";
    let path = "jsonpath={.items[0].spec.nodeName}";
    let node = demo
        .admin(&["-n", DOORS, "get", "pods", "-l", pods, "-o", path])?
        .stdout;
    let node = node.trim();
    under_load(demo, narrator, "drained", || {
        let _undo = Undo::by(demo, &["uncordon", node]);
        let selector = format!("--pod-selector={pods}");
        let mut drain = demo.kubectl(&[
            "drain",
            node,
            &selector,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--timeout=20s",
        ]);
        // Where no other node takes the new Pod, the last replica stays.
        let said = run(&mut drain)?;
        ensure!(
            said.all().contains("evicting pod"),
            "nothing was evicted: {}",
            said.all()
        );
        answers(demo)
    })?;
    super::open(demo)?;
    narrator.check("the door answered all the while, and is whole again", true)
}

pub(super) fn operator_rolled(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let lost = under_load(demo, narrator, "operated", || {
        demo.admin(&["-n", SYSTEM, "rollout", "restart", "deployment/sallyport-operator"])?;
        let status = [
            "-n",
            SYSTEM,
            "rollout",
            "status",
            "deployment/sallyport-operator",
            "--timeout=150s",
        ];
        demo.admin(&status)?;
        Ok(())
    })?;
    narrator.check("no statement noticed that the operator was replaced", lost == 0)?;
    let _undo = edited(demo)?;
    narrator.check("an edit is enforced by the operator that took over", true)
}

pub(super) fn credential_rotates(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let path = "jsonpath={.data.password}";
    let before = demo
        .admin(&["-n", DOORS, "get", "secret", CREDENTIALS, "-o", path])?
        .stdout;
    let _undo = Rotated { demo, before };
    let role = |password: &str| ask_directly(demo, &format!("ALTER ROLE sallyport PASSWORD '{password}'"))?.ok();
    let session = asleep(demo)?;
    role("rotated by a trial")?;
    let refusal = ask(demo, ALICE, &["SELECT 1"])?;
    narrator.shows(&refusal);
    narrator.check(
        "with the old one nobody gets in, in words",
        refusal.stderr.contains("FATAL") && refusal.stderr.contains("target"),
    )?;
    let ready = || condition(demo, &format!("connection/{CONNECTION}"), "Ready");
    let said = wait_until(SETTLE, "the Connection says that its target refuses the door", || {
        let said = ready()?;
        Ok(said.contains("TargetRefused").then_some(said))
    })?;
    narrator.shows_text(&said);
    narrator.check("it names the Secret to mend", said.contains(CREDENTIALS))?;
    let patch = r#"{"stringData":{"password":"rotated by a trial"}}"#;
    demo.admin(&["-n", DOORS, "patch", "secret", CREDENTIALS, "--type=merge", "-p", patch])?;
    answers(demo)?;
    narrator.check("with the new one everybody does", true)?;
    wait_until(SETTLE, "the Connection is ready again", || {
        Ok(ready()?.starts_with("True").then_some(()))
    })?;
    let ended = session.woken()?;
    narrator.shows(&ended);
    narrator.check("a session from before goes on", ended.stdout.contains("still here"))
}

/// Puts the old credential back, at the target and in the Secret.
struct Rotated<'a> {
    demo: &'a Demo,
    /// As the Secret holds it.
    before: String,
}

impl Drop for Rotated<'_> {
    fn drop(&mut self) {
        let back = || -> Result<()> {
            let patch = format!(r#"{{"data":{{"password":"{}"}}}}"#, self.before);
            self.demo.admin(&[
                "-n",
                DOORS,
                "patch",
                "secret",
                CREDENTIALS,
                "--type=merge",
                "-p",
                &patch,
            ])?;
            let mut decode = self.demo.command("bash");
            decode.args(["-c", "printf %s \"$0\" | base64 -d", &self.before]);
            let password = run(&mut decode)?.ok()?.stdout;
            ask_directly(self.demo, &format!("ALTER ROLE sallyport PASSWORD '{password}'"))?.ok()?;
            Ok(())
        };
        if let Err(cause) = back() {
            eprintln!("could not put the credential back: {cause:#}");
        }
    }
}
