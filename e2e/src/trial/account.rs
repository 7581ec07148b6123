//! A ServiceAccount as an approver: where a policy names it, and by its own token.

use anyhow::Result;

use crate::demo::{DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{Output, run, wait_until};

use super::beside::{insert, ruled};
use super::kubeconfig::Kubeconfig;
use super::requests::{answerable, shown, text};
use super::second_person::named;
use super::undo::{PutBack, Undo};
use super::{SETTLE, answers, becomes};

const RULE: &str = "action: RequireApproval, message: inserting needs the change board, \
     approval: {approvers: [{kind: ServiceAccount, name: change-board, namespace: doors}], onHold: Refuse}";
const ROW: u32 = 7851;
const ACCOUNTS: [&str; 2] = ["change-board", "lobby"];

pub(super) fn approver(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _row = PutBack(demo, "DELETE FROM accounts WHERE id = 7851");
    let _accounts = accounts(demo)?;
    let _policy = ruled(demo, "trial-account", RULE)?;
    answers(demo)?;
    let request = named(&insert(demo, ROW)?.stderr)?;
    answerable(demo, &request)?;
    let refusal = approve_as(demo, "lobby", &request)?;
    narrator.shows(&refusal);
    narrator.check(
        "an account that the policy does not name is refused in words",
        !refusal.status.success()
            && refusal
                .stderr
                .contains("system:serviceaccount:doors:lobby is not an approver"),
    )?;
    let approval = approve_as(demo, "change-board", &request)?;
    narrator.shows(&approval);
    narrator.check("the one that it names approves", approval.status.success())?;
    let object = format!("accessrequest/{request}");
    becomes(demo, &object, "Approved", "True")?;
    narrator.check(
        "the request says that it was this one",
        text(&shown(demo, &object)?, "/status/approvals/0/user") == "system:serviceaccount:doors:change-board",
    )?;
    wait_until(SETTLE, "alice inserts", || {
        Ok(insert(demo, ROW)?.stdout.contains("INSERT 0 1").then_some(()))
    })?;
    narrator.check("and alice inserts", true)
}

/// [`ACCOUNTS`], which may read and answer requests; until the guards go.
fn accounts(demo: &Demo) -> Result<Vec<Undo<'_>>> {
    let binding = [
        "-n",
        DOORS,
        "delete",
        "rolebinding",
        "trial-account",
        "--ignore-not-found",
    ];
    demo.admin(&binding)?;
    let mut undo = vec![Undo::by(demo, &binding)];
    let mut bind = demo.kubectl(&["-n", DOORS, "create", "rolebinding", "trial-account"]);
    bind.arg("--clusterrole=sallyport-approver");
    for name in ACCOUNTS {
        let account = ["-n", DOORS, "delete", "serviceaccount", name, "--ignore-not-found"];
        demo.admin(&account)?;
        undo.push(Undo::by(demo, &account));
        demo.admin(&["-n", DOORS, "create", "serviceaccount", name])?;
        bind.arg(format!("--serviceaccount={DOORS}:{name}"));
    }
    run(&mut bind)?.ok()?;
    Ok(undo)
}

/// The account approves by a token for the API server.
fn approve_as(demo: &Demo, account: &str, request: &str) -> Result<Output> {
    let token = demo.admin(&["-n", DOORS, "create", "token", account])?;
    let own = Kubeconfig::of(demo, token.stdout.trim())?;
    run(&mut own.kubectl(demo, &["sallyport", "approve", request, "-n", DOORS]))
}
