use clap::Parser as _;

use super::*;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples");

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// What the command says that is typed so.
fn typed(directory: &str, line: &[&str]) -> String {
    let line = Line::try_parse_from([&["explain"][..], line].concat()).unwrap();
    explained(&Manifests::read(directory.as_ref()).unwrap(), line.args).unwrap()
}

fn said(user: &str, group: &str, text: &str) -> String {
    typed(
        DIRECTORY,
        &[
            "--connection",
            "bank",
            "--as",
            user,
            "--as-group",
            group,
            "--database",
            "bank",
            text,
        ],
    )
}

#[test]
fn the_samples_are_explained() {
    let alice = |text| said("oidc:alice", "oidc:engineers", text);
    let delete = alice("DELETE FROM accounts WHERE id = 7");
    for words in [
        "does: delete; touches: public.accounts; risk 50",
        "never-drop does not, delete-needs-a-dba matches",
        "verdict: RequireApproval by changes/delete-needs-a-dba",
        "needs 1 of group oidc:dba (deleting needs a database administrator)",
        "waits up to 600s",
    ] {
        assert!(delete.contains(words), "{words}: {delete}");
    }
    let drop = alice("DROP TABLE customers");
    assert!(drop.contains("verdict: Deny by changes/never-drop"), "{drop}");
    assert!(drop.contains("because: drop, truncate"), "{drop}");
    let read = alice("SELECT ssn AS harmless FROM customers");
    assert!(
        read.contains("verdict: Allow") && read.contains("column harmless is masked by"),
        "{read}"
    );
    let both = alice("SELECT card, card || dob AS both FROM customers");
    for words in [
        "column card is masked by cards (Partial)\n",
        "column both is masked by birth-dates (Null), which wins over cards (Redact)\n",
    ] {
        assert!(both.contains(words), "{words}: {both}");
    }
    let hidden = alice("SELECT public.purge()");
    for words in [
        "cannot be seen into: function public.purge",
        "everything-else matches; for what cannot be seen into: never-drop, delete-needs-a-dba, risky-needs-two",
        "verdict: Deny by changes/never-drop",
        "because: function public.purge cannot be seen into, and may do what rule never-drop is about: drop, truncate",
    ] {
        assert!(hidden.contains(words), "{words}: {hidden}");
    }
    let stranger = said("oidc:mallory", "none", "SELECT 1");
    assert!(
        stranger.contains("not about this person") && stranger.contains("verdict: Deny"),
        "{stranger}"
    );
    assert!(
        stranger.starts_with("oidc:mallory would not come in: spec.subjects"),
        "{stranger}"
    );
}

#[test]
fn an_agent_that_may_not_act_is_said_to_be_kept_out() {
    const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/reference");
    const ASSISTANT: &str = "system:serviceaccount:agents:assistant";
    let through = |user: &str, agents: &[&str]| {
        let mut line = vec![
            "--connection",
            "doors/ledger",
            "--as",
            user,
            "--as-group",
            "oidc:engineers",
        ];
        agents.iter().for_each(|agent| line.extend(["--agent", *agent]));
        line.push("SELECT 1");
        typed(REFERENCE, &line)
    };
    let cases: [(&str, &[&str], bool); 6] = [
        ("oidc:alice", &[], false),
        ("oidc:alice", &[ASSISTANT], false),
        ("oidc:carol", &["oidc:copilot"], false),
        ("oidc:alice", &["oidc:copilot"], true),
        ("oidc:alice", &["oidc:stranger"], true),
        // Each of them alone may; a chain is only ever what a token says.
        ("oidc:carol", &[ASSISTANT, "oidc:copilot"], true),
    ];
    for (user, agents, out) in cases {
        let told = through(user, agents);
        let words = format!(
            "{user} would not come in through {}, unless by a token",
            agents.join(", ")
        );
        assert_eq!(told.starts_with(&words), out, "{user} {agents:?}: {told}");
        assert_eq!(told.contains("would not come in"), out, "{user} {agents:?}: {told}");
    }
}
